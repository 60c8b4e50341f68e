// Plain loads and stores through the soft TLB (guest_state.h, TlbEntry).
//
//     rorx eax, addr, 7            index of the entry, times its size
//     and  eax, (entries - 1) * 32
//     lea  t, [addr + bytes - 1]   a page crossing misses, since the entry of the first page has its own tag;
//     and  t, page mask            accesses that must be aligned keep the low bits of addr instead; accesses
//     by
//                                  SP, those of an address in the last 16 bytes that is aligned if SP is
//     cmp  t, [r14 + rax + tag]
//     jne  slow path
//     mov  rax, [r14 + rax + addend]
//     mov  result, [rax + addr]
#include "backend/x64/emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr int kAccessAddr = ARCLIGHT_STATE_DISP(access_addr);
constexpr int access_value(unsigned k) { return ARCLIGHT_STATE_DISP(access_value) + 8 * static_cast<int>(k); }
constexpr int kEntry = static_cast<int>(offsetof(mmu::SoftTlb, entries));
constexpr int kFastmemBase = static_cast<int>(offsetof(mmu::SoftTlb, fastmem_offset));
constexpr uint8_t kImmediate = 0xfe;  ///< in ColdArgs::reg: the stored value is the constant operand
}  // namespace

bool BlockEmitter::emit_memory(const Inst& i) {
    switch (i.op) {
        case Op::Load:
        case Op::LoadPair: emit_load(i); return true;
        case Op::LoadV:
        case Op::LoadPairV: emit_load_vector(i); return true;
        case Op::Store:
        case Op::StorePair: emit_store(i); return true;
        case Op::StoreV:
        case Op::StorePairV: emit_store_vector(i); return true;
        case Op::LoadEx:
        case Op::LoadExPair: emit_load_exclusive(i); return true;
        case Op::StoreEx:
        case Op::StoreExPair: emit_store_exclusive(i); return true;
        case Op::AtomicRmw: emit_rmw(i); return true;
        case Op::Cas: emit_cas(i); return true;
        case Op::ZeroBlock: emit_zero_block(i); return true;
        case Op::CheckStack: emit_check_stack(i); return true;
        default: return false;
    }
}

MemoryAccess BlockEmitter::describe_access(const Inst& i) {
    using enum MemoryKind;
    MemoryAccess access{Load, i.aux, ir::AtomicKind::Add};
    switch (i.op) {
        case Op::Load: access.kind = Load; break;
        case Op::Store: access.kind = Store; break;
        case Op::LoadV: access.kind = LoadV; break;
        case Op::StoreV: access.kind = StoreV; break;
        case Op::LoadPair: access.kind = LoadPair; break;
        case Op::LoadPairV: access.kind = LoadPairV; break;
        case Op::StorePair: access.kind = StorePair; break;
        case Op::StorePairV: access.kind = StorePairV; break;
        case Op::LoadEx: access.kind = LoadEx; break;
        case Op::LoadExPair: access.kind = LoadExPair; break;
        case Op::StoreEx: access.kind = StoreEx; break;
        case Op::StoreExPair: access.kind = StoreExPair; break;
        case Op::AtomicRmw:
            access.kind = AtomicRmw;
            access.atomic = static_cast<ir::AtomicKind>(i.imm);
            break;
        case Op::Cas: access.kind = Cas; break;
        case Op::CheckStack: access.kind = CheckStack; break;
        default: access.kind = ZeroBlock; break;
    }
    return access;
}

void BlockEmitter::prepare_access() {
    flags_to_memory();
    clobber_flags();
}

