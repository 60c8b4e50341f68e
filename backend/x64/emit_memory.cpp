// Plain loads and stores.
//
// Through the soft TLB (mmu/soft_tlb.h, TlbEntry):
//
//     rorx eax, addr, 7              index of the entry, times its size
//     and  eax, (entries - 1) * 32
//     lea  t, [addr + bytes - 1]     a page crossing misses: the entry of the first page has its own tag
//     and  t, page mask
//     cmp  t, [r14 + rax + tag]
//     jne  slow path
//     mov  rax, [r14 + rax + addend]
//     mov  result, [rax + addr]
//
// An access that must be aligned keeps the low bits of addr in t instead. One by SP compares an address in
// its last 16 bytes that is aligned if SP is.
//
// Through the fastmem, where the slot of the address was predicted:
//
//     mov  rax, addr
//     shr  rax, 39
//     cmp  eax, slot                 the base does not depend on the address
//     jne  look the slot up
//     mov  rax, [r14 + fastmem of slot]
//     mov  result, [rax + addr]      faults unless the page is mapped
//
// Where nothing was predicted the slot is looked up at once. Before it, accesses that must be aligned are
// tested. Nothing else needs to be: see mmu/fastmem.h.
#include "backend/x64/memory_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr int kAccessAddr = ARCLIGHT_STATE_DISP(access_addr);
constexpr int access_value(unsigned k) { return ARCLIGHT_STATE_DISP(access_value) + 8 * static_cast<int>(k); }
constexpr int kEntry = static_cast<int>(offsetof(mmu::SoftTlb, entries));
constexpr int kFastmemBase = static_cast<int>(offsetof(mmu::SoftTlb, fastmem_offset));
constexpr uint8_t kImmediate = 0xfe;  ///< in ColdArgs::reg: the stored value is the constant operand
}  // namespace

void MemoryEmitter::lock_if_shared() {
    if (!ctx_.serial) as_.lock();
}

void MemoryEmitter::resume_here(size_t cold) {
    cold_.resume_here(cold);
    ctx_.faults.end_fastmem(static_cast<size_t>(cold_.args(cold).imm), as_.here());
}

void MemoryEmitter::prepare_access() {
    ctx_.slots.defer_or_write_flags();
    flags_.clobber();
}

/// Compares the tag of the entry for addr + back with the page of addr + last, the last byte that must be in
/// it.
void MemoryEmitter::compare_tag(const jit::MemoryAccess& access, const Place& addr, const Reg64& temp,
                                int back, int last, bool write) {
    if (addr.displacement + back == 0) {
        as_.rorx(eax, addr.base.cvt32(), mmu::kPageBits - 5);
    } else {
        as_.lea(eax, addr.plus(back));
        as_.rorx(eax, eax, mmu::kPageBits - 5);
    }
    as_.and_(eax, static_cast<uint32_t>((mmu::kTlbEntries - 1) << 5));
    uint64_t mask = mmu::kPageMask;
    if ((access.aux & ir::kMemSpBase) != 0) {
        // The last byte's 16 bytes, whose page is the one of addr if nothing crosses.
        const int offset = static_cast<int>(ir::mem_sp_offset(access.aux));
        last = ((offset + last) & ~15) - offset;
        mask |= 15;
    } else if (access.kind == jit::MemoryKind::ZeroBlock) {
        last = 0;
    } else if (access.must_be_aligned()) {
        last = 0;
        mask |= access.bytes() - 1;
    }
    if (addr.displacement + last == 0) {
        as_.mov(temp, addr.base);
    } else {
        as_.lea(temp, addr.plus(last));
    }
    as_.and_(temp, static_cast<uint32_t>(mask));
    const size_t tag = write ? offsetof(mmu::TlbEntry, write_tag) : offsetof(mmu::TlbEntry, read_tag);
    if (access.is_unprivileged()) {  // another soft TLB's entries, so one more register to add
        as_.add(rax, at(field(offsetof(jit::GuestState, user_tlb))));
        as_.cmp(temp, mem(rax, kEntry + static_cast<int>(tag)));
    } else {
        as_.cmp(temp, r14 + mem(rax, kEntry + static_cast<int>(tag)));
    }
}

