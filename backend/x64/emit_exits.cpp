// Leaving a block: direct and indirect jumps, calls of C++.
//
// A direct exit within the page, linked:        jmp target
// to an earlier block of the page, first:       cmp dword [interrupt], 0 ; jne ...
// to another page, linked:                      (interrupt test) ; add qword [page_base], delta
//                                               cmp dword [r14 + epoch], imm ; jne stub ; jmp target
// A patched field lies within an aligned quadword: stores to it are atomic (Intel SDM 3A 9.1.1, AMD APM
// 2 7.3.2), so other CPUs see the old or the new value.
#include <cassert>

#include "backend/x64/emitter.h"
#include "jit/region_abi.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr int kInterrupt = ARCLIGHT_STATE_DISP(interrupt);
constexpr int kPageBase = ARCLIGHT_STATE_DISP(page_base);
constexpr int kCache = static_cast<int>(offsetof(mmu::SoftTlb, jump_cache));
constexpr uint32_t kJumpCacheMask =
    static_cast<uint32_t>((mmu::kJumpCacheEntries - 1) * sizeof(mmu::JumpCacheEntry));
}  // namespace

bool BlockEmitter::emit_exit(const Inst& i) {
    switch (i.op) {
        case Op::Exit:
            write_back();
            emit_direct_exit(static_cast<int64_t>(i.imm));
            return true;
        case Op::ExitIf: emit_exit_if(i); return true;
        case Op::ExitIndirect: emit_indirect_exit(i); return true;
        case Op::ExitRuntime: emit_runtime_exit(i); return true;
        case Op::CallRuntime: emit_call(i); return true;
        default: return false;
    }
}

// ---- Direct exits
// ------------------------------------------------------------------------------------------------

bool BlockEmitter::is_backward(int64_t target) const { return target <= static_cast<int64_t>(block_offset_); }

/// Whether nothing but the final Exit follows: then both ways write the same registers back.
bool BlockEmitter::only_exit_follows() const {
    for (uint32_t k = cur_ + 1; k < block_->insts.size(); ++k) {
        const Inst& i = inst(k);
        if (i.op == Op::Exit) return true;
        if (values_[k].live && i.op != Op::InsnStart && i.op != Op::Const) return false;
    }
    return false;
}

void BlockEmitter::emit_exit_if(const Inst& i) {
    const int64_t target = static_cast<int64_t>(i.imm);
    const Ref f = leaf(i.args[0]);
    if (only_exit_follows()) {
        write_back();
    } else if (flags_dirty_ && (eflags_ != f || slot_[kFlagsSlot] != f || sense_ == Sense::FCmp ||
                                sense_ == Sense::FCmpRev)) {
        flags_to_memory();  // the test overwrites them
    }
    const Cc cc = test_condition(i.args[0]);
    ColdArgs args;
    args.inst = cur_;
    snapshot(args.first, args.count);
    const bool flags_pending = flags_dirty_ && observed_[kFlagsSlot] >= cur_;
    const bool clean = args.count == 0 && !flags_pending;
    if (!clean) {
        // NZCV in EFLAGS: the stub stores them, in the sense they have now.
        args.flag = static_cast<uint16_t>(flags_pending ? 1 + static_cast<int>(sense_) : 0);
        args.imm = target;
        jump_cold(cc, &BlockEmitter::cold_side_exit, args);
        return;
    }
    if (!is_backward(target) && !is_cross_page(target)) {
        align_field(2);
        const Jump j = jump_if(cc, false);
        args.flag = 0;
        args.imm = new_site(target, false);
        exits_.back().jump = j.end - 4;
        add_cold(j, &BlockEmitter::cold_site_stub, args);
        return;
    }
    const Jump over = jump_if(inverted(cc), false);
    emit_direct_exit(target);
    land(over);
}

void BlockEmitter::cold_side_exit(const ColdArgs& args) {
    if (args.flag != 0) {
        sense_ = static_cast<Sense>(args.flag - 1);
        store_eflags(ARCLIGHT_STATE_DISP(flags));
    }
    write_back(args);
    emit_direct_exit(args.imm);
}

uint32_t BlockEmitter::new_site(int64_t target, bool cross_page) {
    exits_.push_back({nullptr, nullptr, nullptr, static_cast<int32_t>(target), cross_page});
    return static_cast<uint32_t>(exits_.size() - 1);
}

