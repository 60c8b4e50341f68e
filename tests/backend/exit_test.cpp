// Leaving blocks: linking, interrupts, the jump cache, helpers, the host's floating point state.
#include <immintrin.h>

#include <thread>

#include "tests/backend/comparison.h"

namespace arclight::backend::testing {
namespace {

using jit::ExitReason;

class ExitTest : public ::testing::Test {
  protected:
    template <typename F>
    CompiledBlock make(uint32_t offset, F build, uint32_t first_link_slot = 100) {
        ir::Block block = block_at(offset);
        ir::Builder b(block);
        b.insn_start(offset, 0);
        build(b);
        return h_.compile(block, first_link_slot);
    }
    /// Adds `n` to x0, then exits to `target`.
    CompiledBlock adder(uint32_t offset, uint64_t n, int64_t target, uint32_t first_link_slot = 100) {
        return make(
            offset,
            [&](ir::Builder& b) {
                b.set_x(0, b.add(Type::I64, b.get_x(0), b.i64(n)));
                b.emit(Op::Exit, Type::Void, {}, static_cast<uint64_t>(target));
            },
            first_link_slot);
    }
    ExitReason run(const CompiledBlock& c, uint64_t pc = Harness::kPage) {
        h_.state().pc = pc;
        return h_.run(c);
    }