void MemoryEmitter::load_addend(const Reg64& addend, bool unprivileged) {
    const int at = static_cast<int>(kEntry + offsetof(mmu::TlbEntry, addend));
    if (unprivileged)
        as_.mov(addend, mem(rax, at));
    else
        as_.mov(addend, r14 + mem(rax, at));
}

/// Where the jump before was predicted and the compare before it says otherwise, the access is at the soft TLB's own first
/// bytes, which are no secret, whatever the address: nothing is read that the prediction let it at.
void MemoryEmitter::mask_addend(const Reg64& addr) {
    constexpr size_t kMaxBytes = 32;  // of an access
    static_assert(offsetof(mmu::SoftTlb, victim_uses) >= kMaxBytes);
    as_.lea(rax, ptr[rax + addr]);
    as_.cmovne(rax, r14);
    as_.sub(rax, addr);
}

/// What ColdArgs::flag says of a miss that the victim TLB may serve: where the tag is.
uint16_t MemoryEmitter::with_victim(const Reg64& tag) const {
    return ctx_.buffer.spectre() ? 0 : static_cast<uint16_t>(1 + tag.getIdx());
}

/// Goes on at the access with the victim TLB's addend, in `addend`, if it has one.
void MemoryEmitter::try_victim(const ColdArgs& args, const Reg64& addend, bool write) {
    if (args.flag == 0) return;
    as_.call_stub(ctx_.stubs->victim[write][args.flag - 1u]);
    const uint8_t* access = ctx_.faults.access(static_cast<size_t>(args.imm));
    if (addend.getIdx() == Operand::RAX) return as_.jump_to_if(kE, access);
    const Jump miss = as_.jump_if(kNe, true);
    as_.mov(addend, rax);
    as_.jump_to(access);
    as_.land(miss);
}

size_t MemoryEmitter::check_access(const jit::MemoryAccess& access, const Place& addr, const Reg64& temp,
                                   ColdArgs args) {
    const ClassScope scope(as_, jit::HostClass::SoftTlb);
    if (ctx_.fastmem) return check_fastmem(access, addr.base, args);
    // The soft TLB has no devices: no use looking there. The access behind the jump is never reached.
    if ((access.aux & ir::kMemDevice) != 0 && !ctx_.buffer.spectre()) {
        const size_t cold = miss(as_.jump_always(false), addr.base, args);
        ctx_.faults.start_fastmem(as_.here());
        return cold;
    }
    compare_tag(access, addr, temp, 0, static_cast<int>(access.bytes()) - 1, access.writes());
    // Nothing may come between here and the access then: the victim TLB's addend goes straight there.
    if (ir::is_plain_access(values_.inst(cur()).op) && (access.aux & ir::kMemRelease) == 0 &&
        !access.is_unprivileged())
        args.flag = with_victim(temp);
    args.reg[kTagRegister] = with_tags(temp);
    const size_t cold = miss_if(kNe, addr.base, args);
    load_addend(rax, access.is_unprivileged());
    if (ctx_.buffer.spectre()) mask_addend(addr.base);
    ctx_.faults.start_fastmem(as_.here());
    return cold;
}

/// The operand that is the address of this access.
MemoryEmitter::Place MemoryEmitter::use_address(const Inst& i) {
    const GroupedAccess grouped = values_.grouped(cur());
    if (!grouped.folded) return {regs_.use(i.args[0])};
    return {regs_.use(values_.group(grouped.group).root), grouped.at};
}

MemoryEmitter::Place MemoryEmitter::place_of(const ColdArgs& args) const {
    const GroupedAccess grouped = values_.grouped(args.inst);
    return {Reg64(args.reg[0]), grouped.folded ? grouped.at : 0};
}

