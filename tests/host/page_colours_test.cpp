// Pages of chosen colours: which ones are taken, by a kernel in this test's place that tells numbers and moves pages; and by the host's, where
// it tells.
#include "host/page_colours.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace arclight::host {
namespace {

constexpr size_t kPage = 4096;

PageColours colours(const char* list, unsigned of) { return {.of = of, .chosen = *CoreSet::parse(list)}; }

/// Numbers that follow each other from 1 on but for gaps, and some that are not told.
struct FakeKernel final : PageMover {
    std::expected<void, std::string> frames(const uint8_t* first, std::span<uint64_t> to) override {
        for (size_t k = 0; k < to.size(); ++k) {
            to[k] = k % 100 == 99 ? 0 : next += k % 7 == 0 ? 3 : 1;
            known[first + k * kPage] = to[k];
        }
        return {};
    }
    std::expected<void, std::string> begin(uint8_t*, size_t) override {
        ++begun;
        return {};
    }
    void end(uint8_t*, size_t) override { ++ended; }
    std::expected<void, std::string> move(uint8_t* to, uint8_t* from, size_t bytes) override {
        for (size_t at = 0; at < bytes; at += kPage) {
            EXPECT_TRUE(known.contains(from + at));
            EXPECT_TRUE(moved.emplace(to + at, known[from + at]).second) << "twice";
        }
        return {};
    }
    std::map<const uint8_t*, uint64_t> known, moved;
    uint64_t next = 0;
    int begun = 0, ended = 0;
};

TEST(PageColours, OnlyPagesOfTheirColoursAreTaken) {
    constexpr size_t kPages = 3000;
    auto* const to = reinterpret_cast<uint8_t*>(uint64_t{1} << 40);  // nothing is written there
    FakeKernel kernel;
    const auto wanted = colours("4-6,31", 32);
    const auto done = colour_memory(to, kPages * kPage, wanted, kernel, size_t{1} << 30);
    ASSERT_TRUE(done) << done.error();
    ASSERT_EQ(kernel.moved.size(), kPages);
    EXPECT_EQ(kernel.moved.begin()->first, to);
    EXPECT_EQ(kernel.moved.rbegin()->first, to + (kPages - 1) * kPage);
    for (const auto& [page, frame] : kernel.moved) {
        EXPECT_NE(frame, 0u);
        EXPECT_TRUE(frame % 32 == 31 || (frame % 32 >= 4 && frame % 32 <= 6)) << frame;
    }
    EXPECT_EQ(kernel.begun, 1);
    EXPECT_EQ(kernel.ended, 1);
}

TEST(PageColours, WhatTheHostHasMayNotDo) {
    FakeKernel kernel;
    auto* const to = reinterpret_cast<uint8_t*>(uint64_t{1} << 40);
    const auto done =
        colour_memory(to, size_t{64} << 20, colours("0", 32), kernel, size_t{40} << 20);  // two chunks
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error(),
              "0 of 64 MiB have these colours among the 32 MiB that the host has to choose from");
    EXPECT_EQ(kernel.ended, 1);
}

/// Moves content, too, and says for what is nowhere yet that its page is the one at this distance.
struct CopyingKernel final : PageMover {
    std::expected<void, std::string> frames(const uint8_t* first, std::span<uint64_t> to) override {
        for (size_t k = 0; k < to.size(); ++k)
            to[k] = known.try_emplace(first + k * kPage, ++next).first->second;
        return {};
    }
    std::expected<void, std::string> begin(uint8_t*, size_t) override { return {}; }
    void end(uint8_t*, size_t) override { ended = true; }
    std::expected<void, std::string> move(uint8_t* to, uint8_t* from, size_t bytes) override {
        EXPECT_EQ(bytes, kPage);
        std::memset(to, 0, kPage);
        if (moves == refused_from) return std::unexpected("no");
        ++moves;
        std::memcpy(to, from, kPage);
        known[to] = known[from];
        return {};
    }
    std::map<const uint8_t*, uint64_t> known;
    uint64_t next = 0;
    unsigned moves = 0, refused_from = ~0u;
    bool ended = false;
};

TEST(PageColours, ContentStaysInPagesOfOtherColours) {
    constexpr size_t kPages = 5000;  // more than are looked at at once
    std::vector<uint8_t> memory((kPages + 1) * kPage);
    uint8_t* const to = memory.data() + (kPage - reinterpret_cast<uint64_t>(memory.data()) % kPage);
    const auto content = [](size_t page) { return static_cast<uint8_t>(page * 7 + page / 256); };
    const auto kept = [&] {
        for (size_t page = 0; page < kPages; ++page)
            if (to[page * kPage] != content(page) || to[page * kPage + kPage - 1] != content(page))
                return page;
        return kPages;
    };
    for (size_t page = 0; page < kPages; ++page) std::memset(to + page * kPage, content(page), kPage);
    CopyingKernel kernel;
    const auto wanted = colours("16-31", 32);
    const auto done = recolour_memory(to, kPages * kPage, wanted, kernel, size_t{1} << 30);
    ASSERT_TRUE(done) << done.error();
    EXPECT_EQ(kept(), kPages);
    for (size_t page = 0; page < kPages; ++page)
        EXPECT_TRUE(wanted.has(kernel.known[to + page * kPage])) << page;
    EXPECT_NEAR(kernel.moves, kPages / 2, 32) << "half of them had these colours";
    EXPECT_TRUE(kernel.ended);

    // The page that is not moved is as it was.
    CopyingKernel refusing;
    refusing.refused_from = 100;
    EXPECT_EQ(recolour_memory(to, kPages * kPage, wanted, refusing, size_t{1} << 30).error(), "no");
    EXPECT_TRUE(refusing.ended);
    EXPECT_EQ(kept(), kPages);
    CopyingKernel poor;
    EXPECT_EQ(recolour_memory(to, kPages * kPage, colours("0", 32), poor, size_t{16} << 20).error(),
              "0 of 19 MiB have these colours among the 16 MiB that the host has to choose from");
    EXPECT_EQ(kept(), kPages);
}

