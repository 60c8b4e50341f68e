#include "mmu/page_overlay.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "mmu/guest_memory.h"

namespace arclight::mmu {
namespace {

constexpr uint64_t kBase = 0x4000'0000, kPage = PageOverlay::kPage, kPages = 64;

struct Ram {
    alignas(4096) std::array<uint8_t, kPages * kPage> bytes{};
    alignas(4096) std::array<uint8_t, 4 * kPage> elsewhere{};
    PageOverlay stage{bytes.data(), kBase, bytes.size()};
    GuestMemory memory{bytes.data(), kBase, bytes.size(), &stage};
};

class PageOverlayTest : public testing::Test {
  protected:
    std::unique_ptr<Ram> ram = std::make_unique<Ram>();
    GuestMemory& memory = ram->memory;
    PageOverlay& stage = ram->stage;

    void target(uint64_t n, const PageOverlay::Page& page) {
        ASSERT_TRUE(stage.prepare());
        stage.set(kBase + n * kPage, page);
    }
    std::vector<std::pair<uint8_t*, uint64_t>> pieces(uint64_t pa, uint64_t bytes, bool write, bool& good) {
        std::vector<std::pair<uint8_t*, uint64_t>> all;
        good = memory.pieces(pa, bytes, write, [&](uint8_t* host, uint64_t n) { all.emplace_back(host, n); });
        return all;
    }
};

TEST_F(PageOverlayTest, NothingInterceptedIsRamItself) {
    EXPECT_FALSE(memory.has_intercepted_pages());
    EXPECT_EQ(memory.host(kBase + 5, 8192), ram->bytes.data() + 5);
    EXPECT_EQ(memory.host(kBase - 1, 1), nullptr);
    EXPECT_EQ(memory.host(kBase + kPages * kPage, 1), nullptr);
    EXPECT_EQ(memory.page_flags(kBase), 0);
    EXPECT_TRUE(memory.none_intercepted(kBase, kPages * kPage));
}

TEST_F(PageOverlayTest, InterceptedPageIsInterceptedForEverybody) {
    target(2, {.backing = ram->elsewhere.data(), .flags = page_flag::kIntercepted});
    EXPECT_TRUE(memory.has_intercepted_pages());
    EXPECT_EQ(memory.host(kBase + 2 * kPage + 7, 1), ram->elsewhere.data() + 7);
    EXPECT_EQ(memory.host(kBase + kPage, 8), ram->bytes.data() + kPage);
    // Over the edge there is no one run of bytes; for devices there are several.
    EXPECT_EQ(memory.host(kBase + 2 * kPage - 4, 8), nullptr);
    bool good = false;
    const auto runs = pieces(kBase + 2 * kPage - 4, kPage + 8, true, good);
    ASSERT_TRUE(good);
    ASSERT_EQ(runs.size(), 3u);
    EXPECT_EQ(runs[0], std::pair(ram->bytes.data() + 2 * kPage - 4, uint64_t{4}));
    EXPECT_EQ(runs[1], std::pair(ram->elsewhere.data(), kPage));
    EXPECT_EQ(runs[2], std::pair(ram->bytes.data() + 3 * kPage, uint64_t{4}));
    EXPECT_FALSE(memory.none_intercepted(kBase, kPages * kPage));
    target(2, {});
    EXPECT_FALSE(memory.has_intercepted_pages());
    EXPECT_EQ(memory.host(kBase + 2 * kPage, 1), ram->bytes.data() + 2 * kPage);
}

TEST_F(PageOverlayTest, RangesOutsideRamStayOutside) {
    target(kPages - 1, {.backing = ram->elsewhere.data(), .flags = page_flag::kIntercepted});
    bool good = true;
    pieces(kBase + kPages * kPage - 4, 8, false, good);
    EXPECT_FALSE(good);
    EXPECT_EQ(memory.host(kBase + kPages * kPage - 4, 8), nullptr);
    EXPECT_EQ(memory.host(~uint64_t{0}, 8), nullptr);
}

TEST_F(PageOverlayTest, DevicesMeetRightsAndLeaveMarks) {
    target(0, {.flags = page_flag::kNoWrite});
    target(1, {.flags = page_flag::kNoRead | page_flag::kNoWrite});
    target(3, {.flags = page_flag::kTracked});
    bool good = false;
    pieces(kBase, kPage, false, good);
    EXPECT_TRUE(good);
    pieces(kBase, kPage, true, good);
    EXPECT_FALSE(good);
    pieces(kBase + kPage, 1, false, good);
    EXPECT_FALSE(good);
    pieces(kBase + 3 * kPage, 1, false, good);
    EXPECT_EQ(stage.marks(kBase + 3 * kPage), PageOverlay::kAccessed);
    pieces(kBase + 3 * kPage, 1, true, good);
    EXPECT_EQ(stage.take_marks(kBase + 3 * kPage), PageOverlay::kAccessed | PageOverlay::kDirty);
    EXPECT_EQ(stage.marks(kBase + 3 * kPage), 0);
}

struct Refuser final : Watcher {
    uint64_t seen = 0;
    bool access(const AccessEvent& event) override {
        ++seen;
        return event.cpu == AccessEvent::kDevice && event.kind == AccessEvent::Kind::Read;
    }
};

TEST_F(PageOverlayTest, WatcherDecides) {
    Refuser refuser;
    target(4, {.flags = page_flag::kWatched, .watcher = &refuser});
    bool good = false;
    pieces(kBase + 4 * kPage, 16, false, good);
    EXPECT_TRUE(good);
    pieces(kBase + 4 * kPage, 16, true, good);
    EXPECT_FALSE(good);
    EXPECT_EQ(refuser.seen, 2u);
}

TEST_F(PageOverlayTest, WhatMayBeCached) {
    EXPECT_TRUE(may_cache(0) && may_cache_writable(0, false));
    EXPECT_FALSE(may_cache(page_flag::kUncached | page_flag::kIntercepted));
    EXPECT_FALSE(may_cache_writable(page_flag::kNoWrite, false));
    EXPECT_FALSE(may_cache_writable(page_flag::kTracked, false));
    EXPECT_TRUE(may_cache_writable(page_flag::kTracked, true));
}

}  // namespace
}  // namespace arclight::mmu
