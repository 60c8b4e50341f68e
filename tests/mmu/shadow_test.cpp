// The shadow policies' part of soft TLBs: which soft TLB an address space gets, and what a write to a table
// takes away.
#include <gtest/gtest.h>

#include <array>

#include "mmu/soft_tlb_set.h"

namespace arclight::mmu {
namespace {

using mmu::SoftTlb;

constexpr uint64_t kRamBase = 0x4000'0000, kTop = 0xffff'0000'0000'0000;
constexpr Root kA{1, 0x4100'0000, 0x4200'0000}, kB{2, 0x4101'0000, 0x4200'0000};

bool reads(const SoftTlb* v, uint64_t va) {
    return v->entries[mmu::tlb_index(va)].read_tag == (va & mmu::kPageMask);
}
bool writes(const SoftTlb* v, uint64_t va) {
    return v->entries[mmu::tlb_index(va)].write_tag == (va & mmu::kPageMask);
}

struct Shadow : testing::Test {
    std::array<uint8_t, 4096> ram{};
    const GuestMemory memory{ram.data(), kRamBase, 64 << 20};
    void fill(SoftTlbSet& tlbs, SoftTlb* v, uint64_t va, uint64_t pa, bool global = false) {
        ASSERT_TRUE(tlbs.fill(v, {.va = va,
                                  .pa = pa,
                                  .host = ram.data(),
                                  .readable = true,
                                  .writable = true,
                                  .non_global = !global}));
        ASSERT_TRUE(reads(v, va) && writes(v, va));
    }
    /// Another root gets an empty one before it gets this.
    SoftTlb* used(SoftTlbSet& tlbs, SoftTlb* v) {
        tlbs.fill_jump(v, 0x7000, ram.data());
        return v;
    }
};

TEST_F(Shadow, RootsAreAsManyAsAskedFor) {
    for (const unsigned roots : {1u, 2u, 5u, kMaxRoots}) {
        SoftTlbSet tlbs(nullptr, {.roots = roots});
        SoftTlb* first = tlbs.select(0, false, Root{100});
        fill(tlbs, first, 0x1000, kRamBase);
        for (unsigned i = 1; i < roots; ++i)
            used(tlbs, tlbs.select(0, false, Root{static_cast<uint16_t>(100 + i)}));
        EXPECT_TRUE(reads(first, 0x1000)) << roots;
        tlbs.select(0, false, Root{500});
        EXPECT_FALSE(reads(first, 0x1000)) << roots;
    }
}

TEST_F(Shadow, HitsMissesAndWaste) {
    SoftTlbSet tlbs(nullptr, {.roots = 2});
    const auto run = [&](uint16_t asid) {
        SoftTlb* v = used(tlbs, tlbs.select(0, false, Root{asid}));
        tlbs.note_user(v);
        return v;
    };
    run(1), run(2), run(1), run(1), run(2);
    EXPECT_EQ(tlbs.shadow_stats().root_misses, 2u);
    EXPECT_EQ(tlbs.shadow_stats().root_hits, 2u);
    SoftTlb* v = run(3);  // in place of 1
    EXPECT_EQ(tlbs.shadow_stats().root_misses, 3u);
    fill(tlbs, v, 0x1000, kRamBase);
    fill(tlbs, v, 0x2000, kRamBase);
    tlbs.apply({TlbiRequest::Kind::Va, 3, 1, 0x1000});
    EXPECT_EQ(tlbs.shadow_stats().wasted_fills, 1u) << "since the last switch";
    run(2), run(3);
    tlbs.apply({TlbiRequest::Kind::Va, 3, 1, 0x2000});
    EXPECT_EQ(tlbs.shadow_stats().wasted_fills, 1u);
    EXPECT_EQ(tlbs.shadow_stats().dropped, 2u);
    EXPECT_EQ(tlbs.shadow_stats().fills, 2u);
}

/// A guest without ASIDs: the first table tells its address spaces apart, and a TLBI leaves what is to be walked again.
TEST_F(Shadow, TablesOfOneAsidHaveSoftTlbsOfTheirOwn) {
    SoftTlbSet tlbs(nullptr, {.roots = 3});
    Root a = kA, b = kB;
    a.asid = b.asid = 0;
    const auto run = [&](const Root& root) {
        SoftTlb* v = tlbs.select(0, false, root);
        tlbs.note_user(v);
        return v;
    };
    SoftTlb* va = run(a);
    fill(tlbs, va, 0x1000, kRamBase);
    // EL1 has written TTBR0: whatever has the ASID will do, until EL0 runs.
    EXPECT_EQ(tlbs.select_unprivileged(b), va);
    SoftTlb* vb = run(b);
    EXPECT_NE(vb, va);
    fill(tlbs, vb, 0x2000, kRamBase);
    EXPECT_EQ(run(a), va);
    EXPECT_EQ(run(b), vb);
    EXPECT_EQ(tlbs.shadow_stats().root_misses, 2u);
    EXPECT_EQ(tlbs.shadow_stats().root_hits, 2u);
    EXPECT_TRUE(tlbs.is_of(vb, b));
    EXPECT_FALSE(tlbs.is_of(vb, a));
    for (const auto kind : {TlbiRequest::Kind::Asid, TlbiRequest::Kind::All}) {
        tlbs.apply({kind, 0});
        EXPECT_FALSE(reads(va, 0x1000));
        EXPECT_FALSE(reads(vb, 0x2000));
        for (const auto& [v, at] : {std::pair(va, 0x1000), {vb, 0x2000}}) {
            const auto leaves = tlbs.take_unsynchronised_leaves(v);
            ASSERT_EQ(leaves.size(), 1u);
            EXPECT_EQ(leaves[0].va, static_cast<uint64_t>(at));
            const uint64_t fills = tlbs.shadow_stats().fills;
            tlbs.rewrite(leaves[0], {.va = leaves[0].va,
                                     .pa = kRamBase,
                                     .host = ram.data(),
                                     .readable = true,
                                     .writable = true,
                                     .non_global = true});
            EXPECT_TRUE(reads(v, static_cast<uint64_t>(at)));
            EXPECT_EQ(tlbs.shadow_stats().fills, fills);
            EXPECT_TRUE(tlbs.take_unsynchronised_leaves(v).empty());
        }
    }
    // With ASIDs there is nothing to keep: the address space is torn down.
    SoftTlb* other = run(Root{7, 0x4103'0000});
    fill(tlbs, other, 0x5000, kRamBase);
    tlbs.apply({TlbiRequest::Kind::Asid, 7});
    EXPECT_TRUE(tlbs.take_unsynchronised_leaves(other).empty());
    // An ASID that is given to another table, after its TLBI, keeps its place.
    EXPECT_EQ(run(Root{7, 0x4104'0000}), other);
}

TEST_F(Shadow, LeavesThatATlbiTookAreNamed) {
    SoftTlbSet tlbs(nullptr, {});
    SoftTlb* v = tlbs.select(0, false, kA);
    SoftTlb* k = tlbs.select(1, true, kA);
    fill(tlbs, v, 0x1000, kRamBase);
    fill(tlbs, k, kTop | 0x1000, kRamBase, true);
    tlbs.apply({TlbiRequest::Kind::Va, kA.asid, 1, 0x1000});
    tlbs.apply({TlbiRequest::Kind::Va, kA.asid, 1, 0x9000});
    tlbs.apply({TlbiRequest::Kind::VaAllAsids, 0, 1, kTop | 0x1000});
    const auto leaves = tlbs.take_dropped_leaves();
    ASSERT_EQ(leaves.size(), 2u);
    EXPECT_EQ(leaves[0].tlb, v);
    EXPECT_EQ(leaves[0].el, 0u);
    EXPECT_EQ(leaves[1].va, kTop | 0x1000);
    EXPECT_EQ(leaves[1].el, 1u);
    EXPECT_TRUE(leaves[1].pan);
    EXPECT_TRUE(tlbs.take_dropped_leaves().empty());
}

TEST_F(Shadow, NoCacheForgetsAtEverySwitch) {
    SoftTlbSet tlbs(nullptr, {.policy = ShadowPolicy::SspNoCache});
    SoftTlb* v = tlbs.select(0, false, kA);
    fill(tlbs, v, 0x1000, kRamBase);
    EXPECT_EQ(tlbs.select(0, false, kA), v);
    EXPECT_TRUE(reads(v, 0x1000));
    Root other_table = kA;
    other_table.table0 += 0x1000;
    EXPECT_EQ(tlbs.select(0, false, other_table), v);
    EXPECT_FALSE(reads(v, 0x1000)) << "TTBR0 alone";
    fill(tlbs, v, 0x1000, kRamBase);
    SoftTlb* k = tlbs.select(1, false, kA);
    fill(tlbs, k, kTop, kRamBase, true);
    tlbs.select(0, false, kB);
    EXPECT_FALSE(reads(v, 0x1000));
    EXPECT_EQ(tlbs.select(1, false, kB), k);
    EXPECT_TRUE(reads(k, kTop)) << "the kernel's stay";
}

struct Traditional : Shadow {
    SoftTlbSet tlbs{nullptr, {.policy = ShadowPolicy::Tsp, .roots = 4}, &memory};
};

TEST_F(Traditional, TablesAndNotAsidsTellAddressSpacesApart) {
    SoftTlb* a = tlbs.select(0, false, kA);
    fill(tlbs, a, 0x1000, kRamBase);
    Root same_asid = kB;
    same_asid.asid = kA.asid;
    EXPECT_NE(tlbs.select(0, false, same_asid), a);
    Root other_asid = kA;
    other_asid.asid = 9;
    EXPECT_EQ(tlbs.select(0, false, other_asid), a);
    EXPECT_TRUE(reads(a, 0x1000)) << "a switch drops nothing";
    // What the kernel sees of the lower half belongs to TTBR0, global or not.
    SoftTlb* k = tlbs.select(1, false, kA);
    fill(tlbs, k, 0x3000, kRamBase, true);
    fill(tlbs, k, kTop | 0x3'3000, kRamBase, true);
    tlbs.select(1, false, kB);
    EXPECT_FALSE(reads(k, 0x3000));
    EXPECT_TRUE(reads(k, kTop | 0x3'3000));
    Root other_kernel = kB;
    other_kernel.table1 += 0x1000;
    tlbs.select(1, false, other_kernel);
    EXPECT_FALSE(reads(k, kTop | 0x3'3000));
}

TEST_F(Traditional, DropsByRangeAndRoot) {
    for (const unsigned bits : {12u, 21u, 30u, 39u, 48u}) {
        SoftTlb *a = used(tlbs, tlbs.select(0, false, kA)), *b = used(tlbs, tlbs.select(0, false, kB)),
                *k = tlbs.select(1, false, kA);
        tlbs.flush_all();
        const uint64_t base = bits == 48 ? 0 : uint64_t{1} << bits, outside = base + (uint64_t{1} << bits);
        fill(tlbs, a, base + 0x0000, kRamBase);
        fill(tlbs, k, base + 0x0000, kRamBase);
        fill(tlbs, b, base + 0x0000, kRamBase);
        if (bits != 48) fill(tlbs, a, outside + 0x5000, kRamBase);
        fill(tlbs, k, kTop | 0x9000, kRamBase, true);
        tlbs.drop({.va = base, .root = kA.table0, .bits = static_cast<uint8_t>(bits)});
        EXPECT_FALSE(reads(a, base)) << bits;
        EXPECT_FALSE(reads(k, base)) << bits;
        EXPECT_TRUE(reads(b, base)) << bits;
        if (bits != 48) {
            EXPECT_TRUE(reads(a, outside + 0x5000)) << bits;
        }
        EXPECT_TRUE(reads(k, kTop | 0x9000)) << bits;
        tlbs.drop({.va = kTop, .root = kA.table1, .bits = static_cast<uint8_t>(bits < 16 ? 16 : bits)});
        if (bits != 12) {
            EXPECT_FALSE(reads(k, kTop | 0x9000)) << bits;
        }
        tlbs.drop({});
        EXPECT_FALSE(reads(b, base));
    }
}

TEST_F(Traditional, DroppedCodeIsLookedUpAgain) {
    SoftTlb* a = tlbs.select(0, false, kA);
    int code = 0;
    const uint64_t pc = 0x40'1000;
    for (const uint8_t bits : {12, 21, 30}) {
        tlbs.note_code_page(a, pc, 12, true);
        tlbs.fill_jump(a, pc, &code);
        uint32_t epoch = a->epoch;
        tlbs.drop({.va = uint64_t{0x7f} << 30, .root = kA.table0, .bits = bits});
        EXPECT_EQ(a->epoch, epoch);
        tlbs.drop({.va = pc >> bits << bits, .root = kA.table0, .bits = bits});
        EXPECT_NE(a->epoch, epoch);
        EXPECT_NE(a->jump_cache[mmu::jump_cache_index(pc)].pc, pc);
    }
}

TEST_F(Traditional, ATablesPageLosesAllItsWritableEntries) {
    constexpr uint64_t kPage = kRamBase + 0x12'3000;
    for (const unsigned places : {1u, 2u, 3u, 9u}) {
        tlbs.flush_all();
        SoftTlb *a = tlbs.select(0, false, kA), *b = tlbs.select(0, false, kB), *k = tlbs.select(1, true, kA);
        SoftTlb* const in[] = {k, a, b};
        const auto va = [&](unsigned i) { return (in[i % 3] == k ? kTop : 0) | (0x10'0000 + i * 0x1'1000); };
        for (unsigned i = 0; i < places; ++i) fill(tlbs, in[i % 3], va(i), kPage + i);
        fill(tlbs, a, 0x7000, kPage + 0x1000);
        tlbs.write_protect(kPage + 0x80);
        for (unsigned i = 0; i < places; ++i) {
            EXPECT_FALSE(writes(in[i % 3], va(i))) << places << " " << i;
            EXPECT_TRUE(reads(in[i % 3], va(i))) << places << " " << i;
        }
        EXPECT_TRUE(writes(a, 0x7000));
    }
    // Places that are gone make room for others.
    SoftTlb* a = tlbs.select(0, false, kA);
    for (unsigned i = 0; i < 100; ++i) {
        fill(tlbs, a, 0x50'0000 + i * 0x1000, kPage);
        if (i < 98) tlbs.drop({.va = 0x50'0000 + i * 0x1000, .root = kA.table0, .bits = 12});
    }
    tlbs.write_protect(kPage);
    EXPECT_FALSE(writes(a, 0x50'0000 + 98 * 0x1000));
    EXPECT_FALSE(writes(a, 0x50'0000 + 99 * 0x1000));
}

}  // namespace
}  // namespace arclight::mmu