/// ZF: the stack pointer, which is `back` bytes behind `addr.base` or another multiple of 16, is one of 16.
void MemoryEmitter::test_stack(const Place& addr, int back) {
    if (back % 16 == 0) {
        as_.test(addr.base.cvt8(), 15);
    } else {
        as_.lea(eax, ptr[addr.base + back]);
        as_.test(al, 15);
    }
}

size_t MemoryEmitter::check_fastmem(const jit::MemoryAccess& access, const Reg64& addr, ColdArgs args) {
    size_t cold;
    if ((access.aux & ir::kMemDevice) != 0) {
        cold = miss(as_.jump_always(false), addr, args);
    } else if ((access.aux & ir::kMemSpBase) != 0) {
        test_stack({addr}, -static_cast<int>(ir::mem_sp_offset(access.aux)));
        cold = miss(as_.jump_if(kNe, false), addr, args);
    } else if (access.must_be_aligned() && access.bytes() > 1) {
        as_.test(addr.cvt8(), access.bytes() - 1);
        cold = miss(as_.jump_if(kNe, false), addr, args);
    } else {
        cold = miss(Jump{}, addr, args);
    }
    // A wrong prediction of the slot's compare would add one slot's base to an address of another.
    const bool may_predict =
        ir::is_plain_access(values_.inst(cur()).op) && !access.is_unprivileged() && !ctx_.buffer.spectre();
    const uint64_t predicted = may_predict ? values_.inst(cur()).imm : 0;
    if (predicted != 0) {
        as_.mov(rax, addr);
        as_.shr(rax, mmu::kFastmemSlotBits);
        as_.cmp(eax, static_cast<uint32_t>(predicted - 1));
        ColdArgs lookup;
        lookup.reg[0] = static_cast<uint8_t>(addr.getIdx());
        const size_t other = cold_.jump(kNe, cold_fn<&MemoryEmitter::cold_fastmem>, lookup);
        as_.mov(rax, qword[r14 + kFastmemBase + static_cast<int>((predicted - 1) % mmu::kFastmemSlots) * 8]);
        cold_.resume_here(other);
    } else {
        look_up_fastmem(addr, access.is_unprivileged());
    }
    if ((access.aux & ir::kMemTagged) != 0) take_off_tag(addr);
    ctx_.faults.start_fastmem(as_.here());
    return cold;
}

void MemoryEmitter::look_up_fastmem(const Reg64& addr, bool unprivileged) {
    as_.rorx(rax, addr, mmu::kFastmemSlotBits - 3);
    as_.and_(eax, (mmu::kFastmemSlots - 1) * 8);
    if (unprivileged) {
        as_.add(rax, at(field(offsetof(jit::GuestState, user_tlb))));
        as_.mov(rax, mem(rax, kFastmemBase));
    } else {
        as_.mov(rax, r14 + mem(rax, kFastmemBase));
    }
}

/// Of what is added to the address. One of the upper half, whose top byte this takes away too, gives a non-canonical sum: the
/// slow path knows.
void MemoryEmitter::take_off_tag(const Reg64& addr) {
    const Reg64& tag = addr.getIdx() == rcx.getIdx() ? rdx : rcx;
    as_.push(tag);
    as_.mov(tag, at(field(offsetof(jit::GuestState, address_tag))));
    as_.and_(tag, addr);
    as_.sub(rax, tag);
    as_.pop(tag);
}

void MemoryEmitter::cold_fastmem(const ColdArgs& args) {
    look_up_fastmem(Reg64(args.reg[0]), false);
    jump_back(args);
}

size_t MemoryEmitter::miss_if(Cc cc, const Reg64& addr, ColdArgs args) {
    return miss(as_.jump_if(cc, false), addr, args);
}

