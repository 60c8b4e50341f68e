#include "mmu/table_pages.h"

#include <gtest/gtest.h>

#include <map>

#include "page_tables.h"

namespace arclight::mmu {
namespace {

using test::descriptor::kAf;
using test::descriptor::kPage;

constexpr uint64_t kVa = 0x40'1000, kOther = 0x40'2000, kFar = 0x4020'1000;
constexpr uint64_t kTarget = test::kRamBase + 0x20'0000;

struct Tables : testing::Test {
    Tables() {
        for (const uint64_t va : {kVa, kOther, kFar}) entry[va] = ram.map(va, 3, kTarget | kPage | kAf);
    }
    WalkPath path(uint64_t va) {
        WalkPath p;
        EXPECT_TRUE(mmu::walk(ram.regs, ram.memory(), va, {}, &p).ok());
        return p;
    }
    uint64_t root() const { return ram.regs.half[0].table; }
    TablePages::Change prepare(uint64_t va) { return pages.begin(path(va), va, root()); }
    bool used(uint64_t va) { return pages.in_use(path(va), va, root()); }
    TablePages::Write store(uint64_t pa, uint64_t value) {
        return pages.write(pa, 8, 0, 0, [&] { ram.write(pa, value); });
    }

    test::PageTables ram;
    TablePages pages{ram.memory()};
    std::map<uint64_t, uint64_t> entry;
};

TEST_F(Tables, APathNamesEachTable) {
    const WalkPath p = path(kVa);
    ASSERT_EQ(p.count, 4);
    EXPECT_EQ(p.first_level, 0);
    EXPECT_EQ(p.table[0], root());
    EXPECT_EQ(p.table[3], entry[kVa] & ~uint64_t{0xfff});
}

TEST_F(Tables, APageIsATableAfterBothSteps) {
    EXPECT_FALSE(used(kVa));
    EXPECT_FALSE(pages.is_protected(entry[kVa]));
    const auto change = prepare(kVa);
    EXPECT_EQ(change.protect.size(), 4u);
    EXPECT_TRUE(change.drop.empty());
    EXPECT_TRUE(pages.is_protected(entry[kVa])) << "no CPU may map it writable from here on";
    EXPECT_FALSE(used(kVa)) << "others have not answered";
    EXPECT_TRUE(prepare(kVa).pages.empty()) << "another CPU prepares it";
    const uint64_t generation = pages.generation();
    pages.finish(change);
    EXPECT_TRUE(used(kVa));
    EXPECT_NE(pages.generation(), generation) << "walks that began before are no good";
    EXPECT_EQ(pages.count(), 4u);
    EXPECT_FALSE(pages.block_is_free(entry[kVa]));
    EXPECT_TRUE(pages.block_is_free(kTarget));
    EXPECT_EQ(prepare(kFar).protect.size(), 2u) << "upper tables are known";
}

TEST_F(Tables, UnsynchronisedLeaves) {
    TablePages unsync{ram.memory(), ShadowPolicy::TspUnsync};
    const auto write = [&](uint64_t pa, uint64_t value) {
        return unsync.write(pa, 8, 0, 0, [&] { ram.write(pa, value); });
    };
    unsync.finish(unsync.begin(path(kVa), kVa, root()));
    EXPECT_TRUE(unsync.synchronise().pages.empty());
    const auto stored = write(entry[kVa], 0);
    EXPECT_TRUE(stored.unsynchronised);
    EXPECT_TRUE(stored.drop.empty()) << "until a TLBI";
    EXPECT_FALSE(unsync.is_protected(entry[kVa]));
    EXPECT_FALSE(unsync.block_is_free(entry[kVa])) << "it will be protected again";
    ram.write(entry[kVa], kTarget | kPage | kAf);
    EXPECT_TRUE(unsync.in_use(path(kVa), kVa, root())) << "walks go on";
    const auto change = unsync.synchronise();
    ASSERT_EQ(change.protect.size(), 1u);
    ASSERT_EQ(change.drop.size(), 1u);
    EXPECT_EQ(change.drop[0].va, kVa >> 21 << 21);
    EXPECT_EQ(change.drop[0].bits, 21);
    EXPECT_TRUE(unsync.is_protected(entry[kVa]));
    unsync.finish(change);
    EXPECT_TRUE(unsync.in_use(path(kVa), kVa, root()));
    EXPECT_TRUE(write(entry[kVa], 0).unsynchronised);
    // Upper levels are followed at once. The table below is none any more.
    const uint64_t level2 = path(kOther).table[2] + (kVa >> 21 & 511) * 8;
    const auto upper = write(level2, 0);
    EXPECT_FALSE(upper.unsynchronised);
    ASSERT_EQ(upper.drop.size(), 1u);
    EXPECT_EQ(upper.drop[0].bits, 21);
    EXPECT_TRUE(unsync.synchronise().pages.empty());
    EXPECT_EQ(unsync.count(), 3u);
}

TEST_F(Tables, AStoreUndoesWhatItsEntryGave) {
    pages.finish(prepare(kVa));
    auto write = store(entry[kVa], kTarget | kPage | kAf);
    EXPECT_TRUE(write.drop.empty()) << "the same value";
    write = store(entry[kVa], 0);
    ASSERT_EQ(write.drop.size(), 1u);
    EXPECT_EQ(write.drop[0].va, kVa);
    EXPECT_EQ(write.drop[0].bits, 12);
    EXPECT_EQ(write.drop[0].root, root());
    write = store(entry[kVa], kTarget | kPage | kAf);
    EXPECT_TRUE(write.drop.empty()) << "it was not valid";

    const uint64_t level2 = path(kVa).table[2] + (kVa >> 21 & 511) * 8;
    write = store(level2, 0);
    ASSERT_EQ(write.drop.size(), 1u);
    EXPECT_EQ(write.drop[0].va, kVa >> 21 << 21);
    EXPECT_EQ(write.drop[0].bits, 21);
}

TEST_F(Tables, PartsOfEntriesAndSeveralAtOnceCount) {
    pages.finish(prepare(kVa));
    auto write = pages.write(entry[kVa] + 7, 1, 0, 0, [&] { ram.write(entry[kVa], kTarget | kPage); });
    ASSERT_EQ(write.drop.size(), 1u);
    write = pages.write(entry[kVa] + 4, 8, 0, 0, [&] {
        ram.write(entry[kVa], 0);
        ram.write(entry[kOther], 0);
    });
    ASSERT_EQ(write.drop.size(), 2u);
    EXPECT_EQ(write.drop[1].va, kOther);
}

TEST_F(Tables, AddressesOfTheUpperHalf) {
    constexpr uint64_t kKernel = 0xffff'8000'1234'5000;
    const uint64_t at = ram.map(kKernel, 3, kTarget | kPage | kAf);
    const uint64_t kernel_root = ram.regs.half[1].table;
    pages.finish(pages.begin(path(kKernel), kKernel, kernel_root));
    const auto write = store(at, 0);
    ASSERT_EQ(write.drop.size(), 1u);
    EXPECT_EQ(write.drop[0].va, kKernel);
    EXPECT_EQ(write.drop[0].root, kernel_root);
}

TEST_F(Tables, MuchWrittenAndNotWalkedIsNoTable) {
    pages.finish(prepare(kVa));
    TablePages::Write write;
    unsigned stores = 0;
    for (uint64_t i = 0; write.leaving == TablePages::kNoPage && stores < 1000; ++i, ++stores)
        write = store(entry[kVa] + 0x100, i << 1);
    ASSERT_LT(stores, 1000u);
    EXPECT_EQ(write.leaving, entry[kVa] & ~uint64_t{0xfff});
    ASSERT_EQ(write.drop.size(), 1u);
    EXPECT_EQ(write.drop[0].bits, 21) << "all that was derived from it";
    EXPECT_TRUE(pages.is_protected(entry[kVa])) << "until the CPUs have dropped it";
    EXPECT_FALSE(used(kVa));
    pages.left(write.leaving);
    EXPECT_FALSE(pages.is_protected(entry[kVa]));
    EXPECT_EQ(pages.count(), 3u);

    pages.finish(prepare(kVa));
    for (unsigned i = 0; i < 100; ++i) {
        EXPECT_TRUE(used(kVa));
        EXPECT_EQ(store(entry[kVa] + 0x100, i << 1).leaving, TablePages::kNoPage)
            << "it is walked in between";
    }
}

TEST_F(Tables, WalkedWhileItLeavesItStays) {
    pages.finish(prepare(kVa));
    TablePages::Write write;
    for (uint64_t i = 0; write.leaving == TablePages::kNoPage; ++i) write = store(entry[kVa] + 0x100, i << 1);
    const auto change = prepare(kVa);
    EXPECT_FALSE(change.pages.empty());
    pages.left(write.leaving);
    EXPECT_TRUE(pages.is_protected(entry[kVa]));
    pages.finish(change);
    EXPECT_TRUE(used(kVa));
}

TEST_F(Tables, ATableInAnotherPlaceDropsWhatTheFirstGave) {
    pages.finish(prepare(kVa));
    const uint64_t shared = entry[kVa] & ~uint64_t{0xfff};
    // The same table for another 2 MiB.
    ram.map(kVa + 0x20'0000, 2, shared | test::descriptor::kTable);
    const uint64_t alias = kVa + 0x20'0000;
    EXPECT_FALSE(used(alias));
    const auto change = prepare(alias);
    ASSERT_EQ(change.drop.size(), 1u);
    EXPECT_EQ(change.drop[0].va, kVa >> 21 << 21);
    EXPECT_EQ(change.drop[0].bits, 21);
    pages.finish(change);
    EXPECT_TRUE(used(alias));
    EXPECT_FALSE(used(kVa));
    // To and fro it ends as a table of no certain place, any change of which drops everything.
    for (unsigned i = 0; i < 10 && !(used(kVa) && used(alias)); ++i) {
        pages.finish(prepare(kVa));
        pages.finish(prepare(alias));
    }
    EXPECT_TRUE(used(kVa) && used(alias));
    const auto write = store(entry[kVa], 0);
    ASSERT_EQ(write.drop.size(), 1u);
    EXPECT_EQ(write.drop[0].bits, 56);
}

TEST_F(Tables, AStoreAcrossThePagesEnd) {
    pages.finish(prepare(kVa));
    const uint64_t page = entry[kVa] & ~uint64_t{0xfff};
    ram.write(page, kTarget | kPage | kAf);
    const auto write = pages.write(page - 4, 4, page, 4, [&] { ram.write(page, 0); });
    ASSERT_EQ(write.drop.size(), 1u);
    EXPECT_EQ(write.drop[0].va, kVa >> 21 << 21);
}

TEST_F(Tables, WhatIsNotRamIsNeverATable) {
    EXPECT_FALSE(pages.is_protected(0));
    EXPECT_FALSE(pages.is_protected(test::kRamBase + test::kRamSize));
    EXPECT_FALSE(pages.is_protected(~uint64_t{0}));
    EXPECT_FALSE(pages.block_is_free(0));
}

}  // namespace
}  // namespace arclight::mmu
