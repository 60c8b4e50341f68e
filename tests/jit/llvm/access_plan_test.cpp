// Which accesses share a check.
#include "jit/llvm/access_plan.h"

#include <gtest/gtest.h>

#include "jit/translation_flags.h"
#include "tests/jit/llvm/plan_fixture.h"

namespace arclight::jit::tier2::testing {
namespace {

AccessPlan plan_of(const Region& region) { return plan_accesses(RegionGraph(region)); }
Ref at(Builder& b, unsigned x, uint64_t displacement) {
    return b.add(Type::I64, b.get_x(x), b.i64(displacement));
}

TEST(AccessPlanTest, NeighboursShareACheck) {
    Region region;
    Ref first = 0, second = 0, far = 0;
    add_block(region, 0, [&](Builder& b) {
        first = load(b, at(b, 0, 16));
        second = load(b, b.get_x(0));
        far = load(b, at(b, 0, 160));
    });
    const AccessPlan plan = plan_of(region);
    const BlockAccesses& block = plan.blocks[0];
    ASSERT_EQ(block.groups.size(), 2u);
    EXPECT_EQ(block.group_of[first], block.group_of[second]);
    EXPECT_NE(block.group_of[first], block.group_of[far]) << "further than a group's span";
    EXPECT_EQ(block.groups[0].lo, 0);
    EXPECT_EQ(block.groups[0].hi, 24);
    EXPECT_FALSE(block.groups[0].write);
    EXPECT_EQ(block.groups[0].assumed(), assumption_at(0)) << "24 bytes may lie in two pages";
    EXPECT_EQ(block.groups[1].assumed(), 0u) << "8 bytes are taken to lie in one";
}

TEST(AccessPlanTest, AConditionalExitEndsGroups) {
    Region region;
    Ref before = 0, behind = 0;
    add_block(region, 0, [&](Builder& b) {
        before = load(b, b.get_x(0));
        compare(b, b.get_x(1), b.get_x(2));
        exit_if_not_equal(b, 8);
        behind = load(b, at(b, 0, 8));
    });
    const AccessPlan plan = plan_of(region);
    EXPECT_NE(plan.blocks[0].group_of[before], plan.blocks[0].group_of[behind]);
}

TEST(AccessPlanTest, AddressesComputedTwiceAreOne) {
    Region region;
    add_block(region, 0, [&](Builder& b) {
        const Ref x = b.get_x(1), y = b.get_x(2);
        const Ref v = load(b, b.bin_raw(Op::Add, Type::I64, x, y));
        store(b, b.bin_raw(Op::Add, Type::I64, x, y), v);
    });
    const AccessPlan plan = plan_of(region);
    ASSERT_EQ(plan.blocks[0].groups.size(), 1u);
    EXPECT_TRUE(plan.blocks[0].groups[0].write);
}

TEST(AccessPlanTest, WhatIsDisabledIsCheckedAlone) {
    Region region;
    Ref pair = 0;
    add_block(region, 0, [&](Builder& b) {
        load(b, b.get_x(0));
        b.insn_start(4, 0);
        load(b, at(b, 0, 8));
        b.insn_start(8, 0);
        pair = b.emit(Op::LoadV, Type::V128, {at(b, 0, 32)}, 0, kSixteenBytes);
    });
    EXPECT_EQ(plan_of(region).blocks[0].groups.size(), 1u);
    region.disabled_assumptions = assumption_at(4) | assumption_at(8);
    const AccessPlan plan = plan_of(region);
    ASSERT_EQ(plan.blocks[0].groups.size(), 4u);
    EXPECT_EQ(plan.blocks[0].parts.at(pair).size(), 2u) << "16 bytes may lie in two pages";
    region.translation_flags = translation_flag::kFastmem;
    EXPECT_TRUE(plan_of(region).blocks[0].parts.empty()) << "an access through fastmem is one instruction";
}

TEST(AccessPlanTest, BasesSeenInOnePageShareIt) {
    constexpr uint64_t kPage = 77;
    Region region;
    add_block(region, 0, [&](Builder& b) {
        load(b, b.get_x(0), kPage);
        store(b, b.get_x(1), b.i64(0), kPage);
        load(b, b.get_x(2));
    });
    const AccessPlan plan = plan_of(region);
    const auto& groups = plan.blocks[0].groups;
    ASSERT_EQ(groups.size(), 3u);
    EXPECT_EQ(groups[0].page, groups[1].page);
    EXPECT_NE(groups[0].page, groups[2].page);
    EXPECT_TRUE(plan.pages[groups[0].page].shared);
    EXPECT_EQ(plan.pages[groups[0].page].span, 8u);
    EXPECT_FALSE(plan.pages[groups[2].page].shared);
    region.translation_flags = translation_flag::kFastmem;
    const AccessPlan fastmem = plan_of(region);
    EXPECT_NE(fastmem.blocks[0].groups[0].page, fastmem.blocks[0].groups[1].page);
}

TEST(AccessPlanTest, APageIsStableIfItsBaseIsNeverLoaded) {
    Region region;
    add_block(region, 0, [&](Builder& b) {
        b.set_x(0, load(b, b.get_x(0)));  // as a list is walked
        load(b, b.get_x(1));
        b.set_x(1, at(b, 1, 8));
    });
    const AccessPlan plan = plan_of(region);
    const auto& groups = plan.blocks[0].groups;
    ASSERT_EQ(groups.size(), 2u);
    EXPECT_FALSE(plan.pages[groups[0].page].stable);
    EXPECT_TRUE(plan.pages[groups[1].page].stable);
}

}  // namespace
}  // namespace arclight::jit::tier2::testing
