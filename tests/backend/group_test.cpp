// Accesses that share one look at the soft TLB (backend/x64/access_groups.cpp): what one check covers, and
// what each of them does where it fails.
#include "mmu/victim_tlb.h"
#include "tests/backend/harness.h"

namespace arclight::backend::testing {
namespace {

constexpr uint64_t kBase = Memory::kBase;

class GroupTest : public ::testing::Test {
  protected:
    GroupTest() {
        h_.fill_tlb();
        for (size_t k = 0; k < sizeof h_.memory.bytes; ++k)
            h_.memory.bytes[k] = static_cast<uint8_t>(k * 7 + (k >> 8));
    }
    template <typename F>
    CompiledBlock make(F build) {
        block_ = block_at();
        block_.superblock = superblock_;
        ir::Builder b(block_);
        build(b);
        b.emit(Op::Exit, Type::Void, {}, 64);
        return h_.compile(block_);
    }
    /// x2.. = the words at x1 + each displacement, one instruction each.
    CompiledBlock loads(std::initializer_list<int64_t> displacements) {
        return make([&](ir::Builder& b) {
            const Ref x1 = b.get_x(1);
            unsigned n = 0;
            for (const int64_t d : displacements) {
                b.insn_start(4 * n, 0);
                const Ref at = b.emit(Op::Add, Type::I64, {x1, b.i64(static_cast<uint64_t>(d))});
                b.set_x(2 + n++, b.emit(Op::Load, Type::I64, {at}, 0, 3));
            }
        });
    }
    void run(const CompiledBlock& c, uint64_t x1) {
        h_.slow_calls = 0;
        h_.state().x[1] = x1;
        h_.state().pc = Harness::kPage;
        h_.run(c);
    }
    uint64_t word(uint64_t va) {
        uint64_t v;
        std::memcpy(&v, h_.memory.at(va), 8);
        return v;
    }

    /// The same behind an instruction that moves x6 to x5.
    CompiledBlock loads_behind_move(std::initializer_list<int64_t> displacements) {
        return make([&](ir::Builder& b) {
            b.insn_start(0, 0);
            b.set_x(5, b.get_x(6));
            const Ref x1 = b.get_x(1);
            unsigned n = 0;
            for (const int64_t d : displacements) {
                b.insn_start(4 + 4 * n, 0);
                const Ref at = b.emit(Op::Add, Type::I64, {x1, b.i64(static_cast<uint64_t>(d))});
                b.set_x(2 + n++, b.emit(Op::Load, Type::I64, {at}, 0, 3));
            }
        });
    }

