// Leaving a block: direct and indirect jumps, calls of C++.
//
// A direct exit within the page, linked:        jmp target
// backward, in the page or not, first:          cmp dword [interrupt], 0 ; jne ...
// to another page, linked:                      add qword [page_base], delta
//                                               cmp dword [r14 + epoch], imm ; jne stub ; jmp target
// A patched field lies within an aligned quadword: stores to it are atomic (Intel SDM 3A 9.1.1, AMD APM
// 2 7.3.2), so other CPUs see the old or the new value.
#include <cassert>
#include <cstring>

#include "backend/x64/exit_emitter.h"
#include "jit/runtime_entries.h"

namespace arclight::backend {

using namespace Xbyak::util;

// ---- Direct exits

/// Of the direct exits that a loop passes one is backward, so that the others need not look for interrupts.
bool ExitEmitter::is_backward(int64_t target) const { return target <= ctx_.start_offset[ctx_.page]; }

/// Whether nothing but the final Exit follows: then both ways write the same registers back.
bool ExitEmitter::only_exit_follows() const {
    for (uint32_t k = cur() + 1; k < values_.block().insts.size(); ++k) {
        const Inst& i = values_.inst(k);
        if (i.op == Op::Exit) return true;
        if (values_[k].live && i.op != Op::InsnStart && i.op != Op::Const) return false;
    }
    return false;
}

void ExitEmitter::emit_exit(const Inst& i) {
    ctx_.slots.write_back();
    emit_direct_exit(static_cast<int64_t>(i.imm));
}

/// Where the test of `f` overwrites NZCV.
void ExitEmitter::write_flags_before_test(Ref f) {
    if (ctx_.slots.flags_dirty() && (flags_.value() != f || ctx_.slots.flags_value() != f ||
                                     flags_.sense() == Sense::FCmp || flags_.sense() == Sense::FCmpRev))
        ctx_.slots.defer_or_write_flags();
}

void ExitEmitter::emit_exit_if(const Inst& i) {
    const int64_t target = static_cast<int64_t>(i.imm);
    const Ref f = values_.leaf(i.args[0]);
    const auto side = values_.side_of(cur());
    if (!side && only_exit_follows() && !ctx_.slots.flags_deferred()) {
        ctx_.slots.write_back();
    } else {
        write_flags_before_test(f);
    }
    const ClassScope scope(as_, jit::HostClass::Branch);
    const Cc cc = flags_.test_condition(i.args[0]);
    if (side) {
        ctx_.keep_for_side(*side, as_.jump_if(cc, false));
        as_.start_segment();
        return;
    }
    ColdArgs args;
    args.inst = cur();
    ctx_.slots.snapshot(args.first, args.count);
    const bool flags_pending = ctx_.slots.flags_pending();
    const bool clean = args.count == 0 && !flags_pending;
    if (!clean) {
        // NZCV in EFLAGS: the stub stores them, in the sense they have now.
        args.flag = static_cast<uint16_t>(flags_pending ? 1 + static_cast<int>(flags_.sense()) : 0);
        args.imm = target;
        cold_.jump(cc, cold_fn<&ExitEmitter::cold_side_exit>, args);
        as_.start_segment();
        return;
    }
    if (!is_backward(target) && !is_cross_page(target)) {
        as_.align_field(2);
        const Jump j = as_.jump_if(cc, false);
        args.inst = kNoRef;  // it is no way out, and seldom executed
        args.flag = 0;
        args.imm = new_link_slot(target, false);
        ctx_.exits.back().jump = j.end - 4;
        cold_.add(j, cold_fn<&ExitEmitter::cold_link_stub>, args);
        as_.start_segment();
        return;
    }
    const Jump over = as_.jump_if(inverted(cc), false);
    as_.start_segment();
    emit_direct_exit(target);
    as_.land(over);
    as_.start_segment();
}

void ExitEmitter::cold_side_exit(const ColdArgs& args) {
    if (args.flag != 0) {
        flags_.store(ARCLIGHT_STATE_DISP(flags), static_cast<Sense>(args.flag - 1));
    }
    ctx_.slots.write_back_snapshot(args.first, args.count);
    emit_direct_exit(args.imm);
}

void ExitEmitter::leave_before(uint32_t offset, const ColdArgs& args) {
    ctx_.slots.write_back_snapshot(args.first, args.count);
    emit_direct_exit(offset);
    ctx_.exits.back().split = true;
}

uint32_t ExitEmitter::new_link_slot(int64_t target, bool cross_page) {
    ctx_.exits.push_back(
        {.target = static_cast<int32_t>(target), .cross_page = cross_page, .page = ctx_.page});
    return static_cast<uint32_t>(ctx_.exits.size() - 1);
}

/// Guest registers have been written back; no host register is of any use any more.
void ExitEmitter::emit_direct_exit(int64_t target) {
    ColdArgs args;
    const bool cross = is_cross_page(target);
    if (is_backward(target)) {
        const ClassScope scope(as_, jit::HostClass::Poll);
        args.imm = target;
        as_.cmp(dword[at(kInterrupt)], 0);
        cold_.jump(kNe, cold_fn<&ExitEmitter::cold_interrupted>, args);
    }
    const uint32_t slot = new_link_slot(target, cross);
    args.imm = slot;
    const ClassScope scope(as_, cross ? jit::HostClass::PageCheck : jit::HostClass::Jump);
    if (cross) {
        const int64_t delta = target & static_cast<int64_t>(mmu::kPageMask);
        as_.add(qword[at(kPageBase)], static_cast<int32_t>(delta));
        as_.align_field(3);
        static_assert(offsetof(mmu::SoftTlb, epoch) == 0);
        as_.cmp(dword[r14], jit::kUnlinkedEpoch >> 1);  // any imm32 that does not fit 8 bits: patched at once
        ctx_.exits[slot].epoch = as_.here() - 4;
        const uint32_t never = jit::kUnlinkedEpoch;
        std::memcpy(ctx_.buffer.writable(ctx_.exits[slot].epoch), &never, 4);
        // Both ways into the stub come with page_base moved already.
        args.flag = 1;
        cold_.add(as_.jump_if(kNe, false), cold_fn<&ExitEmitter::cold_link_stub>, args);
    }
    as_.align_field(1);
    as_.set_class(jit::HostClass::Jump);
    const Jump j = as_.jump_always(false);
    ctx_.exits[slot].jump = j.end - 4;
    args.flag = cross ? 2 : 0;
    cold_.add(j, cold_fn<&ExitEmitter::cold_link_stub>, args);
}

void ExitEmitter::load_target(int64_t target) {
    if (target >= 0) {
        as_.mov(ecx, static_cast<uint32_t>(target));
    } else {
        as_.mov(rcx, static_cast<uint64_t>(target));
    }
}

void ExitEmitter::load_link_number(uint32_t exit) {
    as_.mov(eax, ctx_.first_link_slot + exit);
    if (as_.relocations != nullptr)
        as_.relocations->number(as_.here() - 4, jit::Relocation::Kind::LinkNumber);
}

/// imm = index of the link slot; flag 1: the epoch did not match, the jump's own stub follows and does the
/// same.
void ExitEmitter::cold_link_stub(const ColdArgs& args) {
    jit::LinkSlot& slot = ctx_.exits[static_cast<size_t>(args.imm)];
    if (slot.cross_page && args.flag != 1) as_.align_field(kLookupField);
    slot.stub = as_.here();
    if (args.flag == 1) return;
    load_link_number(static_cast<uint32_t>(args.imm));
    load_target(slot.cross_page ? slot.target & static_cast<int32_t>(mmu::kPageSize - 1) : slot.target);
    assert(!slot.cross_page || as_.here() + 1 == slot.stub + kLookupField);
    as_.jump_to(slot.cross_page ? ctx_.stubs->lookup_cross : ctx_.stubs->lookup_direct);
}

void ExitEmitter::cold_interrupted(const ColdArgs& args) {
    load_target(args.imm);
    as_.jump_to(ctx_.stubs->interrupted);
}

// ---- Indirect exits

void ExitEmitter::emit_indirect_exit(const Inst& i) {
    ctx_.slots.write_back();
    jump_by_cache(regs_.use(i.args[0]), i.aux, true);
}

/// `sampled`: it is the branch that sample() is for.
void ExitEmitter::jump_by_cache(const Reg64& pc, uint32_t kind, bool sampled) {
    ColdArgs args;
    args.reg[0] = static_cast<uint8_t>(pc.getIdx());
    args.imm = jit::kIndirectExit | kind;
    const ClassScope scope(as_, jit::HostClass::Poll);
    as_.cmp(dword[at(kInterrupt)], 0);
    args.flag = 1;
    cold_.jump(kNe, cold_fn<&ExitEmitter::cold_indirect>, args);
    as_.set_class(jit::HostClass::Indirect);
    // jump_cache_index() times the size of a line.
    as_.rorx(eax, pc.cvt32(), mmu::kPageBits - 4);
    as_.lea(eax, ptr[rax + pc * 4]);
    // sample() replaces this instruction, within an aligned quadword.
    if (const size_t at = !sampled ? 0 : reinterpret_cast<uintptr_t>(as_.here()) & 7;
        at + kIndirectBytes > 8) {
        const ClassScope padding(as_, jit::HostClass::Padding);
        as_.nop(8 - at);
    }
    if (sampled) {
        ctx_.indirect = as_.here();
        ctx_.indirect_register = static_cast<uint8_t>(pc.getIdx());
        ctx_.indirect_kind = static_cast<uint8_t>(kind);
    }
    as_.and_(eax, kJumpCacheMask);
    assert(!sampled || as_.here() == ctx_.indirect + kIndirectBytes);
    as_.cmp(pc, r14 + mem(rax, static_cast<int>(kCache + offsetof(mmu::JumpCacheEntry, pc))));
    args.flag = 0;
    cold_.jump(kNe, cold_fn<&ExitEmitter::cold_indirect>, args);
    // Dead now, so it may become the page.
    as_.and_(pc, static_cast<uint32_t>(mmu::kPageMask));
    as_.mov(at(kPageBase), pc);
    as_.jump_indirect(qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, code)]);
}

