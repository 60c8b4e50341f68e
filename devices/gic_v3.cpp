#include "devices/gic_v3.h"

#include <bit>

#include "devices/fdt_writer.h"
#include "devices/register_access.h"

// Distributor and redistributor: state, routing and memory-mapped registers. The CPU interface is in
// gic_v3_cpu_interface.cpp. Section numbers are those of ARM IHI 0069.
namespace arclight::devices {

namespace {

// 12.9 and 12.11: offsets in the distributor frame and in a redistributor's two frames.
constexpr uint64_t reg_ctlr = 0x0000;
constexpr uint64_t reg_typer = 0x0004;
constexpr uint64_t reg_iidr = 0x0008;
constexpr uint64_t reg_banks = 0x0080;  // IGROUPR up to ICACTIVER
constexpr uint64_t reg_banks_end = 0x0400;
constexpr uint64_t reg_priority = 0x0400;
constexpr uint64_t reg_config = 0x0c00;
constexpr uint64_t reg_router = 0x6000;
constexpr uint64_t reg_ids = 0xffd0;
constexpr uint64_t frame_size = 0x10000;

constexpr uint64_t reg_redistributor_iidr = 0x0004;
constexpr uint64_t reg_redistributor_typer = 0x0008;
constexpr uint64_t reg_waker = 0x0014;

// What QEMU's model reports: Arm Limited, product 0 (JEP106 code 0x43b).
constexpr uint32_t implementer = 0x43b;
// PIDR4..7, PIDR0..3, CIDR0..3: GICv3 architecture (PIDR2 = 0x3b).
constexpr std::array<uint8_t, 12> id_registers = {0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};
constexpr uint32_t pidr0_index = 4;
constexpr uint32_t pidr0_redistributor = 0x93;

constexpr uint32_t ctlr_enable_group0 = 1u << 0;
constexpr uint32_t ctlr_enable_group1 = 1u << 1;
constexpr uint32_t ctlr_affinity_routing = 1u << 4;
constexpr uint32_t ctlr_disable_security = 1u << 6;

// ITLinesNumber 7, as QEMU's virt announces; 16-bit INTIDs; affinity 3 valid. Unlike QEMU's: no LPIs, and
// 1-of-N routing works (No1N is zero).
constexpr uint32_t distributor_typer = 7u | 15u << 19 | 1u << 24;

constexpr uint64_t router_any = 1ull << 31;
constexpr uint64_t router_affinity = 0xff'00ff'ffffull;

constexpr uint32_t waker_processor_sleep = 1u << 1;
constexpr uint32_t waker_children_asleep = 1u << 2;

constexpr uint32_t sgi_mask = 0x0000'ffff;

uint32_t read_id(uint64_t offset, bool redistributor) {
    const auto index = static_cast<uint32_t>((offset - reg_ids) / 4);
    if (index >= id_registers.size()) return 0;
    return redistributor && index == pidr0_index ? pidr0_redistributor : id_registers[index];
}

}  // namespace

GicV3::GicV3(unsigned cpus, CpuInterruptSink& sink)
    : sink_(sink), cpu_count_(std::clamp(cpus, 1u, layout::max_cpus)) {
    reset();
}

void GicV3::map(Bus& bus) {
    bus.map(layout::gic_distributor.base, layout::gic_distributor.size, distributor_, "gicv3-distributor");
    bus.map(layout::gic_redistributors.base, cpu_count_ * layout::gic_redistributor_stride, redistributors_,
            "gicv3-redistributors");
}

void GicV3::reset() {
    const std::lock_guard guard(lock_);
    group_enabled_ = {};
    for (IrqBank& bank : spi_banks_) bank.reset(0);
    router_.fill(0);
    one_of_n_ = 0;
    for (Cpu& cpu : cpus_) {
        cpu.bank.reset(sgi_mask);
        cpu.waker = waker_processor_sleep | waker_children_asleep;
        cpu.priority_mask = 0;
        cpu.end_of_interrupt_mode = false;
        cpu.common_binary_point = false;
        cpu.binary_point = minimum_binary_point;
        cpu.group_enabled = {};
        cpu.active_priorities = {};
    }
    update_all();
}

// ---- wires

void GicV3::set_spi(unsigned spi, bool level) {
    if (spi >= layout::spi_count) return;
    const unsigned intid = spi + layout::first_spi_intid;
    const std::lock_guard guard(lock_);
    spi_banks_[intid / 32].set_level(intid % 32, level);
    if ((router_[intid] & router_any) != 0) {
        update_all();
    } else if (const int target = target_of(intid, false); target >= 0) {
        update(static_cast<unsigned>(target));
    }
}

void GicV3::set_ppi(unsigned cpu, unsigned ppi, bool level) {
    if (cpu >= cpu_count_ || ppi < layout::first_ppi_intid || ppi >= layout::first_spi_intid) return;
    const std::lock_guard guard(lock_);
    cpus_[cpu].bank.set_level(ppi, level);
    update(cpu);
}

// ---- selection

IrqBank& GicV3::bank_of(unsigned cpu, unsigned intid) {
    return intid < layout::first_spi_intid ? cpus_[cpu].bank : spi_banks_[intid / 32];
}

bool GicV3::participates(const Cpu& cpu, bool group1) const {
    return group_enabled_[group1] && cpu.group_enabled[group1];
}

// Which CPU an SPI goes to, or -1 for none. With 1-of-N routing: the first that is ready to take interrupts
// and has none in service, else the first that takes interrupts of this group at all.
int GicV3::target_of(unsigned intid, bool group1) const {
    const uint64_t route = router_[intid];
    if ((route & router_any) == 0) {
        return (route & router_affinity) < cpu_count_ ? static_cast<int>(route & router_affinity) : -1;
    }
    int fallback = -1;
    for (unsigned i = 0; i < cpu_count_; i++) {
        const Cpu& cpu = cpus_[i];
        if (!participates(cpu, group1)) continue;
        if (running_priority(cpu) == gic_idle_priority &&
            spi_banks_[intid / 32].priority[intid % 32] < cpu.priority_mask) {
            return static_cast<int>(i);
        }
        if (fallback < 0) fallback = static_cast<int>(i);
    }
    return fallback;
}

void GicV3::consider(Cpu& cpu, const IrqBank& bank, unsigned bit, unsigned intid) const {
    const bool group1 = (bank.group1 >> bit & 1) != 0;
    if (!participates(cpu, group1)) return;
    const uint8_t priority = bank.priority[bit];
    if (cpu.best.valid() && priority >= cpu.best.priority) return;
    cpu.best = {intid, priority, group1};
}

void GicV3::update(unsigned index) {
    // Where a 1-of-N interrupt goes depends on the state of all CPUs.
    if (one_of_n_ != 0) {
        update_all();
        return;
    }
    select(index);
}

void GicV3::update_all() {
    for (unsigned i = 0; i < cpu_count_; i++) select(i);
}

void GicV3::select(unsigned index) {
    Cpu& cpu = cpus_[index];
    cpu.best = {};
    for (uint32_t bits = cpu.bank.deliverable(); bits != 0; bits &= bits - 1) {
        const auto bit = static_cast<unsigned>(std::countr_zero(bits));
        consider(cpu, cpu.bank, bit, bit);
    }
    for (unsigned b = 1; b < gic_banks; b++) {
        const IrqBank& bank = spi_banks_[b];
        for (uint32_t bits = bank.deliverable(); bits != 0; bits &= bits - 1) {
            const auto bit = static_cast<unsigned>(std::countr_zero(bits));
            const unsigned intid = b * 32 + bit;
            if (target_of(intid, (bank.group1 >> bit & 1) != 0) == static_cast<int>(index)) {
                consider(cpu, bank, bit, intid);
            }
        }
    }
    drive(index);
}

// ---- registers

uint32_t GicV3::distributor_read(uint64_t offset) const {
    if (offset >= reg_banks && offset < reg_banks_end) {
        const auto index = static_cast<unsigned>((offset & 0x7f) / 4);
        if (index == 0 || index >= gic_banks) return 0;
        return read_bank(spi_banks_[index], static_cast<BankRegister>((offset - reg_banks) / 0x80));
    }
    if (offset >= reg_priority && offset < reg_priority + gic_intids) {
        const auto intid = static_cast<unsigned>(offset - reg_priority);
        return intid < layout::first_spi_intid ? 0
                                               : read_priority_word(spi_banks_[intid / 32], intid % 32 / 4);
    }
    if (offset >= reg_config && offset < reg_config + gic_intids / 4) {
        const auto intid = static_cast<unsigned>(offset - reg_config) * 4;
        return intid < layout::first_spi_intid ? 0
                                               : read_config_word(spi_banks_[intid / 32], intid % 32 / 16);
    }
    if (offset >= reg_router && offset < reg_router + gic_intids * 8) {
        const auto intid = static_cast<unsigned>(offset - reg_router) / 8;
        return static_cast<uint32_t>(router_[intid] >> ((offset & 4) * 8));
    }
    if (offset >= reg_ids) return read_id(offset, false);
    switch (offset) {
        case reg_ctlr:
            return (group_enabled_[0] ? ctlr_enable_group0 : 0) |
                   (group_enabled_[1] ? ctlr_enable_group1 : 0) | ctlr_affinity_routing |
                   ctlr_disable_security;
        case reg_typer: return distributor_typer;
        case reg_iidr: return implementer;
        default: return 0;
    }
}

void GicV3::distributor_write(uint64_t offset, uint32_t value, uint32_t mask) {
    if (offset >= reg_banks && offset < reg_banks_end) {
        const auto index = static_cast<unsigned>((offset & 0x7f) / 4);
        if (index == 0 || index >= gic_banks) return;
        write_bank(spi_banks_[index], static_cast<BankRegister>((offset - reg_banks) / 0x80), value, mask);
    } else if (offset >= reg_priority && offset < reg_priority + gic_intids) {
        const auto intid = static_cast<unsigned>(offset - reg_priority);
        if (intid < layout::first_spi_intid) return;
        write_priority_word(spi_banks_[intid / 32], intid % 32 / 4, value, mask);
    } else if (offset >= reg_config && offset < reg_config + gic_intids / 4) {
        const auto intid = static_cast<unsigned>(offset - reg_config) * 4;
        if (intid < layout::first_spi_intid) return;
        write_config_word(spi_banks_[intid / 32], intid % 32 / 16, value, mask, ~0u);
    } else if (offset >= reg_router && offset < reg_router + gic_intids * 8) {
        const auto intid = static_cast<unsigned>(offset - reg_router) / 8;
        if (intid < layout::first_spi_intid) return;
        const unsigned shift = (offset & 4) * 8;
        uint64_t& route = router_[intid];
        one_of_n_ -= (route & router_any) != 0 ? 1 : 0;
        route = (route & ~(static_cast<uint64_t>(mask) << shift)) | static_cast<uint64_t>(value & mask)
                                                                        << shift;
        route &= router_affinity | router_any;
        one_of_n_ += (route & router_any) != 0 ? 1 : 0;
    } else if (offset == reg_ctlr && (mask & 0xff) != 0) {
        group_enabled_ = {(value & ctlr_enable_group0) != 0, (value & ctlr_enable_group1) != 0};
    } else {
        return;
    }
    update_all();
}

uint32_t GicV3::redistributor_read(unsigned index, uint64_t offset) const {
    const Cpu& cpu = cpus_[index];
    if (offset < frame_size) {
        if (offset >= reg_ids) return read_id(offset, true);
        switch (offset) {
            case reg_redistributor_iidr: return implementer;
            // 12.11.33: processor number, Last. The affinity value is the upper half.
            case reg_redistributor_typer: return index << 8 | (index + 1 == cpu_count_ ? 1u << 4 : 0);
            case reg_redistributor_typer + 4: return index;
            case reg_waker: return cpu.waker;
            default: return 0;
        }
    }
    offset -= frame_size;
    if (offset >= reg_banks && offset < reg_banks_end) {
        if ((offset & 0x7f) != 0) return 0;
        return read_bank(cpu.bank, static_cast<BankRegister>((offset - reg_banks) / 0x80));
    }
    if (offset >= reg_priority && offset < reg_priority + 32) {
        return read_priority_word(cpu.bank, static_cast<unsigned>(offset - reg_priority) / 4);
    }
    if (offset == reg_config || offset == reg_config + 4) {
        return read_config_word(cpu.bank, static_cast<unsigned>(offset - reg_config) / 4);
    }
    return 0;
}

void GicV3::redistributor_write(unsigned index, uint64_t offset, uint32_t value, uint32_t mask) {
    Cpu& cpu = cpus_[index];
    if (offset < frame_size) {
        // Sleep is only reported, as in QEMU: software that never wakes its redistributor gets interrupts
        // too.
        if (offset == reg_waker && (mask & waker_processor_sleep) != 0) {
            cpu.waker =
                (value & waker_processor_sleep) != 0 ? waker_processor_sleep | waker_children_asleep : 0;
        }
        return;
    }
    offset -= frame_size;
    if (offset >= reg_banks && offset < reg_banks_end) {
        if ((offset & 0x7f) != 0) return;
        write_bank(cpu.bank, static_cast<BankRegister>((offset - reg_banks) / 0x80), value, mask);
    } else if (offset >= reg_priority && offset < reg_priority + 32) {
        write_priority_word(cpu.bank, static_cast<unsigned>(offset - reg_priority) / 4, value, mask);
    } else if (offset == reg_config + 4) {
        write_config_word(cpu.bank, 1, value, mask, ~sgi_mask);
    } else {
        return;
    }
    update(index);
}

uint64_t GicV3::Distributor::read(uint64_t offset, unsigned size) {
    const std::lock_guard guard(gic_.lock_);
    return read_by_words(offset, size, [&](uint64_t word) { return gic_.distributor_read(word); });
}

void GicV3::Distributor::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(gic_.lock_);
    write_by_words(offset, value, size, [&](uint64_t word, uint32_t data, uint32_t mask) {
        gic_.distributor_write(word, data, mask);
    });
}

