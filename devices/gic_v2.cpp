#include "devices/gic_v2.h"

#include <bit>

#include "devices/fdt_writer.h"
#include "devices/gic_v2m.h"
#include "devices/register_access.h"

// Distributor: state, targets and memory-mapped registers. The CPU interface is in gic_v2_cpu_interface.cpp.
// Section numbers are those of ARM IHI 0048B.
namespace arclight::devices {

namespace {

// 4.1.2: the distributor's register map.
constexpr uint64_t kRegCtlr = 0x000;
constexpr uint64_t kRegTyper = 0x004;
constexpr uint64_t kRegIidr = 0x008;
constexpr uint64_t kRegBanks = 0x080;  // IGROUPR up to ICACTIVER
constexpr uint64_t kRegBanksEnd = 0x400;
constexpr uint64_t kRegPriority = 0x400;
constexpr uint64_t kRegTargets = 0x800;
constexpr uint64_t kRegConfig = 0xc00;
constexpr uint64_t kRegSgi = 0xf00;
constexpr uint64_t kRegClearSgiPending = 0xf10;
constexpr uint64_t kRegSetSgiPending = 0xf20;
constexpr uint64_t kRegSgiEnd = 0xf30;
constexpr uint64_t kRegIds = 0xfd0;

constexpr uint32_t kImplementer = 0x43b;
// PIDR4..7, PIDR0..3, CIDR0..3: GICv2 architecture (PIDR2 = 0x2b).
constexpr std::array<uint8_t, 12> kIdRegisters = {0x04, 0, 0, 0, 0x90, 0xb4, 0x2b, 0, 0x0d, 0xf0, 0x05, 0xb1};

constexpr uint32_t kCtlrMask = 3;  // both group enables
constexpr uint32_t kSgiMask = 0x0000'ffff;

constexpr uint32_t kStateVersion = 1;

}  // namespace

GicV2::GicV2(unsigned cpus, CpuInterruptSink& sink)
    : sink_(sink), cpu_count_(std::clamp(cpus, 1u, layout::kMaxCpusGicV2)) {
    reset();
}

void GicV2::map(Bus& bus) {
    bus.map(layout::kGicDistributor.base, layout::kGicDistributor.size, distributor_, "gicv2-distributor");
    bus.map(layout::kGicCpuInterface.base, layout::kGicCpuInterface.size, cpu_interface_,
            "gicv2-cpu-interface");
}

void GicV2::reset() {
    const std::lock_guard guard(lock_);
    state_.control = 0;
    for (IrqBank& bank : state_.spi_banks) bank.reset(0);
    state_.targets.fill(0);
    for (Cpu& cpu : state_.cpus) {
        cpu.bank.reset(kSgiMask);
        cpu.bank.enabled = kSgiMask;  // SGIs cannot be disabled
        cpu.sgi_sources = {};
        cpu.control = 0;
        cpu.priority_mask = 0;
        cpu.binary_point = kMinimumBinaryPoint;
        cpu.active_priorities = {};
    }
    update_all();
}

// ---- state

void GicV2::resume() {
    const std::lock_guard guard(lock_);
    update_all();
    for (unsigned i = 0; i < cpu_count_; i++) sink_.set_irq_line(i, state_.cpus[i].irq, state_.cpus[i].fiq);
}

void GicV2::save(StateWriter& out) const {
    const std::lock_guard guard(lock_);
    out.section("gicv2", kStateVersion, [&] { out(uint32_t{cpu_count_}, state_); });
}

StateResult GicV2::load(StateReader& in) {
    State state;
    const auto loaded = in.section("gicv2", kStateVersion, [&] {
        uint32_t cpus = 0;
        in(cpus, state);
        in.require(cpus == cpu_count_, "another number of CPUs");
        for (const Cpu& cpu : state.cpus) {
            for (unsigned group = 0; group < 2; group++)
                in.require(
                    cpu.binary_point[group] >= kMinimumBinaryPoint[group] && cpu.binary_point[group] <= 7,
                    "a binary point is out of range");
        }
    });
    if (!loaded) return loaded;
    const std::lock_guard guard(lock_);
    state_ = state;
    return {};
}

unsigned GicV2::accessing_cpu() const { return current_cpu() < cpu_count_ ? current_cpu() : 0; }

// ---- wires

void GicV2::set_spi(unsigned spi, bool level) {
    if (spi >= layout::kSpiCount) return;
    const unsigned intid = spi + layout::kFirstSpiIntid;
    const std::lock_guard guard(lock_);
    state_.spi_banks[intid / 32].set_level(intid % 32, level);
    for (unsigned i = 0; i < cpu_count_; i++) {
        if (targets(i, intid)) update(i);
    }
}

void GicV2::set_ppi(unsigned cpu, unsigned ppi, bool level) {
    if (cpu >= cpu_count_ || ppi < layout::kFirstPpiIntid || ppi >= layout::kFirstSpiIntid) return;
    const std::lock_guard guard(lock_);
    state_.cpus[cpu].bank.set_level(ppi, level);
    update(cpu);
}

// ---- selection

// 4.3.12: with one CPU the target registers do not exist and everything goes to it.
bool GicV2::targets(unsigned cpu, unsigned intid) const {
    return intid < layout::kFirstSpiIntid || cpu_count_ == 1 || (state_.targets[intid] >> cpu & 1) != 0;
}

void GicV2::update(unsigned index) {
    Cpu& cpu = state_.cpus[index];
    cpu.best = {};
    for (unsigned b = 0; b < kGicBanks; b++) {
        const IrqBank& bank = bank_at(index, b);
        for (uint32_t bits = bank.deliverable(); bits != 0; bits &= bits - 1) {
            const auto bit = static_cast<unsigned>(std::countr_zero(bits));
            const unsigned intid = b * 32 + bit;
            const unsigned group = bank.group1 >> bit & 1;
            if (!targets(index, intid) || (state_.control & cpu.control & 1u << group) == 0) continue;
            if (cpu.best.valid() && bank.priority[bit] >= cpu.best.priority) continue;
            cpu.best = {intid, bank.priority[bit], group != 0};
        }
    }
    drive(index);
}

void GicV2::update_all() {
    for (unsigned i = 0; i < cpu_count_; i++) update(i);
}

// Whoever may see a change of this interrupt's state.
void GicV2::update_for(unsigned cpu, unsigned intid) {
    intid < layout::kFirstSpiIntid ? update(cpu) : update_all();
}

// ---- software-generated interrupts: pending once for each CPU that sent it

void GicV2::set_sgi_sources(Cpu& cpu, unsigned sgi, uint8_t sources) {
    cpu.sgi_sources[sgi] = sources;
    cpu.bank.latched = sources != 0 ? cpu.bank.latched | 1u << sgi : cpu.bank.latched & ~(1u << sgi);
}

unsigned GicV2::lowest_source(const Cpu& cpu, unsigned intid) const {
    return intid < 16 && cpu.sgi_sources[intid] != 0
               ? static_cast<unsigned>(std::countr_zero(cpu.sgi_sources[intid]))
               : 0;
}

// 4.3.15: filter in 25:24 (list, all others, self), list of CPUs in 23:16, interrupt in 3:0.
void GicV2::send_sgi(unsigned sender, uint32_t value) {
    const unsigned sgi = value & 15;
    uint32_t receivers = 0;
    switch (value >> 24 & 3) {
        case 0: receivers = value >> 16 & 0xff; break;
        case 1: receivers = ~(1u << sender); break;
        case 2: receivers = 1u << sender; break;
        default: return;
    }
    for (unsigned i = 0; i < cpu_count_; i++) {
        if ((receivers >> i & 1) == 0) continue;
        sink_.sgi_sent(sender, i);
        set_sgi_sources(state_.cpus[i], sgi,
                        static_cast<uint8_t>(state_.cpus[i].sgi_sources[sgi] | 1u << sender));
        update(i);
    }
}

// ---- registers

uint32_t GicV2::distributor_read(unsigned cpu, uint64_t offset) const {
    if (offset >= kRegBanks && offset < kRegBanksEnd) {
        const auto index = static_cast<unsigned>((offset & 0x7f) / 4);
        if (index >= kGicBanks) return 0;
        return read_bank(bank_at(cpu, index), static_cast<BankRegister>((offset - kRegBanks) / 0x80));
    }
    if (offset >= kRegPriority && offset < kRegPriority + kGicIntids) {
        const auto intid = static_cast<unsigned>(offset - kRegPriority);
        return read_priority_word(bank_at(cpu, intid / 32), intid % 32 / 4);
    }
    if (offset >= kRegTargets && offset < kRegTargets + kGicIntids) {
        const auto intid = static_cast<unsigned>(offset - kRegTargets);
        if (cpu_count_ == 1) return 0;
        if (intid < layout::kFirstSpiIntid) return 0x01010101u << cpu;
        uint32_t value = 0;
        for (unsigned i = 0; i < 4; i++) value |= static_cast<uint32_t>(state_.targets[intid + i]) << (i * 8);
        return value;
    }
    if (offset >= kRegConfig && offset < kRegConfig + kGicIntids / 4) {
        const auto intid = static_cast<unsigned>(offset - kRegConfig) * 4;
        return read_config_word(bank_at(cpu, intid / 32), intid % 32 / 16);
    }
    if (offset >= kRegClearSgiPending && offset < kRegSgiEnd) {
        const auto first = static_cast<unsigned>(offset & 15);
        uint32_t value = 0;
        for (unsigned i = 0; i < 4; i++)
            value |= static_cast<uint32_t>(state_.cpus[cpu].sgi_sources[first + i]) << (i * 8);
        return value;
    }
    if (offset >= kRegIds && offset < 0x1000) return kIdRegisters[(offset - kRegIds) / 4];
    switch (offset) {
        case kRegCtlr: return state_.control;
        case kRegTyper: return (kGicBanks - 1) | (cpu_count_ - 1) << 5;
        case kRegIidr: return kImplementer;
        default: return 0;
    }
}

void GicV2::distributor_write(unsigned cpu, uint64_t offset, uint32_t value, uint32_t mask) {
    if (offset >= kRegBanks && offset < kRegBanksEnd) {
        const auto index = static_cast<unsigned>((offset & 0x7f) / 4);
        if (index >= kGicBanks) return;
        const auto reg = static_cast<BankRegister>((offset - kRegBanks) / 0x80);
        // SGIs are always enabled, and made pending only through SGIR and SPENDSGIR.
        const bool grouping_or_active = reg == BankRegister::Group || reg >= BankRegister::SetActive;
        const uint32_t writable = index == 0 && !grouping_or_active ? ~kSgiMask : ~0u;
        write_bank(bank_at(cpu, index), reg, value, mask, writable);
    } else if (offset >= kRegPriority && offset < kRegPriority + kGicIntids) {
        const auto intid = static_cast<unsigned>(offset - kRegPriority);
        write_priority_word(bank_at(cpu, intid / 32), intid % 32 / 4, value, mask);
    } else if (offset >= kRegTargets && offset < kRegTargets + kGicIntids) {
        const auto intid = static_cast<unsigned>(offset - kRegTargets);
        if (intid < layout::kFirstSpiIntid) return;
        for (unsigned i = 0; i < 4; i++) {
            const uint32_t merged =
                merge(state_.targets[intid + i], value >> (i * 8), mask >> (i * 8) & 0xff);
            state_.targets[intid + i] = static_cast<uint8_t>(merged & all_cpus());
        }
    } else if (offset >= kRegConfig && offset < kRegConfig + kGicIntids / 4) {
        const auto intid = static_cast<unsigned>(offset - kRegConfig) * 4;
        write_config_word(bank_at(cpu, intid / 32), intid % 32 / 16, value, mask,
                          intid < 32 ? ~kSgiMask : ~0u);
    } else if (offset >= kRegClearSgiPending && offset < kRegSgiEnd) {
        const auto first = static_cast<unsigned>(offset & 15);
        for (unsigned i = 0; i < 4; i++) {
            const uint32_t sources = (value & mask) >> (i * 8) & 0xff & all_cpus();
            const uint32_t old = state_.cpus[cpu].sgi_sources[first + i];
            const bool set = offset >= kRegSetSgiPending;
            set_sgi_sources(state_.cpus[cpu], first + i,
                            static_cast<uint8_t>(set ? old | sources : old & ~sources));
        }
    } else if (offset == kRegSgi) {
        send_sgi(cpu, value & mask);
        return;
    } else if (offset == kRegCtlr) {
        state_.control = merge(state_.control, value, mask) & kCtlrMask;
    } else {
        return;
    }
    update_all();
}

uint64_t GicV2::Distributor::read(uint64_t offset, unsigned size) {
    const std::lock_guard guard(gic_.lock_);
    return read_by_words(offset, size,
                         [&](uint64_t word) { return gic_.distributor_read(gic_.accessing_cpu(), word); });
}

void GicV2::Distributor::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(gic_.lock_);
    write_by_words(offset, value, size, [&](uint64_t word, uint32_t data, uint32_t mask) {
        gic_.distributor_write(gic_.accessing_cpu(), word, data, mask);
    });
}

void GicV2::Distributor::add_to_device_tree(FdtWriter& fdt) const {
    fdt.begin_node("intc@8000000");
    fdt.property_string("compatible", "arm,cortex-a15-gic");
    fdt.property_u32("#interrupt-cells", 3);
    fdt.property("interrupt-controller");
    fdt.property_u32("#address-cells", 2);
    fdt.property_u32("#size-cells", 2);
    fdt.property("ranges");
    fdt.property_u64s("reg", {layout::kGicDistributor.base, layout::kGicDistributor.size,
                              layout::kGicCpuInterface.base, layout::kGicCpuInterface.size});
    fdt.property_u32("phandle", layout::kPhandleGic);
    GicV2m::add_node(fdt);
    fdt.end_node();
}

}  // namespace arclight::devices