    Harness h_;
    ir::Block block_;
    bool superblock_ = false;
};

TEST_F(GroupTest, OneCheckIsEnough) {
    const CompiledBlock one = loads({16}), four = loads({16, 0, 40, 24});
    EXPECT_LT(four.hot_bytes, 3 * one.hot_bytes);
    run(four, kBase + 100);
    EXPECT_EQ(h_.slow_calls, 0u);
    const int64_t at[] = {16, 0, 40, 24};
    for (unsigned k = 0; k < 4; ++k) EXPECT_EQ(h_.state().x[2 + k], word(kBase + 100 + at[k]));
}

TEST_F(GroupTest, NoneWhereSlowPathsMayChangeTranslations) {
    const uint32_t grouped = loads({16, 0, 40, 24}).hot_bytes;
    h_.code.set_grouping(false);
    EXPECT_GT(loads({16, 0, 40, 24}).hot_bytes, grouped + 60);
}

// Wherever the page ends: an access that crosses takes the slow path, the others do not.
TEST_F(GroupTest, AcrossPagesEachLooksForItself) {
    const CompiledBlock four = loads({16, 0, 40, 24});
    const int64_t at[] = {16, 0, 40, 24};
    // The second page is elsewhere on the host.
    mmu::TlbEntry& second = h_.tlb->entries[mmu::tlb_index(kBase + 4096)];
    second.addend += 4096;
    for (int64_t end = -8; end <= 56; ++end) {
        const uint64_t x1 = kBase + 4096 - static_cast<uint64_t>(end);
        run(four, x1);
        unsigned crossing = 0;
        for (unsigned k = 0; k < 4; ++k) {
            const uint64_t va = x1 + static_cast<uint64_t>(at[k]), page_end = kBase + 4096;
            if (va < page_end && va + 8 > page_end) {
                ++crossing;
            } else {
                EXPECT_EQ(h_.state().x[2 + k], word(va < page_end ? va : va + 4096)) << end << " " << k;
            }
        }
        EXPECT_EQ(h_.slow_calls, crossing) << end;
    }
}

// The addresses behind the first are not computed.
TEST_F(GroupTest, AFurtherAccessIsThreeInstructions) {
    const auto count = [&](const CompiledBlock& c) {
        const std::string listing = disassemble({c.entry, c.hot_bytes});
        return std::ranges::count(listing, '\n');
    };
    const auto two = count(loads({16, 0})), three = count(loads({16, 0, 40}));
    if (two == 0) GTEST_SKIP() << "built without a disassembler";
    EXPECT_EQ(three - two, 4) << "test, jz, load, and the store of the guest register";
}

TEST_F(GroupTest, ASuperblockIsLeftWhereTheCheckFails) {
    const uint32_t tested = loads_behind_move({0, 8}).hot_bytes;
    superblock_ = true;
    const CompiledBlock two = loads_behind_move({0, 8});
    EXPECT_LT(two.hot_bytes, tested) << "the second access is not tested";
    auto& x = h_.state().x;
    x[2] = x[3] = 0xdead;
    x[6] = 0xbeef;
    run(two, kBase + 100);
    EXPECT_EQ(x[2], word(kBase + 100));
    EXPECT_EQ(x[3], word(kBase + 108));
    EXPECT_EQ(h_.state().pc, Harness::kPage + 64);
    // The first access is in one page, the second in the next one.
    x[2] = x[3] = 0xdead;
    x[5] = 0;
    run(two, kBase + 4096 - 8);
    EXPECT_EQ(h_.slow_calls, 0u);
    EXPECT_EQ(h_.state().pc, Harness::kPage + 4) << "before the instruction whose check failed";
    EXPECT_EQ(x[5], 0xbeefu);
    EXPECT_EQ(x[2], 0xdeadu);
    EXPECT_EQ(x[3], 0xdeadu);
}

// It would be left for itself.
TEST_F(GroupTest, ASuperblockIsNotLeftBeforeItsFirstInstruction) {
    superblock_ = true;
    const CompiledBlock two = loads({0, 8});
    run(two, kBase + 4096 - 8);
    EXPECT_EQ(h_.slow_calls, 0u);
    EXPECT_EQ(h_.state().pc, Harness::kPage + 64);
    EXPECT_EQ(h_.state().x[2], word(kBase + 4096 - 8));
    EXPECT_EQ(h_.state().x[3], word(kBase + 4096));
}

TEST_F(GroupTest, AGroupMayBeInTheVictimTlb) {
    mmu::VictimTlb victims;
    h_.tlb->victims = &victims;
    mmu::TlbEntry& entry = h_.tlb->entries[mmu::tlb_index(kBase)];
    victims.at(kBase).tlb = entry;
    entry = mmu::TlbEntry{};
    const CompiledBlock four = loads({16, 0, 40, 24});
    run(four, kBase + 100);
    EXPECT_EQ(h_.slow_calls, 0u);
    const int64_t at[] = {16, 0, 40, 24};
    for (unsigned k = 0; k < 4; ++k) EXPECT_EQ(h_.state().x[2 + k], word(kBase + 100 + at[k]));
    // For writing it is not there.
    victims.at(kBase).tlb.write_tag = mmu::TlbEntry::kInvalidTag;
    const CompiledBlock store = make([&](ir::Builder& b) {
        const Ref x1 = b.get_x(1);
        b.insn_start(0, 0);
        b.set_x(2, b.emit(Op::Load, Type::I64, {x1}, 0, 3));
        b.insn_start(4, 0);
        b.emit(Op::Store, Type::Void, {b.emit(Op::Add, Type::I64, {x1, b.i64(8)}), b.get_x(3)}, 0, 3);
    });
    run(store, kBase + 100);
    EXPECT_EQ(h_.slow_calls, 2u);
    h_.tlb->victims = &mmu::kNoVictims;
}

TEST_F(GroupTest, AFaultInTheMiddleIsPrecise) {
    const CompiledBlock three = loads({0, 8, 16});
    for (unsigned k = 2; k < 5; ++k) h_.state().x[k] = 0xdead;
    run(three, kBase + Memory::kPages * 4096 - 16);  // the third is outside
    EXPECT_EQ(h_.state().exit_reason, jit::ExitReason::Exception);
    EXPECT_EQ(h_.state().pc, Harness::kPage + 8);
    EXPECT_EQ(h_.state().x[2], word(kBase + Memory::kPages * 4096 - 16));
    EXPECT_EQ(h_.state().x[3], word(kBase + Memory::kPages * 4096 - 8));
    EXPECT_EQ(h_.state().x[4], 0xdeadu);
}

// A store makes the check one for writing; where that fails the loads go on without the slow path.
TEST_F(GroupTest, ReadOnlyPagesCanBeRead) {
    const CompiledBlock c = make([&](ir::Builder& b) {
        const Ref x1 = b.get_x(1);
        b.insn_start(0, 0);
        b.set_x(2, b.emit(Op::Load, Type::I64, {x1}, 0, 3));
        b.insn_start(4, 0);
        const Ref at = b.emit(Op::Add, Type::I64, {x1, b.i64(8)});
        b.emit(Op::Store, Type::Void, {at, b.get_x(3)}, 0, 3);
    });
    const uint64_t last = kBase + (Memory::kPages - 1) * 4096;
    h_.state().x[3] = 0x1122'3344'5566'7788;
    const uint64_t before = word(last + 8);
    run(c, last);
    EXPECT_EQ(h_.slow_calls, 1u);
    EXPECT_EQ(h_.state().exit_reason, jit::ExitReason::Exception);
    EXPECT_EQ(h_.state().pc, Harness::kPage + 4);
    EXPECT_EQ(h_.state().x[2], word(last));
    EXPECT_EQ(word(last + 8), before);
    run(c, kBase);
    EXPECT_EQ(h_.slow_calls, 0u);
    EXPECT_EQ(word(kBase + 8), 0x1122'3344'5566'7788u);
}

// After a conditional exit a store may never come, and after a helper the page may be another one's.
TEST_F(GroupTest, ConditionalExitsAndHelpersEndAGroup) {
    const auto with = [&](auto between) {
        return make([&](ir::Builder& b) {
                   const Ref x1 = b.get_x(1);
                   b.insn_start(0, 0);
                   b.set_x(2, b.emit(Op::Load, Type::I64, {x1}, 0, 3));
                   b.insn_start(4, 0);
                   between(b);
                   b.insn_start(8, 0);
                   const Ref at = b.emit(Op::Add, Type::I64, {x1, b.i64(8)});
                   b.set_x(3, b.emit(Op::Load, Type::I64, {at}, 0, 3));
               })
            .hot_bytes;
    };
    const uint32_t plain = with([](ir::Builder&) {});
    const uint32_t helper = with([](ir::Builder& b) {
        b.emit(Op::CallRuntime, Type::I64, {b.i64(1), b.i64(2), b.i64(3)}, kHash);
    });
    EXPECT_GT(helper, plain + 30);
}

}  // namespace
}  // namespace arclight::backend::testing
