// The state of the guest's registers where a region's blocks begin.
#include "jit/llvm/register_plan.h"

#include <gtest/gtest.h>

#include "tests/jit/llvm/plan_fixture.h"

namespace arclight::jit::tier2::testing {
namespace {

RegisterPlan plan_of(const Region& region) { return plan_registers(RegionGraph(region)); }

TEST(RegisterPlanTest, WrittenRegistersAreDirtyBehindTheBlockAlone) {
    Region region;
    add_block(region, 0, [](Builder& b) {
        b.set_x(1, b.i64(7));
        exit_to(b, 4);
    });
    add_block(region, 4, [](Builder& b) {
        b.set_x(2, b.get_x(1));
        exit_to(b, 8);  // out of the region
    });
    const RegisterPlan plan = plan_of(region);
    EXPECT_TRUE(plan.blocks[0].dirty.none());
    EXPECT_EQ(plan.blocks[1].dirty, Slots{}.set(1));
    EXPECT_EQ(plan.written, Slots{}.set(1).set(2));
    EXPECT_EQ(plan.used, Slots{}.set(1).set(2));
}

TEST(RegisterPlanTest, ACycleMakesItsRegistersDirtyAtItsHead) {
    Region region;
    add_block(region, 0, [](Builder& b) {
        b.set_x(1, b.i64(7));
        exit_to(b, 4);
    });
    add_block(region, 4, [](Builder& b) {
        b.set_x(2, b.get_x(3));
        exit_to(b, 0);
    });
    const RegisterPlan plan = plan_of(region);
    EXPECT_EQ(plan.blocks[0].dirty, Slots{}.set(1).set(2));
    EXPECT_FALSE(plan.back_edges[0][1]);
    EXPECT_TRUE(plan.back_edges[1][0]);
}

TEST(RegisterPlanTest, FlagsAreKnownByTheirOperation) {
    Region region;
    add_block(region, 0, [](Builder& b) {
        compare(b, b.get_x(4), b.i64(5));
        exit_to(b, 4);
    });
    add_block(region, 4, [](Builder& b) { exit_to(b, 8); });
    const RegisterPlan plan = plan_of(region);
    EXPECT_EQ(plan.blocks[0].flags.kind, FlagsKind::Packed);
    const KnownFlags want{
        FlagsKind::Sub64, {KnownFlags::Source::Register, 4}, {KnownFlags::Source::Constant, 5}};
    EXPECT_EQ(plan.blocks[1].flags, want);
}

TEST(RegisterPlanTest, AnOperandWhoseRegisterIsOverwrittenIsNowhere) {
    Region region;
    add_block(region, 0, [](Builder& b) {
        compare(b, b.get_x(4), b.i64(5));
        b.set_x(4, b.i64(0));
        exit_to(b, 4);
    });
    add_block(region, 4, [](Builder& b) { exit_to(b, 8); });
    const KnownFlags flags = plan_of(region).blocks[1].flags;
    EXPECT_EQ(flags.kind, FlagsKind::Sub64);
    EXPECT_EQ(flags.a.kind, KnownFlags::Source::Nowhere);
}

TEST(RegisterPlanTest, FlagsOfDifferentOperationsAreDynamic) {
    Region region;
    add_block(region, 0, [](Builder& b) {
        compare(b, b.get_x(4), b.i64(5));
        exit_if_not_equal(b, 8);
        const Ref sum = b.bin_raw(Op::Add, Type::I64, b.get_x(4), b.get_x(5));
        b.set_flags(b.flags_of(sum));
        exit_to(b, 8);
    });
    add_block(region, 8, [](Builder& b) { exit_to(b, 12); });
    const EntryState& state = plan_of(region).blocks[1];
    EXPECT_TRUE(state.flags_known);
    EXPECT_EQ(state.flags.kind, FlagsKind::Dynamic);
}

/// A loop whose only vector register is v3: read, and written as a double.
Region scalar_loop() {
    Region region;
    add_block(region, 0, [](Builder& b) {
        const Ref v = b.get_v(Type::F64, 3);
        b.set_v(3, b.emit(Op::FAdd, Type::F64, {v, v}));
        exit_to(b, 4);
    });
    add_block(region, 4, [](Builder& b) { exit_to(b, 0); });
    return region;
}

TEST(RegisterPlanTest, ADoubleIsAScalarInTheNextBlock) {
    const RegisterPlan plan = plan_of(scalar_loop());
    EXPECT_TRUE(plan.blocks[1].low[kVSlot + 3]);
    EXPECT_FALSE(plan.blocks[0].low[kVSlot + 3]) << "anything may be in it where the region is entered";
    EXPECT_TRUE(plan.assumed_low.none());
}

TEST(RegisterPlanTest, AScalarIsAssumedAtTheEntryIfItWasSeenThere) {
    Region region = scalar_loop();
    region.narrow = 1u << 3;
    EXPECT_EQ(plan_of(region).assumed_low, Slots{}.set(kVSlot + 3));
    EXPECT_TRUE(plan_of(region).blocks[0].low[kVSlot + 3]);
    region.disabled_assumptions = kAssumptionAtEntry;
    EXPECT_TRUE(plan_of(region).assumed_low.none());
}

}  // namespace
}  // namespace arclight::jit::tier2::testing
