#pragma once

#include <cstdint>

// The physical address map and interrupt numbers of QEMU's `virt` board. No other file of the devices holds an address
// literal.
//
//   0x0000'0000  +------------------------------+
//                | two flash banks of 64 MiB    |
//   0x0800'0000  +------------------------------+
//                | GIC distributor      64 KiB  |
//   0x0801'0000  | GICv2 CPU interface  64 KiB  |
//   0x0802'0000  | GICv2m MSI frame      4 KiB  |  SPI 48..111
//                | (GICv2 hyp, vcpu: none)      |
//   0x0808'0000  | GICv3 ITS           128 KiB  |
//   0x080a'0000  | GICv3 redistributors         |  128 KiB a CPU, room for 123
//   0x0900'0000  +------------------------------+
//                | PL011 UART            4 KiB  |  SPI 1
//   0x0901'0000  | PL031 RTC             4 KiB  |  SPI 2
//   0x0902'0000  | firmware configuration        |
//   0x0903'0000  | PL061 GPIO            4 KiB  |  SPI 7
//   0x0904'0000  | second PL011, if asked for   |  SPI 8
//   0x0a00'0000  +------------------------------+
//                | 32 virtio-mmio slots of 512  |  SPI 16..47
//   0x0a00'4000  +------------------------------+
//                | (platform bus: none)         |
//   0x1000'0000  +------------------------------+
//                | PCIe 32-bit memory           |  INTA..INTD: SPI 3..6
//   0x3eff'0000  | PCIe I/O ports       64 KiB  |
//   0x3f00'0000  | (low PCIe ECAM: none)        |
//   0x4000'0000  +------------------------------+
//                | RAM                          |
//                +------------------------------+
//  0x40'1000'0000  PCIe ECAM              256 MiB
//  0x80'0000'0000  PCIe 64-bit memory     512 GiB
namespace arclight::devices::layout {

struct Range {
    uint64_t base;
    uint64_t size;
};

inline constexpr uint64_t kFlashBank = uint64_t{64} << 20;
inline constexpr unsigned kFlashBanks = 2;
inline constexpr Range kGicDistributor{0x0800'0000, 0x1'0000};
inline constexpr Range kGicCpuInterface{0x0801'0000, 0x1'0000};
inline constexpr Range kGicV2m{0x0802'0000, 0x1000};
inline constexpr Range kGicIts{0x0808'0000, 0x2'0000};
inline constexpr Range kGicRedistributors{0x080a'0000, 0xf6'0000};  // as the device tree announces it
inline constexpr uint64_t kGicRedistributorStride = 0x2'0000;
inline constexpr Range kUart{0x0900'0000, 0x1000};
inline constexpr Range kSecondUart{0x0904'0000, 0x1000};  // as QEMU has it since 9.1
inline constexpr Range kRtc{0x0901'0000, 0x1000};
inline constexpr Range kFwCfg{0x0902'0000, 0x18};
inline constexpr Range kGpio{0x0903'0000, 0x1000};
inline constexpr Range kVirtioMmio{0x0a00'0000, 0x4000};
inline constexpr uint64_t kVirtioSlotSize = 0x200;
inline constexpr unsigned kVirtioSlots = 32;
inline constexpr Range kPciMemory32{0x1000'0000, 0x2eff'0000};
inline constexpr Range kPciPorts{0x3eff'0000, 0x1'0000};
inline constexpr uint64_t kRamBase = 0x4000'0000;
inline constexpr Range kPciEcam{0x40'1000'0000, 0x1000'0000};
inline constexpr Range kPciMemory64{0x80'0000'0000, 0x80'0000'0000};

inline constexpr unsigned kMaxCpus = 64;
inline constexpr unsigned kMaxCpusGicV2 = 8;  // its registers have a bit for each

// What ICC_SGI1R_EL1 reaches by one write: Aff0 values without a range selector (ARM IHI 0069 12.2.22).
inline constexpr unsigned kCpusOfAffinity1 = 16;

// A CPU's affinity, as the fields of MPIDR_EL1 have it, and GICD_IROUTER and PSCI: 16 CPUs for each Aff1, as on QEMU's board
// with a GICv3 (virt_cpu_mp_affinity()); up to eight CPUs it is their number.
constexpr uint64_t affinity_of(unsigned cpu) { return cpu / kCpusOfAffinity1 << 8 | cpu % kCpusOfAffinity1; }
// The CPU of an affinity; kNoCpu: no board has one there.
constexpr unsigned kNoCpu = ~0u;
constexpr unsigned cpu_of(uint64_t affinity) {
    const uint64_t cpu = (affinity >> 8) * kCpusOfAffinity1 + (affinity & 0xff);
    return cpu < kMaxCpus && affinity_of(static_cast<unsigned>(cpu)) == affinity ? static_cast<unsigned>(cpu)
                                                                                 : kNoCpu;
}

// SPI numbers as the device tree counts them; the INTID is 32 higher.
inline constexpr unsigned kSpiCount = 256;
inline constexpr unsigned kSpiUart = 1;
inline constexpr unsigned kSpiRtc = 2;
inline constexpr unsigned kSpiPci = 3;  // INTA, then INTB, INTC, INTD
inline constexpr unsigned kSpiGpio = 7;
inline constexpr unsigned kSpiSecondUart = 8;
inline constexpr unsigned kSpiVirtio = 16;  // first slot
inline constexpr unsigned kSpiV2m = 48;     // first message
inline constexpr unsigned kSpiV2mCount = 64;

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
inline constexpr uint32_t kPhandleMsi = 0x8002;  // v2m or ITS
inline constexpr uint32_t kPhandleGpio = 0x8003;
inline constexpr uint32_t kPhandleFirstCpu = 0x8100;

constexpr uint64_t flash_base(unsigned bank) { return bank * kFlashBank; }
constexpr uint64_t virtio_slot_base(unsigned slot) { return kVirtioMmio.base + slot * kVirtioSlotSize; }
// QEMU gives the first -device the highest slot.
constexpr unsigned virtio_slot_of_device(unsigned nth) { return kVirtioSlots - 1 - nth; }

}  // namespace arclight::devices::layout
