// Fastmem that mmap() makes in this process: what is mapped where, with which rights, and what is no longer.
#include "backend/direct_tables.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <optional>

#include "mmu/fastmem.h"

namespace arclight::backend {
namespace {

using mmu::FastmemSet;
using mmu::SoftTlb;

constexpr uint64_t kPage = 4096, kLarge = uint64_t{2} << 20, kRam = 4 * kLarge;
constexpr uint64_t kVa = 0xaaaa'aaab'0000;

class DirectTablesTest : public ::testing::Test {
  protected:
    DirectTablesTest() : file_(memfd_create("ram", MFD_CLOEXEC)) {
        EXPECT_EQ(ftruncate(file_, kRam), 0);
        area_ = static_cast<uint8_t*>(
            mmap(nullptr, kRam + kLarge, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
        ram_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uint64_t>(area_) + kLarge - 1) & ~(kLarge - 1));
        mmap(ram_, kRam, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file_, 0);
        for (uint64_t at = 0; at < kRam; at += kPage) std::memcpy(ram_ + at, &at, sizeof at);
        EXPECT_EQ(pipe(pipe_), 0);
        make(1);
    }
    ~DirectTablesTest() override {
        fastmem_.reset();
        tables_.reset();
        munmap(area_, kRam + kLarge);
        for (const int file : {file_, pipe_[0], pipe_[1]}) close(file);
    }
    void make(unsigned cpus) {
        fastmem_.reset();
        tables_ =
            std::make_unique<DirectTables>(DirectMemory{.host = ram_, .bytes = kRam, .file = file_}, cpus);
        fastmem_ = std::make_unique<FastmemSet>(*tables_);
        for (unsigned i = 0; i < 2; ++i) fastmem_->initialise(i, tlbs_[i].get());
    }
    bool fill(uint64_t va, uint64_t page, bool writable = true, unsigned space = 0) {
        const bool done = fastmem_->fill(
            space, {.va = va, .host = ram_ + page * kPage, .writable = writable, .non_global = true});
        fastmem_->complete();
        return done;
    }
    uint8_t* host(uint64_t va, unsigned space = 0) {
        const uint64_t slot = va >> mmu::kFastmemSlotBits & (mmu::kFastmemSlots - 1);
        // NOLINTNEXTLINE(performance-no-int-to-ptr): what translated code computes
        return reinterpret_cast<uint8_t*>(va + tlbs_[space]->fastmem_offset[slot]);
    }
    /// The number of the page of RAM that is there. Nothing: an access faults.
    std::optional<uint64_t> page_at(uint64_t va, unsigned space = 0) {
        uint64_t offset = 0;
        if (write(pipe_[1], host(va, space), sizeof offset) != sizeof offset) return std::nullopt;
        EXPECT_EQ(read(pipe_[0], &offset, sizeof offset), static_cast<ssize_t>(sizeof offset));
        return offset / kPage;
    }
    /// Leaves what is there as it was.
    bool writable_at(uint64_t va) {
        uint8_t byte = 0;
        if (write(pipe_[1], host(va), 1) != 1) return false;
        if (read(pipe_[0], host(va), 1) == 1) return true;
        EXPECT_EQ(read(pipe_[0], &byte, 1), 1);
        return false;
    }

