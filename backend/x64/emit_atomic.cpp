// Exclusives, atomics, DC ZVA.
#include "backend/x64/memory_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr int kMonitor = ARCLIGHT_STATE_DISP(exclusive_addr);
constexpr int kMonitorValue = ARCLIGHT_STATE_DISP(exclusive_value);
}  // namespace

/// The monitor (ARM ARM B2.9) is an address and the value read there; a store-exclusive succeeds if the value
/// is still the same. Linux' uses are safe against the value having changed and changed back.
void MemoryEmitter::emit_load_exclusive(const Inst& i) {
    prepare_access();
    const jit::MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    const Reg64 addr = regs_.use(i.args[0]);
    const Reg64 d = regs_.def(cur());
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(d.getIdx());
    args.reg[2] = kNone;
    if (!access.is_pair()) {
        const size_t cold = check_access(access, {addr}, d, args);
        ctx_.faults.mark_access(as_.here());
        as_.load_sized(d, rax + mem(addr), log2, false, i.type);
        resume_here(cold);
        as_.mov(at(kMonitorValue), d);
        as_.mov(at(kMonitor), addr);
        return;
    }
    const Reg64 d2 =
        values_.has_second() ? regs_.def(cur() + 1) : Reg64(static_cast<int>(regs_.allocate(false)));
    args.reg[2] = static_cast<uint8_t>(d2.getIdx());
    const size_t cold = check_access(access, {addr}, d, args);
    ctx_.faults.mark_access(as_.here());
    if (log2 == 2) {
        as_.mov(d, qword[rax + addr]);
        as_.mov(d2, d);
        as_.shr(d2, 32);
        as_.mov(d.cvt32(), d.cvt32());
    } else {
        as_.vmovaps(xmm15, ptr[rax + addr]);
        as_.vmovq(d, xmm15);
        as_.vpextrq(d2, xmm15, 1);
    }
    resume_here(cold);
    as_.mov(at(kMonitorValue), d);
    as_.mov(at(kMonitorValue + 8), d2);
    as_.mov(at(kMonitor), addr);
}

void MemoryEmitter::emit_store_exclusive(const Inst& i) {
    prepare_access();
    const jit::MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    const bool wide_pair = access.is_pair() && log2 == 3;
    if (wide_pair) {  // cmpxchg16b wants them
        for (const unsigned reg : {Operand::RBX, Operand::RCX, Operand::RDX}) regs_.reserve(reg);
    }
    const Reg64 addr = regs_.use(i.args[0]), value = regs_.use(i.args[1]);
    const Reg64 value2 = access.is_pair() ? regs_.use(i.args[2]) : rax;
    ScratchGpr temp(regs_);
    const Reg64 d = regs_.def(cur());
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(value.getIdx());
    args.reg[2] = static_cast<uint8_t>(value2.getIdx());
    args.reg[3] = static_cast<uint8_t>(d.getIdx());
    as_.mov(d.cvt32(), 1);
    as_.cmp(qword[at(kMonitor)], addr);
    const Jump lost = as_.jump_if(kNe, false);
    const size_t cold = check_access(access, {addr}, temp, args);
    as_.lea(temp, ptr[rax + addr]);
    if (wide_pair) {
        as_.mov(rax, at(kMonitorValue));
        as_.mov(rdx, at(kMonitorValue + 8));
        as_.mov(rbx, value);
        as_.mov(rcx, value2);
        ctx_.faults.mark_access(as_.here());
        lock_if_shared();
        as_.cmpxchg16b(ptr[temp]);
    } else if (access.is_pair()) {
        // Two words as one doubleword.
        as_.mov(d.cvt32(), value2.cvt32());
        as_.shl(d, 32);
        as_.mov(eax, value.cvt32());
        as_.or_(d, rax);
        as_.vmovd(xmm15, dword[at(kMonitorValue)]);
        as_.vpinsrd(xmm15, xmm15, dword[at(kMonitorValue + 8)], 1);
        as_.vmovq(rax, xmm15);
        ctx_.faults.mark_access(as_.here());
        lock_if_shared();
        as_.cmpxchg(qword[temp], d);
    } else {
        as_.mov(rax, at(kMonitorValue));
        ctx_.faults.mark_access(as_.here());
        lock_if_shared();
        as_.cmpxchg(memory_log2(temp, log2), sized_log2(value, log2));
    }
    as_.setne(al);
    as_.movzx(d.cvt32(), al);
    resume_here(cold);
    as_.land(lost);
    as_.mov(at(kMonitor), -1);
}

