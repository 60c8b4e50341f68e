// Granules of 16 and 64 KiB: walks, what a TLBI takes away, tables of several pages under traditional shadow paging.
#include <gtest/gtest.h>

#include <string>

#include "mmu/soft_tlb_set.h"
#include "mmu/table_pages.h"
#include "mmu/walk.h"
#include "tests/mmu/page_tables.h"

namespace arclight::mmu {
namespace {

using namespace test::descriptor;
using test::kRamBase;
using test::PageTables;
using Kind = TlbiRequest::Kind;

constexpr uint64_t kUpper = 0xffff'0000'0000'0000;

/// The manual's tables of sizes (D8.2.6 to D8.2.8), written out.
struct Granule {
    unsigned bits;
    unsigned first_level;          ///< of addresses of 48 bits
    unsigned index_bits[4];        ///< lowest bit of the address that chooses an entry, by level
    unsigned block_level;          ///< the one level with blocks
    unsigned contiguous_pages;     ///< neighbours that the contiguous bit is about
    unsigned smallest_size_field;  ///< of each starting level: TxSZ from here on
    unsigned start_from[4];        ///< the smallest TxSZ with which the walk starts there; 64: none
};
constexpr Granule kGranules[] = {
    {14, 0, {47, 36, 25, 14}, 2, 128, 16, {16, 17, 28, 39}},
    {16, 1, {0, 42, 29, 16}, 2, 32, 16, {64, 16, 22, 35}},
};

class Granules : public testing::TestWithParam<Granule> {
  protected:
    Granules() : g(GetParam()) { t.use_granules(g.bits, g.bits); }
    /// Bytes that an entry of the level maps.
    uint64_t size(unsigned level) const { return uint64_t{1} << g.index_bits[level]; }
    /// An address in a table entry of its own at each level.
    uint64_t va(unsigned level) const {
        uint64_t address = uint64_t{level + 1} << g.index_bits[1];
        for (unsigned l = 2; l <= 3; ++l) address |= uint64_t{level + 3 + l} << g.index_bits[l];
        return address;
    }
    static constexpr uint64_t kPa = 0x12'0000'0000;
    uint64_t leaf(unsigned level) const { return kPa + 3 * size(level) + (level == 3 ? kPage : kBlock); }