/// Compares the tag of the entry for addr + back with the page of addr + last, the last byte that must be in
/// it.
void BlockEmitter::compare_tag(const MemoryAccess& access, const Reg64& addr, const Reg64& temp, int back,
                               int last, bool write) {
    if (back == 0) {
        rorx(eax, addr.cvt32(), mmu::kPageBits - 5);
    } else {
        lea(eax, ptr[addr + back]);
        rorx(eax, eax, mmu::kPageBits - 5);
    }
    and_(eax, static_cast<uint32_t>((mmu::kTlbEntries - 1) << 5));
    uint64_t mask = mmu::kPageMask;
    if ((access.aux & ir::kMemSpBase) != 0) {
        // The last byte's 16 bytes, whose page is the one of addr if nothing crosses.
        const int offset = static_cast<int>(ir::mem_sp_offset(access.aux));
        last = ((offset + last) & ~15) - offset;
        mask |= 15;
    } else if (access.kind == MemoryKind::ZeroBlock) {
        last = 0;
    } else if (access.must_be_aligned()) {
        last = 0;
        mask |= access.bytes() - 1;
    }
    if (last == 0) {
        mov(temp, addr);
    } else {
        lea(temp, ptr[addr + last]);
    }
    and_(temp, static_cast<uint32_t>(mask));
    const size_t tag = write ? offsetof(mmu::TlbEntry, write_tag) : offsetof(mmu::TlbEntry, read_tag);
    if (access.is_unprivileged()) {  // another soft TLB's entries, so one more register to add
        add(rax, qword[at(field(offsetof(jit::GuestState, user_tlb)))]);
        cmp(temp, qword[rax + kEntry + tag]);
    } else {
        cmp(temp, qword[r14 + rax + kEntry + tag]);
    }
}

void BlockEmitter::load_addend(const Reg64& addend, bool unprivileged) {
    const int at = static_cast<int>(kEntry + offsetof(mmu::TlbEntry, addend));
    if (unprivileged)
        mov(addend, qword[rax + at]);
    else
        mov(addend, qword[r14 + rax + at]);
}

size_t BlockEmitter::check_access(const MemoryAccess& access, const Reg64& addr, const Reg64& temp,
                                  ColdArgs args) {
    if (fastmem_) return check_fastmem(access, addr, args);
    compare_tag(access, addr, temp, 0, static_cast<int>(access.bytes()) - 1, access.writes());
    const size_t cold = miss_if(kNe, addr, args);
    load_addend(rax, access.is_unprivileged());
    return cold;
}

BlockEmitter::Checked BlockEmitter::check_grouped(const MemoryAccess& access, const Reg64& addr,
                                                  ColdArgs args) {
    const Grouped grouped = grouped_[cur_];
    const bool in_group = grouped.group != kNoGroup && groups_[grouped.group].accesses > 1;
    const Ref value = in_group ? addend_of(grouped.group) : kNoRef;
    if (in_group && values_[value].reg != kNone) {
        const Reg64 addend(values_[value].reg);
        args.reg[4] = values_[value].reg;
        test(addend, addend);
        return {miss(jump_if(kE, false), addr, args, &BlockEmitter::cold_grouped), addend};
    }
    // A load's result may be clobbered before it is there.
    const bool has_result = access.kind == MemoryKind::Load || access.kind == MemoryKind::LoadPair;
    const unsigned reg = has_result ? args.reg[1] : allocate(false);
    const Reg64 temp(static_cast<int>(reg));
    Checked checked{0, rax};
    if (in_group && values_[value].last_need > cur_) {
        const Group& g = groups_[grouped.group];
        checked.addend = def(value);
        args.reg[4] = values_[value].reg;
        compare_tag(access, addr, temp, static_cast<int>(g.lo) - grouped.at,
                    static_cast<int>(g.hi) - grouped.at - 1, g.write);
        checked.cold = miss(jump_if(kNe, false), addr, args, &BlockEmitter::cold_grouped);
        load_addend(checked.addend, false);
    } else {
        checked.cold = check_access(access, addr, temp, args);
    }
    if (!has_result) pinned_ &= ~(1u << reg);
    return checked;
}

//     mov  rax, addr               the guest slot is the one foreseen, so the base does not depend on the
//     address shr  rax, 39 cmp  eax, slot jne  look the slot up mov  rax, [r14 + fastmem of slot] mov  result,
//     [rax + addr]    faults unless the page is mapped
//
// or, where nothing was foreseen, the slot is looked up at once. Before it, accesses that must be aligned are
// tested. Nothing else needs to be: see mmu/fastmem.h.
size_t BlockEmitter::check_fastmem(const MemoryAccess& access, const Reg64& addr, ColdArgs args) {
    size_t cold;
    if ((access.aux & ir::kMemDevice) != 0) {
        cold = miss(jump_always(false), addr, args);
    } else if ((access.aux & ir::kMemSpBase) != 0) {
        const int offset = static_cast<int>(ir::mem_sp_offset(access.aux));
        if (offset == 0) {
            test(addr.cvt8(), 15);
        } else {
            lea(eax, ptr[addr - offset]);
            test(al, 15);
        }
        cold = miss(jump_if(kNe, false), addr, args);
    } else if (access.must_be_aligned() && access.bytes() > 1) {
        test(addr.cvt8(), access.bytes() - 1);
        cold = miss(jump_if(kNe, false), addr, args);
    } else {
        cold = miss(Jump{}, addr, args);
    }
    const uint64_t foreseen =
        ir::is_plain_access(inst(cur_).op) && !access.is_unprivileged() ? inst(cur_).imm : 0;
    size_t other = 0;
    if (foreseen != 0) {
        mov(rax, addr);
        shr(rax, mmu::kFastmemSlotBits);
        cmp(eax, static_cast<uint32_t>(foreseen - 1));
        ColdArgs lookup;
        lookup.reg[0] = static_cast<uint8_t>(addr.getIdx());
        other = jump_cold(kNe, &BlockEmitter::cold_fastmem, lookup);
        mov(rax, qword[r14 + kFastmemBase + static_cast<int>((foreseen - 1) % mmu::kFastmemSlots) * 8]);
        resume_here(other);
    } else {
        look_up_fastmem(addr, access.is_unprivileged());
    }
    points_.back().fastmem_start = static_cast<uint32_t>(here() - entry_);
    return cold;
}