    Harness h_;
    GuestState& s_ = h_.state();
};

constexpr uint64_t kPage = Harness::kPage;

TEST_F(ExitTest, UnlinkedExitNamesItsSite) {
    const CompiledBlock c = make(
        0x10,
        [](ir::Builder& b) {
            b.emit(Op::ExitIf, Type::Void, {b.emit(Op::IsZero, Type::I1, {b.get_x(1)}, 0, 64)}, 0x40);
            b.emit(Op::Exit, Type::Void, {}, 0x14);
        },
        700);
    ASSERT_EQ(c.exits.size(), 2u);
    EXPECT_EQ(c.exits[0].target, 0x40);
    EXPECT_EQ(c.exits[1].target, 0x14);
    EXPECT_EQ(run(c, kPage + 0x10), ExitReason::Lookup);
    EXPECT_EQ(s_.pc, kPage + 0x40);
    EXPECT_EQ(s_.exit_info, 700u);
    EXPECT_EQ(h_.last_lookup, 700u);
    s_.x[1] = 1;
    run(c, kPage + 0x10);
    EXPECT_EQ(s_.pc, kPage + 0x14);
    EXPECT_EQ(s_.exit_info, 701u);
}

TEST_F(ExitTest, LookupMayGoStraightOn) {
    const CompiledBlock a = adder(0, 1, 0x3010), b = adder(0x10, 100, 0x14);
    h_.next_code = b.entry;
    EXPECT_EQ(run(a), ExitReason::Lookup);
    EXPECT_EQ(s_.x[0], 101u);
    EXPECT_EQ(s_.page_base, kPage + 0x3000);
    EXPECT_EQ(s_.pc, kPage + 0x3014);
}

TEST_F(ExitTest, LinkAndUnlinkWithinThePage) {
    const CompiledBlock a = adder(0, 1, 0x10), b = adder(0x10, 100, 0x14);
    const LinkSlot& slot = a.exits[0];
    EXPECT_LE(reinterpret_cast<uintptr_t>(slot.jump) % 8, 4u);
    EXPECT_FALSE(slot.cross_page);
    link(h_.code, slot, b.entry, 0);
    run(a);
    EXPECT_EQ(s_.x[0], 101u);
    EXPECT_EQ(h_.lookups, 1u);
    unlink(h_.code, slot);
    run(a);
    EXPECT_EQ(s_.x[0], 102u);
    EXPECT_EQ(s_.pc, kPage + 0x10);
}

TEST_F(ExitTest, EveryShapeOfConditionalExitLinks) {
    const CompiledBlock to = adder(0x100, 1000, 0x104);
    for (const bool dirty : {false, true}) {
        for (const bool ends : {false, true}) {
            for (const int64_t target : {0x200, 0x100 - 0x80, 0x5000, -0x2000}) {
                const CompiledBlock c = make(0x100, [&](ir::Builder& b) {
                    if (dirty) b.set_x(2, b.add(Type::I64, b.get_x(2), b.i64(1)));
                    const Ref r = b.bin_raw(Op::Sub, Type::I64, b.get_x(1), b.i64(7));
                    b.set_flags(b.flags_of(r));
                    b.emit(Op::ExitIf, Type::Void, {b.cond(0)}, static_cast<uint64_t>(target));
                    if (!ends) b.set_x(3, b.i64(9));
                    b.emit(Op::Exit, Type::Void, {}, 0x104);
                });
                const auto taken = std::ranges::find(c.exits, target, &LinkSlot::target);
                ASSERT_NE(taken, c.exits.end());
                EXPECT_LE(reinterpret_cast<uintptr_t>(taken->jump) % 8, 4u);
                EXPECT_EQ(taken->cross_page, target < 0 || target > 4095);
                h_.reset();
                s_.x[1] = 7;
                run(c, kPage + 0x100);
                EXPECT_EQ(s_.pc, kPage + static_cast<uint64_t>(target));
                EXPECT_EQ(s_.x[2], dirty ? 1u : 0u);
                EXPECT_EQ(jit::nzcv_from_flags(s_.flags), 0x6000'0000u);
                link(h_.code, *taken, to.entry, h_.tlb->epoch);
                run(c, kPage + 0x100);
                EXPECT_EQ(s_.x[0], 1000u) << "linked";
                EXPECT_EQ(s_.page_base, (kPage + static_cast<uint64_t>(target)) & mmu::kPageMask);
                EXPECT_EQ(jit::nzcv_from_flags(s_.flags), 0x6000'0000u);
                s_.x[1] = 8;
                run(c, kPage + 0x100);
                EXPECT_EQ(s_.pc, kPage + 0x104);
                EXPECT_EQ(s_.x[3], ends ? 0u : 9u);
                EXPECT_EQ(jit::nzcv_from_flags(s_.flags), 0x2000'0000u);
            }
        }
    }
}

TEST_F(ExitTest, CrossPageLinkHoldsForOneEpoch) {
    const CompiledBlock a = adder(0, 1, 0x1010), b = adder(0x10, 100, 0x14), other = adder(0x10, 10000, 0x18);
    const LinkSlot& slot = a.exits[0];
    ASSERT_TRUE(slot.cross_page);
    EXPECT_LE(reinterpret_cast<uintptr_t>(slot.epoch) % 8, 4u);
    link(h_.code, slot, b.entry, h_.tlb->epoch);
    run(a);
    EXPECT_EQ(s_.x[0], 101u);
    EXPECT_EQ(s_.page_base, kPage + 0x1000);
    EXPECT_EQ(s_.pc, kPage + 0x1014);
    // Another soft TLB asks, unless its jump cache knows.
    s_.tlb = h_.other_view.get();
    run(a);
    EXPECT_EQ(s_.x[0], 102u);
    EXPECT_EQ(s_.pc, kPage + 0x1010);
    h_.other_view->jump_cache[mmu::jump_cache_index(kPage + 0x1010)] = {kPage + 0x1010, other.entry};
    run(a);
    EXPECT_EQ(s_.x[0], 10103u);
    EXPECT_EQ(s_.pc, kPage + 0x1018);
    // Now and then it asks, too, so as to be linked for this one.
    h_.other_view->cross_page_uses = 1;
    for (const uint64_t pc : {kPage + 0x1018, kPage + 0x1010}) {
        run(a);
        EXPECT_EQ(s_.pc, pc);
    }
    EXPECT_LT(h_.other_view->cross_page_uses, 0);
    s_.x[0] = 10103;
    // A changed epoch asks too.
    s_.tlb = h_.tlb.get();
    ++h_.tlb->epoch;
    run(a);
    EXPECT_EQ(s_.x[0], 10104u);
    unlink(h_.code, slot);
    run(a);
    EXPECT_EQ(s_.pc, kPage + 0x1010);
}

TEST_F(ExitTest, InterruptIsSeenWhereCodeCouldLoop) {
    s_.interrupt = 1;
    const CompiledBlock forward = adder(0x20, 1, 0x24), self = adder(0x20, 1, 0x20),
                        across = adder(0x20, 1, 0x1024), back = adder(0x20, 1, -0xfdc);
    EXPECT_EQ(run(forward, kPage + 0x20), ExitReason::Lookup);
    EXPECT_EQ(run(self, kPage + 0x20), ExitReason::Interrupt);
    EXPECT_EQ(s_.pc, kPage + 0x20);
    // Of a loop through several pages one exit goes back.
    EXPECT_EQ(run(across, kPage + 0x20), ExitReason::Lookup);
    EXPECT_EQ(s_.pc, kPage + 0x1024);
    EXPECT_EQ(run(back, kPage + 0x20), ExitReason::Interrupt);
    EXPECT_EQ(s_.pc, kPage - 0xfdc);
    EXPECT_EQ(s_.x[0], 4u);
    const CompiledBlock indirect =
        make(0, [](ir::Builder& b) { b.emit(Op::ExitIndirect, Type::Void, {b.get_x(5)}); });
    s_.x[5] = 0x9000;
    EXPECT_EQ(run(indirect), ExitReason::Interrupt);
    EXPECT_EQ(s_.pc, 0x9000u);
    EXPECT_EQ(h_.lookups, 2u);
}

TEST_F(ExitTest, LinkedLoopLeavesWhenAnotherThreadAsks) {
    const CompiledBlock loop = adder(0x20, 1, 0x20);
    link(h_.code, loop.exits[0], loop.entry, 0);
    std::thread other([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
        s_.interrupt = 1;
    });
    EXPECT_EQ(run(loop, kPage + 0x20), ExitReason::Interrupt);
    other.join();
    EXPECT_GT(s_.x[0], 1000u);
}

TEST_F(ExitTest, IndirectBranchesUseTheJumpCache) {
    const CompiledBlock c = make(0, [](ir::Builder& b) {
        b.set_x(1, b.i64(5));
        b.emit(Op::ExitIndirect, Type::Void, {b.get_x(5)}, 0, static_cast<uint32_t>(ir::BranchKind::Return));
    });
    const CompiledBlock to = adder(0x30, 50, 0x34);
    const uint64_t pc = 0xffff'8000'1234'5030;
    s_.x[5] = pc;
    EXPECT_EQ(run(c), ExitReason::Lookup);
    EXPECT_EQ(s_.pc, pc);
    EXPECT_EQ(s_.x[1], 5u);
    EXPECT_EQ(h_.last_lookup, pc);
    h_.tlb->jump_cache[mmu::jump_cache_index(pc)] = {pc, to.entry};
    h_.lookups = 0;
    run(c);
    EXPECT_EQ(s_.x[0], 50u);
    EXPECT_EQ(s_.page_base, pc & mmu::kPageMask);
    EXPECT_EQ(h_.lookups, 1u) << "only the target's own exit";
    // No guest address may equal that of an empty line.
    for (const uint64_t wild :
         {uint64_t{0}, uint64_t{1}, uint64_t{4}, uint64_t{5}, pc + 1, pc + 2, ~uint64_t{0}}) {
        s_.x[5] = wild;
        EXPECT_EQ(run(c), ExitReason::Lookup);
        EXPECT_EQ(s_.pc, wild);
    }
}

TEST_F(ExitTest, IndirectBranchesFindSecondLinesOfTheJumpCache) {
    const CompiledBlock c =
        make(0, [](ir::Builder& b) { b.emit(Op::ExitIndirect, Type::Void, {b.get_x(5)}); });
    const CompiledBlock to = adder(0x30, 50, 0x34), other = adder(0x30, 1, 0x34);
    const uint64_t pc = 0xffff'8000'1234'5030, in_its_place = pc + (mmu::kJumpCacheEntries << 2 << 12);
    h_.tlb->jump_cache[mmu::jump_cache_index(pc)] = {in_its_place, other.entry};
    h_.tlb->jump_cache[mmu::second_jump_cache_index(pc)] = {pc, to.entry};
    s_.x[5] = pc;
    run(c);
    EXPECT_EQ(s_.x[0], 50u);
    EXPECT_EQ(s_.page_base, pc & mmu::kPageMask);
    EXPECT_EQ(h_.lookups, 1u) << "only the target's own exit";
    s_.interrupt = 1;
    EXPECT_EQ(run(c), ExitReason::Interrupt);
    s_.interrupt = 0;
    // Now and then the look-up is asked, which puts it into the first line.
    h_.tlb->second_jump_uses = 2;
    for (unsigned k = 0; k < 4; ++k) {
        h_.lookups = 0;
        run(c);
        EXPECT_EQ(s_.pc, k < 2 ? (pc & mmu::kPageMask) + 0x34 : pc);
    }
}

TEST_F(ExitTest, ExitsAreCounted) {
    const CompiledBlock to = adder(0x10, 100, 0x14);
    for (const int64_t target : {0x10, 0x1010}) {
        const CompiledBlock from = adder(0, 1, target);
        const LinkSlot& slot = from.exits[0];
        link(h_.code, slot, to.entry, h_.tlb->epoch);
        const uint8_t* counted = emit_counted_jump(h_.code, 17, to.entry);
        ASSERT_NE(counted, nullptr);
        h_.code.counters()[17] = 0;
        for (const void* code : {static_cast<const void*>(counted), static_cast<const void*>(to.entry)}) {
            redirect(h_.code, slot, code);
            s_.x[0] = 0;
            for (unsigned k = 1; k <= 3; ++k) {
                run(from);
                EXPECT_EQ(s_.x[0], 101u * k);
            }
            EXPECT_EQ(h_.code.counters()[17], 3u);
        }
    }
}

TEST_F(ExitTest, IndirectBranchesAreSampledInEveryRegister) {
    constexpr uint32_t kRing = 64;
    for (unsigned live = 0; live < 10; ++live) {
        const CompiledBlock c = make(0, [&](ir::Builder& b) {
            // Other values in registers, so that the address comes to be in another one.
            std::vector<Ref> values;
            for (unsigned k = 0; k < live; ++k) values.push_back(b.add(Type::I64, b.get_x(6 + k), b.i64(k)));
            const Ref pc = b.add(Type::I64, b.get_x(5), b.i64(0));
            for (unsigned k = 0; k < live; ++k) b.set_x(6 + k, values[k]);
            b.emit(Op::ExitIndirect, Type::Void, {pc}, 0, static_cast<uint32_t>(ir::BranchKind::Jump));
        });
        ASSERT_NE(c.indirect, nullptr);
        const CompiledBlock to = adder(0x30, 50, 0x34);
        const uint64_t pc = 0xffff'8000'1234'5030;
        h_.tlb->jump_cache[mmu::jump_cache_index(pc)] = {pc, to.entry};
        uint32_t* ring = h_.code.counters() + kRing;
        std::memset(ring, 0, 4 * kRingWords);
        sample(h_.code, c, emit_sampler(h_.code, c, kRing));
        const unsigned runs = kRingEntries + 5;
        for (unsigned k = 1; k <= runs; ++k) {
            s_.x[5] = pc;
            s_.x[0] = 0;
            run(c);
            ASSERT_EQ(s_.x[0], 50u);
            ASSERT_EQ(s_.page_base, pc & mmu::kPageMask);
            ASSERT_EQ(ring[0], k);
        }
        for (uint32_t k = 0; k < kRingEntries; ++k) {
            RingEntry entry;
            std::memcpy(&entry, ring + kRingHead + 4 * k, sizeof entry);
            EXPECT_EQ(entry.offset, static_cast<int64_t>(pc - kPage));
            EXPECT_EQ(entry.code, to.entry);
        }
        // A target that the cache does not have is asked for, and not written down.
        s_.x[5] = pc + 0x1000;
        EXPECT_EQ(run(c), ExitReason::Lookup);
        EXPECT_EQ(s_.pc, pc + 0x1000);
        EXPECT_EQ(ring[0], runs);
        sample(h_.code, c, nullptr);
        s_.x[5] = pc;
        run(c);
        EXPECT_EQ(s_.page_base, pc & mmu::kPageMask);
        EXPECT_EQ(ring[0], runs);
    }
}

TEST_F(ExitTest, RuntimeExitDescribesItself) {
    const CompiledBlock c = make(0x44, [](ir::Builder& b) {
        b.set_x(1, b.i64(5));
        b.emit(Op::ExitRuntime, Type::Void, {},
               static_cast<uint64_t>(ExitReason::Svc) | uint64_t{0x1234} << 32);
    });
    EXPECT_EQ(run(c, kPage + 0x44), ExitReason::Svc);
    EXPECT_EQ(s_.exit_info, 0x1234u);
    EXPECT_EQ(s_.pc, kPage + 0x44);
    EXPECT_EQ(s_.x[1], 5u);
}

uint64_t change_view(GuestState& s, uint64_t a, uint64_t, uint64_t) {
    s.tlb = reinterpret_cast<SoftTlb*>(a);
    return 0;
}

TEST_F(ExitTest, ViewIsReloadedAfterAHelper) {
    s_.runtime.entry[kFirstHelper + 9] = reinterpret_cast<const void*>(change_view);
    const CompiledBlock to = adder(0x30, 50, 0x34);
    const CompiledBlock c = make(0, [&](ir::Builder& b) {
        b.call(Type::Void, 9, {b.i64(reinterpret_cast<uint64_t>(h_.other_view.get()))}, ir::kCallSystem);
        b.emit(Op::ExitIndirect, Type::Void, {b.i64(0x7030)});
    });
    h_.other_view->jump_cache[mmu::jump_cache_index(0x7030)] = {0x7030, to.entry};
    run(c);
    EXPECT_EQ(s_.x[0], 50u);
}

uint64_t read_mxcsr(GuestState& s, uint64_t, uint64_t, uint64_t) {
    return uint64_t{s.guest_fp_control} << 32 | _mm_getcsr();
}

TEST_F(ExitTest, FloatingPointControlIsTheGuests) {
    s_.runtime.entry[kFirstHelper + 9] = reinterpret_cast<const void*>(read_mxcsr);
    const unsigned host = _mm_getcsr();
    s_.guest_fp_control = 0x7f80;  // round towards zero
    s_.v[1].d[0] = 0x3ff0'0000'0000'0000;
    s_.v[2].d[0] = 0xbc00'0000'0000'0000;  // a little less than nothing
    const CompiledBlock c = make(0, [](ir::Builder& b) {
        b.set_v(0, b.emit(Op::FAdd, Type::F64, {b.get_v(Type::F64, 1), b.get_v(Type::F64, 2)}));
        b.set_x(0, b.call(Type::I64, 9, {}, 0));
        b.emit(Op::Exit, Type::Void, {}, 4);
    });
    run(c);
    EXPECT_EQ(s_.v[0].d[0], 0x3fef'ffff'ffff'ffffu);
    EXPECT_EQ(s_.v[0].d[1], 0u);
    EXPECT_EQ(s_.x[0] & 0xffff'ffff, host & ~0x3fu);
    EXPECT_EQ(s_.x[0] >> 32, 0x7fa0u) << "inexact";
    EXPECT_EQ(s_.guest_fp_control, 0x7fa0u);
    EXPECT_EQ(_mm_getcsr() & ~0x3fu, host & ~0x3fu);
}

/// Raises flags of its own in the host's MXCSR; `bits` are set in the guest's.
uint64_t raise_flags(GuestState& s, uint64_t bits, uint64_t, uint64_t) {
    _mm_setcsr(_mm_getcsr() | 0x3f);
    s.guest_fp_control |= static_cast<uint32_t>(bits);
    return 0;
}

TEST_F(ExitTest, FlagsThatAHelperRaisesAreNotTheGuests) {
    s_.runtime.entry[kFirstHelper + 8] = reinterpret_cast<const void*>(raise_flags);
    s_.runtime.entry[kFirstHelper + 9] = reinterpret_cast<const void*>(read_mxcsr);
    for (const uint32_t guest : {0x1f80u, 0x1f84u, 0x3f80u, 0x9fc0u})
        for (const uint32_t change : {0u, 1u, 0x6000u}) {
            s_.guest_fp_control = guest;
            const CompiledBlock c = make(0, [&](ir::Builder& b) {
                b.call(Type::Void, 8, {b.i64(change)}, 0);
                b.set_x(0, b.call(Type::I64, 9, {}, 0));
                b.emit(Op::Exit, Type::Void, {}, 4);
            });
            run(c);
            EXPECT_EQ(s_.x[0] >> 32, guest | change);
            EXPECT_EQ(s_.guest_fp_control, guest | change);
            EXPECT_EQ(_mm_getcsr() & ~0x3fu, 0x1f80u);
        }
}

TEST_F(ExitTest, IntegerHelpersRunWithTheGuestsFloatingPointControl) {
    s_.runtime.entry[kFirstHelper + 9] = reinterpret_cast<const void*>(read_mxcsr);
    const unsigned host = _mm_getcsr();
    for (const uint32_t aux : {uint32_t{0}, ir::kCallSystem}) {
        s_.guest_fp_control = 0x7f80;
        const CompiledBlock c = make(0, [&](ir::Builder& b) {
            b.set_x(0, b.call(Type::I64, 9, {}, aux | ir::kCallInteger));
            b.set_x(1, b.call(Type::I64, 9, {}, aux));
            b.emit(Op::Exit, Type::Void, {}, 4);
        });
        run(c);
        EXPECT_EQ(s_.x[0] & 0xffff'ffff, 0x7f80u);
        EXPECT_EQ(s_.x[1] & 0xffff'ffc0, host & ~0x3fu);
        EXPECT_EQ(_mm_getcsr() & ~0x3fu, host & ~0x3fu);
    }
}

uint64_t leave_from_helper(GuestState& s, uint64_t, uint64_t, uint64_t) {
    s.pc = 0x1234;
    s.exit_reason = ExitReason::Redirect;
    s.exit_request = 1;
    return 0;
}

TEST_F(ExitTest, IntegerHelpersMayLeave) {
    s_.runtime.entry[kFirstHelper + 9] = reinterpret_cast<const void*>(leave_from_helper);
    const CompiledBlock c = make(0, [&](ir::Builder& b) {
        b.call(Type::Void, 9, {}, ir::kCallSystem | ir::kCallInteger);
        b.emit(Op::Exit, Type::Void, {}, 4);
    });
    s_.guest_fp_control = 0x7f80;
    EXPECT_EQ(run(c), ExitReason::Redirect);
    EXPECT_EQ(s_.pc, 0x1234u);
    EXPECT_EQ(s_.guest_fp_control, 0x7f80u);
    EXPECT_EQ(_mm_getcsr() & ~0x3fu, 0x1f80u);
}

/// Sees x5 as the block has left it, and answers the question.
uint64_t note_call(GuestState& s, uint64_t, uint64_t, uint64_t) {
    s.x[20] = s.x[5];
    s.unfinished_broadcasts = 0;
    return 0;
}

TEST_F(ExitTest, ACallOnConditionLooksAtItsField) {
    s_.runtime.entry[kFirstHelper + 9] = reinterpret_cast<const void*>(note_call);
    constexpr uint32_t kAux =
        ir::kCallReadsState | ir::kCallInteger | ir::call_if(offsetof(GuestState, unfinished_broadcasts));
    ir::Block block = block_at();
    ir::Builder b(block);
    const ir::Ref kept = b.add(Type::I64, b.get_x(1), b.get_x(2));
    b.set_x(5, b.add(Type::I64, b.get_x(5), b.i64(1)));
    b.call(Type::Void, 9, {}, kAux);
    b.set_x(6, kept);
    b.call(Type::Void, 9, {}, kAux);
    b.set_x(7, b.bin(Op::Xor, Type::I64, kept, b.get_x(5)));
    b.emit(Op::Exit, Type::Void, {}, 4);
    EXPECT_EQ(ir::verify(block), "");
    for (const bool interpreted : {false, true})
        for (const uint32_t wanted : {0u, 1u, 0x8000'0000u}) {
            s_.x[1] = 100, s_.x[2] = 23, s_.x[5] = 41, s_.x[20] = 0;
            s_.unfinished_broadcasts = wanted;
            if (interpreted)
                ir::interpret_block(s_, reinterpret_cast<uint64_t>(&block), 0, 0);
            else
                run(h_.compile(block, 100));
            EXPECT_EQ(s_.x[20], wanted != 0 ? 42u : 0u);
            EXPECT_EQ(s_.x[6], 123u);
            EXPECT_EQ(s_.x[7], 123u ^ 42u);
        }
}

TEST_F(ExitTest, FullBufferIsAResult) {
    CodeBuffer small(64 << 10);
    ir::Block block = block_at();
    ir::Builder b(block);
    for (unsigned k = 0; k < 31; ++k) b.set_x(k, b.i64(0x1234'5678'9abc'def0 + k));
    b.emit(Op::Exit, Type::Void, {}, 4);
    unsigned made = 0;
    while (compile(block, small, 0)) ASSERT_LT(++made, 1000u);
    EXPECT_EQ(compile(block, small, 0).status, CompileStatus::BufferFull);
    EXPECT_GT(made, 10u);
    small.reset();
    EXPECT_TRUE(compile(block, small, 0));
}

}  // namespace
}  // namespace arclight::backend::testing
