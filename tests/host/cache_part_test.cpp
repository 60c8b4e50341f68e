// A part of a cache, in a tree of files such as the kernel's: what is written is what the kernel would be told.
#include "host/cache_part.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

namespace arclight::host {
namespace {

class Resctrl {
  public:
    explicit Resctrl(const std::string& table = "    MB:0=100;1=100\n    L3:0=fff;1=fff",
                     const std::string& cache = "L3") {
        std::string name = testing::TempDir() + "resctrlXXXXXX";
        root = mkdtemp(name.data());
        put("schemata", table);
        put("info/" + cache + "/cbm_mask", "fff");
        put("info/" + cache + "/min_cbm_bits", "2");
        // The kernel makes a group's files with its directory.
        own = "arclight-" + std::to_string(getpid());
        for (const char* file : {"/schemata", "/tasks"}) put(own + file, "");
    }
    ~Resctrl() { std::filesystem::remove_all(root); }
    void put(const std::string& path, const std::string& text) const {
        const std::filesystem::path file = root + '/' + path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream out(file);
        if (!text.empty()) out << text << '\n';
    }
    std::string get(const std::string& path) const {
        std::ostringstream text;
        text << std::ifstream(root + '/' + path).rdbuf();
        return text.str();
    }
    std::string root, own;
};

std::string error_of(const std::string& root, uint64_t ways) {
    const auto part = CachePart::open(ways, root);
    return part ? "none" : part.error();
}

TEST(CachePart, AGroupOfItsOwn) {
    const Resctrl host;
    auto part = CachePart::open(0xf, host.root);
    ASSERT_TRUE(part) << part.error();
    EXPECT_EQ(host.get(host.own + "/schemata"), "L3:0=f;1=f\n");
    EXPECT_TRUE(host.get(host.own + "/tasks").starts_with(std::to_string(getpid()) + "\n"));
    EXPECT_EQ(part->ways(), 0xfu);
    const CachePart moved = std::move(*part);
    EXPECT_EQ(moved.ways(), 0xfu);
}

TEST(CachePart, ItsWaysChangeWithoutAFileBeingOpened) {
    const Resctrl host;
    auto part = CachePart::open(0xf, host.root);
    ASSERT_TRUE(part) << part.error();
    std::filesystem::rename(host.root + '/' + host.own + "/schemata", host.root + "/elsewhere");
    ASSERT_TRUE(part->use(0xf0));
    EXPECT_EQ(host.get("elsewhere"), "L3:0=f;1=f\nL3:0=f0;1=f0\n");
    EXPECT_EQ(part->ways(), 0xf0u);
    EXPECT_EQ(part->use(0x1000).error(), "the cache has the ways 0-11, not 12");
    EXPECT_EQ(part->use(0).error(), "the cache has the ways 0-11, not ");
    EXPECT_EQ(part->use(0x505).error(), "this host wants ways that follow each other, not 0,2,8,10");
    EXPECT_EQ(part->use(4).error(), "this host wants 2 ways at least");
    EXPECT_EQ(part->ways(), 0xf0u) << "as before";
}

TEST(CachePart, WaysNeedNotFollowEachOtherEverywhere) {
    const Resctrl host;
    host.put("info/L3/sparse_masks", "1");
    const auto part = CachePart::open(0x505, host.root);
    ASSERT_TRUE(part) << part.error();
    EXPECT_EQ(host.get(host.own + "/schemata"), "L3:0=505;1=505\n");
}

// Code and data prioritisation: both get the same.
TEST(CachePart, CodeAndDataApart) {
    const Resctrl host("L3DATA:0=fff\nL3CODE:0=fff", "L3DATA");
    const auto part = CachePart::open(0xff0, host.root);
    ASSERT_TRUE(part) << part.error();
    EXPECT_EQ(host.get(host.own + "/schemata"), "L3DATA:0=ff0\nL3CODE:0=ff0\n");
}

TEST(CachePart, GroupsOfProcessesThatAreGoneAreRemoved) {
    const Resctrl host;
    // A number above the kernel's greatest (4194304).
    for (const char* group : {"arclight-99999999", "arclight-1", "arclight-x", "other-99999999"})
        std::filesystem::create_directory(host.root + '/' + group);
    EXPECT_EQ(error_of(host.root, 0xf), "none");
    EXPECT_FALSE(std::filesystem::exists(host.root + "/arclight-99999999"));
    for (const char* group : {"arclight-1", "arclight-x", "other-99999999"})
        EXPECT_TRUE(std::filesystem::exists(host.root + '/' + group)) << group;
}

TEST(CachePart, HostsWithoutIt) {
    const std::string nowhere = "/nonexistent";
    EXPECT_EQ(error_of(nowhere, 3), "this host does not divide its third level of cache (no /nonexistent)");
    const Resctrl only_bandwidth("MB:0=100", "MB");
    EXPECT_TRUE(error_of(only_bandwidth.root, 3).starts_with("this host does not divide"));
    const Resctrl host;
    EXPECT_EQ(error_of(host.root, uint64_t{1} << 40), "the cache has the ways 0-11, not 40");
}

TEST(CachePart, ListsOfWays) {
    EXPECT_EQ(way_list(0), "");
    EXPECT_EQ(way_list(1), "0");
    EXPECT_EQ(way_list(0xf0f), "0-3,8-11");
    EXPECT_EQ(way_list(~uint64_t{0}), "0-63");
    EXPECT_EQ(way_list(uint64_t{1} << 63 | 2), "1,63");
}

}  // namespace
}  // namespace arclight::host
