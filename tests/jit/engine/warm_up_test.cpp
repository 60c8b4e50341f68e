#include "jit/engine/warm_up.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace arclight::jit {
namespace {

constexpr double kSlice = 0.1;
using Slices = std::vector<ProfileSlice>;

void add(Slices& to, unsigned count, ProfileSlice slice) { to.insert(to.end(), count, slice); }

TEST(WarmUpTest, AStepIsFoundWhereItIs) {
    Slices slices;
    add(slices, 5, {0, 0, 50});   // the translator alone
    add(slices, 20, {50, 0, 0});  // tier 1: half the speed
    add(slices, 40, {0, 50, 0});
    const auto found = detect_warm_up(slices, kSlice);
    ASSERT_TRUE(found);
    // Three slices in four must have it: (3 * 2 + 1) / 4 is less than 1.8.
    EXPECT_NEAR(found->seconds, 26 * kSlice, 1e-9);
    EXPECT_DOUBLE_EQ(found->region_share, 1);
}

TEST(WarmUpTest, ARampIsFoundNearItsEnd) {
    Slices slices;
    for (uint32_t k = 0; k <= 100; ++k) slices.push_back({100 - k, k, 0});
    add(slices, 100, {0, 100, 0});
    // Speed grows from 1 to 2 in ten seconds, so it is 1.8 after eight.
    const auto found = detect_warm_up(slices, kSlice);
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->seconds, 8, 0.3);
}

TEST(WarmUpTest, ThePartThatStaysInTier1CountsToo) {
    Slices slices;
    add(slices, 20, {100, 0, 0});
    add(slices, 20, {80, 20, 0});  // speed 1.2 of 1.5
    add(slices, 60, {50, 50, 0});
    const auto found = detect_warm_up(slices, kSlice);
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->seconds, 4, 0.2);
    EXPECT_NEAR(found->region_share, 0.5, 0.01);
}

TEST(WarmUpTest, AGuestWithoutRegionsIsSteadyWhenItsCodeIsTranslated) {
    Slices slices;
    add(slices, 8, {10, 0, 40});
    add(slices, 60, {49, 0, 1});
    const auto found = detect_warm_up(slices, kSlice);
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->seconds, 0.9, 0.11);
    EXPECT_EQ(found->region_share, 0);
}

TEST(WarmUpTest, AGuestThatWaitsIsNotSlow) {
    Slices slices;
    add(slices, 10, {50, 0, 0});
    add(slices, 100, {});         // waits
    add(slices, 100, {1, 0, 3});  // its clock's ticks
    add(slices, 10, {0, 50, 0});
    add(slices, 100, {});
    add(slices, 30, {0, 50, 0});
    const auto found = detect_warm_up(slices, kSlice);
    ASSERT_TRUE(found);
    EXPECT_NEAR(found->seconds, 21.1, 0.11);
}

TEST(WarmUpTest, ChanceDoesNotMoveItFar) {
    std::mt19937 random(1);
    for (unsigned round = 0; round < 50; ++round) {
        Slices slices;
        for (unsigned k = 0; k < 100; ++k) {
            std::binomial_distribution<uint32_t> in_regions(50, k < 30 ? 0.1 : 0.8);
            const uint32_t n = in_regions(random);
            slices.push_back({50 - n, n, 0});
        }
        const auto found = detect_warm_up(slices, kSlice);
        ASSERT_TRUE(found);
        EXPECT_NEAR(found->seconds, 3, 0.41) << "round " << round;
    }
}

TEST(WarmUpTest, AShortRunTellsNothing) {
    EXPECT_FALSE(detect_warm_up({}, kSlice));
    Slices slices;
    add(slices, 9, {0, 50, 0});
    EXPECT_FALSE(detect_warm_up(slices, kSlice));
    add(slices, 1000, {1, 1, 1});
    EXPECT_FALSE(detect_warm_up(slices, kSlice));
    add(slices, 1, {0, 50, 0});
    EXPECT_TRUE(detect_warm_up(slices, kSlice));
}

}  // namespace
}  // namespace arclight::jit