void ExitEmitter::cold_indirect(const ColdArgs& args) {
    if (args.reg[0] != Operand::RCX) as_.mov(rcx, Reg64(args.reg[0]));
    as_.mov(eax, static_cast<uint32_t>(args.imm));
    as_.jump_to(args.flag != 0 ? ctx_.stubs->interrupted_at : ctx_.stubs->lookup_indirect);
}

void ExitEmitter::emit_indirect_exit_if(const Inst& i) {
    const Ref f = values_.leaf(i.args[0]);
    const Reg64 pc = regs_.use(i.args[1]);
    write_flags_before_test(f);
    const ClassScope scope(as_, jit::HostClass::Indirect);
    const Cc cc = flags_.test_condition(i.args[0]);
    ColdArgs args;
    args.inst = cur();
    args.reg[0] = static_cast<uint8_t>(pc.getIdx());
    ctx_.slots.snapshot(args.first, args.count);
    args.flag = static_cast<uint16_t>(ctx_.slots.flags_pending() ? 1 + static_cast<int>(flags_.sense()) : 0);
    args.imm = i.aux;
    cold_.jump(cc, cold_fn<&ExitEmitter::cold_indirect_side_exit>, args);
    as_.start_segment();
}

void ExitEmitter::cold_indirect_side_exit(const ColdArgs& args) {
    if (args.flag != 0) flags_.store(ARCLIGHT_STATE_DISP(flags), static_cast<Sense>(args.flag - 1));
    ctx_.slots.write_back_snapshot(args.first, args.count);
    jump_by_cache(Reg64(args.reg[0]), static_cast<uint32_t>(args.imm), false);
}