TEST(PageColours, TheCacheSaysHowManyThereAre) {
    std::string name = testing::TempDir() + "sysXXXXXX";
    const std::string root = mkdtemp(name.data());
    const auto put = [&](const std::string& file, const std::string& text) {
        const std::filesystem::path path = root + "/devices/system/cpu/cpu0/cache/" + file;
        std::filesystem::create_directories(path.parent_path());
        std::ofstream(path) << text << '\n';
    };
    EXPECT_EQ(colours_of_second_level(root), 0u);
    put("index0/level", "1");
    put("index0/number_of_sets", "64");
    put("index0/coherency_line_size", "64");
    EXPECT_EQ(colours_of_second_level(root), 0u) << "no second level";
    put("index1/level", "2");
    put("index1/coherency_line_size", "64");
    EXPECT_EQ(colours_of_second_level(root), 0u) << "its sets are not known";
    put("index1/number_of_sets", "2048");
    EXPECT_EQ(colours_of_second_level(root), 32u);
    put("index1/number_of_sets", "32");
    EXPECT_EQ(colours_of_second_level(root), 1u);
    put("index1/number_of_sets", "192");
    EXPECT_EQ(colours_of_second_level(root), 0u) << "no power of two";
    std::filesystem::remove_all(root);
}

// As the kernel tells it to who has not the right, and as it tells nobody.
TEST(PageColours, WhoIsNotToldIsRefused) {
    std::string name = testing::TempDir() + "pagemapXXXXXX";
    const int file = mkstemp(name.data());
    ASSERT_GE(file, 0);
    const auto opened = PageColourer::open(colours("0", 2), name);
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error(),
              "which pages of the host's memory a process has is told to root on it alone (CAP_SYS_ADMIN)");
    close(file);
    unlink(name.c_str());
    EXPECT_EQ(PageColourer::open(colours("0", 2), "/nowhere").error(),
              "cannot open /nowhere: No such file or directory");
}

uint64_t frame_of(const uint8_t* page) {
    const int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    uint64_t entry = 0;
    const auto at = static_cast<off_t>(reinterpret_cast<uint64_t>(page) / kPage * sizeof entry);
    EXPECT_EQ(pread(pagemap, &entry, sizeof entry, at), ssize_t{sizeof entry});
    close(pagemap);
    return entry & ((uint64_t{1} << 55) - 1);
}

size_t mappings() {
    std::ifstream maps("/proc/self/maps");
    return static_cast<size_t>(
        std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n'));
}

TEST(PageColours, OfTheHostsMemory) {
    const auto wanted = colours("8-15", 32);
    for (const bool moves : {true, false}) {
        auto opened = PageColourer::open(wanted);
        if (!opened) GTEST_SKIP() << opened.error();
        if (!moves) (*opened)->do_without_moves();
        constexpr size_t kBytes = size_t{4} << 20;
        void* const map =
            mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        ASSERT_NE(map, MAP_FAILED);
        auto* const to = static_cast<uint8_t*>(map);
        const size_t before = mappings();
        const auto done = (*opened)->colour(to, kBytes);
        ASSERT_TRUE(done) << done.error();
        size_t wrong = 0;
        for (size_t at = 0; at < kBytes; at += kPage) {
            EXPECT_EQ(to[at], 0);
            to[at] = static_cast<uint8_t>(at / kPage);
            // The kernel may move a page for reasons of its own.
            wrong += wanted.has(frame_of(to + at)) ? 0 : 1;
        }
        EXPECT_LT(wrong, kBytes / kPage / 8);
        for (size_t at = 0; at < kBytes; at += kPage) EXPECT_EQ(to[at], static_cast<uint8_t>(at / kPage));
        const size_t added = mappings() - before;
        std::printf("%s: %zu mappings for %zu pages\n", moves ? "moved" : "mapped", added, kBytes / kPage);
        // And in others, while there is something in them.
        const auto others = colours("20-27", 32);
        const auto changed = (*opened)->recolour(to, kBytes, others);
        if (!changed) {
            EXPECT_EQ(changed.error(),
                      "this kernel does not move pages of memory that is in use (Linux 6.8)");
            EXPECT_EQ((*opened)->colours().chosen.text(), "8-15");
        } else {
            EXPECT_EQ((*opened)->colours().chosen.text(), "20-27");
            wrong = 0;
            for (size_t at = 0; at < kBytes; at += kPage) {
                EXPECT_EQ(to[at], static_cast<uint8_t>(at / kPage));
                wrong += others.has(frame_of(to + at)) ? 0 : 1;
            }
            EXPECT_LT(wrong, kBytes / kPage / 8);
        }
        const std::string room = (*opened)->colour(to, size_t{1} << 44).error();
        EXPECT_TRUE(room.starts_with(
            "16777216 MiB in 8 of 32 colours are chosen from 67108864 MiB, and the host has "))
            << room;
        munmap(map, kBytes);
    }
}

}  // namespace
}  // namespace arclight::host
