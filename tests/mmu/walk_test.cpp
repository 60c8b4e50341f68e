#include "mmu/walk.h"

#include <gtest/gtest.h>

#include "tests/mmu/page_tables.h"

namespace arclight::mmu {
namespace {

using namespace test::descriptor;
using test::kRamBase;
using test::kRamSize;
using test::PageTables;

constexpr uint64_t kUpper = 0xffff'0000'0000'0000;
constexpr uint64_t kRwEl1 = kPage | kAf;  // AP 0
constexpr uint64_t kPa = 0x12'3456'7000;  // need not be RAM

TEST(Walk, MapsPagesAndBlocksInBothHalves) {
    struct {
        uint64_t va;
        unsigned level;
        uint64_t entry, pa;
        unsigned page_bits;
    } const rows[] = {
        {0x0000'1234'5678'9abc, 3, kPa | kPage, kPa | 0xabc, 12},
        {0x0000'1234'0008'9abc, 2, 0x12'3460'0000 | kBlock, 0x12'3468'9abc, 21},
        {0x0000'5678'9008'9abc, 1, 0x12'4000'0000 | kBlock, 0x12'5008'9abc, 30},
        {kUpper | 0x1234'5678'9abc, 3, kPa | kPage, kPa | 0xabc, 12},
        {kUpper | 0x1234'0008'9abc, 2, 0x12'3460'0000 | kBlock, 0x12'3468'9abc, 21},
        {0xffff'ffff'ffff'fffc, 3, kPa | kPage, kPa | 0xffc, 12},
        {0, 3, kPa | kPage, kPa, 12},
    };
    PageTables t;
    for (const auto& row : rows) {
        t.map(row.va, row.level, row.entry | kAf | attribute(0) | sh(3) | kNg | kContiguous);
        const WalkResult r = t.walk(row.va);
        EXPECT_TRUE(r.ok()) << std::hex << row.va;
        EXPECT_EQ(r.pa, row.pa);
        EXPECT_EQ(r.page_bits, row.page_bits);
        EXPECT_EQ(r.level, row.level);
        EXPECT_EQ(r.memory, MemoryType::Normal);
        EXPECT_EQ(r.attributes, 0xff);
        EXPECT_EQ(r.shareability, 3);
        EXPECT_TRUE(r.non_global);
        EXPECT_TRUE(r.contiguous);
        EXPECT_FALSE(r.clean);
    }
}

TEST(Walk, GlobalAndDevice) {
    PageTables t;
    t.map(0x1000, 3, kPa | kRwEl1 | attribute(1));
    EXPECT_EQ(t.walk(0x1000).attributes, 0x44);
    EXPECT_TRUE(t.walk(0x1000).may_cache());
    EXPECT_FALSE(t.walk(0x1000).non_global);
    EXPECT_FALSE(t.walk(0x1000).contiguous);
    t.map(0x2000, 3, kPa | kRwEl1 | attribute(4));
    EXPECT_EQ(t.walk(0x2000).memory, MemoryType::Device);
    EXPECT_FALSE(t.walk(0x2000).may_cache());
}

TEST(Walk, TranslationFaultAtEveryLevel) {
    PageTables t;
    const uint64_t va = 0x7000'4020'1000;
    for (uint64_t half : {uint64_t{0}, kUpper}) {
        for (unsigned level = 0; level <= 3; ++level) {
            t.map(va | half, level, 0);
            const WalkResult r = t.walk(va | half);
            EXPECT_EQ(r.fault, FaultKind::Translation);
            EXPECT_EQ(r.fsc(), 0x04 + level);
        }
    }
}

TEST(Walk, ReservedEncodingsAreTranslationFaults) {
    PageTables t;
    t.map(0x1000, 0, kPa | kBlock | kAf);  // a block at level 0
    EXPECT_EQ(t.walk(0x1000).fsc(), 0x04);
    t.map(kUpper | 0x1000, 3, kPa | 1 | kAf);  // 0b01 at level 3
    EXPECT_EQ(t.walk(kUpper | 0x1000).fsc(), 0x07);
    t.map(kUpper | 0x2000, 3, kPa | 2 | kAf);
    EXPECT_EQ(t.walk(kUpper | 0x2000).fsc(), 0x07);
}

TEST(Walk, AccessFlagFaultAtLeafLevels) {
    PageTables t;
    for (unsigned level = 1; level <= 3; ++level) {
        const uint64_t va = uint64_t{level} << 39;
        t.map(va, level, (uint64_t{1} << 30) | (level == 3 ? kPage : kBlock));
        EXPECT_EQ(t.walk(va).fault, FaultKind::AccessFlag);
        EXPECT_EQ(t.walk(va).fsc(), 0x08 + level);
    }
}

TEST(Walk, PermissionFaultAtLeafLevels) {
    PageTables t;
    for (unsigned level = 1; level <= 3; ++level) {
        const uint64_t va = uint64_t{level} << 39;
        t.map(va, level, (uint64_t{1} << 30) | (level == 3 ? kPage : kBlock) | kAf);
        EXPECT_EQ(t.walk(va, AccessKind::Read, false).fault, FaultKind::Permission);
        EXPECT_EQ(t.walk(va, AccessKind::Read, false).fsc(), 0x0c + level);
    }
}

TEST(Walk, AddressSizeFaultAtEveryLevel) {
    PageTables t;
    constexpr uint64_t kTooBig = uint64_t{1} << 40;
    for (unsigned level = 0; level <= 3; ++level) {
        const uint64_t va = uint64_t{level + 1} << 39;
        const bool leaf = level == 3;
        t.map(va, level, kTooBig | (leaf ? kPage : kTable) | kAf);
        EXPECT_EQ(t.walk(va).fault, FaultKind::AddressSize);
        EXPECT_EQ(t.walk(va).fsc(), level);
    }
    // Blocks, and the limit that TCR.IPS sets below the hardware's: 36 bits.
    t.regs.tcr = (t.regs.tcr & ~(uint64_t{7} << 32)) | uint64_t{1} << 32;
    t.regs.update();
    t.map(uint64_t{7} << 39, 2, (uint64_t{1} << 36) | kBlock | kAf);
    EXPECT_EQ(t.walk(uint64_t{7} << 39).fsc(), 2);
    t.map(uint64_t{7} << 39, 2, (uint64_t{1} << 35) | kBlock | kAf);
    EXPECT_TRUE(t.walk(uint64_t{7} << 39).ok());
    // The TTBR's own address
    t.regs.ttbr0 = uint64_t{1} << 36;
    t.regs.update_tables();
    EXPECT_EQ(t.walk(0).fault, FaultKind::AddressSize);
    EXPECT_EQ(t.walk(0).fsc(), 0);
}

TEST(Walk, ExternalAbortOnWalkAtEveryLevel) {
    PageTables t;
    const uint64_t outside = kRamBase + kRamSize;
    for (unsigned level = 1; level <= 3; ++level) {
        const uint64_t va = uint64_t{level} << 39;
        t.map(va, level - 1, outside | kTable);
        EXPECT_EQ(t.walk(va).fault, FaultKind::ExternalOnWalk);
        EXPECT_EQ(t.walk(va).fsc(), 0x14 + level);
    }
    t.regs.ttbr0 = outside;
    t.regs.update_tables();
    EXPECT_EQ(t.walk(0).fsc(), 0x14);
}

TEST(Walk, SizesOfTheAddressSpace) {
    for (unsigned size = 16; size <= 48; ++size) {
        PageTables t;
        const unsigned bits = 64 - size;
        t.regs.tcr = (t.regs.tcr & ~uint64_t{0x3f'003f}) | size | size << 16;
        t.regs.update();
        const unsigned start = bits > 39 ? 0 : bits > 30 ? 1 : bits > 21 ? 2 : 3;
        EXPECT_EQ(t.regs.half[0].start_level, start) << size;
        const uint64_t top = (uint64_t{1} << bits) - 0x1000, bottom = uint64_t{0} - (uint64_t{1} << bits);
        for (uint64_t va : {uint64_t{0}, top, bottom, ~uint64_t{0xfff}}) {
            t.map(va, 3, kPa | kRwEl1);
            EXPECT_TRUE(t.walk(va | 0x123).ok()) << size << std::hex << va;
            EXPECT_EQ(t.walk(va | 0x123).pa, kPa | 0x123);
        }
        EXPECT_EQ(t.walk(top + 0x1000).fsc(), 0x04) << size;
        EXPECT_EQ(t.walk(bottom - 0x1000).fsc(), 0x04) << size;
    }
}

TEST(Walk, IllegalSizesAreTheNearestLegalOnes) {
    PageTables t;
    t.regs.tcr = (t.regs.tcr & ~uint64_t{0x3f'003f}) | 0 | 63 << 16;
    t.regs.update();
    EXPECT_EQ(t.regs.half[0].va_bits, 48);
    EXPECT_EQ(t.regs.half[1].va_bits, 16);
    t.regs.options.small_tables = false;
    t.regs.update();
    EXPECT_EQ(t.regs.half[1].va_bits, 25);
}

TEST(Walk, FirstTableIsAlignedToItsSize) {
    PageTables t;
    // 42 bits: 8 entries at level 0, so the table may sit at any multiple of 64; bits below are RES0 (bit 0:
    // CnP).
    t.regs.tcr = (t.regs.tcr & ~uint64_t{0x3f}) | 22;
    t.regs.ttbr0 += 64 + 1;
    t.regs.update();
    EXPECT_EQ(t.regs.half[0].table, (t.regs.ttbr0 & ~uint64_t{63}));
    t.map(0x200'0000'1000, 3, kPa | kRwEl1);
    EXPECT_TRUE(t.walk(0x200'0000'1000).ok());
}

TEST(Walk, WalkDisabled) {
    PageTables t;
    t.map(0x1000, 3, kPa | kRwEl1);
    t.map(kUpper | 0x1000, 3, kPa | kRwEl1);
    t.regs.tcr |= 1 << 7;
    t.regs.update();
    EXPECT_EQ(t.walk(0x1000).fsc(), 0x04);
    EXPECT_TRUE(t.walk(kUpper | 0x1000).ok());
    t.regs.tcr ^= 1 << 7 | 1 << 23;
    t.regs.update();
    EXPECT_TRUE(t.walk(0x1000).ok());
    EXPECT_EQ(t.walk(kUpper | 0x1000).fsc(), 0x04);
}

TEST(Walk, E0pdHidesAHalfFromEl0) {
    PageTables t;
    t.map(0x1000, 3, kPa | kRwEl1 | ap(1));
    t.map(kUpper | 0x1000, 3, kPa | kRwEl1 | ap(1));
    EXPECT_TRUE(t.walk(kUpper | 0x1000, AccessKind::Read, false).ok());
    t.regs.tcr |= uint64_t{1} << 56;
    t.regs.update();
    EXPECT_EQ(t.walk(kUpper | 0x1000, AccessKind::Read, false).fsc(), 0x04);
    EXPECT_TRUE(t.walk(kUpper | 0x1000).ok());
    EXPECT_TRUE(t.walk(0x1000, AccessKind::Read, false).ok());
    t.regs.tcr ^= uint64_t{3} << 55;
    t.regs.update();
    EXPECT_TRUE(t.walk(kUpper | 0x1000, AccessKind::Read, false).ok());
    EXPECT_EQ(t.walk(0x1000, AccessKind::Read, false).fsc(), 0x04);
}

TEST(Walk, TopByteIgnore) {
    PageTables t;
    t.map(0x1000, 3, kPa | kRwEl1);
    t.map(kUpper | 0x1000, 3, (kPa + 0x1000) | kRwEl1);
    const uint64_t low = 0x5a00'0000'0000'1000, high = 0x5aff'0000'0000'1000;
    EXPECT_EQ(t.walk(low).fsc(), 0x04);
    EXPECT_EQ(t.walk(high).fsc(), 0x04);
    t.regs.tcr |= uint64_t{1} << 37;  // TBI0
    t.regs.update();
    EXPECT_EQ(t.walk(low).pa, kPa);
    EXPECT_EQ(t.walk(high).fsc(), 0x04);
    EXPECT_EQ(t.regs.without_tag(low), 0x1000u);
    EXPECT_EQ(t.regs.without_tag(high), high);
    t.regs.tcr |= uint64_t{1} << 38;  // TBI1
    t.regs.update();
    EXPECT_EQ(t.walk(high).pa, kPa + 0x1000);
    EXPECT_EQ(t.regs.without_tag(high), kUpper | 0x1000);
    // Bits below the tag still count.
    EXPECT_EQ(t.walk(low | uint64_t{1} << 50).fsc(), 0x04);
}

// The manual's table D8-57 and its rules, restated over booleans.
TEST(Walk, PermissionMatrix) {
    PageTables t;
    const uint64_t at = t.map(0x1000, 3, 0);
    unsigned checked = 0;
    for (unsigned bits = 0; bits < 1u << 9; ++bits) {
        const bool ap1 = bits & 1, ap2 = bits & 2, uxn = bits & 4, pxn = bits & 8, wxn = bits & 16;
        const bool table_no_el0 = bits & 32, table_ro = bits & 64, table_uxn = bits & 128,
                   table_pxn = bits & 256;
        const uint64_t entry = kPa | kPage | kAf | ap(ap1 + 2 * ap2) | (uxn ? kUxn : 0) | (pxn ? kPxn : 0);
        t.write(at, entry);
        const uint64_t level2 = t.map(0x1000, 2, (at & ~uint64_t{0xfff}) | kTable);
        t.write(level2, t.read(level2) | ap_table(table_no_el0 + 2 * table_ro) | (table_uxn ? kUxnTable : 0) |
                            (table_pxn ? kPxnTable : 0));
        t.regs.sctlr = wxn ? 1 | 1 << 19 : 1;
        for (bool hpd : {false, true}) {
            t.regs.tcr = (t.regs.tcr & ~(uint64_t{1} << 41)) | uint64_t{hpd} << 41;
            t.regs.update();
            const bool writable = !ap2 && (hpd || !table_ro);
            const bool user = ap1 && (hpd || !table_no_el0);
            const bool no_user_x = uxn || (!hpd && table_uxn), no_kernel_x = pxn || (!hpd && table_pxn);
            for (bool el1 : {false, true})
                for (bool pan : {false, true})
                    for (AccessKind kind : {AccessKind::Read, AccessKind::Write, AccessKind::Execute}) {
                        bool expected = false;
                        if (kind == AccessKind::Execute) {
                            expected = el1 ? !no_kernel_x && !(writable && (user || wxn))
                                           : !no_user_x && !(writable && user && wxn);
                        } else {
                            expected =
                                (kind == AccessKind::Read || writable) && (el1 ? !(pan && user) : user);
                        }
                        const WalkResult r = t.walk(0x1000, kind, el1, pan);
                        ASSERT_EQ(r.ok(), expected) << "bits " << bits << " hpd " << hpd << " el1 " << el1
                                                    << " pan " << pan << " kind " << static_cast<int>(kind);
                        if (!r.ok()) {
                            ASSERT_EQ(r.fsc(), 0x0f);
                        } else {
                            ASSERT_EQ(kind == AccessKind::Execute ? r.executable(el1)
                                      : kind == AccessKind::Read  ? r.readable(el1, pan)
                                                                  : r.writable(el1, pan),
                                      true);
                        }
                        ++checked;
                    }
        }
    }
    EXPECT_EQ(checked, 512u * 2 * 2 * 2 * 3);
}

class HardwareUpdate : public testing::Test {
  protected:
    HardwareUpdate() {
        t.regs.tcr |= uint64_t{1} << 39 | uint64_t{1} << 40;  // HA, HD
        t.regs.update();
    }
    PageTables t;
};

TEST_F(HardwareUpdate, SetsTheAccessFlagOnce) {
    for (unsigned level = 1; level <= 3; ++level) {
        const uint64_t va = uint64_t{level} << 39,
                       entry = (uint64_t{1} << 30) | (level == 3 ? kPage : kBlock);
        const uint64_t at = t.map(va, level, entry);
        EXPECT_TRUE(t.walk(va).ok());
        EXPECT_EQ(t.read(at), entry | kAf);
    }
}

TEST_F(HardwareUpdate, NotWithoutHa) {
    t.regs.tcr &= ~(uint64_t{1} << 39);  // HD without HA has no effect
    t.regs.update();
    const uint64_t at = t.map(0x1000, 3, kPa | kPage | ap(2) | kDbm);
    EXPECT_EQ(t.walk(0x1000).fsc(), 0x0b);
    EXPECT_EQ(t.read(at), kPa | kPage | ap(2) | kDbm);
    t.write(at, t.read(at) | kAf);
    EXPECT_EQ(t.walk(0x1000, AccessKind::Write).fsc(), 0x0f);
}

TEST_F(HardwareUpdate, NotForAPermissionFaultOrAProbe) {
    const uint64_t entry = kPa | kPage | ap(2) | kDbm;
    const uint64_t at = t.map(0x1000, 3, entry);
    EXPECT_EQ(t.walk(0x1000, AccessKind::Write, false).fsc(), 0x0f);
    EXPECT_EQ(t.read(at), entry);
    const WalkResult probe =
        walk(t.regs, t.memory(), 0x1000, {.kind = AccessKind::Write, .privileged = true, .update = false});
    EXPECT_TRUE(probe.ok());
    EXPECT_TRUE(probe.clean);
    EXPECT_EQ(t.read(at), entry);
}

TEST_F(HardwareUpdate, DirtyStateIsSetByTheFirstWrite) {
    const uint64_t entry = kPa | kPage | ap(3) | kDbm;
    const uint64_t at = t.map(0x1000, 3, entry);
    const WalkResult read = t.walk(0x1000, AccessKind::Read, false);
    ASSERT_TRUE(read.ok());
    EXPECT_EQ(t.read(at), entry | kAf);
    EXPECT_TRUE(read.clean);
    EXPECT_FALSE(read.writable(false, false)) << "a clean page must not be cached as writable";
    EXPECT_TRUE(read.permissions & permission::kEl0Write);
    const WalkResult write = t.walk(0x1000, AccessKind::Write, false);
    ASSERT_TRUE(write.ok());
    EXPECT_FALSE(write.clean);
    EXPECT_TRUE(write.writable(false, false));
    EXPECT_EQ(t.read(at), (entry | kAf) & ~ap(2));
}

TEST_F(HardwareUpdate, ReadOnlyWithoutDbmStays) {
    const uint64_t at = t.map(0x1000, 3, kPa | kPage | ap(2) | kAf);
    EXPECT_EQ(t.walk(0x1000, AccessKind::Write).fsc(), 0x0f);
    EXPECT_EQ(t.read(at), kPa | kPage | ap(2) | kAf);
    EXPECT_FALSE(t.walk(0x1000).clean);
}

TEST(Walk, MmuOff) {
    PageTables t;
    t.regs.sctlr = 0;
    t.regs.update();
    for (AccessKind kind : {AccessKind::Read, AccessKind::Write, AccessKind::Execute}) {
        const WalkResult r = t.walk(0x4123'4567, kind, false);
        EXPECT_TRUE(r.ok());
        EXPECT_EQ(r.pa, 0x4123'4567u);
        EXPECT_EQ(r.memory, kind == AccessKind::Execute ? MemoryType::Normal : MemoryType::Device);
        EXPECT_TRUE(r.may_cache());
        EXPECT_TRUE(r.stage1_off);
        // PAN is about what a table lets EL0 read, and there is none.
        EXPECT_TRUE(r.readable(true, true));
        EXPECT_TRUE(r.writable(true, true));
    }
    EXPECT_EQ(t.walk(uint64_t{1} << 40).fsc(), 0x00);
    EXPECT_EQ(t.walk(uint64_t{1} << 40).fault, FaultKind::AddressSize);
    EXPECT_EQ(t.walk(~uint64_t{0}).fault, FaultKind::AddressSize);
}

TEST(Walk, Asid) {
    TranslationRegs r;
    r.ttbr0 = uint64_t{0x1234} << 48;
    r.ttbr1 = uint64_t{0x5678} << 48;
    r.tcr = uint64_t{1} << 36;
    r.update();
    EXPECT_EQ(r.asid, 0x1234);
    r.tcr |= 1 << 22;  // A1
    r.update();
    EXPECT_EQ(r.asid, 0x5678);
    r.tcr &= ~(uint64_t{1} << 36);  // AS
    r.update();
    EXPECT_EQ(r.asid, 0x78);
}

// No table can make the walker read outside RAM or loop: random descriptors, random registers.
TEST(Walk, GarbageTables) {
    PageTables t;
    uint64_t seed = 1;
    const auto random = [&] {
        return seed = seed * 6364136223846793005 + 1442695040888963407, seed ^ seed >> 29;
    };
    for (uint64_t pa = kRamBase; pa < kRamBase + kRamSize; pa += 8) {
        // Half of them lead on within RAM.
        uint64_t d = random();
        if ((d & 4) != 0)
            d = (d & 0xffff'0000'0000'0fff) | (kRamBase + (random() % kRamSize & ~uint64_t{0xfff}));
        t.write(pa, d | 1);
    }
    unsigned faults[6] = {};
    for (unsigned i = 0; i < 200'000; ++i) {
        t.regs.tcr = random();
        t.regs.ttbr0 = (i & 1) != 0 ? random() : kRamBase + random() % kRamSize;
        t.regs.ttbr1 = random();
        t.regs.sctlr = 1 | (random() & 1 << 19);
        t.regs.update();
        uint64_t va = random();
        if ((i & 2) != 0) va &= 0xffff'ffff;
        const auto kind = static_cast<AccessKind>(random() % 3);
        const WalkResult r = t.walk(va, kind, (random() & 1) != 0, (random() & 1) != 0);
        ++faults[static_cast<int>(r.fault)];
        if (r.ok()) {
            ASSERT_EQ(r.pa >> kPhysicalAddressBits, 0u);
        }
    }
    for (unsigned n : faults) EXPECT_GT(n, 0u) << "every outcome should have occurred";
}

}  // namespace
}  // namespace arclight::mmu
