#include "frontend/a64/system/tags.h"

#include "tests/frontend/system/test_cpu.h"

namespace arclight::frontend::a64 {
namespace {

using namespace test;

constexpr uint32_t kSctlr = sysreg_encoding(3, 0, 1, 0, 0), kTcr = sysreg_encoding(3, 0, 2, 0, 2),
                   kGcr = sysreg_encoding(3, 0, 1, 0, 6), kRgsr = sysreg_encoding(3, 0, 1, 0, 5),
                   kTfsr = sysreg_encoding(3, 0, 5, 6, 0), kTfsre0 = sysreg_encoding(3, 0, 5, 6, 1),
                   kGmid = sysreg_encoding(3, 1, 0, 0, 4), kTco = sysreg_encoding(3, 3, 4, 2, 7);
constexpr uint64_t bit(unsigned n) { return uint64_t{1} << n; }
constexpr uint64_t kLow = 0x0500'0000'1000'0000, kHigh = 0xf5ff'0000'1000'0000;

class Tags : public SystemTest {
  protected:
    Tags() {
        enable_mmu();
        write(kTcr, read(kTcr) | bit(37) | bit(38));
        write(kTco, 0);
    }
    void set_sctlr(uint64_t bits) { write(kSctlr, (read(kSctlr) & ~(uint64_t{0x7f} << 37)) | bits); }
};

TEST_F(Tags, ModesOfBothLevels) {
    using enum TagCheck;
    constexpr TagCheck reads[] = {None, Synchronous, Asynchronous, Synchronous},
                       writes[] = {None, Synchronous, Asynchronous, Asynchronous};
    for (const uint64_t va : {kLow, kHigh})
        for (uint64_t tcf = 0; tcf < 4; ++tcf) {
            set_sctlr(bit(43) | bit(42) | tcf << 40);
            EXPECT_EQ(tag_check(cpu, va, true, true), reads[tcf]);
            EXPECT_EQ(tag_check(cpu, va, true, false), writes[tcf]);
            EXPECT_EQ(tag_check(cpu, va, false, true), None);
            EXPECT_EQ(tags_checked_at_el1(cpu), tcf != 0);
            set_sctlr(bit(43) | bit(42) | tcf << 38);
            EXPECT_EQ(tag_check(cpu, va, false, true), reads[tcf]);
            EXPECT_EQ(tag_check(cpu, va, false, false), writes[tcf]);
            EXPECT_EQ(tag_check(cpu, va, true, true), None);
        }
}

TEST_F(Tags, WhatIsNotChecked) {
    using enum TagCheck;
    constexpr uint64_t kSynchronous = bit(40) | bit(38);
    set_sctlr(kSynchronous | bit(43));
    EXPECT_EQ(tag_check(cpu, kLow, true, true), Synchronous);
    EXPECT_EQ(tag_check(cpu, kLow, false, true), None) << "SCTLR_EL1.ATA0";
    set_sctlr(kSynchronous | bit(42));
    EXPECT_EQ(tag_check(cpu, kLow, true, true), None) << "SCTLR_EL1.ATA";
    EXPECT_FALSE(tags_checked_at_el1(cpu));
    set_sctlr(kSynchronous | bit(43) | bit(42));
    write(kTco, bit(25));
    EXPECT_EQ(tag_check(cpu, kLow, true, true), None) << "PSTATE.TCO";
    write(kTco, 0);
    const uint64_t tcr = read(kTcr);
    write(kTcr, tcr & ~bit(37));
    EXPECT_EQ(tag_check(cpu, kLow, true, true), None) << "no TBI0";
    EXPECT_EQ(tag_check(cpu, kHigh, true, true), Synchronous);
    write(kTcr, tcr | bit(57));
    EXPECT_EQ(tag_check(cpu, with_tag(kLow, 0), true, true), None) << "TCMA0";
    EXPECT_EQ(tag_check(cpu, with_tag(kLow, 15), true, true), Synchronous);
    EXPECT_EQ(tag_check(cpu, with_tag(kHigh, 15), true, true), Synchronous);
    write(kTcr, tcr | bit(58));
    EXPECT_EQ(tag_check(cpu, with_tag(kHigh, 15), true, true), None) << "TCMA1";
    EXPECT_EQ(tag_check(cpu, with_tag(kHigh, 0), true, true), Synchronous);
    EXPECT_EQ(tag_check(cpu, with_tag(kLow, 0), true, true), Synchronous);
}

TEST_F(Tags, AsynchronousFaults) {
    note_tag_fault(cpu, kHigh, true);
    EXPECT_EQ(read(kTfsr), 2u);
    note_tag_fault(cpu, kLow, false);
    EXPECT_EQ(read(kTfsre0), 1u);
    write(kTfsr, 0);
    EXPECT_EQ(read(kTfsr), 0u);
    EXPECT_EQ(read(kGmid), 6u);
}

// By the manual's pseudocode (RandomTag, ChooseNonExcludedTag).
TEST_F(Tags, Choice) {
    set_sctlr(bit(43));
    write(kGcr, 0);
    EXPECT_EQ(add_tag(cpu, 0x10, with_tag(0, 14), 3), with_tag(0x10, 1));
    write(kGcr, 0x8003);
    EXPECT_EQ(add_tag(cpu, 0x10, with_tag(0, 14), 1), with_tag(0x10, 2));
    EXPECT_EQ(add_tag(cpu, 0x10, with_tag(0, 15), 0), with_tag(0x10, 2)) << "an excluded one to begin with";
    EXPECT_EQ(add_tag(cpu, 0x10, with_tag(0, 0), 1), with_tag(0x10, 2))
        << "an excluded one is where it begins";
    write(kGcr, 0xffff);
    EXPECT_EQ(add_tag(cpu, kLow, kLow, 5), with_tag(kLow, 0));
    write(kGcr, 0);
    write(kRgsr, uint64_t{0x1234} << 8 | 5);
    EXPECT_EQ(insert_random_tag(cpu, kLow, 0x41), with_tag(kLow, 5)) << "QEMU 7.2 says so, too";
    EXPECT_EQ(insert_random_tag(cpu, kLow, 0x41), with_tag(kLow, 12));
    write(kGcr, bit(16) | 0xfff7);
    for (unsigned i = 0; i < 20; ++i) EXPECT_EQ(insert_random_tag(cpu, kLow, 0), with_tag(kLow, 3));
    set_sctlr(0);
    EXPECT_EQ(insert_random_tag(cpu, kLow, 0), with_tag(kLow, 0));
    EXPECT_EQ(add_tag(cpu, kLow, kLow, 5), with_tag(kLow, 0));
}

TEST_F(Tags, ChangesThatSoftTlbsHearOf) {
    set_sctlr(0);
    const auto flushes = [&](uint64_t bits) {
        const auto before = environment.translation_changes;
        set_sctlr(bits);
        return environment.translation_changes - before;
    };
    EXPECT_EQ(flushes(bit(38)), 0u) << "EL0's pages are never there";
    EXPECT_EQ(flushes(bit(40)), 1u);
    EXPECT_EQ(flushes(bit(40) | bit(43)), 1u);
    EXPECT_EQ(flushes(bit(40) | bit(43) | bit(42)), 0u);
}

}  // namespace
}  // namespace arclight::frontend::a64