/// Guest registers have been written back; no host register is of any use any more.
void BlockEmitter::emit_direct_exit(int64_t target) {
    ColdArgs args;
    const bool cross = is_cross_page(target);
    if (cross || is_backward(target)) {
        args.imm = target;
        cmp(dword[at(kInterrupt)], 0);
        jump_cold(kNe, &BlockEmitter::cold_interrupted, args);
    }
    const uint32_t site = new_site(target, cross);
    args.imm = site;
    if (cross) {
        const int64_t delta = target & static_cast<int64_t>(mmu::kPageMask);
        add(qword[at(kPageBase)], static_cast<int32_t>(delta));
        align_field(3);
        static_assert(offsetof(mmu::SoftTlb, epoch) == 0);
        cmp(dword[r14], kUnlinkedEpoch >> 1);  // any imm32 that does not fit 8 bits: patched at once
        exits_[site].epoch = here() - 4;
        const uint32_t never = kUnlinkedEpoch;
        std::memcpy(exits_[site].epoch, &never, 4);
        // Both ways into the stub come with page_base moved already.
        args.flag = 1;
        add_cold(jump_if(kNe, false), &BlockEmitter::cold_site_stub, args);
    }
    align_field(1);
    const Jump j = jump_always(false);
    exits_[site].jump = j.end - 4;
    args.flag = cross ? 2 : 0;
    add_cold(j, &BlockEmitter::cold_site_stub, args);
}

void BlockEmitter::load_target(int64_t target) {
    if (target >= 0) {
        mov(ecx, static_cast<uint32_t>(target));
    } else {
        mov(rcx, static_cast<uint64_t>(target));
    }
}

/// imm = index of the site; flag 1: the epoch did not match, the jump's own stub follows and does the same.
void BlockEmitter::cold_site_stub(const ColdArgs& args) {
    ExitSite& site = exits_[static_cast<size_t>(args.imm)];
    site.stub = here();
    if (args.flag == 1) return;
    mov(eax, first_site_ + static_cast<uint32_t>(args.imm));
    load_target(site.cross_page ? site.target & static_cast<int32_t>(mmu::kPageSize - 1) : site.target);
    jump_to(site.cross_page ? thunks_->lookup_cross : thunks_->lookup_direct);
}

void BlockEmitter::cold_interrupted(const ColdArgs& args) {
    load_target(args.imm);
    jump_to(thunks_->interrupted);
}

// ---- Indirect exits
// ----------------------------------------------------------------------------------------------

void BlockEmitter::emit_indirect_exit(const Inst& i) {
    write_back();
    const Reg64 pc = use(i.args[0]);
    ColdArgs args;
    args.reg[0] = static_cast<uint8_t>(pc.getIdx());
    cmp(dword[at(kInterrupt)], 0);
    args.flag = 1;
    jump_cold(kNe, &BlockEmitter::cold_indirect, args);
    // jump_cache_index() times the size of a line.
    rorx(eax, pc.cvt32(), mmu::kPageBits - 4);
    lea(eax, ptr[rax + pc * 4]);
    // sample() replaces this instruction, within an aligned quadword.
    if (const size_t at = reinterpret_cast<uintptr_t>(here()) & 7; at + kIndirectBytes > 8) nop(8 - at);
    indirect_ = here();
    indirect_register_ = static_cast<uint8_t>(pc.getIdx());
    and_(eax, kJumpCacheMask);
    assert(here() == indirect_ + kIndirectBytes);
    cmp(pc, qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, pc)]);
    args.flag = 0;
    jump_cold(kNe, &BlockEmitter::cold_indirect, args);
    // Dead now, so it may become the page.
    and_(pc, static_cast<uint32_t>(mmu::kPageMask));
    mov(qword[at(kPageBase)], pc);
    jmp(qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, code)]);
}

void BlockEmitter::cold_indirect(const ColdArgs& args) {
    if (args.reg[0] != Operand::RCX) mov(rcx, Reg64(args.reg[0]));
    jump_to(args.flag != 0 ? thunks_->interrupted_at : thunks_->lookup_indirect);
}

// ---- Tier 2
// --------------------------------------------------------------------------------------------------------

void BlockEmitter::emit_counter(uint32_t counter) {
    sub(dword[rip + static_cast<const void*>(buffer_.counters() + counter)], 1);
    ColdArgs args;
    args.imm = counter;
    jump_cold(kS, &BlockEmitter::cold_promote, args);
}

void BlockEmitter::cold_promote(const ColdArgs& args) {
    mov(eax, static_cast<uint32_t>(args.imm));
    jump_to(thunks_->promote);
}

const uint8_t* BlockEmitter::emit_counted_jump(uint32_t counter, const void* target) {
    constexpr size_t kBytes = 16;
    if (buffer_.assembler().cold + kBytes > buffer_.size()) return nullptr;
    setSize(buffer_.assembler().cold);
    const uint8_t* start = here();
    inc(dword[rip + static_cast<const void*>(buffer_.counters() + counter)]);
    jump_to(static_cast<const uint8_t*>(target));
    assert(here() <= start + kBytes);
    buffer_.assembler().cold = getSize();
    return start;
}

