// Blocks that are taken from one code cache to another (jit/block_image.h).
#include "jit/block_image.h"

#include <functional>

#include "tests/backend/harness.h"

namespace arclight::backend::testing {
namespace {

using jit::ExitReason;
constexpr uint64_t kPage = Harness::kPage;
constexpr uint32_t kThereCounter = 5, kHereCounter = 7, kThereSlot = 900, kHereSlot = 40;

class BlockImageTest : public ::testing::Test {
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
        const auto image = image_of_last(there_, block);
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

    CodeBuffer there_{size_t{8} << 20, {.images = true}};
    Harness h_{size_t{8} << 20, {.images = true}};
};

TEST_F(BlockImageTest, AnExitHasItsNewNumberAndCanBeLinkedAndUnlinked) {
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

TEST_F(BlockImageTest, ItCountsInItsNewCounter) {
    const auto block = take(make(
                                0, [](ir::Builder& b) { add_one_and_leave(b, 0x40); }, kThereCounter),
                            kHereCounter);
    ASSERT_TRUE(block);
    for (uint32_t k = 0; k < 10; ++k) h_.code.counters()[k] = 100;
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

TEST_F(BlockImageTest, ACounterIsNeitherLeftOutNorMadeUp) {
    const auto build = [](ir::Builder& b) { add_one_and_leave(b, 0x40); };
    const CompiledBlock counted = make(0, build, kThereCounter);
    EXPECT_EQ(take(counted).status, CompileStatus::TooComplex);
    const CompiledBlock plain = make(0, build);
    EXPECT_EQ(take(plain, kHereCounter).status, CompileStatus::TooComplex);
}

TEST_F(BlockImageTest, ItsConstantsComeWithIt) {
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

TEST_F(BlockImageTest, AnImageThatLeadsOutOfItselfIsRefused) {
    const CompiledBlock block = make(0, [](ir::Builder& b) {
        b.set_x(1, b.emit(Op::Load, Type::I64, {b.get_x(2)}, 0, 3));
        add_one_and_leave(b, 0x3040);
    });
    const auto image = image_of_last(there_, block);
    ASSERT_TRUE(image.has_value());
    ASSERT_FALSE(image->relocations.empty());
    for (size_t k = 0; k < image->relocations.size(); ++k)
        for (const bool field : {true, false}) {
            std::vector<jit::Relocation> changed(image->relocations.begin(), image->relocations.end());
            if (!field && changed[k].kind == jit::Relocation::Kind::Counter) continue;
            (field ? changed[k].at : changed[k].value) = 1u << 30;
            jit::BlockImage bad = *image;
            bad.relocations = changed;
            EXPECT_EQ(place(bad, h_.code, kHereSlot, kNoCounter).status, CompileStatus::TooComplex)
                << k << field;
        }
    std::vector<jit::ImageExit> exits(image->exits.begin(), image->exits.end());
    for (jit::ImageOffset jit::ImageExit::*part :
         {&jit::ImageExit::jump, &jit::ImageExit::epoch, &jit::ImageExit::stub}) {
        auto changed = exits;
        changed[0].*part = 1u << 30;
        jit::BlockImage bad = *image;
        bad.exits = changed;
        EXPECT_EQ(place(bad, h_.code, kHereSlot, kNoCounter).status, CompileStatus::TooComplex);
    }
    EXPECT_TRUE(place(*image, h_.code, kHereSlot, kNoCounter));
}

TEST_F(BlockImageTest, WithoutTheOptionThereIsNone) {
    CodeBuffer plain(size_t{8} << 20);
    ir::Block block = block_at(0);
    ir::Builder b(block);
    b.insn_start(0, 0);
    add_one_and_leave(b, 0x40);
    EXPECT_FALSE(image_of_last(plain, compile(block, plain, 0)).has_value());
}

}  // namespace
}  // namespace arclight::backend::testing