// ---- Superblocks

/// Known not to have moved:                      add qword [page_base], delta
/// else, before it:                              cmp dword [r14 + epoch], imm ; jne stub
void ExitEmitter::emit_enter_page(const Inst& i) {
    const auto target = static_cast<int64_t>(i.imm);
    const auto delta = static_cast<int32_t>(target & static_cast<int64_t>(mmu::kPageMask));
    if ((i.aux & ir::kEnterKnown) == 0) ctx_.slots.defer_or_write_flags();
    flags_.clobber();
    const ClassScope scope(as_, jit::HostClass::PageCheck);
    const auto next = static_cast<uint8_t>(i.aux & (ir::kMaxPages - 1));
    if ((i.aux & ir::kEnterKnown) == 0) {
        ColdArgs args;
        args.inst = cur();
        ctx_.slots.snapshot(args.first, args.count);
        const uint32_t slot = new_link_slot(target, true);
        ctx_.exits[slot].next_page = next;
        args.imm = slot;
        as_.align_field(3);
        as_.cmp(dword[r14], jit::kUnlinkedEpoch >> 1);  // any imm32 that does not fit 8 bits: patched at once
        ctx_.exits[slot].epoch = as_.here() - 4;
        const uint32_t never = jit::kUnlinkedEpoch;
        std::memcpy(ctx_.buffer.writable(ctx_.exits[slot].epoch), &never, 4);
        cold_.jump(kNe, cold_fn<&ExitEmitter::cold_enter_page>, args);
        as_.start_segment();
    }
    as_.add(qword[at(kPageBase)], delta);
    ctx_.start_offset[next] = ctx_.start_offset[ctx_.page] - delta;
    ctx_.page = ctx_.cold.page = next;
}