const uint8_t* BlockEmitter::emit_sampler(const CompiledBlock& block, uint32_t ring) {
    constexpr size_t kBytes = 128;
    if (buffer_.assembler().cold + kBytes > buffer_.size()) return nullptr;
    thunks_ = &buffer_.thunks();
    setSize(buffer_.assembler().cold);
    const uint8_t* start = here();
    const Reg64 pc(block.indirect_register);
    // Any but the one with the address.
    const auto other = [&](unsigned nth) {
        for (const int r : {Operand::RCX, Operand::RDX, Operand::RSI, Operand::RDI})
            if (r != pc.getIdx() && nth-- == 0) return Reg64(r);
        return rax;
    };
    const Reg64 index = other(0), value = other(1), where = other(2);
    and_(eax, kJumpCacheMask);
    cmp(pc, qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, pc)]);
    const Jump miss = jump_if(kNe, true);
    lea(where, ptr[rip + static_cast<const void*>(buffer_.counters() + ring)]);
    mov(index.cvt32(), 1);
    xadd(dword[where], index.cvt32());
    static_assert((kRingEntries & (kRingEntries - 1)) == 0 && sizeof(RingEntry) == 16);
    and_(index.cvt32(), kRingEntries - 1);
    shl(index.cvt32(), 4);
    mov(value, pc);
    and_(pc, static_cast<uint32_t>(mmu::kPageMask));
    sub(value, qword[at(kPageBase)]);
    mov(qword[where + index + 4 * kRingHead], value);
    mov(value, qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, code)]);
    mov(qword[where + index + 4 * kRingHead + 8], value);
    mov(qword[at(kPageBase)], pc);
    jmp(value);
    land(miss);
    if (pc.getIdx() != Operand::RCX) mov(rcx, pc);
    jump_to(thunks_->lookup_indirect);
    assert(here() <= start + kBytes);
    buffer_.assembler().cold = getSize();
    return start;
}

namespace {
constexpr size_t kGuardBytes = 32, kStubBytes = 256;
}  // namespace

const uint8_t* BlockEmitter::emit_region_stub(const RegionStub& stub, const uint8_t* reuse) {
    if (reuse == nullptr && buffer_.assembler().cold + kStubBytes + 15 > buffer_.size()) return nullptr;
    thunks_ = &buffer_.thunks();
    setSize(reuse != nullptr ? static_cast<size_t>(reuse - buffer_.base()) : buffer_.assembler().cold);
    align(16);
    const uint8_t* start = here();
    if (reuse == nullptr) buffer_.assembler().cold = getSize() + kStubBytes;
    if (stub.guard != kNoCounter) {
        mov(rax, qword[at(ARCLIGHT_STATE_DISP(region_epochs))]);
        mov(ecx, dword[rax + 4 * static_cast<int>(stub.guard)]);
        mov(eax, stub.guard);
        cmp(ecx, dword[r14]);
        jump_to_if(kNe, thunks_->region_guard);
    }
    nop(kGuardBytes - static_cast<size_t>(here() - start));
    if (stub.entries != kNoCounter)
        inc(dword[rip + static_cast<const void*>(buffer_.counters() + stub.entries)]);
    const bool timed = stub.cycles != kNoCounter;
    const auto cycles = dword[rip + static_cast<const void*>(buffer_.counters() + (timed ? stub.cycles : 0))];
    if (timed) {
        // Of the low half, so that what is added up wraps as one does.
        rdtsc();
        sub(cycles, eax);
    }
    // LLVM's preserve_none: the first arguments are in r12 and r13, and nothing survives but rsp and rbp.
    lea(r12, ptr[rbp - jit::kStateBias]);
    mov(r13, r14);
    mov(rax, reinterpret_cast<uint64_t>(stub.region));
    call(rax);
    mov(r14, qword[at(ARCLIGHT_STATE_DISP(tlb))]);
    mov(rcx, rax);
    if (timed) {
        rdtsc();
        add(cycles, eax);
    }
    test(cl, jit::kRegionStuck | jit::kRegionSideExit);
    const Jump special = jump_if(kNe, true);
    const uint8_t* go_on = here();
    cmp(dword[at(kInterrupt)], 0);
    jump_to_if(kNe, thunks_->interrupted_at);
    rorx(eax, ecx, mmu::kPageBits - 4);
    lea(eax, ptr[rax + rcx * 4]);
    and_(eax, kJumpCacheMask);
    cmp(rcx, qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, pc)]);
    jump_to_if(kNe, thunks_->lookup_indirect);
    and_(rcx, static_cast<uint32_t>(mmu::kPageMask));
    mov(qword[at(kPageBase)], rcx);
    jmp(qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, code)]);
    land(special);
    if (stub.side_exits != kNoCounter)
        inc(dword[rip + static_cast<const void*>(buffer_.counters() + stub.side_exits)]);
    test(cl, jit::kRegionStuck);
    jump_to_if(kNe, static_cast<const uint8_t*>(stub.body));
    and_(rcx, -static_cast<int>(jit::kRegionSideExit) - 1);
    jump_to(go_on);
    assert(here() <= start + kStubBytes);
    return start;
}

