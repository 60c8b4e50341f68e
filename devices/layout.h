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

inline constexpr Range gic_distributor{0x0800'0000, 0x1'0000};
inline constexpr Range gic_cpu_interface{0x0801'0000, 0x1'0000};
inline constexpr Range gic_redistributors{0x080a'0000, 0xf6'0000};  // as the device tree announces it
inline constexpr uint64_t gic_redistributor_stride = 0x2'0000;
inline constexpr Range uart{0x0900'0000, 0x1000};
inline constexpr Range rtc{0x0901'0000, 0x1000};
inline constexpr Range virtio_mmio{0x0a00'0000, 0x4000};
inline constexpr uint64_t virtio_slot_size = 0x200;
inline constexpr unsigned virtio_slots = 32;
inline constexpr uint64_t ram_base = 0x4000'0000;

inline constexpr unsigned max_cpus = 8;

// SPI numbers as the device tree counts them; the INTID is 32 higher.
inline constexpr unsigned spi_count = 256;
inline constexpr unsigned spi_uart = 1;
inline constexpr unsigned spi_rtc = 2;
inline constexpr unsigned spi_virtio = 16;  // first slot

inline constexpr unsigned first_ppi_intid = 16;
inline constexpr unsigned first_spi_intid = 32;

// PPIs, as INTIDs.
inline constexpr unsigned ppi_pmu = 23;
inline constexpr unsigned ppi_timer_hypervisor = 26;
inline constexpr unsigned ppi_timer_virtual = 27;
inline constexpr unsigned ppi_timer_secure = 29;
inline constexpr unsigned ppi_timer_physical = 30;

inline constexpr uint32_t uart_clock_hz = 24'000'000;

// Device-tree handles that nodes refer to.
inline constexpr uint32_t phandle_clock = 0x8000;
inline constexpr uint32_t phandle_gic = 0x8001;

constexpr uint64_t virtio_slot_base(unsigned slot) { return virtio_mmio.base + slot * virtio_slot_size; }
// QEMU gives the first -device the highest slot.
constexpr unsigned virtio_slot_of_device(unsigned nth) { return virtio_slots - 1 - nth; }

}  // namespace arclight::devices::layout
