// Which loops are peeled, and which of their checks are hoisted.
#include "jit/llvm/loop_versioning.h"

#include <gtest/gtest.h>

#include "tests/jit/llvm/plan_fixture.h"

namespace arclight::jit::tier2::testing {
namespace {

/// do { load [x0]; x0 += step } while (x0 != x1)
template <typename Step>
Region loop(Step&& step) {
    Region region;
    add_block(region, 0, [&](Builder& b) {
        const Ref from = b.get_x(0), end = b.get_x(1);
        load(b, from);
        const Ref next = b.add(Type::I64, from, step(b));
        b.set_x(0, next);
        compare(b, next, end);
        exit_if_not_equal(b, 0);
        exit_to(b, 16);
    });
    return region;
}
Region loop_by(uint64_t bytes) {
    return loop([=](Builder& b) { return b.i64(bytes); });
}

TEST(LoopVersioningTest, ALoopIsPeeledAndItsBodyChecksAtItsHead) {
    const LoopVersioning v = version_loops(loop_by(8));
    ASSERT_EQ(v.graph.region.blocks.size(), 2u);
    EXPECT_EQ(v.graph.loop_bodies, (std::map<size_t, size_t>{{0, 1}}));
    EXPECT_EQ(v.graph.target_of(0, 0), 1u) << "from the peeled iteration to the body";
    EXPECT_EQ(v.graph.target_of(1, 0), 1u) << "from iteration to iteration";
    EXPECT_EQ(v.graph.target_of(2, 0), 0u) << "from elsewhere to the peeled iteration";
    ASSERT_EQ(v.loops.size(), 2u);
    EXPECT_FALSE(v.loops[0].any()) << "the peeled iteration checks each access alone";
    EXPECT_EQ(v.loops[1].strides, (std::map<uint32_t, int64_t>{{0, 8}}));
    EXPECT_EQ(v.loops[1].steps, (std::map<unsigned, int64_t>{{0, 8}}));
    EXPECT_EQ(v.accesses.blocks.size(), 2u);
}

TEST(LoopVersioningTest, TheCarrierIsARegisterThatMovesAlike) {
    const LoopVersioning v = version_loops(loop_by(8));
    const auto carrier = carrier_of(v.graph.region.blocks[1].ir, v.loops[1], 8);
    ASSERT_TRUE(carrier.has_value());
    EXPECT_EQ(carrier->x, 0u);
    EXPECT_EQ(carrier->shift, 0u);
    EXPECT_EQ(carrier_of(v.graph.region.blocks[1].ir, v.loops[1], 32)->shift, 2u);
    EXPECT_FALSE(carrier_of(v.graph.region.blocks[1].ir, v.loops[1], 12).has_value());
}

TEST(LoopVersioningTest, TheConditionSaysHowFarTheLoopGoes) {
    const Region region = loop_by(-16ull);
    const auto condition = loop_condition(region.blocks[0]);
    ASSERT_TRUE(condition.has_value());
    EXPECT_EQ(condition->step, -16);
    EXPECT_EQ(region.blocks[0].ir[condition->to].imm, 1u) << "x1";
}

TEST(LoopVersioningTest, AStrideInARegisterIsLookedUpEachIteration) {
    const LoopVersioning v = version_loops(loop([](Builder& b) { return b.get_x(2); }));
    EXPECT_EQ(v.graph.region.blocks.size(), 1u);
    EXPECT_FALSE(v.loops[0].any());
    EXPECT_EQ(v.accesses.blocks[0].groups[0].page, kNoPage);
    EXPECT_NE(version_loops(loop_by(8)).accesses.blocks[0].groups[0].page, kNoPage);
}

TEST(LoopVersioningTest, ALargeStrideIsNotHoisted) {
    EXPECT_TRUE(version_loops(loop_by(256)).loops.back().any());
    const LoopVersioning v = version_loops(loop_by(264));
    EXPECT_EQ(v.graph.region.blocks.size(), 1u);
    EXPECT_EQ(v.accesses.blocks[0].groups[0].page, kNoPage);
}

TEST(LoopVersioningTest, AnAddressThatTheLoopLoadsStaysWhereItIs) {
    Region region;
    add_block(region, 0, [](Builder& b) {
        b.set_x(0, load(b, b.get_x(0)));
        compare(b, b.get_x(0), b.get_x(1));
        exit_if_not_equal(b, 0);
        exit_to(b, 16);
    });
    EXPECT_EQ(version_loops(region).graph.region.blocks.size(), 1u);
}

TEST(LoopVersioningTest, WithoutAnEdgeBackThereIsNoLoop) {
    Region region;
    add_block(region, 0, [](Builder& b) {
        load(b, b.get_x(0));
        exit_to(b, 4);
    });
    const LoopVersioning v = version_loops(region);
    EXPECT_EQ(v.graph.region.blocks.size(), 1u);
    EXPECT_FALSE(v.loops[0].any());
    EXPECT_FALSE(loop_condition(region.blocks[0]).has_value());
}

}  // namespace
}  // namespace arclight::jit::tier2::testing