void BlockEmitter::look_up_fastmem(const Reg64& addr, bool unprivileged) {
    rorx(rax, addr, mmu::kFastmemSlotBits - 3);
    and_(eax, (mmu::kFastmemSlots - 1) * 8);
    if (unprivileged) {
        add(rax, qword[at(field(offsetof(jit::GuestState, user_tlb)))]);
        mov(rax, qword[rax + kFastmemBase]);
    } else {
        mov(rax, qword[r14 + rax + kFastmemBase]);
    }
}

void BlockEmitter::cold_fastmem(const ColdArgs& args) {
    look_up_fastmem(Reg64(args.reg[0]), false);
    jump_back(args);
}

void BlockEmitter::resume_here(size_t cold) {
    ColdArgs& args = cold_[cold].args;
    args.resume = here();
    if (fastmem_ && cold_[cold].fn == &BlockEmitter::cold_memory)
        points_[static_cast<size_t>(args.imm)].fastmem_end = static_cast<uint32_t>(here() - entry_);
}

size_t BlockEmitter::miss_if(Cc cc, const Reg64& addr, ColdArgs args) {
    return miss(jump_if(cc, false), addr, args);
}

size_t BlockEmitter::miss(Jump jump, const Reg64& addr, ColdArgs args, ColdFn fn) {
    args.inst = cur_;
    args.reg[0] = static_cast<uint8_t>(addr.getIdx());
    snapshot(args.first, args.count);
    args.imm = static_cast<int64_t>(points_.size());
    // Where fastmem are not used, or an access has none, the range of instructions that may fault is empty.
    const auto start = static_cast<uint32_t>(here() - entry_);
    points_.push_back({0, 0, args.first, args.count, static_cast<uint16_t>(insn_offset_), 0, start, start});
    return add_cold(jump, fn, args);
}

void BlockEmitter::emit_check_stack(const Inst& i) {
    prepare_access();
    const Reg64 sp = use(i.args[0]);
    test(sp.cvt8(), 15);
    const size_t cold = miss_if(kNe, sp, {});
    mark_access();
    resume_here(cold);
}

bool BlockEmitter::has_second() const {
    return cur_ + 1 < block_->insts.size() && inst(cur_ + 1).op == Op::PairSecond && values_[cur_ + 1].live;
}

// ---- The slow path
// -----------------------------------------------------------------------------------------------

/// An access of a group that is not in one page or not all there: it alone may be. reg[4] = the group's
/// addend.
void BlockEmitter::cold_grouped(const ColdArgs& args) {
    const Inst& i = inst(args.inst);
    const MemoryAccess access = describe_access(i);
    const Reg64 addr(args.reg[0]), addend(args.reg[4]);
    compare_tag(access, addr, addend, 0, static_cast<int>(access.bytes()) - 1, access.writes());
    const Jump slow = jump_if(kNe, false);
    load_addend(rax, false);
    access_memory(i, args, rax + addr);
    xor_(addend.cvt32(), addend.cvt32());
    jump_back(args);
    land(slow);
    slow_memory(args);
    xor_(addend.cvt32(), addend.cvt32());
    jump_back(args);
}

void BlockEmitter::cold_memory(const ColdArgs& args) {
    slow_memory(args);
    jump_back(args);
}