void ExitEmitter::cold_enter_page(const ColdArgs& args) {
    jit::LinkSlot& slot = ctx_.exits[static_cast<size_t>(args.imm)];
    ctx_.slots.write_back_snapshot(args.first, args.count);
    as_.add(qword[at(kPageBase)], slot.target & static_cast<int32_t>(mmu::kPageMask));
    // The page may be one before the superblock's entry, to which what is there leads forward.
    as_.cmp(dword[at(kInterrupt)], 0);
    const Jump goes_on = as_.jump_if(kE, false);
    load_target(slot.target & static_cast<int32_t>(mmu::kPageSize - 1));
    as_.jump_to(ctx_.stubs->interrupted);
    as_.land(goes_on);
    slot.stub = as_.here();
    load_link_number(static_cast<uint32_t>(args.imm));
    load_target(slot.target & static_cast<int32_t>(mmu::kPageSize - 1));
    as_.jump_to(ctx_.stubs->lookup_cross);
}

// ---- Tier 2

void ExitEmitter::count_down(uint32_t counter) {
    as_.sub(dword[as_.at_address(ctx_.buffer.counters() + counter)], 1);
    if (as_.relocations != nullptr) as_.relocations->number(as_.here() - 5, jit::Relocation::Kind::Counter);
}

void ExitEmitter::emit_counter_aside(uint32_t counter) {
    for (const uint8_t byte : kEntryNop) as_.db(byte);
    ColdArgs args;
    args.imm = counter;
    args.resume = as_.here();
    cold_.add({}, cold_fn<&ExitEmitter::cold_counter>, args);
}

void ExitEmitter::cold_counter(const ColdArgs& args) {
    count_down(static_cast<uint32_t>(args.imm));
    as_.jump_to_if(kNs, args.resume);
    cold_promote(args);
}

void ExitEmitter::emit_counter(uint32_t counter) {
    count_down(counter);
    ColdArgs args;
    args.imm = counter;
    cold_.jump(kS, cold_fn<&ExitEmitter::cold_promote>, args);
}

void ExitEmitter::cold_promote(const ColdArgs& args) {
    as_.mov(eax, static_cast<uint32_t>(args.imm));
    if (as_.relocations != nullptr)
        as_.relocations->number(as_.here() - 4, jit::Relocation::Kind::CounterNumber);
    as_.jump_to(ctx_.stubs->promote);
}

// ---- C++

void ExitEmitter::emit_runtime_exit(const Inst& i) {
    const ClassScope scope(as_, jit::HostClass::Call);
    ctx_.slots.write_back();
    as_.mov(eax, static_cast<uint32_t>(i.imm));
    as_.mov(edx, static_cast<uint32_t>(i.imm >> 32));
    as_.mov(ecx, ctx_.insn_offset);
    as_.jump_to(ctx_.stubs->exit_runtime);
}