size_t MemoryEmitter::miss(Jump jump, const Reg64& addr, ColdArgs args, ColdFn fn) {
    args.inst = cur();
    args.reg[0] = static_cast<uint8_t>(addr.getIdx());
    ctx_.slots.snapshot(args.first, args.count);
    args.imm = static_cast<int64_t>(
        ctx_.faults.add_point(as_.here(), args.first, args.count, ctx_.insn_offset, ctx_.page));
    return cold_.add(jump, fn, args);
}

void MemoryEmitter::emit_check_stack(const Inst& i) {
    prepare_access();
    const Reg64 sp = regs_.use(i.args[0]);
    const ClassScope scope(as_, jit::HostClass::SoftTlb);
    as_.test(sp.cvt8(), 15);
    const size_t cold = miss_if(kNe, sp, {});
    ctx_.faults.mark_access(as_.here());
    resume_here(cold);
}

void MemoryEmitter::emit_check_zero(const Inst& i) {
    prepare_access();
    Reg64 wrong = rax;
    if (values_[cur()].folded) {
        const Inst& read = values_.inst(i.args[0]);
        const Mem where = at(field(read.imm));
        as_.cmp(read.type == Type::I32 ? dword[where] : qword[where], 0);
    } else {
        wrong = regs_.use(i.args[0]);
        as_.test(wrong, wrong);
    }
    const size_t cold = miss_if(kNe, wrong, {});
    ctx_.faults.mark_access(as_.here());
    resume_here(cold);
}

/// rax = the bits of the pointer that hold a code, d = the code in them. Clobbers rdx.
void MemoryEmitter::compute_pointer_code(const Reg64& d, const Reg64& pointer, const Reg64& modifier,
                                         uint32_t key) {
    const int masks = ARCLIGHT_STATE_DISP(pac_key_masks) +
                      static_cast<int>(sizeof(jit::GuestState::pac_key_masks[0]) * key);
    const int keys =
        ARCLIGHT_STATE_DISP(pac_keys) + static_cast<int>(sizeof(jit::GuestState::pac_keys[0]) * key);
    load_copies_of_bit_55(rax, pointer);
    as_.and_(rax, at(masks + 8));
    as_.xor_(rax, at(masks));
    as_.andn(rdx, rax, pointer);
    as_.xor_(rdx, at(keys));
    as_.mov(d, modifier);
    as_.xor_(d, at(keys + 8));
    as_.mulx(d, rdx, d);
    as_.xor_(d, rdx);
    as_.and_(d, rax);
}

void MemoryEmitter::load_copies_of_bit_55(const Reg64& d, const Reg64& from) {
    as_.mov(d, from);
    as_.shl(d, 63 - 55);
    as_.sar(d, 63);
}

void MemoryEmitter::emit_sign_pointer(const Inst& i) {
    regs_.reserve(Operand::RDX);
    const Reg64 pointer = regs_.use(i.args[0]), modifier = regs_.use(i.args[1]);
    const Reg64 d = regs_.def(cur());
    flags_.clobber();
    compute_pointer_code(d, pointer, modifier, i.aux);
    as_.xor_(d, pointer);
}

void MemoryEmitter::emit_auth_pointer(const Inst& i) {
    prepare_access();
    regs_.reserve(Operand::RDX);
    const Reg64 pointer = regs_.use(i.args[0]), modifier = regs_.use(i.args[1]);
    const Reg64 d = regs_.def(cur());
    compute_pointer_code(d, pointer, modifier, i.aux);
    as_.xor_(d, pointer);
    load_copies_of_bit_55(rdx, pointer);
    as_.xor_(rdx, d);
    as_.test(rdx, rax);
    const size_t cold = miss_if(kNe, pointer, {});
    ctx_.faults.mark_access(as_.here());
    resume_here(cold);
}

// ---- The slow path