/// reg[0] = address, reg[1], reg[2] = operands or results (kNone: not there), reg[3], reg[4] further
/// operands.
void BlockEmitter::slow_memory(const ColdArgs& args) {
    using enum MemoryKind;
    const Inst& i = inst(args.inst);
    const MemoryAccess access = describe_access(i);
    points_[static_cast<size_t>(args.imm)].cold = static_cast<uint32_t>(here() - cold_start_);
    mov(qword[at(kAccessAddr)], Reg64(args.reg[0]));
    const auto pass = [&](unsigned k, unsigned arg) {
        if (args.reg[k + 1] == kImmediate) {
            mov(qword[at(access_value(k))], static_cast<int32_t>(inst(i.args[arg]).imm));
        } else if (access.is_vector()) {
            vmovups(ptr[at(access_value(2 * k))], Xmm(args.reg[k + 1]));
        } else {
            mov(qword[at(access_value(k))], Reg64(args.reg[k + 1]));
        }
    };
    if (access.writes() && access.kind != ZeroBlock) {
        pass(0, 1);
        if (access.is_pair() || access.kind == Cas) pass(1, 2);
    }
    mov(eax, access.pack());
    call_thunk(thunks_->memory_slow);
    points_[static_cast<size_t>(args.imm)].return_pc = static_cast<uint32_t>(here() - cold_start_);
    const auto result = [&](uint8_t reg, unsigned k) {
        if (reg == kNone) return;
        if (access.is_vector()) {
            vmovups(Xmm(reg), ptr[at(access_value(2 * k))]);
        } else if (i.type == Type::I32) {
            mov(Reg64(reg).cvt32(), dword[at(access_value(k))]);
        } else {
            mov(Reg64(reg), qword[at(access_value(k))]);
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
// ----------------------------------------------------------------------------------------------

Reg BlockEmitter::sized_log2(const Reg64& r, unsigned log2) {
    switch (log2) {
        case 0: return r.cvt8();
        case 1: return r.cvt16();
        case 2: return r.cvt32();
        default: return r;
    }
}

Address BlockEmitter::memory_log2(const Xbyak::RegExp& where, unsigned log2) const {
    switch (log2) {
        case 0: return byte[where];
        case 1: return word[where];
        case 2: return dword[where];
        default: return qword[where];
    }
}

void BlockEmitter::load_sized(const Reg64& dst, const Xbyak::RegExp& from, unsigned log2, bool sign, Type t) {
    switch (log2) {
        case 0:
            if (sign) {
                movsx(sized(dst, t), byte[from]);
            } else {
                movzx(dst.cvt32(), byte[from]);
            }
            break;
        case 1:
            if (sign) {
                movsx(sized(dst, t), word[from]);
            } else {
                movzx(dst.cvt32(), word[from]);
            }
            break;
        case 2:
            if (sign && t == Type::I64) {
                movsxd(dst, dword[from]);
            } else {
                mov(dst.cvt32(), dword[from]);
            }
            break;
        default: mov(dst, qword[from]); break;
    }
}

void BlockEmitter::store_sized(const Xbyak::RegExp& to, const Reg64& src, unsigned log2) {
    mov(memory_log2(to, log2), sized_log2(src, log2));
}

void BlockEmitter::load_vector_sized(const Xmm& dst, const Xbyak::RegExp& from, unsigned log2) {
    switch (log2) {
        case 0:
            vpxor(xmm15, xmm15, xmm15);
            vpinsrb(dst, xmm15, byte[from], 0);
            break;
        case 1:
            vpxor(xmm15, xmm15, xmm15);
            vpinsrw(dst, xmm15, word[from], 0);
            break;
        case 2: vmovd(dst, dword[from]); break;
        case 3: vmovq(dst, qword[from]); break;
        default: vmovups(dst, ptr[from]); break;
    }
}

void BlockEmitter::store_vector_sized(const Xbyak::RegExp& to, const Xmm& src, unsigned log2) {
    switch (log2) {
        case 0: vpextrb(byte[to], src, 0); break;
        case 1: vpextrw(word[to], src, 0); break;
        case 2: vmovd(dword[to], src); break;
        case 3: vmovq(qword[to], src); break;
        default: vmovups(ptr[to], src); break;
    }
}

void BlockEmitter::zero_extend(const Reg64& dst, const Reg64& src, unsigned log2) {
    switch (log2) {
        case 0: movzx(dst.cvt32(), src.cvt8()); break;
        case 1: movzx(dst.cvt32(), src.cvt16()); break;
        case 2: mov(dst.cvt32(), src.cvt32()); break;
        default:
            if (dst.getIdx() != src.getIdx()) mov(dst, src);
            break;
    }
}

// ---- Loads and stores
// --------------------------------------------------------------------------------------------

/// The access itself; registers as in slow_memory().
void BlockEmitter::access_memory(const Inst& i, const ColdArgs& args, const Xbyak::RegExp& where) {
    const MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    for (unsigned k = 0; k < (access.is_pair() ? 2u : 1u); ++k) {
        const Xbyak::RegExp to = where + k * access.unit_bytes();
        const uint8_t reg = args.reg[k + 1];
        if (reg == kNone) continue;
        if (reg == kImmediate) {
            const auto value =
                static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(inst(i.args[k + 1]).imm)));
            mov(memory_log2(to, log2), log2 == 3 ? value : value & ((uint64_t{1} << (8 << log2)) - 1));
        } else if (access.is_vector()) {
            if (access.writes()) {
                store_vector_sized(to, Xmm(reg), log2);
            } else {
                load_vector_sized(Xmm(reg), to, log2);
            }
        } else if (access.writes()) {
            store_sized(to, Reg64(reg), log2);
        } else {
            load_sized(Reg64(reg), to, log2, (i.aux & ir::kMemSigned) != 0, i.type);
        }
    }
}

void BlockEmitter::emit_load(const Inst& i) {
    prepare_access();
    const MemoryAccess access = describe_access(i);
    const Reg64 addr = use(i.args[0]);
    const Reg64 d = def(cur_);
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(d.getIdx());
    args.reg[2] = access.is_pair() && has_second() ? static_cast<uint8_t>(def(cur_ + 1).getIdx()) : kNone;
    const Checked checked = check_grouped(access, addr, args);
    mark_access();
    access_memory(i, args, checked.addend + addr);
    resume_here(checked.cold);
}

void BlockEmitter::emit_load_vector(const Inst& i) {
    prepare_access();
    const MemoryAccess access = describe_access(i);
    const Reg64 addr = use(i.args[0]);
    ColdArgs args;
    args.reg[1] = static_cast<uint8_t>(def_xmm(cur_).getIdx());
    args.reg[2] = access.is_pair() && has_second() ? static_cast<uint8_t>(def_xmm(cur_ + 1).getIdx()) : kNone;
    const Checked checked = check_grouped(access, addr, args);
    mark_access();
    access_memory(i, args, checked.addend + addr);
    resume_here(checked.cold);
}

void BlockEmitter::emit_store(const Inst& i) {
    prepare_access();
    const MemoryAccess access = describe_access(i);
    const unsigned log2 = ir::mem_size_log2(i.aux);
    const Reg64 addr = use(i.args[0]);
    ColdArgs args;
    if ((i.aux & ir::kMemRelease) != 0 && !serial_) {
        args.reg[1] = static_cast<uint8_t>(use(i.args[1]).getIdx());
        const ScratchGpr temp(*this);
        const size_t cold = check_access(access, addr, temp, args);
        mov(temp, Reg64(args.reg[1]));
        mark_access();
        xchg(memory_log2(rax + addr, log2),
             sized_log2(temp, log2));  // RCsc: a full barrier follows the store
        resume_here(cold);
        return;
    }
    for (unsigned k = 0; k < (access.is_pair() ? 2u : 1u); ++k) {
        const Ref r = i.args[k + 1];
        int32_t imm;
        const bool immediate = values_[r].reg == kNone && imm32(r, Type::I64, imm);
        args.reg[k + 1] = immediate ? kImmediate : static_cast<uint8_t>(use(r).getIdx());
    }
    const Checked checked = check_grouped(access, addr, args);
    mark_access();
    access_memory(i, args, checked.addend + addr);
    resume_here(checked.cold);
}

void BlockEmitter::emit_store_vector(const Inst& i) {
    prepare_access();
    const MemoryAccess access = describe_access(i);
    const Reg64 addr = use(i.args[0]);
    ColdArgs args;
    for (unsigned k = 0; k < (access.is_pair() ? 2u : 1u); ++k)
        args.reg[k + 1] = static_cast<uint8_t>(use_xmm(i.args[k + 1]).getIdx());
    const Checked checked = check_grouped(access, addr, args);
    mark_access();
    access_memory(i, args, checked.addend + addr);
    resume_here(checked.cold);
}

}  // namespace arclight::backend
