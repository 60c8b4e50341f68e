// Exclusives, atomics, DC ZVA.
#include "backend/x64/emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr int kMonitor = ARCLIGHT_STATE_DISP(exclusive_addr);
constexpr int kMonitorValue = ARCLIGHT_STATE_DISP(exclusive_value);
}  // namespace

/// The monitor (ARM ARM B2.9) is an address and the value read there; a store-exclusive succeeds if the value
/// is still the same. Linux' uses are safe against the value having changed and changed back.
void BlockEmitter::emit_load_exclusive(const Inst& i) {
    prepare_access();
    const MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    const Reg64 addr = use(i.args[0]);
    const Reg64 d = def(cur_);
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(d.getIdx());
    args.reg[2] = kNone;
    if (!access.is_pair()) {
        const size_t cold = check_access(access, addr, d, args);
        mark_access();
        load_sized(d, rax + addr, log2, false, i.type);
        resume_here(cold);
        mov(qword[at(kMonitorValue)], d);
        mov(qword[at(kMonitor)], addr);
        return;
    }
    const Reg64 d2 = has_second() ? def(cur_ + 1) : Reg64(static_cast<int>(allocate(false)));
    args.reg[2] = static_cast<uint8_t>(d2.getIdx());
    const size_t cold = check_access(access, addr, d, args);
    mark_access();
    if (log2 == 2) {
        mov(d, qword[rax + addr]);
        mov(d2, d);
        shr(d2, 32);
        mov(d.cvt32(), d.cvt32());
    } else {
        vmovaps(xmm15, ptr[rax + addr]);
        vmovq(d, xmm15);
        vpextrq(d2, xmm15, 1);
    }
    resume_here(cold);
    mov(qword[at(kMonitorValue)], d);
    mov(qword[at(kMonitorValue + 8)], d2);
    mov(qword[at(kMonitor)], addr);
}

void BlockEmitter::emit_store_exclusive(const Inst& i) {
    prepare_access();
    const MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    const bool wide_pair = access.is_pair() && log2 == 3;
    if (wide_pair) {  // cmpxchg16b wants them
        for (const unsigned reg : {Operand::RBX, Operand::RCX, Operand::RDX}) reserve(reg);
    }
    const Reg64 addr = use(i.args[0]), value = use(i.args[1]);
    const Reg64 value2 = access.is_pair() ? use(i.args[2]) : rax;
    ScratchGpr temp(*this);
    const Reg64 d = def(cur_);
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(value.getIdx());
    args.reg[2] = static_cast<uint8_t>(value2.getIdx());
    args.reg[3] = static_cast<uint8_t>(d.getIdx());
    mov(d.cvt32(), 1);
    cmp(qword[at(kMonitor)], addr);
    const Jump lost = jump_if(kNe, false);
    const size_t cold = check_access(access, addr, temp, args);
    lea(temp, ptr[rax + addr]);
    if (wide_pair) {
        mov(rax, qword[at(kMonitorValue)]);
        mov(rdx, qword[at(kMonitorValue + 8)]);
        mov(rbx, value);
        mov(rcx, value2);
        mark_access();
        lock_if_shared();
        cmpxchg16b(ptr[temp]);
    } else if (access.is_pair()) {
        // Two words as one doubleword.
        mov(d.cvt32(), value2.cvt32());
        shl(d, 32);
        mov(eax, value.cvt32());
        or_(d, rax);
        vmovd(xmm15, dword[at(kMonitorValue)]);
        vpinsrd(xmm15, xmm15, dword[at(kMonitorValue + 8)], 1);
        vmovq(rax, xmm15);
        mark_access();
        lock_if_shared();
        cmpxchg(qword[temp], d);
    } else {
        mov(rax, qword[at(kMonitorValue)]);
        mark_access();
        lock_if_shared();
        cmpxchg(memory_log2(temp, log2), sized_log2(value, log2));
    }
    setne(al);
    movzx(d.cvt32(), al);
    resume_here(cold);
    land(lost);
    mov(qword[at(kMonitor)], -1);
}