void ExitEmitter::call_helper(uint32_t aux, uint64_t entry_and_offset) {
    as_.mov(eax, static_cast<uint32_t>(entry_and_offset));
    as_.call_stub((aux & ir::kCallInteger) != 0 ? ctx_.stubs->call_integer : ctx_.stubs->call_helper);
}

void ExitEmitter::cold_call(const ColdArgs& args) {
    call_helper(args.flag, static_cast<uint64_t>(args.imm));
    jump_back(args);
}

/// At a block's start nothing is in registers that C++ wants, or that it may change.
void ExitEmitter::emit_memory_loop(const Inst& i) {
    flags_.clobber();
    const ClassScope scope(as_, jit::HostClass::Call);
    const Reg64 many = regs_.use(i.args[0]);
    ctx_.slots.drop_all_homes();
    regs_.evict_caller_saved();
    as_.test(many, many);
    const ColdArgs args{.imm = static_cast<int64_t>(i.imm)};
    cold_.resume_here(cold_.jump(kNe, cold_fn<&ExitEmitter::cold_memory_loop>, args));
    as_.start_segment();
}

void ExitEmitter::cold_memory_loop(const ColdArgs& args) {
    as_.mov(rsi, static_cast<uint64_t>(args.imm));
    call_helper(ir::kCallInteger, uint64_t{jit::kMemoryLoop} << 16 | ctx_.insn_offset);
    jump_back(args);
}

void ExitEmitter::emit_call(const Inst& i) {
    const bool raises = (i.aux & ir::kCallMayRaise) != 0, ends = (i.aux & ir::kCallEndsBlock) != 0;
    const bool writes = (i.aux & ir::kCallWritesState) != 0;
    if (raises || ends || writes || (i.aux & ir::kCallReadsState) != 0) ctx_.slots.write_back();
    flags_.clobber();
    const ClassScope scope(as_, jit::HostClass::Call);

    // Where the arguments are now.
    static constexpr uint8_t kArgs[3] = {Operand::RSI, Operand::RDX, Operand::RCX};
    uint8_t from[3];
    for (unsigned k = 0; k < i.nargs; ++k)
        from[k] =
            values_.rematerialisable(i.args[k]) ? kNone : static_cast<uint8_t>(regs_.use(i.args[k]).getIdx());

    // Values needed later must survive the call, and if the helper writes guest state, not in their homes.
    if (writes) ctx_.slots.drop_all_homes();
    regs_.evict_caller_saved();

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
            as_.mov(Reg64(kArgs[k]), Reg64(from[k]));
            left &= ~(1u << k);
            moved = true;
        }
        if (moved) continue;
        const unsigned k = static_cast<unsigned>(__builtin_ctz(left));
        as_.mov(rax, Reg64(from[k]));
        for (unsigned m = 0; m < 3; ++m)
            if ((left >> m & 1) != 0 && from[m] == from[k] && m != k) from[m] = Operand::RAX;
        from[k] = Operand::RAX;
    }
    for (unsigned k = 0; k < i.nargs; ++k)
        if (from[k] == kNone) regs_.load_value(kArgs[k], i.args[k]);

    const uint64_t entry_and_offset = (jit::kFirstHelper + i.imm) << 16 | ctx_.insn_offset;
    if (const uint32_t field = ir::call_condition(i.aux); field != 0) {
        as_.cmp(dword[at(static_cast<int>(field) - jit::kStateBias)], 0);
        const ColdArgs args{.flag = static_cast<uint16_t>(i.aux & 0xffff),
                            .imm = static_cast<int64_t>(entry_and_offset)};
        cold_.resume_here(cold_.jump(kNe, cold_fn<&ExitEmitter::cold_call>, args));
        return;
    }
    call_helper(i.aux, entry_and_offset);
    if (ends) {
        as_.jump_to(ctx_.stubs->leave);
        return;
    }
    if (i.type != Type::Void && values_[cur()].next_use != kNever) {
        regs_.finish_instruction();
        as_.mov(regs_.def(cur()), rax);
    }
}

}  // namespace arclight::backend