uint64_t GicV3::Redistributors::read(uint64_t offset, unsigned size) {
    const std::lock_guard guard(gic_.lock_);
    return read_by_words(offset, size, [&](uint64_t word) -> uint32_t {
        const uint64_t cpu = word / layout::gic_redistributor_stride;
        if (cpu >= gic_.cpu_count_) return 0;
        return gic_.redistributor_read(static_cast<unsigned>(cpu), word % layout::gic_redistributor_stride);
    });
}

void GicV3::Redistributors::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(gic_.lock_);
    write_by_words(offset, value, size, [&](uint64_t word, uint32_t data, uint32_t mask) {
        const uint64_t cpu = word / layout::gic_redistributor_stride;
        if (cpu >= gic_.cpu_count_) return;
        gic_.redistributor_write(static_cast<unsigned>(cpu), word % layout::gic_redistributor_stride, data,
                                 mask);
    });
}

void GicV3::Distributor::add_to_device_tree(FdtWriter& fdt) const {
    fdt.begin_node("intc@8000000");
    fdt.property_string("compatible", "arm,gic-v3");
    fdt.property_u32("#interrupt-cells", 3);
    fdt.property("interrupt-controller");
    fdt.property_u32("#address-cells", 2);
    fdt.property_u32("#size-cells", 2);
    fdt.property("ranges");
    fdt.property_u32("#redistributor-regions", 1);
    fdt.property_u64s("reg", {layout::gic_distributor.base, layout::gic_distributor.size,
                              layout::gic_redistributors.base, layout::gic_redistributors.size});
    fdt.property_u32("phandle", layout::phandle_gic);
    fdt.end_node();
}

}  // namespace arclight::devices
