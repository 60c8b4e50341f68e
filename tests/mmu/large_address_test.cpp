// Addresses of 52 bits: FEAT_LVA and FEAT_LPA with a granule of 64 KiB, FEAT_LPA2 with the others (ARM ARM D8.2, D8.3.1).
#include <gtest/gtest.h>

#include <string>

#include "mmu/fastmem.h"
#include "mmu/soft_tlb_bits.h"
#include "mmu/walk.h"
#include "mmu/writer_map.h"
#include "tests/mmu/page_tables.h"

namespace arclight::mmu {
namespace {

using namespace test::descriptor;
using test::kRamBase;
using test::PageTables;

constexpr uint64_t kDs = uint64_t{1} << 59, kUpper = 0xfff0'0000'0000'0000;
constexpr uint64_t bits(unsigned high, unsigned low) {
    return ((uint64_t{2} << high) - 1) & ~((uint64_t{1} << low) - 1);
}

/// An output address with bits in each of its parts.
constexpr uint64_t kFar = 0xa'5000'0000'0000;

struct Large {
    unsigned granule;
    int first_level;      ///< of addresses of 52 bits
    unsigned first_bits;  ///< that choose an entry there
    unsigned block_bits;  ///< log2 of the largest block
    int block_level;
};
constexpr Large kLarge[] = {{12, -1, 4, 39, 0}, {14, 0, 5, 36, 1}, {16, 1, 10, 42, 1}};

/// The output address in the bits of a descriptor.
uint64_t placed(uint64_t pa, unsigned granule) {
    if (granule == 16) return (pa & bits(47, 16)) | (pa >> 48 & 15) << 12;
    return (pa & bits(49, granule)) | (pa >> 50 & 3) << 8;
}

class LargeAddresses : public testing::TestWithParam<Large> {
  protected:
    LargeAddresses() : g(GetParam()) {
        t.use_granules(g.granule, g.granule);
        t.regs.options.lva = t.regs.options.lpa = t.regs.options.lpa2 = true;
        set(12, 6, true);
    }
    void set(unsigned size_field, uint64_t ips, bool ds) {
        t.regs.tcr &= ~(uint64_t{63} | uint64_t{63} << 16 | uint64_t{7} << 32 | kDs);
        t.regs.tcr |= size_field | size_field << 16 | ips << 32 | (ds ? kDs : 0);
        t.regs.update();
    }
    uint64_t level_bits(int level) const {
        return g.granule + (g.granule - 3) * static_cast<unsigned>(3 - level);
    }