void BlockEmitter::emit_rmw(const Inst& i) {
    using ir::AtomicKind;
    prepare_access();
    const MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    const AtomicKind kind = access.atomic;
    const bool wanted = values_[cur_].next_use != kNever;
    const Reg64 addr = use(i.args[0]), value = use(i.args[1]);
    ScratchGpr temp(*this);
    const Reg64 d = def(cur_);
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(value.getIdx());
    args.reg[3] = static_cast<uint8_t>(d.getIdx());
    const size_t cold = check_access(access, addr, temp, args);
    lea(temp, ptr[rax + addr]);
    const Address where = memory_log2(temp, log2);
    const Reg v = sized_log2(value, log2), part = sized_log2(d, log2);
    const Reg wide_d = log2 == 3 ? static_cast<Reg>(d) : static_cast<Reg>(d.cvt32());
    const Reg wide_v = log2 == 3 ? static_cast<Reg>(value) : static_cast<Reg>(value.cvt32());
    if (kind == AtomicKind::Add && wanted) {
        mov(d, value);
        mark_access();
        lock_if_shared();
        xadd(where, part);
        zero_extend(d, d, log2);
    } else if (kind == AtomicKind::Swap) {
        mov(d, value);
        mark_access();
        xchg(where, part);
        zero_extend(d, d, log2);
    } else if (!wanted && (kind == AtomicKind::Add || kind == AtomicKind::Clear || kind == AtomicKind::Set ||
                           kind == AtomicKind::Xor)) {
        if (kind == AtomicKind::Clear) {
            mov(d, value);
            not_(d);
        }
        mark_access();
        lock_if_shared();
        switch (kind) {
            case AtomicKind::Add: add(where, v); break;
            case AtomicKind::Clear: and_(where, part); break;
            case AtomicKind::Set: or_(where, v); break;
            default: xor_(where, v); break;
        }
    } else {
        mark_access();
        load_sized(rax, temp, log2, false, Type::I64);
        const uint8_t* again = here();
        mov(d, rax);
        const auto take = [&](Cc cc) {
            cmp(sized_log2(rax, log2), v);
            move_if(cc, wide_d, wide_v);
        };
        switch (kind) {
            case AtomicKind::Clear:
                // d & ~value
                not_(d);
                or_(d, value);
                not_(d);
                break;
            case AtomicKind::Set: or_(d, value); break;
            case AtomicKind::Xor: xor_(d, value); break;
            case AtomicKind::MaxS: take(kL); break;
            case AtomicKind::MinS: take(kG); break;
            case AtomicKind::MaxU: take(kB); break;
            default: take(kA); break;
        }
        if (serial_) {
            mov(where, part);
        } else {
            lock();
            cmpxchg(where, part);
            point(jump_if(kNe, true), again);
        }
        zero_extend(d, rax, log2);
    }
    resume_here(cold);
}

void BlockEmitter::emit_cas(const Inst& i) {
    prepare_access();
    const MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    const Reg64 addr = use(i.args[0]), expected = use(i.args[1]), value = use(i.args[2]);
    ScratchGpr temp(*this);
    const Reg64 d = def(cur_);
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(expected.getIdx());
    args.reg[2] = static_cast<uint8_t>(value.getIdx());
    args.reg[3] = static_cast<uint8_t>(d.getIdx());
    const size_t cold = check_access(access, addr, temp, args);
    lea(temp, ptr[rax + addr]);
    mov(rax, expected);
    mark_access();
    lock_if_shared();
    cmpxchg(memory_log2(temp, log2), sized_log2(value, log2));
    zero_extend(d, rax, log2);
    resume_here(cold);
}

void BlockEmitter::emit_zero_block(const Inst& i) {
    prepare_access();
    const Reg64 addr = use(i.args[0]);
    ScratchGpr temp(*this);
    const size_t cold = check_access(describe_access(i), addr, temp, {});
    lea(temp, ptr[rax + addr]);
    and_(temp, -64);  // host pages are as aligned as guest pages
    vpxor(xmm15, xmm15, xmm15);
    mark_access();
    vmovups(ptr[temp], ymm15);
    vmovups(ptr[temp + 32], ymm15);
    resume_here(cold);
}

}  // namespace arclight::backend