// ---- C++
// ---------------------------------------------------------------------------------------------------------

void BlockEmitter::emit_runtime_exit(const Inst& i) {
    write_back();
    mov(eax, static_cast<uint32_t>(i.imm));
    mov(edx, static_cast<uint32_t>(i.imm >> 32));
    mov(ecx, insn_offset_);
    jump_to(thunks_->exit_runtime);
}

void BlockEmitter::emit_call(const Inst& i) {
    const bool raises = (i.aux & ir::kCallMayRaise) != 0, ends = (i.aux & ir::kCallEndsBlock) != 0;
    const bool writes = (i.aux & ir::kCallWritesState) != 0;
    if (raises || ends || writes || (i.aux & ir::kCallReadsState) != 0) write_back();
    clobber_flags();

    // Where the arguments are now.
    static constexpr uint8_t kArgs[3] = {Operand::RSI, Operand::RDX, Operand::RCX};
    uint8_t from[3];
    for (unsigned k = 0; k < i.nargs; ++k)
        from[k] = rematerialisable(i.args[k]) ? kNone : static_cast<uint8_t>(use(i.args[k]).getIdx());

    // Values needed later must survive the call, and if the helper writes guest state, not in their homes.
    if (writes) {
        for (unsigned s = 0; s < kSlots; ++s) {
            for (Ref r = home_head_[s]; r != kNoRef; r = values_[r].home_next) {
                Value& v = values_[r];
                if (v.last_need > cur_ && v.spill == kNone && !rematerialisable(r)) move_home_to_spill(r);
                v.home = kNone;
            }
            home_head_[s] = kNoRef;
        }
    }
    for (unsigned reg = 0; reg < 32; ++reg) {
        const bool survives =
            reg == Operand::RBX || reg == Operand::R12 || reg == Operand::R13 || reg == Operand::R15;
        if (survives || owner_[reg] == kNoRef) continue;
        if (values_[owner_[reg]].last_need > cur_) {
            evict(reg);
        } else {
            release(reg);
        }
    }

    // A parallel move of at most three registers: first those whose target nobody waits for, a cycle through
    // rax.
    unsigned left = 0;
    for (unsigned k = 0; k < i.nargs; ++k)
        if (from[k] != kNone && from[k] != kArgs[k]) left |= 1u << k;
    while (left != 0) {
        bool moved = false;
        for (unsigned k = 0; k < 3; ++k) {
            if ((left >> k & 1) == 0) continue;
            bool blocked = false;
            for (unsigned m = 0; m < 3; ++m) blocked |= m != k && (left >> m & 1) != 0 && from[m] == kArgs[k];
            if (blocked) continue;
            mov(Reg64(kArgs[k]), Reg64(from[k]));
            left &= ~(1u << k);
            moved = true;
        }
        if (moved) continue;
        const unsigned k = static_cast<unsigned>(__builtin_ctz(left));
        mov(rax, Reg64(from[k]));
        for (unsigned m = 0; m < 3; ++m)
            if ((left >> m & 1) != 0 && from[m] == from[k] && m != k) from[m] = Operand::RAX;
        from[k] = Operand::RAX;
    }
    for (unsigned k = 0; k < i.nargs; ++k)
        if (from[k] == kNone) load_value(kArgs[k], i.args[k]);

    mov(eax, static_cast<uint32_t>(kFirstHelper + i.imm) << 16 | insn_offset_);
    call_thunk(raises ? thunks_->call_helper_check : thunks_->call_helper);
    if (ends) {
        jump_to(thunks_->leave);
        return;
    }
    if (i.type != Type::Void && values_[cur_].next_use != kNever) {
        pinned_ = 0;
        mov(def(cur_), rax);
    }
}

void BlockEmitter::move_home_to_spill(Ref r) {
    Value& v = values_[r];
    const Type t = inst(r).type;
    if (t == Type::Flags) {
        movzx(eax, word[at(memory_disp(r))]);
        v.home = kNone;
        v.spill = new_spill(r);
        mov(qword[at(memory_disp(r))], rax);
        return;
    }
    if (v.reg == kNone) {
        const unsigned reg = allocate(is_vec(t));
        load_value(reg, r);
        assign(reg, r);
    }
    v.home = kNone;
    spill(r);
    pinned_ &= ~(1u << v.reg);
}

}  // namespace arclight::backend

namespace arclight::jit {
const uint8_t* after_guard(const uint8_t* stub) { return stub + backend::kGuardBytes; }
}  // namespace arclight::jit
