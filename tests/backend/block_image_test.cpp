// Blocks that are taken from one code cache to another (jit/block_image.h).
#include "jit/block_image.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "tests/backend/harness.h"

namespace arclight::backend::testing {
namespace {

using jit::ExitReason;
constexpr uint64_t kPage = Harness::kPage;
constexpr uint32_t kThereCounter = 5, kHereCounter = 7, kThereSlot = 900, kHereSlot = 40;

/// With counters in line, and out of it.
class BlockImageTest : public ::testing::TestWithParam<bool> {
  protected:
    /// A block at `offset`, in the other code cache.
    CompiledBlock make(uint32_t offset, const std::function<void(ir::Builder&)>& build,
                       uint32_t counter = kNoCounter) {
        ir::Block block = block_at(offset);
        ir::Builder b(block);
        b.insn_start(offset, 0);
        build(b);
        return compile(block, there_, kThereSlot, counter);
    }
    CompiledBlock take(const CompiledBlock& block, uint32_t counter = kNoCounter) {
        const auto relocations = relocations_of_last(there_, block);
        const auto image = image_of(there_, block, relocations, kThereSlot, memory_);
        EXPECT_TRUE(image.has_value());
        return place(*image, h_.code, kHereSlot, counter);
    }
    ExitReason run(const CompiledBlock& c) {
        h_.state().pc = kPage;
        return h_.run(c);
    }
    static void add_one_and_leave(ir::Builder& b, int64_t target) {
        b.set_x(0, b.add(Type::I64, b.get_x(0), b.i64(1)));
        b.emit(Op::Exit, Type::Void, {}, static_cast<uint64_t>(target));
    }