void MemoryEmitter::emit_rmw(const Inst& i) {
    using ir::AtomicKind;
    prepare_access();
    const jit::MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    const AtomicKind kind = access.atomic;
    const bool wanted = values_[cur()].next_use != kNever;
    const Reg64 addr = regs_.use(i.args[0]), value = regs_.use(i.args[1]);
    ScratchGpr temp(regs_);
    const Reg64 d = regs_.def(cur());
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(value.getIdx());
    args.reg[3] = static_cast<uint8_t>(d.getIdx());
    const size_t cold = check_access(access, {addr}, temp, args);
    as_.lea(temp, ptr[rax + addr]);
    const Address where = memory_log2(temp, log2);
    const Reg v = sized_log2(value, log2), part = sized_log2(d, log2);
    const Reg wide_d = log2 == 3 ? static_cast<Reg>(d) : static_cast<Reg>(d.cvt32());
    const Reg wide_v = log2 == 3 ? static_cast<Reg>(value) : static_cast<Reg>(value.cvt32());
    if (kind == AtomicKind::Add && wanted) {
        as_.mov(d, value);
        ctx_.faults.mark_access(as_.here());
        lock_if_shared();
        as_.xadd(where, part);
        as_.zero_extend(d, d, log2);
    } else if (kind == AtomicKind::Swap) {
        as_.mov(d, value);
        ctx_.faults.mark_access(as_.here());
        as_.xchg(where, part);
        as_.zero_extend(d, d, log2);
    } else if (!wanted && (kind == AtomicKind::Add || kind == AtomicKind::Clear || kind == AtomicKind::Set ||
                           kind == AtomicKind::Xor)) {
        if (kind == AtomicKind::Clear) {
            as_.mov(d, value);
            as_.not_(d);
        }
        ctx_.faults.mark_access(as_.here());
        lock_if_shared();
        switch (kind) {
            case AtomicKind::Add: as_.add(where, v); break;
            case AtomicKind::Clear: as_.and_(where, part); break;
            case AtomicKind::Set: as_.or_(where, v); break;
            default: as_.xor_(where, v); break;
        }
    } else {
        ctx_.faults.mark_access(as_.here());
        as_.load_sized(rax, mem(temp), log2, false, Type::I64);
        const uint8_t* again = as_.here();
        as_.mov(d, rax);
        const auto take = [&](Cc cc) {
            as_.cmp(sized_log2(rax, log2), v);
            as_.move_if(cc, wide_d, wide_v);
        };
        switch (kind) {
            case AtomicKind::Clear:
                // d & ~value
                as_.not_(d);
                as_.or_(d, value);
                as_.not_(d);
                break;
            case AtomicKind::Set: as_.or_(d, value); break;
            case AtomicKind::Xor: as_.xor_(d, value); break;
            case AtomicKind::MaxS: take(kL); break;
            case AtomicKind::MinS: take(kG); break;
            case AtomicKind::MaxU: take(kB); break;
            default: take(kA); break;
        }
        if (ctx_.serial) {
            as_.mov(where, part);
        } else {
            as_.lock();
            as_.cmpxchg(where, part);
            as_.point(as_.jump_if(kNe, true), again);
        }
        as_.zero_extend(d, rax, log2);
    }
    resume_here(cold);
}

void MemoryEmitter::emit_cas(const Inst& i) {
    prepare_access();
    const jit::MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    const Reg64 addr = regs_.use(i.args[0]), expected = regs_.use(i.args[1]), value = regs_.use(i.args[2]);
    ScratchGpr temp(regs_);
    const Reg64 d = regs_.def(cur());
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(expected.getIdx());
    args.reg[2] = static_cast<uint8_t>(value.getIdx());
    args.reg[3] = static_cast<uint8_t>(d.getIdx());
    const size_t cold = check_access(access, {addr}, temp, args);
    as_.lea(temp, ptr[rax + addr]);
    as_.mov(rax, expected);
    ctx_.faults.mark_access(as_.here());
    lock_if_shared();
    as_.cmpxchg(memory_log2(temp, log2), sized_log2(value, log2));
    as_.zero_extend(d, rax, log2);
    resume_here(cold);
}

void MemoryEmitter::emit_zero_block(const Inst& i) {
    prepare_access();
    const Reg64 addr = regs_.use(i.args[0]);
    ScratchGpr temp(regs_);
    const size_t cold = check_access(describe_access(i), {addr}, temp, {});
    as_.lea(temp, ptr[rax + addr]);
    as_.and_(temp, -64);  // host pages are as aligned as guest pages
    as_.vpxor(xmm15, xmm15, xmm15);
    ctx_.faults.mark_access(as_.here());
    as_.vmovups(ptr[temp], ymm15);
    as_.vmovups(ptr[temp + 32], ymm15);
    resume_here(cold);
}

}  // namespace arclight::backend
