#pragma once

#include <cstdint>

// The physical address map and interrupt numbers of QEMU's `virt` board. No other file holds an address
// literal.
//
//   0x0000'0000  +------------------------------+
//                | flash (not present)          |
//   0x0800'0000  +------------------------------+
//                | GIC distributor      64 KiB  |
//   0x0801'0000  | GICv2 CPU interface  64 KiB  |
//   0x0802'0000  | (v2m, hyp, vcpu, ITS: none)  |
//   0x080a'0000  | GICv3 redistributors         |  128 KiB a CPU, room for 123
//   0x0900'0000  +------------------------------+
//                | PL011 UART            4 KiB  |  SPI 1
//   0x0901'0000  | PL031 RTC             4 KiB  |  SPI 2
//   0x0902'0000  | (fw-cfg, GPIO, ...: none)    |
//   0x0904'0000  | second PL011, if asked for   |  SPI 8
//   0x0a00'0000  +------------------------------+
//                | 32 virtio-mmio slots of 512  |  SPI 16..47
//   0x0a00'4000  +------------------------------+
//                | (platform bus, PCIe: none)   |
//   0x4000'0000  +------------------------------+
//                | RAM                          |
//                +------------------------------+
namespace arclight::devices::layout {

struct Range {
    uint64_t base;
    uint64_t size;
};

inline constexpr Range kGicDistributor{0x0800'0000, 0x1'0000};
inline constexpr Range kGicCpuInterface{0x0801'0000, 0x1'0000};
inline constexpr Range kGicRedistributors{0x080a'0000, 0xf6'0000};  // as the device tree announces it
inline constexpr uint64_t kGicRedistributorStride = 0x2'0000;
inline constexpr Range kUart{0x0900'0000, 0x1000};
inline constexpr Range kSecondUart{0x0904'0000, 0x1000};  // as QEMU has it since 9.1
inline constexpr Range kRtc{0x0901'0000, 0x1000};
inline constexpr Range kVirtioMmio{0x0a00'0000, 0x4000};
inline constexpr uint64_t kVirtioSlotSize = 0x200;
inline constexpr unsigned kVirtioSlots = 32;
inline constexpr uint64_t kRamBase = 0x4000'0000;

inline constexpr unsigned kMaxCpus = 8;

// SPI numbers as the device tree counts them; the INTID is 32 higher.
inline constexpr unsigned kSpiCount = 256;
inline constexpr unsigned kSpiUart = 1;
inline constexpr unsigned kSpiRtc = 2;
inline constexpr unsigned kSpiSecondUart = 8;
inline constexpr unsigned kSpiVirtio = 16;  // first slot

inline constexpr unsigned kFirstPpiIntid = 16;
inline constexpr unsigned kFirstSpiIntid = 32;

// PPIs, as INTIDs.
inline constexpr unsigned kPpiPmu = 23;
inline constexpr unsigned kPpiTimerHypervisor = 26;
inline constexpr unsigned kPpiTimerVirtual = 27;
inline constexpr unsigned kPpiTimerSecure = 29;
inline constexpr unsigned kPpiTimerPhysical = 30;

inline constexpr uint32_t kUartClockHz = 24'000'000;

// Device-tree handles that nodes refer to.
inline constexpr uint32_t kPhandleClock = 0x8000;
inline constexpr uint32_t kPhandleGic = 0x8001;

constexpr uint64_t virtio_slot_base(unsigned slot) { return kVirtioMmio.base + slot * kVirtioSlotSize; }
// QEMU gives the first -device the highest slot.
constexpr unsigned virtio_slot_of_device(unsigned nth) { return kVirtioSlots - 1 - nth; }

}  // namespace arclight::devices::layout
