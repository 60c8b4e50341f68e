#include "devices/gic_v2.h"
#include "devices/register_access.h"

// The CPU interface (ARM IHI 0048B section 4.4) and the rules of priority and preemption (section 3.3).
namespace arclight::devices {

namespace {

constexpr uint64_t kRegCtlr = 0x00;
constexpr uint64_t kRegPmr = 0x04;
constexpr uint64_t kRegBpr = 0x08;
constexpr uint64_t kRegIar = 0x0c;
constexpr uint64_t kRegEoir = 0x10;
constexpr uint64_t kRegRpr = 0x14;
constexpr uint64_t kRegHppir = 0x18;
constexpr uint64_t kRegAbpr = 0x1c;
constexpr uint64_t kRegAiar = 0x20;
constexpr uint64_t kRegAeoir = 0x24;
constexpr uint64_t kRegAhppir = 0x28;
constexpr uint64_t kRegApr = 0xd0;
constexpr uint64_t kRegNsapr = 0xe0;
constexpr uint64_t kRegAprEnd = 0xf0;
constexpr uint64_t kRegIidr = 0xfc;
constexpr uint64_t kRegDir = 0x1000;

constexpr uint32_t kInterfaceId = 0x0002'043b;

constexpr uint32_t kCtlrAck = 1u << 2;
constexpr uint32_t kCtlrFiqEnable = 1u << 3;
constexpr uint32_t kCtlrCommonBinaryPoint = 1u << 4;
constexpr uint32_t kCtlrEndOfInterruptMode = 1u << 9;
constexpr uint32_t kCtlrMask = 0x21f;

// 3.2.4: what a read gives when only a group 1 interrupt is there and the register does not acknowledge
// those.
constexpr uint32_t kOtherGroup = 1022;

// Eight priority bits, of which the upper seven preempt: 128 levels in four active priorities registers.
constexpr unsigned kPriorityShift = 1;

}  // namespace

uint8_t GicV2::running_priority(const Cpu& cpu) const {
    const int group0 = cpu.active_priorities[0].highest();
    const int group1 = cpu.active_priorities[1].highest();
    if (group0 < 0 && group1 < 0) return kGicIdlePriority;
    const int level = group0 < 0 ? group1 : group1 < 0 ? group0 : std::min(group0, group1);
    return static_cast<uint8_t>(level << kPriorityShift);
}

// 3.3.3: group 1's binary point counts one further than group 0's.
uint8_t GicV2::group_priority_mask(const Cpu& cpu, bool group1) const {
    const bool own = group1 && (cpu.control & kCtlrCommonBinaryPoint) == 0;
    const unsigned point = own ? cpu.binary_point[1] - 1u : cpu.binary_point[0];
    return static_cast<uint8_t>(0xffu << (point + 1));
}

// The running priority is a group priority, its low bits clear, so comparing it with a whole priority is
// comparing group priorities.
bool GicV2::signalled(const Cpu& cpu) const {
    return unmasked(cpu) && cpu.best.priority < running_priority(cpu);
}

void GicV2::drive(unsigned index) {
    Cpu& cpu = state_.cpus[index];
    const bool any = signalled(cpu);
    const bool fiq = any && !cpu.best.group1 && (cpu.control & kCtlrFiqEnable) != 0;
    const bool irq = any && !fiq;
    if (irq == cpu.irq && fiq == cpu.fiq) return;
    cpu.irq = irq;
    cpu.fiq = fiq;
    sink_.set_irq_line(index, irq, fiq);
}

uint32_t GicV2::highest_pending(unsigned index, bool alias) const {
    const Cpu& cpu = state_.cpus[index];
    if (!unmasked(cpu)) return kGicSpurious;
    if (alias && !cpu.best.group1) return kGicSpurious;
    if (!alias && cpu.best.group1 && (cpu.control & kCtlrAck) == 0) return kOtherGroup;
    return cpu.best.intid | lowest_source(cpu, cpu.best.intid) << 10;
}

uint32_t GicV2::acknowledge(unsigned index, bool alias) {
    Cpu& cpu = state_.cpus[index];
    const uint32_t result = highest_pending(index, alias);
    const unsigned intid = cpu.best.intid;
    if ((result & 0x3ff) != intid) return result;  // 1022 does not depend on priorities, as in QEMU
    if (!signalled(cpu)) return kGicSpurious;
    const uint8_t level = cpu.best.priority & group_priority_mask(cpu, cpu.best.group1);
    cpu.active_priorities[cpu.best.group1].set(level >> kPriorityShift);
    IrqBank& bank = bank_at(index, intid / 32);
    bank.active |= 1u << (intid % 32);
    if (intid < 16) {
        const auto rest = static_cast<uint8_t>(cpu.sgi_sources[intid] & (cpu.sgi_sources[intid] - 1));
        set_sgi_sources(cpu, intid, rest);
    } else {
        bank.latched &= ~(1u << (intid % 32));
    }
    update_for(index, intid);
    return result;
}

void GicV2::end_of_interrupt(unsigned index, uint32_t value, bool alias) {
    const unsigned intid = value & 0x3ff;
    if (intid >= kGicIntids) return;
    Cpu& cpu = state_.cpus[index];
    if (running_priority(cpu) == kGicIdlePriority) return;  // nothing to end (4.4.5: unpredictable; as QEMU)
    IrqBank& bank = bank_at(index, intid / 32);
    const uint32_t bit = 1u << (intid % 32);
    const bool group1 = (bank.group1 & bit) != 0;
    if (alias && !group1) return;
    cpu.active_priorities[group1].drop_highest();
    if ((cpu.control & kCtlrEndOfInterruptMode) == 0) bank.active &= ~bit;
    update_for(index, intid);
    // The drop of the running priority concerns this CPU whatever the interrupt was.
    update(index);
    sink_.interrupt_ended(index);
}

void GicV2::deactivate(unsigned index, uint32_t value) {
    const unsigned intid = value & 0x3ff;
    if (intid >= kGicIntids || (state_.cpus[index].control & kCtlrEndOfInterruptMode) == 0) return;
    bank_at(index, intid / 32).active &= ~(1u << (intid % 32));
    update_for(index, intid);
}

uint32_t GicV2::interface_read(unsigned index, uint64_t offset) {
    const Cpu& cpu = state_.cpus[index];
    if (offset >= kRegApr && offset < kRegAprEnd) {
        return cpu.active_priorities[offset >= kRegNsapr ? 1 : 0].words[offset / 4 % 4];
    }
    switch (offset) {
        case kRegCtlr: return cpu.control;
        case kRegPmr: return cpu.priority_mask;
        case kRegBpr: return cpu.binary_point[0];
        case kRegAbpr: return cpu.binary_point[1];
        case kRegIar: return acknowledge(index, false);
        case kRegAiar: return acknowledge(index, true);
        case kRegRpr: return running_priority(cpu);
        case kRegHppir: return highest_pending(index, false);
        case kRegAhppir: return highest_pending(index, true);
        case kRegIidr: return kInterfaceId;
        default: return 0;
    }
}

void GicV2::interface_write(unsigned index, uint64_t offset, uint32_t value, uint32_t mask) {
    Cpu& cpu = state_.cpus[index];
    if (offset >= kRegApr && offset < kRegAprEnd) {
        uint32_t& word = cpu.active_priorities[offset >= kRegNsapr ? 1 : 0].words[offset / 4 % 4];
        word = merge(word, value, mask);
        update(index);
        return;
    }
    switch (offset) {
        case kRegCtlr: cpu.control = merge(cpu.control, value, mask) & kCtlrMask; break;
        case kRegPmr: cpu.priority_mask = static_cast<uint8_t>(merge(cpu.priority_mask, value, mask)); break;
        case kRegBpr: cpu.binary_point[0] = std::max<uint8_t>(value & 7, kMinimumBinaryPoint[0]); break;
        case kRegAbpr: cpu.binary_point[1] = std::max<uint8_t>(value & 7, kMinimumBinaryPoint[1]); break;
        case kRegEoir: end_of_interrupt(index, value, false); return;
        case kRegAeoir: end_of_interrupt(index, value, true); return;
        case kRegDir: deactivate(index, value); return;
        default: return;
    }
    update(index);
}

uint64_t GicV2::CpuInterface::read(uint64_t offset, unsigned size) {
    const std::lock_guard guard(gic_.lock_);
    return read_by_words(offset, size,
                         [&](uint64_t word) { return gic_.interface_read(gic_.accessing_cpu(), word); });
}

void GicV2::CpuInterface::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(gic_.lock_);
    write_by_words(offset, value, size, [&](uint64_t word, uint32_t data, uint32_t mask) {
        gic_.interface_write(gic_.accessing_cpu(), word, data, mask);
    });
}

}  // namespace arclight::devices
