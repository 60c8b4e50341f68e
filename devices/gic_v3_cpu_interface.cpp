#include "devices/gic_v3.h"

// The CPU interface, reached by system registers (ARM IHI 0069 section 12.2), and the rules of priority and
// preemption (section 4.8).
namespace arclight::devices {

namespace {

constexpr uint32_t encode(unsigned crn, unsigned crm, unsigned op2) {
    return 3u << 14 | 0u << 11 | crn << 7 | crm << 3 | op2;
}

constexpr uint32_t kIccPmr = encode(4, 6, 0);
constexpr uint32_t kIccIar0 = encode(12, 8, 0);
constexpr uint32_t kIccEoir0 = encode(12, 8, 1);
constexpr uint32_t kIccHppir0 = encode(12, 8, 2);
constexpr uint32_t kIccBpr0 = encode(12, 8, 3);
constexpr uint32_t kIccAp0r0 = encode(12, 8, 4);
constexpr uint32_t kIccAp1r0 = encode(12, 9, 0);
constexpr uint32_t kIccDir = encode(12, 11, 1);
constexpr uint32_t kIccRpr = encode(12, 11, 3);
constexpr uint32_t kIccSgi1r = encode(12, 11, 5);
constexpr uint32_t kIccAsgi1r = encode(12, 11, 6);
constexpr uint32_t kIccSgi0r = encode(12, 11, 7);
constexpr uint32_t kIccIar1 = encode(12, 12, 0);
constexpr uint32_t kIccEoir1 = encode(12, 12, 1);
constexpr uint32_t kIccHppir1 = encode(12, 12, 2);
constexpr uint32_t kIccBpr1 = encode(12, 12, 3);
constexpr uint32_t kIccCtlr = encode(12, 12, 4);
constexpr uint32_t kIccSre = encode(12, 12, 5);
constexpr uint32_t kIccIgrpen0 = encode(12, 12, 6);
constexpr uint32_t kIccIgrpen1 = encode(12, 12, 7);

// Five priority bits, all of which preempt; hence 32 levels in one active priorities register.
constexpr unsigned kPriorityShift = 3;
constexpr uint8_t kPriorityBits = 0xf8;
constexpr uint8_t kMaximumBinaryPoint = 7;

// ICC_CTLR_EL1: A3V, 24-bit INTIDs, five priority bits.
constexpr uint64_t kCtlrFixed = 1u << 15 | 1u << 11 | 4u << 8;
constexpr uint64_t kCtlrCommonBinaryPoint = 1u << 0;
constexpr uint64_t kCtlrEndOfInterruptMode = 1u << 1;

// ICC_SRE_EL1: system registers in use, no bypass; nothing can change it.
constexpr uint64_t kSreFixed = 7;

}  // namespace

uint8_t GicV3::running_priority(const Cpu& cpu) const {
    const uint32_t levels = cpu.active_priorities[0].words[0] | cpu.active_priorities[1].words[0];
    if (levels == 0) return kGicIdlePriority;
    return static_cast<uint8_t>(std::countr_zero(levels) << kPriorityShift);
}

// 4.8.3: the bits of a priority that decide on preemption. Group 1's binary point counts one further than
// group 0's, since it is the Non-secure copy.
uint8_t GicV3::group_priority_mask(const Cpu& cpu, bool group1) const {
    const bool own = group1 && !cpu.common_binary_point;
    const unsigned point = own ? cpu.binary_point[1] - 1u : cpu.binary_point[0];
    return static_cast<uint8_t>(0xffu << (point + 1));
}

bool GicV3::signalled(const Cpu& cpu) const {
    if (!cpu.best.valid() || cpu.best.priority >= cpu.priority_mask) return false;
    const uint8_t running = running_priority(cpu);
    if (running == kGicIdlePriority) return true;
    const uint8_t mask = group_priority_mask(cpu, cpu.best.group1);
    return (cpu.best.priority & mask) < (running & mask);
}

void GicV3::drive(unsigned index) {
    Cpu& cpu = state_.cpus[index];
    const bool any = signalled(cpu);
    const bool irq = any && cpu.best.group1;
    const bool fiq = any && !cpu.best.group1;
    if (irq == cpu.irq && fiq == cpu.fiq) return;
    cpu.irq = irq;
    cpu.fiq = fiq;
    sink_.set_irq_line(index, irq, fiq);
}

uint32_t GicV3::highest_pending(const Cpu& cpu, bool group1) const {
    return cpu.best.valid() && cpu.best.group1 == group1 ? cpu.best.intid : kGicSpurious;
}

uint32_t GicV3::acknowledge(unsigned index, bool group1) {
    Cpu& cpu = state_.cpus[index];
    if (!signalled(cpu) || cpu.best.group1 != group1) return kGicSpurious;
    const unsigned intid = cpu.best.intid;
    const uint8_t level = cpu.best.priority & group_priority_mask(cpu, group1);
    cpu.active_priorities[group1].set(level >> kPriorityShift);
    if (intid >= kFirstLpi) {
        // An LPI is never active (4.8.1).
        lpis_[index].pending.erase(intid);
    } else {
        IrqBank& bank = bank_of(index, intid);
        const uint32_t bit = 1u << (intid % 32);
        bank.active |= bit;
        bank.latched &= ~bit;
    }
    update(index);
    return intid;
}

// 4.7: a write for the group that is not the one in service last is ignored.
void GicV3::end_of_interrupt(unsigned index, bool group1, uint32_t intid) {
    Cpu& cpu = state_.cpus[index];
    const bool lpi = intid >= kFirstLpi && intid < kLpiEnd;
    if (intid >= kGicIntids && !lpi) return;
    const int group0_level = cpu.active_priorities[0].highest();
    const int group1_level = cpu.active_priorities[1].highest();
    const int mine = group1 ? group1_level : group0_level;
    const int other = group1 ? group0_level : group1_level;
    // Equal levels are possible only if software wrote the active priorities; group 0 then goes first.
    if (mine < 0 || (other >= 0 && (group1 ? other <= mine : other < mine))) return;
    cpu.active_priorities[group1].drop_highest();
    if (!cpu.end_of_interrupt_mode && !lpi) bank_of(index, intid).active &= ~(1u << (intid % 32));
    lpi || intid < layout::kFirstSpiIntid ? update(index)
                                          : update_all();  // an SPI may have been rerouted meanwhile
    sink_.interrupt_ended(index);
}

void GicV3::deactivate(unsigned index, uint32_t intid) {
    if (intid >= kGicIntids || !state_.cpus[index].end_of_interrupt_mode) return;
    bank_of(index, intid).active &= ~(1u << (intid % 32));
    intid < layout::kFirstSpiIntid ? update(index) : update_all();
}

// 12.2.22: INTID in 27:24, affinities in 55:48, 39:32 and 23:16, a list of Aff0 values in 15:0 starting at
// RangeSelector * 16, and IRM (all but the sender) in 40.
void GicV3::send_sgi(unsigned sender, uint64_t value, bool group1) {
    const uint32_t bit = 1u << (value >> 24 & 15);
    const bool all_others = (value >> 40 & 1) != 0;
    const uint64_t above =
        (value >> 48 & 0xff) << 32 | (value >> 32 & 0xff) << 16 | (value >> 16 & 0xff) << 8;
    const unsigned first = (value >> 44 & 15) * 16;
    for (unsigned i = 0; i < cpu_count_; i++) {
        const uint64_t affinity = layout::affinity_of(i);
        const unsigned place = static_cast<unsigned>(affinity & 0xff) - first;  // in the list; large: outside
        const bool selected =
            all_others ? i != sender
                       : (affinity & ~uint64_t{0xff}) == above && place < 16 && (value >> place & 1) != 0;
        Cpu& cpu = state_.cpus[i];
        // The receiver's configuration decides whether a request of this group may pass.
        if (!selected || ((cpu.bank.group1 & bit) != 0) != group1) continue;
        cpu.bank.latched |= bit;
        sink_.sgi_sent(sender, i);
        update(i);
    }
}

bool GicV3::read_sysreg(unsigned index, uint32_t encoding, uint64_t& value) {
    if (index >= cpu_count_) return false;
    const std::lock_guard guard(lock_);
    const Cpu& cpu = state_.cpus[index];
    switch (encoding) {
        case kIccPmr: value = cpu.priority_mask; return true;
        case kIccIar0: value = acknowledge(index, false); return true;
        case kIccIar1: value = acknowledge(index, true); return true;
        case kIccHppir0: value = highest_pending(cpu, false); return true;
        case kIccHppir1: value = highest_pending(cpu, true); return true;
        case kIccBpr0: value = cpu.binary_point[0]; return true;
        case kIccBpr1:
            value = cpu.common_binary_point
                        ? std::min<unsigned>(cpu.binary_point[0] + 1u, kMaximumBinaryPoint)
                        : cpu.binary_point[1];
            return true;
        case kIccAp0r0: value = cpu.active_priorities[0].words[0]; return true;
        case kIccAp1r0: value = cpu.active_priorities[1].words[0]; return true;
        case kIccRpr: value = running_priority(cpu); return true;
        case kIccCtlr:
            value = kCtlrFixed | (cpu.common_binary_point ? kCtlrCommonBinaryPoint : 0) |
                    (cpu.end_of_interrupt_mode ? kCtlrEndOfInterruptMode : 0);
            return true;
        case kIccSre: value = kSreFixed; return true;
        case kIccIgrpen0: value = cpu.group_enabled[0] ? 1 : 0; return true;
        case kIccIgrpen1: value = cpu.group_enabled[1] ? 1 : 0; return true;
        default: return false;
    }
}

bool GicV3::write_sysreg(unsigned index, uint32_t encoding, uint64_t value) {
    if (index >= cpu_count_) return false;
    const std::lock_guard guard(lock_);
    Cpu& cpu = state_.cpus[index];
    const auto intid = static_cast<uint32_t>(value & 0xff'ffff);
    switch (encoding) {
        case kIccEoir0: end_of_interrupt(index, false, intid); return true;
        case kIccEoir1: end_of_interrupt(index, true, intid); return true;
        case kIccDir: deactivate(index, intid); return true;
        case kIccSgi1r: send_sgi(index, value, true); return true;
        // With one security state "the other state's group 1" is group 0.
        case kIccAsgi1r:
        case kIccSgi0r: send_sgi(index, value, false); return true;
        case kIccSre: return true;
        case kIccPmr: cpu.priority_mask = value & kPriorityBits; break;
        case kIccBpr0:
            cpu.binary_point[0] = std::max<uint8_t>(value & kMaximumBinaryPoint, kMinimumBinaryPoint[0]);
            break;
        case kIccBpr1:
            if (cpu.common_binary_point) return true;
            cpu.binary_point[1] = std::max<uint8_t>(value & kMaximumBinaryPoint, kMinimumBinaryPoint[1]);
            break;
        case kIccAp0r0: cpu.active_priorities[0].words[0] = static_cast<uint32_t>(value); break;
        case kIccAp1r0: cpu.active_priorities[1].words[0] = static_cast<uint32_t>(value); break;
        case kIccCtlr:
            cpu.common_binary_point = (value & kCtlrCommonBinaryPoint) != 0;
            cpu.end_of_interrupt_mode = (value & kCtlrEndOfInterruptMode) != 0;
            break;
        case kIccIgrpen0: cpu.group_enabled[0] = (value & 1) != 0; break;
        case kIccIgrpen1: cpu.group_enabled[1] = (value & 1) != 0; break;
        default: return false;
    }
    update(index);
    return true;
}

}  // namespace arclight::devices
