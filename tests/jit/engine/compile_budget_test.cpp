#include "jit/engine/compile_budget.h"

#include <gtest/gtest.h>

namespace arclight::jit {
namespace {

class CompileBudgetTest : public testing::Test {
  protected:
    static constexpr CompileBudget::Work kUsual{.guest_insns = 30};
    Tier2Options options_{.heat = 1'000'000, .patience = 8};
    CompileBudget budget_{options_};
};

TEST_F(CompileBudgetTest, WaitsLongerForWhatTakesLonger) {
    EXPECT_DOUBLE_EQ(budget_.needed(kUsual), 8e6);
    EXPECT_DOUBLE_EQ(budget_.needed({.guest_insns = 120}), 32e6);
}

TEST_F(CompileBudgetTest, LoadingTheCompilerIsACostOfTheFirst) {
    EXPECT_DOUBLE_EQ(budget_.needed({.guest_insns = 30, .loads_compiler = true}), 16e6);
}

TEST_F(CompileBudgetTest, WhatWasSavedMayBeLost) {
    budget_.loaded(20e6);
    budget_.compiled(kUsual, 20e6);
    budget_.saved(40e6);
    EXPECT_DOUBLE_EQ(budget_.needed(kUsual), 8e6);  // all is paid, and nothing left
    budget_.saved(1e9);
    EXPECT_DOUBLE_EQ(budget_.needed(kUsual), 1e6);
    budget_.loaded(1e9);
    EXPECT_DOUBLE_EQ(budget_.needed(kUsual), 8e6);
}

TEST_F(CompileBudgetTest, WhatIsSavedInPartShortensTheWaitInPart) {
    const double cost = 22e6;
    budget_.saved(cost / 2);
    EXPECT_DOUBLE_EQ(budget_.needed(kUsual), 4.5e6);
}

TEST_F(CompileBudgetTest, MeasuredCompilationsSayWhatTheNextCosts) {
    // Of a mean that begins with one of 22 ms.
    for (unsigned k = 0; k < 9999; ++k) budget_.compiled(kUsual, 44e6);
    EXPECT_NEAR(budget_.needed(kUsual), 16e6, 0.01e6);
    budget_.saved(budget_.spent() + 22e6);
    EXPECT_NEAR(budget_.needed(kUsual), 9e6, 0.01e6);
}

TEST_F(CompileBudgetTest, OneThatTookVeryLongPutsNothingOffForever) {
    budget_.compiled(kUsual, 1e15);
    EXPECT_DOUBLE_EQ(budget_.needed(kUsual), 24e6);
}

TEST_F(CompileBudgetTest, CheapOnesAreNoReasonToWaitLess) {
    for (unsigned k = 0; k < 100; ++k) budget_.compiled(kUsual, 1e3);
    EXPECT_DOUBLE_EQ(budget_.needed(kUsual), 8e6);
}

TEST_F(CompileBudgetTest, LooksAgainAFewTimesUntilThen) {
    double done = 0;
    unsigned looks = 0;
    while (done < budget_.needed(kUsual) && looks < 100) {
        done += budget_.next_look(kUsual, done);
        ++looks;
    }
    EXPECT_DOUBLE_EQ(done, 8e6);
    EXPECT_LT(looks, 20u);
    EXPECT_GE(looks, 3u);
}

TEST_F(CompileBudgetTest, CompilationsHaveAShareOfTheGuestsTime) {
    EXPECT_FALSE(budget_.exhausted(0));
    budget_.compiled(kUsual, 1e9);
    EXPECT_TRUE(budget_.exhausted(1e9));
    EXPECT_FALSE(budget_.exhausted(1e9 / options_.budget));
}

TEST_F(CompileBudgetTest, NothingIsWaitedForWithoutHeat) {
    options_.heat = 0;
    EXPECT_EQ(budget_.needed({.guest_insns = 200, .loads_compiler = true}), 0);
}

TEST_F(CompileBudgetTest, AShareIsAllAtMost) {
    EXPECT_EQ(CompileBudget::share_of_time(1e9, 1e6), 1);
    EXPECT_EQ(CompileBudget::share_of_time(1, 0), 1);
    EXPECT_LT(CompileBudget::share_of_time(1e6, 1e9), 0.01);
    EXPECT_GT(CompileBudget::share_of_time(1e6, 1e9), 0);
}

}  // namespace
}  // namespace arclight::jit