    const Large& g;
    PageTables t;
};
INSTANTIATE_TEST_SUITE_P(All, LargeAddresses, testing::ValuesIn(kLarge),
                         [](const auto& p) { return std::to_string(1 << (p.param.granule - 10)) + "K"; });

TEST_P(LargeAddresses, TheFirstTable) {
    for (const auto& half : t.regs.half) {
        EXPECT_EQ(half.va_bits, 52);
        EXPECT_EQ(half.start_level, g.first_level);
        EXPECT_EQ(half.output_bits, 52);
    }
    EXPECT_EQ(52 - level_bits(g.first_level), g.first_bits);
}

TEST_P(LargeAddresses, PagesAndBlocksInBothHalves) {
    for (const uint64_t half : {uint64_t{0}, kUpper})
        for (int level = g.block_level; level <= 3; ++level) {
            // An entry of its own in every table, and all four upper bits.
            const uint64_t size = uint64_t{1} << level_bits(level);
            uint64_t va = half | uint64_t{0xb} << 48;
            for (int l = g.first_level + 1; l <= level; ++l)
                va ^= (uint64_t{3} + static_cast<uint64_t>(level)) << level_bits(l);
            const uint64_t pa = (kFar & ~(size - 1)) | size << 1;
            t.map(va, level, placed(pa, g.granule) | (level == 3 ? kPage : kBlock) | kAf);
            const WalkResult r = t.walk((va & ~(size - 1)) + (0x123'4567'89ab & (size - 1)));
            ASSERT_TRUE(r.ok()) << level << " " << std::hex << va;
            EXPECT_EQ(r.pa, pa + (0x123'4567'89ab & (size - 1)));
            EXPECT_EQ(r.page_bits, level_bits(level));
            EXPECT_EQ(r.level, level);
        }
    EXPECT_EQ(level_bits(g.block_level), g.block_bits);
}

TEST_P(LargeAddresses, TheSignOfTheAddress) {
    EXPECT_EQ(t.walk(uint64_t{1} << 52).fault, FaultKind::Translation);
    EXPECT_EQ(t.walk(uint64_t{1} << 52).fsc(), 0b000100) << "level 0";
    EXPECT_EQ(t.walk(kUpper ^ uint64_t{1} << 53).fault, FaultKind::Translation);
}

// A TTBR's bits 5:2 are 51:48 of the address.
TEST_P(LargeAddresses, TablesFarAway) {
    t.regs.ttbr0 = kRamBase | 1 << 2;
    t.regs.update();
    const WalkResult r = t.walk(0);
    EXPECT_EQ(r.fault, FaultKind::ExternalOnWalk) << "there is no memory";
    EXPECT_EQ(r.level, g.first_level);
    EXPECT_EQ(r.fsc(), g.first_level < 0 ? 0b010011 : 0b010100 + g.first_level);
    WalkPath path;
    walk(t.regs, t.memory(), 0, {}, &path);
    EXPECT_EQ(path.table[0], kRamBase | uint64_t{1} << 48);

    t.regs.ttbr0 = t.new_table(65536);
    t.regs.update();
    t.map(0, g.first_level, placed(uint64_t{7} << 49, g.granule) | kTable);
    EXPECT_EQ(t.walk(0).fault, FaultKind::ExternalOnWalk);
    EXPECT_EQ(t.walk(0).level, g.first_level + 1);
}

TEST_P(LargeAddresses, FaultsOfTheFirstLevel) {
    const int code = g.first_level < 0 ? 0b101011 : 0b000100 + g.first_level;
    EXPECT_EQ(t.walk(0).fsc(), code) << "an invalid entry";
    if (g.first_level >= g.block_level) return;
    t.map(0, g.first_level, kBlock | kAf);
    EXPECT_EQ(t.walk(0).fsc(), code) << "a block where there are none";
}

// With fewer bits in TCR_EL1.IPS an address above them is a fault of its size. (A granule of 64 KiB has no upper bits then.)
TEST_P(LargeAddresses, OfFewerBits) {
    set(12, 5, true);
    EXPECT_EQ(t.regs.half[0].output_bits, 48);
    const uint64_t pa = uint64_t{3} << 48;
    t.map(0, g.first_level, placed(pa, g.granule) | kTable);
    const WalkResult r = t.walk(0);
    if (g.granule == 16) {
        EXPECT_EQ(r.fault, FaultKind::ExternalOnWalk);
    } else {
        EXPECT_EQ(r.fault, FaultKind::AddressSize);
        EXPECT_EQ(r.fsc(), g.first_level < 0 ? 0b101001 : 0b000000);
    }
}

// Without DS granules of 4 and 16 KiB are as ever; 64 KiB has no need of it.
TEST_P(LargeAddresses, WithoutDs) {
    set(12, 6, false);
    const bool is_64k = g.granule == 16;
    EXPECT_EQ(t.regs.half[0].va_bits, is_64k ? 52 : 48);
    EXPECT_EQ(t.regs.half[0].output_bits, is_64k ? 52 : 48);
    const uint64_t pa = uint64_t{5} << g.granule;
    t.map(0, 3, pa | kPage | kAf | sh(3));
    EXPECT_EQ(t.walk(0).pa, pa);
    EXPECT_EQ(t.walk(0).shareability, 3);
}

// SH is TCR's with DS, whose descriptors have an address there.
TEST_P(LargeAddresses, Shareability) {
    t.regs.tcr |= 2 << 12 | 3 << 28;
    t.regs.update();
    const bool is_64k = g.granule == 16;
    for (const uint64_t half : {uint64_t{0}, kUpper}) {
        t.map(half, 3, kPage | kAf | (is_64k ? sh(1) : 0));
        EXPECT_EQ(t.walk(half).shareability, is_64k ? 1 : half == 0 ? 2 : 3);
    }
}

// A CPU without the features ignores all that asks for them.
TEST_P(LargeAddresses, NotImplemented) {
    t.regs.options.lva = t.regs.options.lpa = t.regs.options.lpa2 = false;
    set(12, 6, true);
    EXPECT_EQ(t.regs.half[0].va_bits, 48);
    EXPECT_EQ(t.regs.half[0].output_bits, kPhysicalAddressBits);
    const uint64_t pa = uint64_t{5} << g.granule;
    t.map(0, 3, pa | kPage | kAf | sh(3));
    EXPECT_EQ(t.walk(0).pa, pa);
    t.map(uint64_t{1} << 30, g.block_level, kBlock | kAf);
    EXPECT_FALSE(t.walk(uint64_t{1} << 30).ok()) << "no such block";
    t.regs.options.lpa = true;
    t.regs.update();
    EXPECT_EQ(t.regs.half[0].output_bits, g.granule == 16 ? 52 : 48);
}

TEST_P(LargeAddresses, WithStage1Off) {
    t.regs.sctlr = 0;
    t.regs.update();
    EXPECT_EQ(t.walk(kFar).pa, kFar);
    EXPECT_EQ(t.walk(uint64_t{1} << 52).fault, FaultKind::AddressSize);
    t.regs.options.lpa = false;
    EXPECT_EQ(t.walk(kFar).fault, FaultKind::AddressSize);
}

TEST(WriterMapOfLargeAddresses, KeepsAllBits) {
    WriterMap map(1);
    const uint64_t va = 0xfff5'4321'0fed'c000;
    map.insert(0, {.tlb = 31, .va = va}, [](WriterMap::Place) { return true; });
    unsigned found = 0;
    map.take(
        0,
        [&](WriterMap::Place place) {
            ++found;
            EXPECT_EQ(place.tlb, 31u);
            EXPECT_EQ(soft_tlb::extended(place.va), va);
        },
        [] { FAIL(); });
    EXPECT_EQ(found, 1u);
}

}  // namespace
}  // namespace arclight::mmu