    int file_, pipe_[2]{};
    uint8_t *area_ = nullptr, *ram_ = nullptr;
    std::unique_ptr<SoftTlb> tlbs_[2]{std::make_unique<SoftTlb>(), std::make_unique<SoftTlb>()};
    std::unique_ptr<DirectTables> tables_;
    std::unique_ptr<FastmemSet> fastmem_;
};

TEST_F(DirectTablesTest, PagesAreThereWithTheirRights) {
    EXPECT_FALSE(page_at(kVa));
    ASSERT_TRUE(fill(kVa, 3, false));
    EXPECT_EQ(page_at(kVa), 3u);
    EXPECT_FALSE(writable_at(kVa));
    EXPECT_FALSE(page_at(kVa + kPage));
    EXPECT_FALSE(page_at(kVa - kPage));
    ASSERT_TRUE(fill(kVa, 3, true));
    EXPECT_TRUE(writable_at(kVa));
    ASSERT_TRUE(fill(kVa, 3, false));
    EXPECT_FALSE(writable_at(kVa)) << "rights that were taken";
    ASSERT_TRUE(fill(kVa, 5, false));
    EXPECT_EQ(page_at(kVa), 5u) << "another page";
    *ram_ = 77;
    ASSERT_TRUE(fill(kVa, 0));
    EXPECT_EQ(*host(kVa), 77) << "RAM itself";
    *ram_ = 0;
}

TEST_F(DirectTablesTest, WhatIsNotInTheFileIsNotMapped) {
    uint8_t elsewhere[1];
    EXPECT_FALSE(fastmem_->fill(0, {.va = kVa, .host = elsewhere}));
    EXPECT_FALSE(fastmem_->fill(0, {.va = kVa, .host = ram_ + kRam}));
    EXPECT_FALSE(fastmem_->fill(0, {.va = kVa, .host = ram_ - 1}));
}

TEST_F(DirectTablesTest, InvalidationUnmaps) {
    for (uint64_t p = 0; p < 8; ++p) fill(kVa + p * kPage, p + 1);
    fastmem_->drop_address(0, kVa + 2 * kPage, true, true);
    fastmem_->finish();
    for (uint64_t p = 0; p < 8; ++p) EXPECT_EQ(page_at(kVa + p * kPage).has_value(), p != 2) << p;
    fastmem_->drop_span(0, kVa + 4 * kPage, kVa + 6 * kPage - 1, true, true);
    fastmem_->finish();
    for (uint64_t p = 0; p < 8; ++p)
        EXPECT_EQ(page_at(kVa + p * kPage).has_value(), p != 2 && p != 4 && p != 5) << p;
    fastmem_->drop_non_global(0);
    fastmem_->finish();
    for (uint64_t p = 0; p < 8; ++p) EXPECT_FALSE(page_at(kVa + p * kPage)) << p;
}

TEST_F(DirectTablesTest, WhatWasEnteredAgainStays) {
    fill(kVa, 1);
    fill(kVa + kPage, 2);
    fastmem_->drop_address(0, kVa, true, true);
    fastmem_->drop_address(0, kVa + kPage, true, true);
    fill(kVa, 9, false);
    fastmem_->finish();
    EXPECT_EQ(page_at(kVa), 9u);
    EXPECT_FALSE(writable_at(kVa));
    EXPECT_FALSE(page_at(kVa + kPage));
}

TEST_F(DirectTablesTest, MoreThanCanBeNamedUnmapsAll) {
    for (uint64_t p = 0; p < 600; ++p) fill(kVa + p * kPage, p);
    fastmem_->drop_span(0, kVa, kVa + 599 * kPage - 1, true, true);
    fastmem_->finish();
    for (uint64_t p = 0; p < 599; ++p) EXPECT_FALSE(page_at(kVa + p * kPage)) << p;
    // The last one may be gone, but comes back.
    ASSERT_TRUE(fill(kVa + 599 * kPage, 599));
    EXPECT_EQ(page_at(kVa + 599 * kPage), 599u);
}

TEST_F(DirectTablesTest, LargePagesAndTheirPieces) {
    const uint64_t va = 0x30'0020'0000;
    ASSERT_TRUE(fastmem_->fill(0, {.va = va + 5 * kPage,
                                   .host = ram_ + kLarge + 5 * kPage,
                                   .page_bits = 21,
                                   .writable = true,
                                   .large = true}));
    fastmem_->complete();
    EXPECT_EQ(page_at(va), 512u);
    EXPECT_EQ(page_at(va + 511 * kPage), 1023u);
    EXPECT_FALSE(page_at(va + 512 * kPage));
    fastmem_->drop_address(0, va + 7 * kPage, true, true);
    fastmem_->finish();
    EXPECT_FALSE(page_at(va));
    EXPECT_FALSE(page_at(va + 511 * kPage));
    // The guest has split the block.
    fastmem_->fill(0, {.va = va, .host = ram_ + kLarge, .page_bits = 21, .writable = true, .large = true});
    ASSERT_TRUE(fill(va + kPage, 3));
    EXPECT_EQ(page_at(va + kPage), 3u);
    EXPECT_FALSE(page_at(va + 2 * kPage));
}

TEST_F(DirectTablesTest, NeighboursAreOneCall) {
    const uint64_t before = tables_->stats().maps;
    for (uint64_t p = 0; p < 16; ++p)
        fastmem_->add(0, {.va = kVa + p * kPage, .host = ram_ + p * kPage, .writable = true});
    EXPECT_EQ(tables_->stats().maps, before) << "a slot is taken by fill() alone";
    for (uint64_t p = 0; p < 16; ++p)
        fastmem_->fill(0, {.va = kVa + p * kPage, .host = ram_ + p * kPage, .writable = p < 8});
    fastmem_->complete();
    EXPECT_EQ(tables_->stats().maps, before + 2);
    for (uint64_t p = 0; p < 16; ++p) EXPECT_EQ(page_at(kVa + p * kPage), p);
}

TEST_F(DirectTablesTest, SpacesAreApart) {
    fill(kVa, 1, true, 0);
    fill(kVa, 2, true, 1);
    EXPECT_EQ(page_at(kVa, 0), 1u);
    EXPECT_EQ(page_at(kVa, 1), 2u);
    const uint8_t* const was = host(kVa, 0);
    fastmem_->drop_all(0);
    fastmem_->finish();
    EXPECT_EQ(page_at(kVa, 1), 2u) << "another space's stay";
    EXPECT_FALSE(page_at(kVa, 0));
    EXPECT_NE(host(kVa, 0), was);
    EXPECT_NE(write(pipe_[1], was, 1), 1);
}

TEST_F(DirectTablesTest, TheEndsOfASlotAreNeverMapped) {
    EXPECT_FALSE(fill(0x7f'ffff'f000, 1));
    EXPECT_FALSE(fill(0x80'0000'0000, 1));
    EXPECT_FALSE(fill(0xffff'ffff'f000, 1));
    EXPECT_TRUE(fill(0x7f'ffff'e000, 1));
    EXPECT_TRUE(fill(0x80'0000'1000, 1));
}

// Whatever an address is, what translated code adds makes it one of the space's own slots, or one that no access reaches.
TEST_F(DirectTablesTest, NoAddressLeavesItsSlots) {
    fill(kVa, 1);
    fill(0xffff'0000'0000, 2);
    fill(0x40'0000, 3);
    const auto own = [&](uint64_t at) {
        for (const uint64_t va : {kVa, uint64_t{0xffff'0000'0000}, uint64_t{0x40'0000}})
            if (reinterpret_cast<uint64_t>(host(va)) >> 39 == at >> 39) return true;
        return false;
    };
    uint64_t seed = 1;
    for (unsigned n = 0; n < 2'000'000; ++n) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        // Any address, one that differs from a mapped one in a few high bits, one of this process.
        uint64_t va = seed;
        if (n % 4 == 1) va = kVa ^ (seed & 0xffff'ff80'0000'0000 & (seed >> 7));
        if (n % 4 == 2) va = kVa ^ (uint64_t{1} << (seed >> 40) % 64) ^ (uint64_t{1} << (seed >> 50) % 64);
        if (n % 4 == 3) va = reinterpret_cast<uint64_t>(ram_) - (seed >> 8) % 0x1'0000'0000;
        const uint64_t at = reinterpret_cast<uint64_t>(host(va));
        const bool user = at >> 47 == 0;
        ASSERT_TRUE(!user || own(at)) << std::hex << va << " is at " << at;
    }
}

TEST_F(DirectTablesTest, TwoTablesShareNoSlot) {
    DirectTables other({.host = ram_, .bytes = kRam, .file = file_}, 1);
    unsigned both = 0, some = 0;
    for (unsigned i = 0; i < 20; ++i) {
        const bool first = tables_->may_use_root_entry(i), second = other.may_use_root_entry(i);
        both += first && second;
        some += first || second;
    }
    EXPECT_EQ(both, 0u);
    EXPECT_GT(some, 10u);
}

// A process has 65,530 mappings: many CPUs' parts of them are small.
TEST_F(DirectTablesTest, NoMoreMappingsThanItsPart) {
    make(3200);  // ten of them
    unsigned there = 0;
    for (uint64_t p = 0; p < 20; ++p) {
        fill(kVa + 2 * p * kPage, p);
        there += page_at(kVa + 2 * p * kPage).has_value();
    }
    EXPECT_EQ(there, 5u);
    EXPECT_GT(tables_->stats().refused, 0u);
    fastmem_->drop_all(0);
    fastmem_->finish();
    fill(kVa, 7);
    EXPECT_EQ(page_at(kVa), 7u) << "all of them are free again";
}

}  // namespace
}  // namespace arclight::backend