void MemoryEmitter::cold_memory(const ColdArgs& args) {
    try_behind_miss(args, rax, describe_access(values_.inst(args.inst)).writes(), &MemoryEmitter::tagged);
    slow_memory(args);
    jump_back(args);
}

/// reg[0] = address, reg[1], reg[2] = operands or results (kNone: not there), reg[3], reg[4] further
/// operands.
void MemoryEmitter::slow_memory(const ColdArgs& args) {
    using enum jit::MemoryKind;
    const Inst& i = values_.inst(args.inst);
    const jit::MemoryAccess access = describe_access(i);
    ctx_.faults.mark_slow_path(static_cast<size_t>(args.imm), as_.here());
    const Place addr = place_of(args);
    if (addr.displacement != 0) {
        as_.lea(rax, addr.plus(0));
        as_.mov(at(kAccessAddr), rax);
    } else {
        as_.mov(at(kAccessAddr), addr.base);
    }
    const auto pass = [&](unsigned k, unsigned arg) {
        if (args.reg[k + 1] == kImmediate) {
            as_.mov(at(access_value(k)), static_cast<int32_t>(values_.inst(i.args[arg]).imm));
        } else if (access.is_vector()) {
            as_.vmovups(ptr[at(access_value(2 * k))], Xmm(args.reg[k + 1]));
        } else {
            as_.mov(at(access_value(k)), Reg64(args.reg[k + 1]));
        }
    };
    if (access.writes() && access.kind != ZeroBlock) {
        pass(0, 1);
        if (access.is_pair() || access.kind == Cas) pass(1, 2);
    }
    as_.mov(eax, access.pack());
    as_.call_stub(ctx_.stubs->memory_slow);
    ctx_.faults.mark_return(static_cast<size_t>(args.imm), as_.here());
    const auto result = [&](uint8_t reg, unsigned k) {
        if (reg == kNone) return;
        if (access.is_vector()) {
            as_.vmovups(Xmm(reg), ptr[at(access_value(2 * k))]);
        } else if (i.type == Type::I32) {
            as_.mov(Reg64(reg).cvt32(), at(access_value(k)));
        } else {
            as_.mov(Reg64(reg), at(access_value(k)));
        }
    };
    switch (access.kind) {
        case Load:
        case LoadEx:
        case LoadV: result(args.reg[1], 0); break;
        case LoadPair:
        case LoadExPair:
        case LoadPairV:
            result(args.reg[1], 0);
            result(args.reg[2], 1);
            break;
        case StoreEx:
        case StoreExPair:
        case AtomicRmw:
        case Cas: result(args.reg[3], 0); break;
        default: break;
    }
}

// ---- Access by size

// ---- Loads and stores

/// The access itself; registers as in slow_memory().
void MemoryEmitter::access_memory(const Inst& i, const ColdArgs& args, const Mem& where) {
    const ClassScope scope(as_, jit::HostClass::Access);
    const jit::MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    if (access.is_whole()) {  // an aligned move of 16 bytes is one access on hosts with AVX
        if (access.writes()) return as_.vmovdqu(ptr[where], xmm15);
        as_.vmovdqu(xmm15, ptr[where]);
        as_.vmovq(Reg64(args.reg[1]), xmm15);
        if (args.reg[2] != kNone) as_.vpextrq(Reg64(args.reg[2]), xmm15, 1);
        return;
    }
    for (unsigned k = 0; k < (access.is_pair() ? 2u : 1u); ++k) {
        const Mem to = where + static_cast<int>(k * access.unit_bytes());
        const uint8_t reg = args.reg[k + 1];
        if (reg == kNone) continue;
        if (reg == kImmediate) {
            const auto value = static_cast<uint64_t>(
                static_cast<int64_t>(static_cast<int32_t>(values_.inst(i.args[k + 1]).imm)));
            as_.mov(memory_log2(to, log2), log2 == 3 ? value : value & ((uint64_t{1} << (8 << log2)) - 1));
        } else if (access.is_vector()) {
            if (access.writes()) {
                as_.store_vector_sized(to, Xmm(reg), log2);
            } else {
                as_.load_vector_sized(Xmm(reg), to, log2);
            }
        } else if (access.writes()) {
            as_.store_sized(to, Reg64(reg), log2);
        } else {
            as_.load_sized(Reg64(reg), to, log2, (i.aux & ir::kMemSigned) != 0, i.type);
        }
    }
}