    jit::ImageMemory memory_;
    CodeBuffer there_{size_t{8} << 20, {.images = true, .counters_aside = GetParam()}};
    Harness h_{size_t{8} << 20, {.images = true, .counters_aside = GetParam()}};
};

TEST_P(BlockImageTest, AnExitHasItsNewNumberAndCanBeLinkedAndUnlinked) {
    for (const int64_t target : {int64_t{0x40}, int64_t{0x3040}}) {
        h_.reset();
        const CompiledBlock a = take(make(0, [&](ir::Builder& b) { add_one_and_leave(b, target); }));
        const CompiledBlock next = take(make(0x40, [](ir::Builder& b) { add_one_and_leave(b, 0x44); }));
        ASSERT_EQ(a.exits.size(), 1u);
        EXPECT_EQ(run(a), ExitReason::Lookup);
        EXPECT_EQ(h_.last_lookup, kHereSlot);
        link(h_.code, a.exits[0], next.entry, 5);
        h_.lookups = 0;
        EXPECT_EQ(run(a), ExitReason::Lookup);
        EXPECT_EQ(h_.lookups, 1u) << "of the second block alone";
        EXPECT_EQ(h_.state().x[0], 3u);
        unlink(h_.code, a.exits[0]);
        run(a);
        EXPECT_EQ(h_.state().x[0], 4u);
        // What is patched while other threads execute it lies within an aligned quadword.
        for (const uint8_t* field : {a.exits[0].jump, a.exits[0].epoch}) {
            EXPECT_LE(reinterpret_cast<uintptr_t>(field) % 8, 4u);  // null too
        }
    }
}

TEST_P(BlockImageTest, ItCountsInItsNewCounter) {
    const auto block = take(make(
                                0, [](ir::Builder& b) { add_one_and_leave(b, 0x40); }, kThereCounter),
                            kHereCounter);
    ASSERT_TRUE(block);
    for (uint32_t k = 0; k < 10; ++k) h_.code.counters()[k] = 100;
    unpatch_entry(h_.code, block, kHereCounter);
    run(block);
    for (uint32_t k = 0; k < 10; ++k) EXPECT_EQ(h_.code.counters()[k], k == kHereCounter ? 99u : 100u) << k;
    // It runs out: the engine is asked, by the new number, where to go on.
    static uint64_t promoted;
    static const void* body;
    promoted = 0, body = block.body;
    const auto promote = [](GuestState&, uint64_t counter) {
        promoted = counter;
        return body;
    };
    const void* (*entry)(GuestState&, uint64_t) = promote;
    h_.state().runtime.entry[kPromote] = reinterpret_cast<const void*>(entry);
    h_.code.counters()[kHereCounter] = 0;
    run(block);
    EXPECT_EQ(promoted, kHereCounter);
    EXPECT_EQ(h_.state().x[0], 2u);
}

TEST_P(BlockImageTest, ACounterIsNeitherLeftOutNorMadeUp) {
    const auto build = [](ir::Builder& b) { add_one_and_leave(b, 0x40); };
    const CompiledBlock counted = make(0, build, kThereCounter);
    EXPECT_EQ(take(counted).status, CompileStatus::TooComplex);
    const CompiledBlock plain = make(0, build);
    EXPECT_EQ(take(plain, kHereCounter).status, CompileStatus::TooComplex);
}

TEST_P(BlockImageTest, ItsConstantsComeWithIt) {
    // The pools of the two code caches are not alike.
    make(0, [](ir::Builder& b) {
        b.set_v(3, b.emit(Op::VConst, Type::V128, {}, 0x1111'2222'3333'4444));
        b.emit(Op::Exit, Type::Void, {}, 4);
    });
    const CompiledBlock block = take(make(0, [](ir::Builder& b) {
        b.set_v(1, b.emit(Op::VConst, Type::V128, {}, 0x0123'4567'89ab'cdef));
        b.emit(Op::Exit, Type::Void, {}, 4);
    }));
    run(block);
    EXPECT_EQ(h_.state().v[1].d[0], 0x0123'4567'89ab'cdefu);
}

/// Whatever has been written into its code since it was compiled.
TEST_P(BlockImageTest, ABlockThatIsInUseHasTheSameImage) {
    const CompiledBlock next = make(0x40, [](ir::Builder& b) { add_one_and_leave(b, 0x44); });
    for (const int64_t target : {int64_t{0x40}, int64_t{0x3040}, int64_t{-1}}) {
        const CompiledBlock block = make(
            0,
            [&](ir::Builder& b) {
                if (target >= 0) return add_one_and_leave(b, target);
                b.emit(Op::ExitIndirect, Type::Void, {b.get_x(3)}, 0);
            },
            kThereCounter);
        jit::ImageMemory before, after;
        const auto relocations = relocations_of_last(there_, block);
        const auto fresh = image_of(there_, block, relocations, kThereSlot, before);
        ASSERT_TRUE(fresh.has_value());
        const std::vector<uint8_t> code(block.entry, block.entry + block.hot_bytes);
        for (const jit::LinkSlot& exit : block.exits) link(there_, exit, next.entry, 5);
        patch_entry(there_, block, next.entry);
        if (block.indirect != nullptr) sample(there_, block, next.entry);
        EXPECT_FALSE(std::ranges::equal(code, std::span(block.entry, block.hot_bytes)));
        const auto used = image_of(there_, block, relocations, kThereSlot, after);
        ASSERT_TRUE(used.has_value());
        EXPECT_TRUE(std::ranges::equal(fresh->hot, used->hot)) << target;
        EXPECT_TRUE(std::ranges::equal(fresh->cold, used->cold)) << target;
        EXPECT_TRUE(used->counted);
    }
}

TEST_P(BlockImageTest, ItDependsOnNothingOfItsCodeCache) {
    const auto build = [](ir::Builder& b) {
        b.set_x(1, b.emit(Op::Load, Type::I64, {b.get_x(2)}, 0, 3));
        b.set_v(1, b.emit(Op::VConst, Type::V128, {}, 0x0123'4567'89ab'cdef));
        add_one_and_leave(b, 0x3040);
    };
    jit::ImageMemory one, other;
    const CompiledBlock block = make(0, build, 3);
    const auto relocations = relocations_of_last(there_, block);
    const auto first = image_of(there_, block, relocations, kThereSlot, one);
    make(0x80, build);
    const CompiledBlock again = make(0, build, 9);
    const auto relocations_again = relocations_of_last(there_, again);
    const auto second = image_of(there_, again, relocations_again, kThereSlot, other);
    ASSERT_TRUE(first && second);
    EXPECT_TRUE(std::ranges::equal(first->hot, second->hot));
    EXPECT_TRUE(std::ranges::equal(first->cold, second->cold));
    EXPECT_TRUE(std::ranges::equal(first->relocations, second->relocations));
    EXPECT_TRUE(std::ranges::equal(first->constants, second->constants));
}

TEST_P(BlockImageTest, AnImageThatLeadsOutOfItselfIsRefused) {
    const CompiledBlock block = make(0, [](ir::Builder& b) {
        b.set_x(1, b.emit(Op::Load, Type::I64, {b.get_x(2)}, 0, 3));
        b.set_v(1, b.emit(Op::VConst, Type::V128, {}, 0x0123'4567'89ab'cdef));
        add_one_and_leave(b, 0x3040);
    });
    const auto relocations = relocations_of_last(there_, block);
    const auto image = image_of(there_, block, relocations, kThereSlot, memory_);
    ASSERT_TRUE(image.has_value());
    const auto placed = [&](const jit::BlockImage& bad) {
        return place(bad, h_.code, kHereSlot, kNoCounter).status;
    };
    ASSERT_GT(image->relocations.size(), 5u);
    jit::ImageOffset before = 0;
    for (size_t k = 0; k < image->relocations.size(); ++k) {
        const jit::Relocation right = jit::Relocation::unpack(image->relocations[k], before);
        // What its field says leads elsewhere.
        for (const uint32_t value : {1u << 30, std::numeric_limits<uint32_t>::max()}) {
            std::vector<uint8_t> hot(image->hot.begin(), image->hot.end());
            std::vector<uint8_t> cold(image->cold.begin(), image->cold.end());
            uint8_t* const field = right.at < hot.size() ? &hot[right.at] : &cold[right.at - hot.size()];
            std::memcpy(field, &value, sizeof value);
            jit::BlockImage bad = *image;
            bad.hot = hot, bad.cold = cold;
            EXPECT_EQ(placed(bad), CompileStatus::TooComplex) << k;
        }
        // The field is outside of it, or between its halves.
        const auto end = static_cast<jit::ImageOffset>(image->hot.size() + image->cold.size());
        for (const jit::ImageOffset at :
             {end - 3, end, static_cast<jit::ImageOffset>(image->hot.size() - 2), 0u - 4}) {
            std::vector<jit::PackedRelocation> changed(image->relocations.begin(), image->relocations.end());
            changed.resize(k);
            jit::Relocation{.at = at, .kind = right.kind}.append_to(changed, before);
            jit::BlockImage bad = *image;
            bad.relocations = changed;
            EXPECT_EQ(placed(bad), CompileStatus::TooComplex) << k << " " << at;
        }
        before = right.at;
    }
    const std::vector<jit::ImageExit> exits(image->exits.begin(), image->exits.end());
    for (jit::ImageOffset jit::ImageExit::*part :
         {&jit::ImageExit::jump, &jit::ImageExit::epoch, &jit::ImageExit::stub}) {
        auto changed = exits;
        changed[0].*part = 1u << 30;
        jit::BlockImage bad = *image;
        bad.exits = changed;
        EXPECT_EQ(placed(bad), CompileStatus::TooComplex);
    }
    EXPECT_EQ(placed(*image), CompileStatus::Ok);
}

TEST_P(BlockImageTest, WithoutTheOptionThereIsNone) {
    CodeBuffer plain(size_t{8} << 20);
    ir::Block block = block_at(0);
    ir::Builder b(block);
    b.insn_start(0, 0);
    add_one_and_leave(b, 0x40);
    const CompiledBlock compiled = compile(block, plain, 0);
    EXPECT_TRUE(relocations_of_last(plain, compiled).empty());
    EXPECT_FALSE(image_of(plain, compiled, {}, 0, memory_).has_value());
}

INSTANTIATE_TEST_SUITE_P(Counters, BlockImageTest, ::testing::Values(false, true),
                         [](const auto& info) { return info.param ? "Aside" : "InLine"; });

}  // namespace
}  // namespace arclight::backend::testing
