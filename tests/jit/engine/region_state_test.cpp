// What may become of a compiled region.
#include "jit/engine/region_state.h"

#include <gtest/gtest.h>

#include <set>
#include <utility>

namespace arclight::jit {
namespace {

using enum RegionState;
constexpr RegionState kAll[] = {Compiling, Live, Timed, Resting, Retired};

TEST(RegionStateTest, TheseTransitionsAndNoOthers) {
    const std::set<std::pair<RegionState, RegionState>> allowed = {
        {Compiling, Live}, {Live, Timed},        {Timed, Resting}, {Resting, Live},
        {Live, Retired},   {Compiling, Retired}, {Timed, Retired}, {Resting, Retired}};
    for (const RegionState from : kAll)
        for (const RegionState to : kAll)
            EXPECT_EQ(may_follow(from, to), allowed.contains({from, to}))
                << static_cast<int>(from) << " to " << static_cast<int>(to);
}

TEST(RegionStateTest, LiveIsWhatIsEntered) {
    EXPECT_FALSE(is_live(Compiling));
    EXPECT_TRUE(is_live(Live));
    EXPECT_TRUE(is_live(Timed));
    EXPECT_TRUE(is_live(Resting));
    EXPECT_FALSE(is_live(Retired));
}

TEST(RegionStateTest, ALifeGoesThroughThem) {
    RegionLife life;
    EXPECT_EQ(life.now(), Compiling);
    for (const RegionState next : {Live, Timed, Resting, Live, Timed}) {
        life.change_to(next);
        EXPECT_EQ(life.now(), next);
        EXPECT_TRUE(life.live());
        EXPECT_FALSE(life.retired());
    }
    life.change_to(Retired);
    EXPECT_FALSE(life.live());
    EXPECT_TRUE(life.retired());
}

/// Asserted: only debug builds check it.
TEST(RegionStateDeathTest, ARetiredRegionDoesNotComeBack) {
    RegionLife life;
    life.change_to(Retired);
    EXPECT_DEBUG_DEATH(life.change_to(Live), "may_follow");
}

}  // namespace
}  // namespace arclight::jit