    const Granule& g;
    PageTables t;
};
INSTANTIATE_TEST_SUITE_P(All, Granules, testing::ValuesIn(kGranules),
                         [](const auto& p) { return std::to_string(1 << (p.param.bits - 10)) + "K"; });

TEST_P(Granules, PagesAndBlocksInBothHalves) {
    for (const uint64_t half : {uint64_t{0}, kUpper})
        for (const unsigned level : {2u, 3u}) {
            const uint64_t offset = size(level) - 0x1234, at = half | va(level);
            t.map(at, level, leaf(level) | kAf | attribute(0) | sh(3) | kNg | kContiguous);
            const WalkResult r = t.walk((at & ~(size(level) - 1)) + offset);
            ASSERT_TRUE(r.ok()) << level;
            EXPECT_EQ(r.pa, kPa + 3 * size(level) + offset);
            EXPECT_EQ(r.page_bits, g.index_bits[level]);
            EXPECT_EQ(r.level, level);
            EXPECT_TRUE(r.contiguous);
            EXPECT_TRUE(r.non_global);
            EXPECT_EQ(is_block(r.page_bits), level == 2);
        }
}

// Neighbours with the contiguous bit: each entry is as good as any other for its own addresses.
TEST_P(Granules, ContiguousPages) {
    const uint64_t first = uint64_t{5} << g.index_bits[2];
    for (unsigned i = 0; i < g.contiguous_pages; ++i)
        t.map(first + i * size(3), 3, (kPa + i * size(3)) | kPage | kAf | kContiguous);
    for (unsigned i = 0; i < g.contiguous_pages; ++i) {
        const WalkResult r = t.walk(first + i * size(3) + 0x777);
        ASSERT_TRUE(r.ok());
        EXPECT_EQ(r.pa, kPa + i * size(3) + 0x777);
        EXPECT_TRUE(r.contiguous);
    }
    EXPECT_FALSE(t.walk(first + g.contiguous_pages * size(3)).ok());
}

TEST_P(Granules, FaultsAtEveryLevel) {
    constexpr uint64_t kTooBig = uint64_t{1} << 40;
    for (const uint64_t half : {uint64_t{0}, kUpper})
        for (unsigned level = g.first_level; level <= 3; ++level) {
            const uint64_t at = half | va(level);
            t.map(at, level, 0);
            EXPECT_EQ(t.walk(at).fsc(), 0x04 + level) << "translation";
            t.map(at, level, kTooBig | (level == 3 ? kPage : kTable) | kAf);
            EXPECT_EQ(t.walk(at).fsc(), 0x00 + level) << "address size";
            if (level < 3) {
                t.map(at, level, (kRamBase + test::kRamSize) | kTable);
                EXPECT_EQ(t.walk(at).fsc(), 0x14 + level + 1) << "external abort on the next level's walk";
            }
            t.map(at, level, 0);
        }
    for (const unsigned level : {2u, 3u}) {
        t.map(va(level), level, leaf(level));
        EXPECT_EQ(t.walk(va(level)).fsc(), 0x08 + level) << "access flag";
        t.map(va(level), level, leaf(level) | kAf);
        EXPECT_EQ(t.walk(va(level), AccessKind::Read, false).fsc(), 0x0c + level) << "permission";
        t.map(va(level), level, leaf(level) | kAf | ap(2));
        EXPECT_EQ(t.walk(va(level), AccessKind::Write).fsc(), 0x0c + level);
        EXPECT_TRUE(t.walk(va(level)).ok());
    }
}

TEST_P(Granules, BlocksElsewhereAreReserved) {
    for (unsigned level = g.first_level; level < g.block_level; ++level) {
        t.map(va(level), level, kPa | kBlock | kAf);
        EXPECT_EQ(t.walk(va(level)).fsc(), 0x04 + level);
    }
    t.map(va(3), 3, kPa | 1 | kAf);
    EXPECT_EQ(t.walk(va(3)).fsc(), 0x07);
}

TEST_P(Granules, Permissions) {
    const uint64_t at = t.map(va(3), 3, 0);
    for (unsigned bits = 0; bits < 16; ++bits) {
        const bool el0 = bits & 1, read_only = bits & 2, uxn = bits & 4, pxn = bits & 8;
        t.write(at, leaf(3) | kAf | ap(el0 + 2 * read_only) | (uxn ? kUxn : 0) | (pxn ? kPxn : 0));
        EXPECT_TRUE(t.walk(va(3)).ok());
        EXPECT_EQ(t.walk(va(3), AccessKind::Write).ok(), !read_only);
        EXPECT_EQ(t.walk(va(3), AccessKind::Execute).ok(), !pxn && (!el0 || read_only));
        EXPECT_EQ(t.walk(va(3), AccessKind::Read, false).ok(), el0);
        EXPECT_EQ(t.walk(va(3), AccessKind::Write, false).ok(), el0 && !read_only);
        EXPECT_EQ(t.walk(va(3), AccessKind::Execute, false).ok(), !uxn);
        EXPECT_EQ(t.walk(va(3), AccessKind::Read, true, true).ok(), !el0) << "PAN";
    }
}

TEST_P(Granules, HardwareUpdatesTheDescriptor) {
    t.regs.tcr |= uint64_t{1} << 39 | uint64_t{1} << 40;  // HA, HD
    t.regs.update();
    for (const unsigned level : {2u, 3u}) {
        const uint64_t entry = leaf(level) | ap(3) | kDbm | kContiguous, at = t.map(va(level), level, entry);
        const WalkResult read = t.walk(va(level) + 0x3000, AccessKind::Read, false);
        ASSERT_TRUE(read.ok());
        EXPECT_TRUE(read.clean);
        EXPECT_EQ(t.read(at), entry | kAf);
        EXPECT_FALSE(t.walk(va(level), AccessKind::Write, false).clean);
        EXPECT_EQ(t.read(at), (entry | kAf) & ~ap(2));
    }
}

TEST_P(Granules, SizesOfTheAddressSpace) {
    for (unsigned field = g.smallest_size_field; field <= (g.bits == 16 ? 47u : 48u); ++field) {
        PageTables small;
        small.use_granules(g.bits, g.bits);
        small.regs.tcr = (small.regs.tcr & ~uint64_t{0x3f'003f}) | field | field << 16;
        small.regs.update();
        unsigned start = 0;
        for (unsigned level = 0; level <= 3; ++level)
            if (field >= g.start_from[level]) start = level;
        EXPECT_EQ(small.regs.half[0].start_level, start) << field;
        EXPECT_EQ(small.regs.half[0].va_bits, 64 - field);
        const uint64_t end = uint64_t{1} << (64 - field), page = uint64_t{1} << g.bits;
        for (const uint64_t at : {uint64_t{0}, end - page, uint64_t{0} - end, ~(page - 1)}) {
            small.map(at, 3, kPa | kPage | kAf);
            EXPECT_EQ(small.walk(at | (page - 4)).pa, kPa | (page - 4)) << field << std::hex << ' ' << at;
        }
        EXPECT_EQ(small.walk(end).fsc(), 0x04);
        EXPECT_EQ(small.walk(uint64_t{0} - end - page).fsc(), 0x04);
    }
}

TEST(GranuleOf, EachHalfHasItsOwn) {
    PageTables t;
    t.use_granules(16, 14);
    t.map(0x12'3456'0000, 3, 0x1'0002'0000 | kPage | kAf);
    t.map(kUpper | 0x12'3456'4000, 3, 0x1'0000'4000 | kPage | kAf);
    EXPECT_EQ(t.walk(0x12'3456'fff8).pa, 0x1'0002'fff8u);
    EXPECT_EQ(t.walk(kUpper | 0x12'3456'7ff8).pa, 0x1'0000'7ff8u);
    EXPECT_EQ(t.regs.granule_bits(0x1000), granule::k64K);
    EXPECT_EQ(t.regs.granule_bits(kUpper), granule::k16K);
}

// TG0 and TG1 count differently; what is reserved, or not there, is a granule of 4 KiB.
TEST(GranuleOf, FieldsOfTheRegister) {
    struct {
        unsigned tg0, tg1;
        bool has_16k, has_64k;
        unsigned lower, upper;
    } const rows[] = {
        {0, 2, true, true, 12, 12},  {1, 3, true, true, 16, 16},  {2, 1, true, true, 14, 14},
        {3, 0, true, true, 12, 12},  {1, 3, true, false, 12, 12}, {2, 1, false, true, 12, 12},
        {1, 1, false, true, 16, 12}, {2, 3, false, true, 12, 16},
    };
    for (const auto& row : rows) {
        TranslationRegs r;
        r.options = {.granule_16k = row.has_16k, .granule_64k = row.has_64k};
        r.tcr = 16 | 16 << 16 | uint64_t{row.tg0} << 14 | uint64_t{row.tg1} << 30;
        r.update();
        EXPECT_EQ(r.half[0].granule_bits, row.lower) << row.tg0;
        EXPECT_EQ(r.half[1].granule_bits, row.upper) << row.tg1;
    }
}

// ---- Soft TLBs

struct GranuleTlbs : testing::TestWithParam<unsigned> {
    GranuleTlbs() {
        tlbs.use_page_sizes(static_cast<uint8_t>(GetParam()), static_cast<uint8_t>(GetParam()));
        tlbs.flush_all();
        tlb = tlbs.select(0, false, uint16_t{1});
    }
    void fill(uint64_t va, unsigned page_bits) {
        ASSERT_TRUE(tlbs.fill(tlb, {.va = va,
                                    .pa = 0x4000'0000 | (va & 0xff'ffff),
                                    .host = page,
                                    .page_bits = static_cast<uint8_t>(page_bits),
                                    .readable = true,
                                    .writable = true,
                                    .non_global = true}));
    }
    bool reads(uint64_t va) const { return tlb->entries[tlb_index(va)].read_tag == (va & kPageMask); }

    uint8_t page[4096] = {};
    SoftTlbSet tlbs;
    SoftTlb* tlb = nullptr;
};
INSTANTIATE_TEST_SUITE_P(All, GranuleTlbs, testing::Values(12u, 14u, 16u));

TEST_P(GranuleTlbs, AnyPartOfAPageNamesAllOfIt) {
    const uint64_t size = uint64_t{1} << GetParam(), first = uint64_t{0x5555} << 20;
    for (uint64_t named = first; named < first + size; named += kPageSize) {
        for (uint64_t va = first - kPageSize; va <= first + size; va += kPageSize) fill(va, GetParam());
        tlbs.note_code_page(tlb, first, static_cast<uint8_t>(GetParam()), true);
        const int code = 0;
        tlbs.fill_jump(tlb, first + size - 4, &code);
        const uint32_t epoch = tlb->epoch;
        tlbs.apply({Kind::Va, 1, 1, named});
        for (uint64_t va = first; va < first + size; va += kPageSize) EXPECT_FALSE(reads(va));
        EXPECT_TRUE(reads(first - kPageSize));
        EXPECT_TRUE(reads(first + size));
        EXPECT_NE(tlb->epoch, epoch);
        EXPECT_NE(tlb->jump_cache[jump_cache_index(first + size - 4)].pc, first + size - 4);
    }
}

TEST_P(GranuleTlbs, AnyAddressOfABlockNamesAllOfIt) {
    const unsigned bits = GetParam() == 12 ? 21 : GetParam() == 14 ? 25 : 29;
    const uint64_t size = uint64_t{1} << bits, first = 3 * size;
    for (const uint64_t named : {first, first + size / 2, first + size - kPageSize})
        for (const uint64_t pages : {1, 2}) {
            const uint64_t parts[] = {first, first + 5 * kPageSize, first + size - 2 * kPageSize};
            for (const uint64_t va : parts) fill(va, bits);
            fill(first + size + 9 * kPageSize, bits);
            tlbs.apply({Kind::Va, 1, named == first + size - kPageSize ? 1 : pages, named});
            for (const uint64_t va : parts) EXPECT_FALSE(reads(va));
            EXPECT_TRUE(reads(first + size + 9 * kPageSize));
        }
}

// As TLBI RVAE1 can name: more than there are entries, and more than a loop over pages could do.
TEST_P(GranuleTlbs, RangesOfAnySize) {
    constexpr uint64_t kFirst = uint64_t{1} << 40;
    for (unsigned log2 = 0; log2 <= 25; ++log2) {
        const uint64_t pages = uint64_t{1} << log2, bytes = pages * kPageSize;
        const uint64_t end = (kFirst + bytes + (1 << GetParam()) - 1) >> GetParam() << GetParam();
        const uint64_t inside[] = {kFirst, kFirst + (bytes - 1) / 2, kFirst + bytes - 1};
        for (const uint64_t va : inside) fill(va, GetParam());
        fill(kFirst - 3 * kPageSize, GetParam());
        fill(end + 5 * kPageSize, GetParam());
        const bool before = reads(kFirst - 3 * kPageSize), behind = reads(end + 5 * kPageSize);
        tlbs.apply({Kind::Va, 2, pages, kFirst});
        EXPECT_TRUE(reads(kFirst + bytes - 1)) << "another ASID";
        tlbs.apply({Kind::Va, 1, pages, kFirst});
        for (const uint64_t va : inside) {
            EXPECT_FALSE(reads(va)) << log2;
            EXPECT_EQ(tlbs.victim_hit(tlb, va, false), nullptr);
        }
        EXPECT_EQ(reads(kFirst - 3 * kPageSize), before);
        EXPECT_EQ(reads(end + 5 * kPageSize), behind);
        tlbs.flush_all();
    }
}

// ---- Traditional shadow paging

TEST_P(Granules, TablesOfSeveralPages) {
    TablePages pages(t.memory());
    const uint64_t root = t.regs.half[0].table;
    // In the first and in the last 4 KiB of one table.
    const uint64_t first = uint64_t{5} << g.index_bits[2], last = first + size(2) - size(3);
    uint64_t entry[2];
    for (unsigned i = 0; i < 2; ++i) entry[i] = t.map(i == 0 ? first : last, 3, kRamBase | kPage | kAf);
    ASSERT_NE(entry[0] >> 12, entry[1] >> 12);
    const auto path = [&](uint64_t va) {
        WalkPath p;
        EXPECT_TRUE(walk(t.regs, t.memory(), va, {}, &p).ok());
        return p;
    };
    for (unsigned i = 0; i < 2; ++i) {
        const uint64_t va = i == 0 ? first : last;
        const WalkPath p = path(va);
        EXPECT_EQ(p.count, 4 - g.first_level);
        EXPECT_EQ(p.table[p.count - 1], entry[i] & ~uint64_t{0xfff});
        pages.finish(pages.begin(p, va, root));
        EXPECT_TRUE(pages.in_use(p, va, root));
        EXPECT_TRUE(pages.is_protected(entry[i]));
    }
    EXPECT_TRUE(pages.in_use(path(first), first, root)) << "still";
    for (unsigned i = 0; i < 2; ++i) {
        const auto write = pages.write(entry[i], 8, 0, 0, [&] { t.write(entry[i], 0); });
        ASSERT_EQ(write.drop.size(), 1u);
        EXPECT_EQ(write.drop[0].va, i == 0 ? first : last);
        EXPECT_EQ(write.drop[0].bits, g.index_bits[3]);
    }
    // An entry of the table above: what all of the lower table gives.
    const uint64_t above = t.map(first, 2, 0);
    t.write(above, (entry[0] >> g.bits << g.bits) | kTable);
    const auto write = pages.write(above, 8, 0, 0, [&] { t.write(above, 0); });
    ASSERT_EQ(write.drop.size(), 1u);
    EXPECT_EQ(write.drop[0].va, first);
    EXPECT_EQ(write.drop[0].bits, g.index_bits[2]);
}

}  // namespace
}  // namespace arclight::mmu
