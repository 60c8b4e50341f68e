#include "guestos/machine/board/ram_mapping.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <vector>

namespace arclight::guestos {
namespace {

constexpr uint64_t kPage = 4096, kPages = 4096;

std::span<uint8_t> pages(RamMapping& ram, uint64_t first, uint64_t count) {
    return {ram.host() + first * kPage, count * kPage};
}
bool is_all(std::span<const uint8_t> bytes, uint8_t value) {
    return std::ranges::all_of(bytes, [&](uint8_t byte) { return byte == value; });
}
uint64_t resident(std::span<uint8_t> of) {
    std::vector<unsigned char> there(of.size() / kPage);
    if (mincore(of.data(), of.size(), there.data()) != 0) return ~uint64_t{0};
    return static_cast<uint64_t>(
        std::ranges::count_if(there, [](unsigned char one) { return (one & 1) != 0; }));
}

TEST(RamMapping, GivenBackPagesAreTheHostsAndZero) {
    auto made = RamMapping::allocate(kPages * kPage);
    ASSERT_TRUE(made);
    RamMapping& ram = **made;
    std::ranges::fill(pages(ram, 0, kPages), 0x55);
    ram.give_back(pages(ram, 512, 1024));
    EXPECT_EQ(resident(pages(ram, 512, 1024)), 0u);
    EXPECT_TRUE(is_all(pages(ram, 0, 512), 0x55));
    EXPECT_TRUE(is_all(pages(ram, 512, 1024), 0));
    EXPECT_TRUE(is_all(pages(ram, 1536, kPages - 1536), 0x55));
    // What is not RAM stays.
    std::vector<uint8_t> other(2 * kPage, 0x11);
    ram.give_back(other);
    EXPECT_TRUE(is_all(other, 0x11));
    std::ranges::fill(pages(ram, 512, 1024), 0x66);
    EXPECT_TRUE(is_all(pages(ram, 512, 1024), 0x66));
}

TEST(RamMapping, PagesOfAFileAreZeroToo) {
    std::FILE* file = std::tmpfile();
    ASSERT_NE(file, nullptr);
    const std::vector<uint8_t> content(kPages * kPage, 0x77);
    ASSERT_EQ(std::fwrite(content.data(), 1, content.size(), file), content.size());
    std::fflush(file);
    auto made = RamMapping::allocate(kPages * kPage);
    ASSERT_TRUE(made);
    RamMapping& ram = **made;
    ASSERT_TRUE(ram.map_file(fileno(file), 0));
    std::ranges::fill(pages(ram, 0, 64), 0x22);  // a private copy
    for (unsigned turn = 0; turn < 2; ++turn) {
        ram.give_back(pages(ram, 32, 128));
        EXPECT_TRUE(is_all(pages(ram, 0, 32), 0x22));
        EXPECT_TRUE(is_all(pages(ram, 32, 128), 0)) << "neither its own copy nor the file's";
        EXPECT_TRUE(is_all(pages(ram, 160, 64), 0x77));
        std::ranges::fill(pages(ram, 32, 128), 0x33);
    }
    // Partly replaced already.
    ram.give_back(pages(ram, 150, 20));
    EXPECT_TRUE(is_all(pages(ram, 150, 20), 0));
    EXPECT_TRUE(is_all(pages(ram, 32, 118), 0x33));
    EXPECT_TRUE(is_all(pages(ram, 170, 30), 0x77));
    std::fclose(file);
}

TEST(RamMapping, ScatteredPagesOfAFileDoNotUseTheHostsMappingsUp) {
    std::FILE* file = std::tmpfile();
    ASSERT_NE(file, nullptr);
    constexpr uint64_t kMany = 70'000;
    ASSERT_EQ(ftruncate(fileno(file), kMany * kPage), 0);
    auto made = RamMapping::allocate(kMany * kPage);
    ASSERT_TRUE(made);
    RamMapping& ram = **made;
    ASSERT_TRUE(ram.map_file(fileno(file), 0));
    for (uint64_t page = 0; page < kMany; page += 2) ram.give_back(pages(ram, page, 1));
    void* more = mmap(nullptr, kPage, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(more, MAP_FAILED) << "there is room for others";
    munmap(more, kPage);
    for (const uint64_t page : {uint64_t{0}, kMany / 2, kMany - 2})
        EXPECT_TRUE(is_all(pages(ram, page, 1), 0));
    std::fclose(file);
}

}  // namespace
}  // namespace arclight::guestos
