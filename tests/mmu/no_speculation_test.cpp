// What keeps a mispredicted check from reading: the masks and the pointers that they guard.
#include "mmu/no_speculation.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "mmu/guest_memory.h"
#include "mmu/victim_tlb.h"

namespace arclight::mmu {
namespace {

constexpr uint64_t kAll = ~uint64_t{0};

TEST(NoSpeculation, MasksAreAllOrNothing) {
    const std::vector<uint64_t> sizes = {
        1, 2, 4096, uint64_t{1} << 30, (uint64_t{1} << 32) + 12288, uint64_t{1} << 63};
    for (const uint64_t size : sizes) {
        for (const uint64_t below : {uint64_t{0}, size / 2, size - 1}) {
            EXPECT_EQ(mask_if_below(below, size), kAll) << below << " " << size;
            EXPECT_EQ(bounded(below, size), below);
        }
        for (const uint64_t above : {size, size + 1, kAll / 2 + 1, kAll - 1, kAll}) {
            EXPECT_EQ(mask_if_below(above, size), 0u) << above << " " << size;
            EXPECT_EQ(bounded(above, size), 0u);
        }
    }
    const std::vector<uint64_t> words = {0, 1, 4096, kAll / 2, kAll / 2 + 1, kAll - 1, kAll};
    for (const uint64_t a : words)
        for (const uint64_t b : words) EXPECT_EQ(mask_if_equal(a, b), a == b ? kAll : 0) << a << " " << b;
}

// As on a mispredicted compare: what is asked of an entry for another page leads nowhere.
TEST(NoSpeculation, AVictimForAnotherPageLeadsNowhere) {
    VictimTlb::Entry entry{};
    entry.tlb = {.read_tag = 0x5000, .write_tag = TlbEntry::kInvalidTag, .addend = 0x7000'0000'0000, .pa = 0};
    EXPECT_EQ(reinterpret_cast<uint64_t>(entry.host(0x5123, false)), 0x7000'0000'5123u);
    EXPECT_EQ(entry.host(0x5123, true), nullptr);
    EXPECT_EQ(entry.host(0x6123, false), nullptr);
    EXPECT_EQ(entry.host(0xffff'8000'0000'5123, false), nullptr);
}

TEST(NoSpeculation, GuestMemoryIsWhereItWas) {
    std::array<uint8_t, 8192> ram{};
    const GuestMemory memory(ram.data(), 0x4000'0000, ram.size());
    EXPECT_EQ(memory.host(0x4000'0000, 8), ram.data());
    EXPECT_EQ(memory.host(0x4000'1fff, 1), ram.data() + 8191);
    EXPECT_EQ(memory.host(0x4000'1fff, 2), nullptr);
    EXPECT_EQ(memory.host(0x3fff'ffff, 1), nullptr);
}

}  // namespace
}  // namespace arclight::mmu