void MemoryEmitter::emit_load(const Inst& i) {
    prepare_access();
    const jit::MemoryAccess access = describe_access(i);
    const Place addr = use_address(i);
    const Reg64 d = regs_.def(cur());
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(d.getIdx());
    args.reg[2] = access.is_pair() && values_.has_second()
                      ? static_cast<uint8_t>(regs_.def(cur() + 1).getIdx())
                      : kNone;
    const Checked checked = check_grouped(access, addr, args);
    ctx_.faults.mark_access(as_.here());
    access_memory(i, args, checked.addend + addr.plus(0));
    resume_here(checked.cold);
}

void MemoryEmitter::emit_load_vector(const Inst& i) {
    prepare_access();
    const jit::MemoryAccess access = describe_access(i);
    const Place addr = use_address(i);
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(regs_.def_xmm(cur()).getIdx());
    args.reg[2] = access.is_pair() && values_.has_second()
                      ? static_cast<uint8_t>(regs_.def_xmm(cur() + 1).getIdx())
                      : kNone;
    const Checked checked = check_grouped(access, addr, args);
    ctx_.faults.mark_access(as_.here());
    access_memory(i, args, checked.addend + addr.plus(0));
    resume_here(checked.cold);
}

void MemoryEmitter::emit_store(const Inst& i) {
    prepare_access();
    const jit::MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    const Place addr = use_address(i);
    ColdArgs args;
    if ((i.aux & ir::kMemRelease) != 0) {
        args.reg[1] = static_cast<uint8_t>(regs_.use(i.args[1]).getIdx());
        const ScratchGpr temp(regs_);
        const size_t cold = check_access(access, addr, temp, args);
        as_.mov(temp, Reg64(args.reg[1]));
        ctx_.faults.mark_access(as_.here());
        as_.xchg(memory_log2(rax + addr.plus(0), log2),
                 sized_log2(temp, log2));  // RCsc: a full barrier follows the store
        resume_here(cold);
        return;
    }
    for (unsigned k = 0; k < (access.is_pair() ? 2u : 1u); ++k) {
        const Ref r = i.args[k + 1];
        int32_t imm;
        const bool immediate =
            values_[r].reg == kNone && !access.is_whole() && values_.imm32(r, Type::I64, imm);
        args.reg[k + 1] = immediate ? kImmediate : static_cast<uint8_t>(regs_.use(r).getIdx());
    }
    if (access.is_whole()) {
        as_.vmovq(xmm15, Reg64(args.reg[1]));
        as_.vpinsrq(xmm15, xmm15, Reg64(args.reg[2]), 1);
    }
    const Checked checked = check_grouped(access, addr, args);
    ctx_.faults.mark_access(as_.here());
    access_memory(i, args, checked.addend + addr.plus(0));
    resume_here(checked.cold);
}

void MemoryEmitter::emit_store_vector(const Inst& i) {
    prepare_access();
    const jit::MemoryAccess access = describe_access(i);
    const Place addr = use_address(i);
    ColdArgs args;
    for (unsigned k = 0; k < (access.is_pair() ? 2u : 1u); ++k)
        args.reg[k + 1] = static_cast<uint8_t>(regs_.use_xmm(i.args[k + 1]).getIdx());
    const Checked checked = check_grouped(access, addr, args);
    ctx_.faults.mark_access(as_.here());
    access_memory(i, args, checked.addend + addr.plus(0));
    resume_here(checked.cold);
}

}  // namespace arclight::backend
