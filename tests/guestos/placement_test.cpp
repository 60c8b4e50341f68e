// The words of --place.
#include "guestos/placement.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace arclight::guestos {
namespace {

using host::CoreSet;

const CoreSet kPermitted = *CoreSet::parse("0-7");

std::string placed(const std::vector<std::string>& words) {
    const auto placement = parse_placement(words, kPermitted);
    return placement ? placement_text(*placement) : placement.error();
}

TEST(Placement, GroupsAndLists) {
    EXPECT_EQ(placed({}), "");
    EXPECT_EQ(placed({"0-3"}), "vcpus: 0-3\ncompiler: 0-3\ndevices: 0-3\n");
    EXPECT_EQ(placed({"vcpus=1,3", "compiler=2"}), "vcpus: 1,3\ncompiler: 2\n");
    EXPECT_EQ(placed({"4", "devices=5"}), "vcpus: 4\ncompiler: 4\ndevices: 5\n");
}

TEST(Placement, ErrorsAreOneLine) {
    EXPECT_EQ(placed({"8"}), "core 8 is none that this process may run on (0-7)");
    EXPECT_EQ(placed({"cache:9"}), "core 9 is none that this process may run on (0-7)");
    EXPECT_EQ(placed({"all"}), "'all' is no set of cores: write a list such as 0-3,8, or cache");
    EXPECT_EQ(placed({"vcpus="}), "'' is no set of cores: write a list such as 0-3,8, or cache");
    EXPECT_EQ(placed({"cpus=1"}), "'cpus' is no group of threads: vcpus, compiler or devices");
    EXPECT_EQ(placed({"cache:1-2"}),
              "'cache:1-2' is no set of cores: cache, or cache:N for the cores that share core N's cache");
    EXPECT_EQ(placed({"cached"}),
              "'cached' is no set of cores: cache, or cache:N for the cores that share core N's cache");
}

TEST(Placement, WaysOfACache) {
    const auto ways = [](std::vector<std::string> words) { return parse_cache_ways(words); };
    EXPECT_EQ(ways({"0-3", "vcpus=1"}), uint64_t{0});
    EXPECT_EQ(ways({"l3=0-3"}), uint64_t{0xf});
    EXPECT_EQ(ways({"l3=0", "vcpus=1", "l3=2,4-5"}), uint64_t{0x34});
    EXPECT_EQ(ways({"l3="}).error(), "'' is no list of ways of a cache: write one such as 0-3");
    EXPECT_EQ(ways({"l3=half"}).error(), "'half' is no list of ways of a cache: write one such as 0-3");
    EXPECT_EQ(ways({"l3=60-70"}).error(), "'60-70': no cache has a way 64");
    EXPECT_EQ(placed({"vcpus=1", "l3=0-3"}), "vcpus: 1\n") << "no cores";
}

TEST(Placement, ColoursOfPages) {
    const auto text = [](std::vector<std::string> words, unsigned usual = 0) -> std::string {
        const auto colours = parse_colours(words, usual);
        return colours ? fmt::format("{}/{}", colours->chosen.text(), colours->of) : colours.error();
    };
    EXPECT_EQ(text({"0-3", "l3=1"}), "/0");
    EXPECT_EQ(text({"colours=0-15"}, 32), "0-15/32");
    EXPECT_EQ(text({"colours=0-15", "vcpus=1", "colours=1,3/4"}, 32), "1,3/4");
    EXPECT_EQ(
        text({"colours=0-15"}),
        "this host does not say how many colours its second level of cache has: write them, as in 0-15/32");
    EXPECT_EQ(text({"colours="}, 32), "'' is no list of colours: write one such as 0-15/32");
    EXPECT_EQ(text({"colours=half"}, 32), "'half' is no list of colours: write one such as 0-15/32");
    EXPECT_EQ(text({"colours=30-40"}, 32), "of 32 colours none is number 32");
    EXPECT_EQ(text({"colours=0/48"}), "'48' is no number of colours: a power of two from 2 to 1024");
    EXPECT_EQ(text({"colours=0/"}), "'' is no number of colours: a power of two from 2 to 1024");
    EXPECT_EQ(text({"colours=0/1"}), "'1' is no number of colours: a power of two from 2 to 1024");
    EXPECT_EQ(placed({"vcpus=1", "colours=0/2"}), "vcpus: 1\n") << "no cores";
}

TEST(Placement, ACacheIsThatOfAPermittedCore) {
    const CoreSet permitted = CoreSet::permitted();
    const auto placement = parse_placement(std::vector<std::string>{"vcpus=cache"}, permitted);
    ASSERT_TRUE(placement) << placement.error();
    const auto& cores = (*placement)[0];
    ASSERT_TRUE(cores);
    EXPECT_GE(cores->count(), 1u);
    EXPECT_LE(cores->count(), permitted.count());
}

}  // namespace
}  // namespace arclight::guestos
