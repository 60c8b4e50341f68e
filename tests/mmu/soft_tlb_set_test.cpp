#include "mmu/soft_tlb_set.h"

#include <gtest/gtest.h>

#include <chrono>
#include <set>
#include <vector>

namespace arclight::mmu {
namespace {

using mmu::SoftTlb;
using mmu::TlbEntry;
using Kind = TlbiRequest::Kind;

constexpr uint64_t kTop = 0xffff'0000'0000'0000;
uint8_t ram[4096];

// What emitted code does.
bool reads(const SoftTlb* v, uint64_t va) {
    return v->entries[mmu::tlb_index(va)].read_tag == (va & mmu::kPageMask);
}
bool writes(const SoftTlb* v, uint64_t va) {
    return v->entries[mmu::tlb_index(va)].write_tag == (va & mmu::kPageMask);
}
const void* jump(const SoftTlb* v, uint64_t pc) {
    const auto& e = v->jump_cache[mmu::jump_cache_index(pc)];
    return e.pc == pc ? e.code : nullptr;
}

struct Fixture : testing::Test {
    SoftTlbSet tlbs;
    SoftTlb* user(uint16_t asid) { return tlbs.select(0, false, asid); }
    SoftTlb* kernel(bool pan, uint16_t asid) { return tlbs.select(1, pan, asid); }
    void fill(SoftTlb* v, uint64_t va, bool non_global, uint8_t page_bits = 12, bool writable = true) {
        ASSERT_TRUE(tlbs.fill(v, {.va = va,
                                  .pa = 0x4000'0000 | (va & 0xff'ffff),
                                  .host = ram + (va & 0xfff),
                                  .page_bits = page_bits,
                                  .readable = true,
                                  .writable = writable,
                                  .non_global = non_global}));
        ASSERT_TRUE(reads(v, va));
    }
    /// Another root gets an empty one before it gets this.
    SoftTlb* used(SoftTlb* v) {
        tlbs.fill_jump(v, 0x7000, ram);
        return v;
    }
};
using Views = Fixture;

TEST_F(Views, StartEmpty) {
    for (SoftTlb* v : {kernel(false, 0), kernel(true, 0), user(0), user(5)}) {
        EXPECT_NE(v->epoch, 0u);
        for (uint64_t va : {uint64_t{0}, uint64_t{0x1000}, kTop, ~uint64_t{0xfff}}) {
            EXPECT_FALSE(reads(v, va));
            EXPECT_FALSE(writes(v, va));
            EXPECT_EQ(jump(v, va), nullptr);
        }
    }
    // A misaligned access that wraps around from the last page to page 0: emitted code looks up its first
    // byte and compares the page of its last one.
    EXPECT_NE(user(0)->entries[mmu::tlb_index(~uint64_t{3})].read_tag, 0u);
    EXPECT_NE(user(0)->entries[mmu::tlb_index(~uint64_t{3})].write_tag, 0u);
    // pc 0 must not match an untouched line.
    EXPECT_NE(user(0)->jump_cache[0].pc, 0u);
}

TEST_F(Views, FillAndAddend) {
    SoftTlb* v = user(1);
    fill(v, 0x1234'5678, true, 12, false);
    EXPECT_FALSE(writes(v, 0x1234'5678));
    const TlbEntry& e = v->entries[mmu::tlb_index(0x1234'5678)];
    EXPECT_EQ(e.addend + 0x1234'5678, reinterpret_cast<uint64_t>(ram + 0x678));
    EXPECT_EQ(e.pa, 0x4000'0000u | 0x34'5000);
    fill(v, 0x1234'5000, true);
    EXPECT_TRUE(writes(v, 0x1234'5000));
}

TEST_F(Views, RefusesWhatTheSlowPathMustSee) {
    SoftTlb* v = kernel(false, 0);
    const SoftTlbSet::Mapping good{.va = 0x1000, .pa = 0x1000, .host = ram, .readable = true};
    SoftTlbSet::Mapping m = good;
    m.host = nullptr;
    EXPECT_FALSE(tlbs.fill(v, m));
    m = good;
    m.may_cache = false;
    EXPECT_FALSE(tlbs.fill(v, m));
    m = good;
    m.readable = false;
    EXPECT_FALSE(tlbs.fill(v, m));
    EXPECT_FALSE(reads(v, 0x1000));
    EXPECT_TRUE(tlbs.fill(v, good));
}

TEST_F(Views, ContextsAreSeparate) {
    EXPECT_NE(kernel(false, 1), kernel(true, 1));
    SoftTlb* a = user(1);
    fill(a, 0x1000, true);
    SoftTlb* b = user(2);
    EXPECT_NE(a, b);
    EXPECT_FALSE(reads(b, 0x1000));
    EXPECT_EQ(user(1), a);
    EXPECT_TRUE(reads(user(1), 0x1000)) << "a switch there and back keeps entries";
}

TEST_F(Views, LeastRecentlyUsedAsidIsReplaced) {
    SoftTlb* first = user(100);
    fill(first, 0x1000, true);
    std::set<SoftTlb*> seen{first};
    const auto use = [&](unsigned asid) { return used(user(static_cast<uint16_t>(asid))); };
    for (unsigned i = 1; i < ShadowOptions{}.roots; ++i) seen.insert(use(100 + i));
    EXPECT_EQ(seen.size(), ShadowOptions{}.roots);
    user(100);  // now 101 is the oldest
    SoftTlb* stolen = user(500);
    EXPECT_NE(stolen, first);
    EXPECT_TRUE(reads(user(100), 0x1000));
    for (unsigned i = 0; i < ShadowOptions{}.roots; ++i) use(600 + i);
    EXPECT_FALSE(reads(first, 0x1000)) << "a soft TLB given away is empty";
}

// A shell that starts one process after another: the host's caches hold a few soft TLBs, not all.
TEST_F(Views, WhatHasBeenEmptiedLastIsReplacedFirst) {
    SoftTlb* shell = user(1);
    fill(shell, 0x1000, true);
    std::set<SoftTlb*> seen;
    for (uint16_t asid = 2; asid < 100; ++asid) {
        SoftTlb* process = user(asid);
        EXPECT_FALSE(reads(process, 0x2000));
        EXPECT_EQ(jump(process, 0x2000), nullptr);
        fill(process, 0x2000, true);
        tlbs.note_code_page(process, 0x2000, 12, true);
        tlbs.fill_jump(process, 0x2000, ram);
        EXPECT_EQ(user(1), shell);
        const uint64_t epoch = process->epoch;
        tlbs.apply({.kind = Kind::Asid, .asid = asid});
        EXPECT_NE(process->epoch, epoch);
        seen.insert(process);
    }
    EXPECT_EQ(seen.size(), 1u);
    EXPECT_TRUE(reads(user(1), 0x1000));
    // What has something to lose is not taken for one, be it only where a jump leads.
    SoftTlb* jumps = user(200);
    tlbs.fill_jump(jumps, 0x3000, ram);
    EXPECT_NE(user(201), jumps);
    EXPECT_EQ(jump(user(200), 0x3000), ram);
}

TEST_F(Views, El1DropsNonGlobalEntriesOnAsidChange) {
    SoftTlb* v = kernel(true, 1);
    std::set<uint64_t> users;
    for (unsigned i = 0; i < 3000; ++i) {
        const uint64_t va = (uint64_t{i} * 0x2b'd000) & 0x0000'ffff'ffff'f000;
        fill(v, va, true);
        users.insert(va);
    }
    fill(v, kTop | 0x7ff'f000, false);
    EXPECT_EQ(kernel(true, 1), v);
    EXPECT_TRUE(reads(v, *users.rbegin()) || users.size() > 1);
    EXPECT_EQ(kernel(true, 2), v);
    for (uint64_t va : users) ASSERT_FALSE(reads(v, va));
    EXPECT_TRUE(reads(v, kTop | 0x7ff'f000));
    // A global entry in place of a non-global one is not dropped with it.
    fill(v, 0x5000, true);
    fill(v, kTop | 0x5000, false);
    kernel(true, 3);
    EXPECT_TRUE(reads(v, kTop | 0x5000));
}

struct TlbiRow {
    const char* name;
    TlbiRequest request;
    // What is left of: user page of ASID 1 and 2, another user page of ASID 1, global kernel page, global
    // page in the user soft TLB of ASID 2, the kernel's soft TLB of ASID 1's page (ASID 1 is current).
    bool user1, user2, other1, kernel_page, global2, kernel_user1;
};

TEST_F(Views, TlbiForms) {
    constexpr uint64_t kUser = 0x40'1000, kOther = 0x7f'2000, kKernel = kTop | 0x8'3000, kGlobal = 0x77'7000;
    const TlbiRow rows[] = {
        {"VMALLE1", {Kind::All}, false, false, false, false, false, false},
        {"ASIDE1 1", {Kind::Asid, 1}, false, true, false, true, true, false},
        {"ASIDE1 2", {Kind::Asid, 2}, true, false, true, true, true, true},
        {"ASIDE1 3", {Kind::Asid, 3}, true, true, true, true, true, true},
        {"VAE1 user, 1", {Kind::Va, 1, 1, kUser}, false, true, true, true, true, false},
        {"VAE1 user, 2", {Kind::Va, 2, 1, kUser}, true, false, true, true, true, true},
        {"VAE1 user, 3", {Kind::Va, 3, 1, kUser}, true, true, true, true, true, true},
        {"VAE1 kernel, any ASID", {Kind::Va, 9, 1, kKernel}, true, true, true, false, true, true},
        {"VAE1 global page, other ASID", {Kind::Va, 9, 1, kGlobal}, true, true, true, true, false, true},
        {"VAAE1 user", {Kind::VaAllAsids, 0, 1, kUser}, false, false, true, true, true, false},
        {"VAAE1 kernel", {Kind::VaAllAsids, 0, 1, kKernel}, true, true, true, false, true, true},
        {"VAE1 same index",
         {Kind::Va, 1, 1, kUser + (mmu::kTlbEntries << 12)},
         true,
         true,
         true,
         true,
         true,
         true},
    };
    for (const TlbiRow& row : rows) {
        tlbs.flush_all();
        SoftTlb *u1 = used(user(1)), *u2 = used(user(2)), *k = kernel(true, 1);
        fill(u1, kUser, true);
        fill(u2, kUser, true);
        fill(u1, kOther, true);
        fill(u2, kGlobal, false);
        fill(k, kKernel, false);
        fill(k, kUser, true);
        tlbs.apply(row.request);
        EXPECT_EQ(reads(u1, kUser), row.user1) << row.name;
        EXPECT_EQ(writes(u1, kUser), row.user1) << row.name;
        EXPECT_EQ(reads(u2, kUser), row.user2) << row.name;
        EXPECT_EQ(reads(u1, kOther), row.other1) << row.name;
        EXPECT_EQ(reads(u2, kGlobal), row.global2) << row.name;
        EXPECT_EQ(reads(k, kKernel), row.kernel_page) << row.name;
        EXPECT_EQ(reads(k, kUser), row.kernel_user1) << row.name;
    }
}

TEST_F(Views, TagsAreIgnoredByInvalidation) {
    SoftTlb* v = user(1);
    const uint64_t tagged = 0xa500'0000'0040'1000;
    fill(v, tagged, true);
    EXPECT_FALSE(reads(v, 0x40'1000));
    tlbs.apply({Kind::Va, 1, 1, 0x40'1000});
    EXPECT_FALSE(reads(v, tagged));
    // A kernel address with a tag from a TLBI argument that keeps only bits 55:12.
    SoftTlb* k = kernel(false, 0);
    fill(k, 0x12ff'0000'0000'2000, false);
    tlbs.apply({Kind::VaAllAsids, 0, 1, kTop | 0x2000});
    EXPECT_FALSE(reads(k, 0x12ff'0000'0000'2000));
}

// Of allocation tags: no access hits, whatever the address's own tag is, and an invalidation finds it.
TEST_F(Views, CheckedPagesServeEveryTagAndNoHit) {
    for (SoftTlb* v : {user(1), kernel(false, 0)}) {
        const uint64_t plain = v == user(1) ? 0x40'1000 : kTop | 0x40'1000;
        const uint64_t tagged = plain ^ 0xa500'0000'0000'0000;
        const uint64_t reach = plain ^ kTlbEntries * kPageSize;
        const auto fill_checked = [&](uint64_t va) {
            ASSERT_TRUE(tlbs.fill(v, {.va = va + 8, .host = ram + 8, .readable = true, .checked = true}));
            const TlbEntry& e = v->entries[mmu::tlb_index(va)];
            EXPECT_EQ(e.read_tag, checked_tag(plain));
            EXPECT_EQ(e.write_tag, TlbEntry::kInvalidTag);
            EXPECT_EQ(e.addend + without_address_tag(va), reinterpret_cast<uint64_t>(ram));
            EXPECT_FALSE(reads(v, plain) || reads(v, tagged));
        };
        fill_checked(plain);
        fill_checked(tagged);
        // It makes way as others do, and comes back without being an answer.
        fill(v, reach, true);
        EXPECT_EQ(tlbs.victim_hit(v, tagged, true), nullptr) << "read only";
        EXPECT_TRUE(reads(v, reach));
        EXPECT_EQ(tlbs.victim_hit(v, tagged, false), nullptr);
        EXPECT_EQ(v->entries[mmu::tlb_index(plain)].read_tag, checked_tag(plain));
        tlbs.apply({Kind::VaAllAsids, 1, 1, tagged});
        EXPECT_EQ(v->entries[mmu::tlb_index(plain)].read_tag, TlbEntry::kInvalidTag);
        EXPECT_EQ(tlbs.victim_hit(v, plain, false), nullptr);
        EXPECT_EQ(v->entries[mmu::tlb_index(plain)].read_tag, TlbEntry::kInvalidTag);
    }
}

TEST_F(Views, AnyAddressOfABlockDropsAllItsPages) {
    for (const unsigned bits : {21u, 30u}) {
        const uint64_t base = uint64_t{5} << 30, size = uint64_t{1} << bits;
        SoftTlb* v = user(1);
        SoftTlb* k = kernel(false, 1);
        tlbs.flush_all();
        const uint64_t pages[] = {base, base + 0x3000, base + size - 0x1000};
        for (uint64_t va : pages) fill(v, va, true, static_cast<uint8_t>(bits));
        fill(k, pages[1], true, static_cast<uint8_t>(bits));
        fill(v, base + 0x5000, true);  // a page of its own within the block's addresses
        fill(v, base + size + 0x9000, true, static_cast<uint8_t>(bits));  // the next block
        fill(v, base + size + 0x8000, true);
        tlbs.apply({Kind::Va, 2, 1, base + 0x1'0000});
        for (uint64_t va : pages) EXPECT_TRUE(reads(v, va)) << "another ASID";
        tlbs.apply({Kind::Va, 1, 1, base + 0x1'0000});
        for (uint64_t va : pages) EXPECT_FALSE(reads(v, va)) << bits;
        EXPECT_FALSE(reads(k, pages[1]));
        EXPECT_TRUE(reads(v, base + 0x5000));
        EXPECT_TRUE(reads(v, base + size + 0x9000));
        EXPECT_TRUE(reads(v, base + size + 0x8000));
    }
}

TEST_F(Views, EpochChangesOnlyForCode) {
    SoftTlb *v = used(user(1)), *w = used(user(2)), *k = kernel(true, 1);
    int code = 0;
    tlbs.note_code_page(v, 0x40'0000, 12, true);
    tlbs.note_code_page(k, kTop | 0x1000, 12, false);
    tlbs.fill_jump(v, 0x40'0010, &code);
    tlbs.fill_jump(v, 0x40'1010, &code);  // stale page: not noted, so not dropped by the next
    tlbs.fill_jump(k, kTop | 0x1ffc, &code);
    uint32_t ev = v->epoch, ew = w->epoch, ek = k->epoch;
    EXPECT_NE(ev, ew);
    EXPECT_NE(ev, ek);

    fill(v, 0x50'0000, true);
    tlbs.apply({Kind::Va, 1, 1, 0x50'0000});
    tlbs.apply({Kind::Va, 2, 1, 0x40'0000});
    EXPECT_EQ(v->epoch, ev) << "data page; other ASID";
    EXPECT_EQ(jump(v, 0x40'0010), &code);

    tlbs.apply({Kind::Va, 1, 1, 0x40'0000});
    EXPECT_NE(v->epoch, ev);
    EXPECT_EQ(w->epoch, ew);
    EXPECT_EQ(k->epoch, ek);
    EXPECT_EQ(jump(v, 0x40'0010), nullptr);
    EXPECT_EQ(jump(v, 0x40'1010), &code);

    ev = v->epoch;
    tlbs.apply({Kind::Va, 1, 1, 0x40'0000});
    EXPECT_EQ(v->epoch, ev) << "no code was fetched there since";

    tlbs.apply({Kind::Va, 77, 1, kTop | 0x1000});
    EXPECT_NE(k->epoch, ek) << "global code";
    EXPECT_EQ(jump(k, kTop | 0x1ffc), nullptr);
}

TEST_F(Views, CodeInBlocksAndByAsid) {
    SoftTlb *v = user(1), *k = kernel(false, 1);
    int code = 0;
    const uint64_t block = kTop | 0x4000'0000;
    tlbs.note_code_page(k, block + 0x1'2000, 21, false);
    tlbs.note_code_page(v, 0x1000, 12, true);
    tlbs.fill_jump(k, block + 0x1'2004, &code);
    tlbs.fill_jump(v, 0x1000, &code);
    uint32_t ek = k->epoch, ev = v->epoch;
    tlbs.apply({Kind::Va, 1, 1, block + 0x20'0000});
    EXPECT_EQ(k->epoch, ek);
    tlbs.apply({Kind::VaAllAsids, 0, 1, block + 0x1f'f000});
    EXPECT_NE(k->epoch, ek);
    EXPECT_EQ(jump(k, block + 0x1'2004), nullptr);

    ek = k->epoch;
    tlbs.apply({Kind::Asid, 1});
    EXPECT_NE(v->epoch, ev);
    EXPECT_EQ(k->epoch, ek);
    EXPECT_EQ(jump(v, 0x1000), nullptr);

    // Non-global code in an EL1 soft TLB goes with its ASID.
    tlbs.note_code_page(k, 0x8000, 12, true);
    tlbs.note_code_page(k, kTop | 0x8000, 12, false);
    tlbs.fill_jump(k, 0x8000, &code);
    ek = k->epoch;
    kernel(false, 2);
    EXPECT_NE(k->epoch, ek);
    EXPECT_EQ(jump(k, 0x8000), nullptr);
}

TEST_F(Views, EpochsAreUniqueOverAllSets) {
    SoftTlbSet other;
    std::set<uint32_t> seen;
    for (uint16_t i = 0; i < 16; ++i) {
        seen.insert(used(user(i))->epoch);
        SoftTlb* v = other.select(0, false, i);
        other.fill_jump(v, 0x7000, ram);
        seen.insert(v->epoch);
    }
    EXPECT_EQ(seen.size(), 32u);
    EXPECT_FALSE(seen.contains(0));
}

TEST_F(Views, PagesThatTakeTurnsInOnePlaceAreNotForgotten) {
    constexpr uint64_t kReach = mmu::kTlbEntries << 12, kUs = 0xffff'8800'b000;
    constexpr uint64_t kTag = uint64_t{0x5a} << 56;
    fill(user(1), kUs, true);
    fill(user(1), kUs + kReach, true, 12, false);
    ASSERT_FALSE(reads(user(1), kUs));
    EXPECT_EQ(tlbs.victim_hit(user(1), kUs + 0x18, true), ram + 0x18);
    EXPECT_TRUE(writes(user(1), kUs));
    EXPECT_EQ(tlbs.victim_hit(user(1), kUs + kReach, true), nullptr) << "read only";
    EXPECT_EQ(tlbs.victim_hit(user(1), kUs + kReach + 4, false), ram + 4);
    EXPECT_EQ(tlbs.victim_hit(user(2), kUs, false), nullptr);

    // Entered anew with other rights, pushed out again.
    fill(user(1), kUs, true, 12, false);
    fill(user(1), kUs + kReach, true);
    EXPECT_EQ(tlbs.victim_hit(user(1), kUs, true), nullptr);
    EXPECT_NE(tlbs.victim_hit(user(1), kUs, false), nullptr);

    // An invalidation names an address without its tag.
    fill(user(1), kUs | kTag, true);
    fill(user(1), kUs + kReach, true);
    tlbs.apply({Kind::Va, 1, 1, kUs});
    EXPECT_EQ(tlbs.victim_hit(user(1), kUs | kTag, false), nullptr);
}

// Emitted code looks at the victims itself: mmu/victim_tlb.h.
TEST_F(Views, WhatMadeWayIsWhereEmittedCodeLooks) {
    constexpr uint64_t kReach = mmu::kTlbEntries << 12, kUs = 0xffff'8800'b000;
    SoftTlb* tlb = user(1);
    EXPECT_EQ(tlb->victims, &mmu::kNoVictims);
    const auto victim = [&](uint64_t va) { return const_cast<mmu::VictimTlb*>(tlb->victims)->at(va).tlb; };
    for (uint64_t k = 0; k < 3; ++k) fill(tlb, kUs + k * kReach, true);
    for (uint64_t k = 0; k < 2; ++k) {
        EXPECT_EQ(victim(kUs + k * kReach).read_tag, kUs + k * kReach) << "two at once";
        EXPECT_EQ(victim(kUs + k * kReach).addend + kUs + k * kReach, reinterpret_cast<uint64_t>(ram));
    }
    tlb->victim_uses = -1;
    EXPECT_NE(tlbs.victim_hit(tlb, kUs, false), nullptr);
    EXPECT_EQ(tlb->victim_uses, SoftTlb::kVictimUses);
    EXPECT_TRUE(reads(tlb, kUs));
    tlbs.apply({Kind::Va, 1, 1, kUs + 2 * kReach});
    EXPECT_EQ(victim(kUs + 2 * kReach).read_tag, TlbEntry::kInvalidTag);
    EXPECT_EQ(victim(kUs + kReach).read_tag, kUs + kReach);
    tlbs.apply({Kind::Asid, 1});
    EXPECT_EQ(victim(kUs + kReach).read_tag, TlbEntry::kInvalidTag);
}

TEST_F(Views, JumpsThatTakeTurnsInOneLineAreBothThere) {
    SoftTlb* tlb = user(1);
    const int code[2] = {};
    constexpr uint64_t kPc = 0x40'0010, kOther = kPc + (mmu::kJumpCacheEntries << 2 << 12);
    static_assert(mmu::jump_cache_index(kPc) == mmu::jump_cache_index(kOther));
    const auto second = [&](uint64_t pc) {
        const mmu::JumpCacheEntry& line = tlb->jump_cache[mmu::second_jump_cache_index(pc)];
        return line.pc == pc ? line.code : nullptr;
    };
    const auto enter_both = [&] {
        for (const uint64_t pc : {kPc, kOther}) {
            tlbs.note_code_page(tlb, pc, 12, true);
            tlb->second_jump_uses = -1;
            tlbs.fill_jump(tlb, pc, pc == kPc ? &code[0] : &code[1]);
            EXPECT_EQ(tlb->second_jump_uses, SoftTlb::kVictimUses);
        }
        EXPECT_EQ(jump(tlb, kOther), &code[1]);
        EXPECT_EQ(second(kPc), &code[0]);
    };
    enter_both();
    tlbs.apply({Kind::Va, 1, 1, kPc});
    EXPECT_EQ(second(kPc), nullptr);
    EXPECT_EQ(jump(tlb, kOther), &code[1]);
    enter_both();
    tlbs.clear_jump_caches();
    EXPECT_EQ(second(kPc), nullptr);
    enter_both();
    tlbs.apply({Kind::All});
    EXPECT_EQ(second(kPc), nullptr);
    EXPECT_EQ(second(0), nullptr);
}

TEST_F(Views, OfCodeThatIsRemovedOnlyJumpsToItsOffsetsAreForgotten) {
    SoftTlb *one = user(1), *two = user(2);
    const int code = 0;
    constexpr uint64_t kPages[] = {0, 0x40'0000, 0xffff'8800'b000};
    const auto enter = [&] {
        for (SoftTlb* tlb : {one, two})
            for (const uint64_t page : kPages) {
                tlbs.note_code_page(tlb, page, 12, true);
                for (uint64_t offset = 0; offset < 0x1000; offset += 0x10)
                    tlbs.fill_jump(tlb, page + offset, &code);
            }
    };
    for (const auto& [first, last] :
         {std::pair(0x100u, 0x1ffu), std::pair(0u, 0x3fu), std::pair(0xf00u, 0xfffu)}) {
        enter();
        tlbs.clear_jumps_within_pages(first, last);
        for (SoftTlb* tlb : {one, two})
            for (const uint64_t page : kPages)
                for (uint64_t offset = 0; offset < 0x1000; offset += 0x10)
                    ASSERT_EQ(jump(tlb, page + offset) == nullptr, offset >= first && offset <= last)
                        << std::hex << page + offset << ", without " << first << " to " << last;
    }
    // The others are still known as ones to be forgotten.
    tlbs.clear_jump_caches();
    for (SoftTlb* tlb : {one, two})
        for (const uint64_t page : kPages)
            for (uint64_t offset = 0; offset < 0x1000; offset += 0x10)
                ASSERT_EQ(jump(tlb, page + offset), nullptr);
}

struct RandomInvalidations : Fixture, testing::WithParamInterface<std::pair<uint8_t, uint8_t>> {};
INSTANTIATE_TEST_SUITE_P(Granules, RandomInvalidations,
                         testing::Values(std::pair(12, 12), std::pair(14, 14), std::pair(16, 12),
                                         std::pair(12, 16)));

TEST_P(RandomInvalidations, NeverLeaveAStaleEntry) {
    const auto [lower, upper] = GetParam();
    tlbs.use_page_sizes(lower, upper);
    tlbs.flush_all();
    struct Entry {
        SoftTlb* tlb;
        uint64_t va;
        uint8_t bits;
        bool non_global;
        uint16_t asid;
    };
    std::vector<Entry> model;
    uint64_t seed = 3;
    const auto random = [&](uint64_t n) {
        seed = seed * 6364136223846793005 + 1442695040888963407;
        return (seed >> 33) % n;
    };
    unsigned live = 0, hits = 0, dropped = 0;
    for (unsigned i = 0; i < 100'000; ++i) {
        const auto asid = static_cast<uint16_t>(random(4));
        const uint64_t half = random(2) != 0 ? kTop : 0;
        const uint8_t page_bits = half != 0 ? upper : lower;
        const auto block_bits = static_cast<uint8_t>(page_bits == 14   ? 25
                                                     : page_bits == 16 ? 29
                                                     : random(2) != 0  ? 21
                                                                       : 30);
        const uint8_t bits = random(12) != 0 ? page_bits : block_bits;
        const uint64_t va = half | random(3) << 30 | random(2) << 21 | random(100) << 12;
        if (random(3) != 0) {
            SoftTlb* tlb = random(2) != 0 ? user(asid) : kernel(random(2) != 0, asid);
            const bool non_global = random(2) != 0;
            fill(tlb, va, non_global, bits);
            // EL1 soft TLBs have just dropped other ASIDs' entries.
            std::erase_if(model, [&](const Entry& e) {
                if (e.tlb != tlb) return false;
                if (e.va == va) return true;
                if (!e.non_global || e.asid == asid) return false;
                EXPECT_EQ(tlbs.victim_hit(e.tlb, e.va, false), nullptr) << i;
                return true;
            });
            model.push_back({tlb, va, bits, non_global, asid});
            continue;
        }
        TlbiRequest request{static_cast<Kind>(random(64) == 0 ? 0 : 1 + random(3)), asid, 1, va};
        // Few pages, as many as there are entries, and more.
        if (random(4) == 0) request.pages = random(3) == 0 ? 1 + random(40'000) : 1 + random(40);
        tlbs.apply(request);
        const uint64_t last = va + request.pages * mmu::kPageSize - 1;
        std::erase_if(model, [&](const Entry& e) {
            const uint64_t first_of = e.va >> e.bits << e.bits,
                           last_of = first_of + (uint64_t{1} << e.bits) - 1;
            const bool address = first_of <= last && last_of >= va;
            bool hit = false;
            switch (request.kind) {
                case Kind::All: hit = true; break;
                case Kind::Asid: hit = e.non_global && e.asid == asid; break;
                case Kind::Va: hit = address && (!e.non_global || e.asid == asid); break;
                case Kind::VaAllAsids: hit = address; break;
            }
            if (hit) {
                EXPECT_FALSE(reads(e.tlb, e.va)) << i;
                EXPECT_EQ(tlbs.victim_hit(e.tlb, e.va, false), nullptr) << i;
                ++dropped;
            }
            return hit;
        });
        if (i % 23 == 0) {
            for (const Entry& e : model) {
                live += reads(e.tlb, e.va);
                hits += tlbs.victim_hit(e.tlb, e.va, false) != nullptr;
            }
        }
        if (HasFailure()) return;
    }
    EXPECT_GT(dropped, 1000u);
    EXPECT_GT(live, 5'000u) << "invalidation should be precise";
    EXPECT_GT(hits, 100u);
}

// Pages that LightV changes are forgotten at all their addresses, and nothing else is.
TEST_F(Views, PagesAreForgottenByWhereTheyLead) {
    SoftTlb *a = user(1), *b = user(2), *k = kernel(false, 1);
    const GuestMemory memory(ram, 0x4000'0000, sizeof ram);
    const auto enter = [&](SoftTlb* v, uint64_t va, uint64_t pa) {
        ASSERT_TRUE(tlbs.fill(v, {.va = va, .pa = pa, .host = ram, .readable = true, .writable = true}));
    };
    enter(a, 0x5000, 0x4000'1000);
    enter(a, 0x6000, 0x4000'2000);
    enter(b, 0x9000, 0x4000'1000);
    enter(k, kTop | 0x1000, 0x4000'3000);
    // One that made way for another: it is in the victim TLB.
    constexpr uint64_t kReach = mmu::kTlbEntries << 12;
    enter(b, 0x7000, 0x4000'1000);
    enter(b, 0x7000 + kReach, 0x4000'4000);
    tlbs.note_code_page(a, 0x6000, 12, false);
    tlbs.fill_jump(a, 0x6000, ram);
    const uint32_t epoch = a->epoch;
    const std::vector<uint64_t> pages{0x4000'1000, 0x4000'3000};
    tlbs.forget_pages(pages, memory);
    EXPECT_FALSE(reads(a, 0x5000));
    EXPECT_TRUE(reads(a, 0x6000));
    EXPECT_FALSE(reads(b, 0x9000));
    EXPECT_FALSE(reads(k, kTop | 0x1000));
    EXPECT_EQ(tlbs.victim_hit(b, 0x7000, false), nullptr);
    EXPECT_TRUE(reads(b, 0x7000 + kReach));
    EXPECT_EQ(a->epoch, epoch);
    EXPECT_NE(jump(a, 0x6000), nullptr);
    tlbs.forget_pages({}, memory);
}

}  // namespace
}  // namespace arclight::mmu
