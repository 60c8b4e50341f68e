#include "devices/gic_v3.h"

#include <bit>
#include <utility>

#include "devices/fdt_writer.h"
#include "devices/gic_its.h"
#include "devices/register_access.h"

// Distributor and redistributor: state, routing and memory-mapped registers. The CPU interface is in
// gic_v3_cpu_interface.cpp. Section numbers are those of ARM IHI 0069.
namespace arclight::devices {

namespace {

// 12.9 and 12.11: offsets in the distributor frame and in a redistributor's two frames.
constexpr uint64_t kRegCtlr = 0x0000;
constexpr uint64_t kRegTyper = 0x0004;
constexpr uint64_t kRegIidr = 0x0008;
constexpr uint64_t kRegBanks = 0x0080;  // IGROUPR up to ICACTIVER
constexpr uint64_t kRegBanksEnd = 0x0400;
constexpr uint64_t kRegPriority = 0x0400;
constexpr uint64_t kRegConfig = 0x0c00;
constexpr uint64_t kRegRouter = 0x6000;
constexpr uint64_t kRegIds = 0xffd0;
constexpr uint64_t kFrameSize = 0x10000;

constexpr uint64_t kRegRedistributorIidr = 0x0004;
constexpr uint64_t kRegRedistributorTyper = 0x0008;
constexpr uint64_t kRegWaker = 0x0014;
constexpr uint64_t kRegLpiConfiguration = 0x0070;
constexpr uint64_t kRegLpiTable = 0x0078;

// What QEMU's model reports: Arm Limited, product 0 (JEP106 code 0x43b).
constexpr uint32_t kImplementer = 0x43b;
// PIDR4..7, PIDR0..3, CIDR0..3: GICv3 architecture (PIDR2 = 0x3b).
constexpr std::array<uint8_t, 12> kIdRegisters = {0x44, 0, 0, 0, 0x92, 0xb4, 0x3b, 0, 0x0d, 0xf0, 0x05, 0xb1};
constexpr uint32_t kPidr0Index = 4;
constexpr uint32_t kPidr0Redistributor = 0x93;

constexpr uint32_t kCtlrEnableGroup0 = 1u << 0;
constexpr uint32_t kCtlrEnableGroup1 = 1u << 1;
constexpr uint32_t kCtlrAffinityRouting = 1u << 4;
constexpr uint32_t kCtlrDisableSecurity = 1u << 6;

// ITLinesNumber 7, as QEMU's virt announces; 16-bit INTIDs; affinity 3 valid. Unlike QEMU's 1-of-N routing works
// (No1N is zero).
constexpr uint32_t kDistributorTyper = 7u | 15u << 19 | 1u << 24;
constexpr uint32_t kTyperLpis = 1u << 17;

constexpr uint32_t kRedistributorTyperLpis = 1u << 0;
constexpr uint32_t kRedistributorEnableLpis = 1u << 0;
constexpr uint32_t kRedistributorCanDisableLpis = 1u << 1;

constexpr uint64_t kRouterAny = 1ull << 31;
constexpr uint64_t kRouterAffinity = 0xff'00ff'ffffull;

constexpr uint32_t kWakerProcessorSleep = 1u << 1;
constexpr uint32_t kWakerChildrenAsleep = 1u << 2;

constexpr uint32_t kSgiMask = 0x0000'ffff;

constexpr uint32_t kStateVersion = 1;

uint32_t read_id(uint64_t offset, bool redistributor) {
    const auto index = static_cast<uint32_t>((offset - kRegIds) / 4);
    if (index >= kIdRegisters.size()) return 0;
    return redistributor && index == kPidr0Index ? kPidr0Redistributor : kIdRegisters[index];
}

}  // namespace

GicV3::GicV3(unsigned cpus, CpuInterruptSink& sink, const mmu::GuestMemory* lpi_memory)
    : sink_(sink),
      cpu_count_(std::clamp(cpus, 1u, layout::kMaxCpus)),
      lpi_memory_(lpi_memory),
      lpis_(cpu_count_) {
    state_.cpus.resize(cpu_count_);
    reset();
}

void GicV3::map(Bus& bus) {
    bus.map(layout::kGicDistributor.base, layout::kGicDistributor.size, distributor_, "gicv3-distributor");
    bus.map(layout::kGicRedistributors.base, cpu_count_ * layout::kGicRedistributorStride, redistributors_,
            "gicv3-redistributors");
}

void GicV3::reset() {
    const std::lock_guard guard(lock_);
    state_.group_enabled = {};
    for (IrqBank& bank : state_.spi_banks) bank.reset(0);
    state_.router.fill(0);
    one_of_n_ = 0;
    for (Cpu& cpu : state_.cpus) {
        cpu.bank.reset(kSgiMask);
        cpu.waker = kWakerProcessorSleep | kWakerChildrenAsleep;
        cpu.priority_mask = 0;
        cpu.end_of_interrupt_mode = false;
        cpu.common_binary_point = false;
        cpu.binary_point = kMinimumBinaryPoint;
        cpu.group_enabled = {};
        cpu.active_priorities = {};
    }
    for (Lpis& lpis : lpis_) lpis = {};
    update_all();
}

// ---- state

void GicV3::resume() {
    const std::lock_guard guard(lock_);
    update_all();
    for (unsigned i = 0; i < cpu_count_; i++) sink_.set_irq_line(i, state_.cpus[i].irq, state_.cpus[i].fiq);
}

void GicV3::save(StateWriter& out) const {
    const std::lock_guard guard(lock_);
    out.section("gicv3", kStateVersion, [&] { out(uint32_t{cpu_count_}, state_); });
    if (lpi_memory_ != nullptr) save_lpis(out);
}

StateResult GicV3::load(StateReader& in) {
    State state;
    const auto loaded = in.section("gicv3", kStateVersion, [&] {
        uint32_t cpus = 0;
        in(cpus, state);
        in.require(cpus == cpu_count_ && state.cpus.size() == cpu_count_, "another number of CPUs");
        for (const Cpu& cpu : state.cpus) {
            for (unsigned group = 0; group < 2; group++) {
                in.require(
                    cpu.binary_point[group] >= kMinimumBinaryPoint[group] && cpu.binary_point[group] <= 7,
                    "a binary point is out of range");
                // Five priority bits: one word of levels.
                const auto& levels = cpu.active_priorities[group].words;
                in.require((levels[1] | levels[2] | levels[3]) == 0, "a priority level is out of range");
            }
        }
        for (const uint64_t route : state.router)
            in.require((route & ~(kRouterAffinity | kRouterAny)) == 0, "a route is out of range");
    });
    if (!loaded) return loaded;
    std::vector<Lpis> lpis(cpu_count_);
    if (lpi_memory_ != nullptr)
        if (const auto more = load_lpis(in, lpis); !more) return more;
    const std::lock_guard guard(lock_);
    state_ = std::move(state);
    lpis_ = std::move(lpis);
    one_of_n_ = static_cast<unsigned>(
        std::ranges::count_if(state_.router, [](uint64_t route) { return (route & kRouterAny) != 0; }));
    return {};
}

// ---- wires

void GicV3::set_spi(unsigned spi, bool level) {
    if (spi >= layout::kSpiCount) return;
    const unsigned intid = spi + layout::kFirstSpiIntid;
    const std::lock_guard guard(lock_);
    state_.spi_banks[intid / 32].set_level(intid % 32, level);
    if ((state_.router[intid] & kRouterAny) != 0) {
        update_all();
    } else if (const int target = target_of(intid, false); target >= 0) {
        update(static_cast<unsigned>(target));
    }
}

void GicV3::set_ppi(unsigned cpu, unsigned ppi, bool level) {
    if (cpu >= cpu_count_ || ppi < layout::kFirstPpiIntid || ppi >= layout::kFirstSpiIntid) return;
    const std::lock_guard guard(lock_);
    state_.cpus[cpu].bank.set_level(ppi, level);
    update(cpu);
}

// ---- selection

IrqBank& GicV3::bank_of(unsigned cpu, unsigned intid) {
    return intid < layout::kFirstSpiIntid ? state_.cpus[cpu].bank : state_.spi_banks[intid / 32];
}

bool GicV3::participates(const Cpu& cpu, bool group1) const {
    return state_.group_enabled[group1] && cpu.group_enabled[group1];
}

// Which CPU an SPI goes to, or -1 for none. With 1-of-N routing: the first that is ready to take interrupts
// and has none in service, else the first that takes interrupts of this group at all.
int GicV3::target_of(unsigned intid, bool group1) const {
    const uint64_t route = state_.router[intid];
    if ((route & kRouterAny) == 0) {
        const unsigned cpu = layout::cpu_of(route & kRouterAffinity);
        return cpu < cpu_count_ ? static_cast<int>(cpu) : -1;
    }
    int fallback = -1;
    for (unsigned i = 0; i < cpu_count_; i++) {
        const Cpu& cpu = state_.cpus[i];
        if (!participates(cpu, group1)) continue;
        if (running_priority(cpu) == kGicIdlePriority &&
            state_.spi_banks[intid / 32].priority[intid % 32] < cpu.priority_mask) {
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
    Cpu& cpu = state_.cpus[index];
    cpu.best = {};
    for (uint32_t bits = cpu.bank.deliverable(); bits != 0; bits &= bits - 1) {
        const auto bit = static_cast<unsigned>(std::countr_zero(bits));
        consider(cpu, cpu.bank, bit, bit);
    }
    for (unsigned b = 1; b < kGicBanks; b++) {
        const IrqBank& bank = state_.spi_banks[b];
        for (uint32_t bits = bank.deliverable(); bits != 0; bits &= bits - 1) {
            const auto bit = static_cast<unsigned>(std::countr_zero(bits));
            const unsigned intid = b * 32 + bit;
            if (target_of(intid, (bank.group1 >> bit & 1) != 0) == static_cast<int>(index)) {
                consider(cpu, bank, bit, intid);
            }
        }
    }
    consider_lpis(index);
    drive(index);
}

// ---- registers

uint32_t GicV3::distributor_read(uint64_t offset) const {
    if (offset >= kRegBanks && offset < kRegBanksEnd) {
        const auto index = static_cast<unsigned>((offset & 0x7f) / 4);
        if (index == 0 || index >= kGicBanks) return 0;
        return read_bank(state_.spi_banks[index], static_cast<BankRegister>((offset - kRegBanks) / 0x80));
    }
    if (offset >= kRegPriority && offset < kRegPriority + kGicIntids) {
        const auto intid = static_cast<unsigned>(offset - kRegPriority);
        return intid < layout::kFirstSpiIntid
                   ? 0
                   : read_priority_word(state_.spi_banks[intid / 32], intid % 32 / 4);
    }
    if (offset >= kRegConfig && offset < kRegConfig + kGicIntids / 4) {
        const auto intid = static_cast<unsigned>(offset - kRegConfig) * 4;
        return intid < layout::kFirstSpiIntid
                   ? 0
                   : read_config_word(state_.spi_banks[intid / 32], intid % 32 / 16);
    }
    if (offset >= kRegRouter && offset < kRegRouter + kGicIntids * 8) {
        const auto intid = static_cast<unsigned>(offset - kRegRouter) / 8;
        return static_cast<uint32_t>(state_.router[intid] >> ((offset & 4) * 8));
    }
    if (offset >= kRegIds) return read_id(offset, false);
    switch (offset) {
        case kRegCtlr:
            return (state_.group_enabled[0] ? kCtlrEnableGroup0 : 0) |
                   (state_.group_enabled[1] ? kCtlrEnableGroup1 : 0) | kCtlrAffinityRouting |
                   kCtlrDisableSecurity;
        case kRegTyper: return kDistributorTyper | (lpi_memory_ != nullptr ? kTyperLpis : 0);
        case kRegIidr: return kImplementer;
        default: return 0;
    }
}

void GicV3::distributor_write(uint64_t offset, uint32_t value, uint32_t mask) {
    if (offset >= kRegBanks && offset < kRegBanksEnd) {
        const auto index = static_cast<unsigned>((offset & 0x7f) / 4);
        if (index == 0 || index >= kGicBanks) return;
        write_bank(state_.spi_banks[index], static_cast<BankRegister>((offset - kRegBanks) / 0x80), value,
                   mask);
    } else if (offset >= kRegPriority && offset < kRegPriority + kGicIntids) {
        const auto intid = static_cast<unsigned>(offset - kRegPriority);
        if (intid < layout::kFirstSpiIntid) return;
        write_priority_word(state_.spi_banks[intid / 32], intid % 32 / 4, value, mask);
    } else if (offset >= kRegConfig && offset < kRegConfig + kGicIntids / 4) {
        const auto intid = static_cast<unsigned>(offset - kRegConfig) * 4;
        if (intid < layout::kFirstSpiIntid) return;
        write_config_word(state_.spi_banks[intid / 32], intid % 32 / 16, value, mask, ~0u);
    } else if (offset >= kRegRouter && offset < kRegRouter + kGicIntids * 8) {
        const auto intid = static_cast<unsigned>(offset - kRegRouter) / 8;
        if (intid < layout::kFirstSpiIntid) return;
        const unsigned shift = (offset & 4) * 8;
        uint64_t& route = state_.router[intid];
        one_of_n_ -= (route & kRouterAny) != 0 ? 1 : 0;
        route = (route & ~(static_cast<uint64_t>(mask) << shift)) | static_cast<uint64_t>(value & mask)
                                                                        << shift;
        route &= kRouterAffinity | kRouterAny;
        one_of_n_ += (route & kRouterAny) != 0 ? 1 : 0;
    } else if (offset == kRegCtlr && (mask & 0xff) != 0) {
        state_.group_enabled = {(value & kCtlrEnableGroup0) != 0, (value & kCtlrEnableGroup1) != 0};
    } else {
        return;
    }
    update_all();
}

uint32_t GicV3::redistributor_read(unsigned index, uint64_t offset) const {
    const Cpu& cpu = state_.cpus[index];
    if (offset < kFrameSize) {
        if (offset >= kRegIds) return read_id(offset, true);
        switch (offset) {
            case kRegCtlr:
                if (lpi_memory_ == nullptr) return 0;
                return kRedistributorCanDisableLpis | (lpis_[index].enabled ? kRedistributorEnableLpis : 0);
            case kRegRedistributorIidr: return kImplementer;
            // 12.11.33: processor number, Last, whether there are LPIs. The affinity value is the upper half.
            case kRegRedistributorTyper:
                return index << 8 | (index + 1 == cpu_count_ ? 1u << 4 : 0) |
                       (lpi_memory_ != nullptr ? kRedistributorTyperLpis : 0);
            case kRegRedistributorTyper + 4: return static_cast<uint32_t>(layout::affinity_of(index));
            case kRegWaker: return cpu.waker;
            case kRegLpiConfiguration:
            case kRegLpiConfiguration + 4:
                return lpi_register(lpis_[index], LpiRegister::Configuration, (offset & 4) != 0);
            case kRegLpiTable:
            case kRegLpiTable + 4: return lpi_register(lpis_[index], LpiRegister::Table, (offset & 4) != 0);
            default: return 0;
        }
    }
    offset -= kFrameSize;
    if (offset >= kRegBanks && offset < kRegBanksEnd) {
        if ((offset & 0x7f) != 0) return 0;
        return read_bank(cpu.bank, static_cast<BankRegister>((offset - kRegBanks) / 0x80));
    }
    if (offset >= kRegPriority && offset < kRegPriority + 32) {
        return read_priority_word(cpu.bank, static_cast<unsigned>(offset - kRegPriority) / 4);
    }
    if (offset == kRegConfig || offset == kRegConfig + 4) {
        return read_config_word(cpu.bank, static_cast<unsigned>(offset - kRegConfig) / 4);
    }
    return 0;
}

void GicV3::redistributor_write(unsigned index, uint64_t offset, uint32_t value, uint32_t mask) {
    Cpu& cpu = state_.cpus[index];
    if (offset < kFrameSize) {
        // Sleep is only reported, as in QEMU: software that never wakes its redistributor gets interrupts
        // too.
        if (offset == kRegWaker && (mask & kWakerProcessorSleep) != 0) {
            cpu.waker = (value & kWakerProcessorSleep) != 0 ? kWakerProcessorSleep | kWakerChildrenAsleep : 0;
        }
        if (lpi_memory_ == nullptr) return;
        Lpis& lpis = lpis_[index];
        if (offset == kRegCtlr && (mask & kRedistributorEnableLpis) != 0) {
            enable_lpis(lpis, (value & kRedistributorEnableLpis) != 0);
            update(index);
        } else if ((offset & ~4ull) == kRegLpiConfiguration) {
            write_lpi_register(lpis, LpiRegister::Configuration, (offset & 4) != 0, value, mask);
        } else if ((offset & ~4ull) == kRegLpiTable) {
            write_lpi_register(lpis, LpiRegister::Table, (offset & 4) != 0, value, mask);
        }
        return;
    }
    offset -= kFrameSize;
    if (offset >= kRegBanks && offset < kRegBanksEnd) {
        if ((offset & 0x7f) != 0) return;
        write_bank(cpu.bank, static_cast<BankRegister>((offset - kRegBanks) / 0x80), value, mask);
    } else if (offset >= kRegPriority && offset < kRegPriority + 32) {
        write_priority_word(cpu.bank, static_cast<unsigned>(offset - kRegPriority) / 4, value, mask);
    } else if (offset == kRegConfig + 4) {
        write_config_word(cpu.bank, 1, value, mask, ~kSgiMask);
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
        const uint64_t cpu = word / layout::kGicRedistributorStride;
        if (cpu >= gic_.cpu_count_) return 0;
        return gic_.redistributor_read(static_cast<unsigned>(cpu), word % layout::kGicRedistributorStride);
    });
}

void GicV3::Redistributors::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(gic_.lock_);
    write_by_words(offset, value, size, [&](uint64_t word, uint32_t data, uint32_t mask) {
        const uint64_t cpu = word / layout::kGicRedistributorStride;
        if (cpu >= gic_.cpu_count_) return;
        gic_.redistributor_write(static_cast<unsigned>(cpu), word % layout::kGicRedistributorStride, data,
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
    fdt.property_u64s("reg", {layout::kGicDistributor.base, layout::kGicDistributor.size,
                              layout::kGicRedistributors.base, layout::kGicRedistributors.size});
    fdt.property_u32("phandle", layout::kPhandleGic);
    if (gic_.lpi_memory_ != nullptr) GicIts::add_node(fdt);
    fdt.end_node();
}

}  // namespace arclight::devices
