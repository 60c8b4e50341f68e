// Accesses that share one look at the soft TLB, or one look-up of the fastmem (access_groups.cpp).
#include "backend/x64/exit_emitter.h"
#include "backend/x64/memory_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr int kFastmemBase = static_cast<int>(offsetof(mmu::SoftTlb, fastmem_offset));
}  // namespace

MemoryEmitter::Checked MemoryEmitter::check_grouped(const jit::MemoryAccess& access, const Place& addr,
                                                    ColdArgs args) {
    const ClassScope scope(as_, jit::HostClass::SoftTlb);
    if (ctx_.fastmem) return check_grouped_fastmem(access, addr, args);
    const GroupedAccess grouped = values_.grouped(cur());
    const bool in_group = grouped.group != kNoGroup && values_.group(grouped.group).accesses > 1;
    const Ref value = in_group ? values_.addend_of(grouped.group) : kNoRef;
    if (in_group && values_[value].reg != kNone) {
        const Reg64 addend(values_[value].reg);
        args.reg[4] = values_[value].reg;
        if (values_[value].sure) {
            const size_t cold = miss(Jump{}, addr.base, args);
            ctx_.faults.start_fastmem(as_.here());
            return {cold, addend};
        }
        as_.test(addend, addend);
        const size_t cold =
            miss(as_.jump_if(kE, false), addr.base, args, cold_fn<&MemoryEmitter::cold_grouped>);
        ctx_.faults.start_fastmem(as_.here());
        return {cold, addend};
    }
    // A load's result may be clobbered before it is there.
    const bool has_result = access.kind == jit::MemoryKind::Load || access.kind == jit::MemoryKind::LoadPair;
    const unsigned reg = has_result ? args.reg[1] : regs_.allocate(false);
    const Reg64 temp(static_cast<int>(reg));
    Checked checked{0, rax};
    if (in_group && values_[value].last_need > cur()) {
        const AccessGroup& g = values_.group(grouped.group);
        checked.addend = regs_.def(value);
        args.reg[4] = values_[value].reg;
        compare_tag(access, addr, temp, static_cast<int>(g.lo) - grouped.at,
                    static_cast<int>(g.hi) - grouped.at - 1, g.write);
        args.flag = with_victim(temp);
        args.reg[kTagRegister] = with_tags(temp);
        values_[value].sure = leaves_where_check_fails();
        checked.cold = miss(as_.jump_if(kNe, false), addr.base, args,
                            values_[value].sure ? cold_fn<&MemoryEmitter::cold_group_leaves>
                                                : cold_fn<&MemoryEmitter::cold_grouped>);
        load_addend(checked.addend, false);
        ctx_.faults.start_fastmem(as_.here());
    } else {
        checked.cold = check_access(access, addr, temp, args);
    }
    if (!has_result) regs_.unpin(reg);
    return checked;
}

/// Of a group whose first access is being emitted: a superblock is left before that where its check fails, for a block
/// that may begin another superblock, so that the group's other accesses need no test. Its first instruction is not: what it
/// would leave for may be itself.
bool MemoryEmitter::leaves_where_check_fails() const {
    const ir::Block& block = values_.block();
    return block.superblock && (ctx_.page != 0 || ctx_.insn_offset != (block.pa & (mmu::kPageSize - 1)));
}

/// All of a group lie in one slot of the fastmem, or in the first or last page of one, which is never mapped: what is added to the
/// first address is added to the others. Where groups are, an access alone looks its slot up, too: fewer instructions than to
/// compare it with a prediction.
MemoryEmitter::Checked MemoryEmitter::check_grouped_fastmem(const jit::MemoryAccess& access,
                                                            const Place& addr, ColdArgs args) {
    const GroupedAccess grouped = values_.grouped(cur());
    if (grouped.group == kNoGroup) return {check_fastmem(access, addr.base, args), rax};
    const bool in_group = values_.group(grouped.group).accesses > 1;
    const Ref value = in_group ? values_.addend_of(grouped.group) : kNoRef;
    if (in_group && values_[value].reg != kNone) {
        const Reg64 addend(values_[value].reg);
        const size_t cold = miss(Jump{}, addr.base, args);
        ctx_.faults.start_fastmem(as_.here());
        return {cold, addend};
    }
    const Reg64 addend = in_group && values_[value].last_need > cur() ? regs_.def(value) : rax;
    Jump misaligned{};  // never comes back
    if ((access.aux & ir::kMemSpBase) != 0) {
        test_stack(addr, addr.displacement - static_cast<int>(ir::mem_sp_offset(access.aux)));
        misaligned = as_.jump_if(kNe, false);
    }
    const size_t cold = miss(misaligned, addr.base, args);
    if (addr.displacement == 0) {
        as_.rorx(rax, addr.base, mmu::kFastmemSlotBits - 3);
    } else {
        as_.lea(rax, addr.plus(0));
        as_.rorx(rax, rax, mmu::kFastmemSlotBits - 3);
    }
    as_.and_(eax, (mmu::kFastmemSlots - 1) * 8);
    as_.mov(addend, r14 + mem(rax, kFastmemBase));
    ctx_.faults.start_fastmem(as_.here());
    return {cold, addend};
}

/// An access of a group that is not in one page or not all there: it alone may be. reg[4] = the group's
/// addend.
void MemoryEmitter::cold_grouped(const ColdArgs& args) {
    const Inst& i = values_.inst(args.inst);
    const jit::MemoryAccess access = describe_access(i);
    const Place addr = place_of(args);
    const Reg64 addend(args.reg[4]);
    try_behind_miss(args, addend, values_.group(values_.grouped(args.inst).group).write,
                    &MemoryEmitter::tagged_group);
    compare_tag(access, addr, addend, 0, static_cast<int>(access.bytes()) - 1, access.writes());
    const Jump slow = as_.jump_if(kNe, false);
    load_addend(rax, false);
    const uint8_t* found = as_.here();
    access_memory(i, args, rax + addr.plus(0));
    as_.xor_(addend.cvt32(), addend.cvt32());
    jump_back(args);
    as_.land(slow);
    if (checks_tags()) {
        const TagsDiffer differ = check_tags(addend, tagged(args));
        as_.jump_to(found);
        land(differ);
    }
    slow_memory(args);
    as_.xor_(addend.cvt32(), addend.cvt32());
    jump_back(args);
}

void MemoryEmitter::cold_group_leaves(const ColdArgs& args) {
    const auto point = static_cast<size_t>(args.imm);
    try_behind_miss(args, Reg64(args.reg[4]), values_.group(values_.grouped(args.inst).group).write,
                    &MemoryEmitter::tagged_group);
    as_.start_segment();
    ExitEmitter(ctx_).leave_before(ctx_.faults.insn_offset(point), args);
    // The access comes here where the host has taken its page away.
    as_.set_class(jit::HostClass::SlowPath);
    slow_memory(args);
    jump_back(args);
}

}  // namespace arclight::backend
