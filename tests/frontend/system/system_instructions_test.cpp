#include "frontend/a64/system/system_instructions.h"

#include "frontend/a64/system/maintenance.h"
#include "tests/frontend/system/test_cpu.h"

namespace arclight::frontend::a64 {
namespace {

using namespace test;
using namespace mmu::test::descriptor;
using Kind = SystemResult::Kind;
using TlbiKind = mmu::TlbiRequest::Kind;

constexpr uint32_t tlbi(unsigned crm, unsigned op2) { return sysreg_encoding(1, 0, 8, crm, op2); }
constexpr uint32_t kIcIvau = sysreg_encoding(1, 3, 7, 5, 1), kDcCvac = sysreg_encoding(1, 3, 7, 10, 1),
                   kDcCvau = sysreg_encoding(1, 3, 7, 11, 1), kDcCivac = sysreg_encoding(1, 3, 7, 14, 1),
                   kDcZva = sysreg_encoding(1, 3, 7, 4, 1), kDcIvac = sysreg_encoding(1, 0, 7, 6, 1),
                   kIcIalluis = sysreg_encoding(1, 0, 7, 1, 0), kIcIallu = sysreg_encoding(1, 0, 7, 5, 0);

class SystemInstructions : public SystemTest {
  protected:
    SystemInstructions() { enable_mmu(); }
    SystemResult sys(uint32_t encoding, uint64_t xt = 0) {
        return execute_system_instruction(cpu, encoding, xt);
    }
    uint64_t at(unsigned op2, uint64_t va) {
        EXPECT_TRUE(sys(sysreg_encoding(1, 0, 7, 8, op2), va).ok());
        return read(reg::par);
    }
};

TEST_F(SystemInstructions, TlbiForms) {
    const uint64_t xt = uint64_t{0x1234} << 48 | 0xfff'ff00'1234;
    struct {
        unsigned op2;
        TlbiKind kind;
    } const rows[] = {{0, TlbiKind::All},        {1, TlbiKind::Va}, {2, TlbiKind::Asid},
                      {3, TlbiKind::VaAllAsids}, {5, TlbiKind::Va}, {7, TlbiKind::VaAllAsids}};
    for (unsigned crm : {1u, 3u, 7u})
        for (const auto& row : rows) {
            ASSERT_TRUE(sys(tlbi(crm, row.op2), xt).ok());
            const auto& [request, broadcast] = environment.tlbis.back();
            EXPECT_EQ(request.kind, row.kind);
            EXPECT_EQ(request.asid, 0x1234);
            EXPECT_EQ(request.va, 0xffff'fff0'0123'4000u) << "VA[55:12], sign extended";
            EXPECT_EQ(request.pages, 1u);
            EXPECT_EQ(broadcast, crm != 7);
        }
    EXPECT_EQ(environment.tlbis.size(), 18u);
    EXPECT_EQ(sys(tlbi(3, 4)).kind, Kind::Undefined);
    enter_el0();
    for (const auto& row : rows) EXPECT_EQ(sys(tlbi(7, row.op2), xt).kind, Kind::Undefined);
}

TEST_F(SystemInstructions, TlbiRanges) {
    const auto operand = [](unsigned asid, unsigned tg, unsigned scale, unsigned num, uint64_t page) {
        return uint64_t{asid} << 48 | uint64_t{tg} << 46 | uint64_t{scale} << 44 | uint64_t{num} << 39 |
               (page & 0x1f'ffff'ffff);
    };
    struct {
        unsigned tg, scale, num;
        uint64_t page, va, pages;
    } const rows[] = {
        {1, 0, 0, 0x12345, 0x1234'5000, 2},
        {1, 0, 31, 0x12345, 0x1234'5000, 64},
        {1, 1, 0, 0x12345, 0x1234'5000, 64},
        {1, 3, 31, 0x12345, 0x1234'5000, uint64_t{32} << 16},
        {2, 0, 0, 0x12345, 0x12345ull << 14, 2 * 4},
        {3, 2, 4, 0x12345, 0x12345ull << 16, (uint64_t{5} << 11) * 16},
        {1, 0, 0, 0x1f'ffff'ff00, 0xffff'ffff'fff0'0000, 2},
        {1, 3, 31, 0x1f'ffff'ff00, 0xffff'ffff'fff0'0000, 0x100},  // no further than to the end
        {3, 0, 0, 0x1f'ffff'fffe, 0xffff'ffff'fffe'0000, 2 * 16},
        {1, 3, 31, 0xf'ffff'ffff, 0xffff'ffff'f000, uint64_t{32} << 16},
    };
    struct {
        unsigned op2;
        TlbiKind kind;
    } const forms[] = {
        {1, TlbiKind::Va}, {3, TlbiKind::VaAllAsids}, {5, TlbiKind::Va}, {7, TlbiKind::VaAllAsids}};
    for (const unsigned crm : {2u, 5u, 6u})
        for (const auto& form : forms)
            for (const auto& row : rows) {
                const uint64_t ttl = uint64_t{3} << 37;
                const uint64_t xt = operand(0x1234, row.tg, row.scale, row.num, row.page) | ttl;
                ASSERT_TRUE(sys(tlbi(crm, form.op2), xt).ok());
                const auto& [request, broadcast] = environment.tlbis.back();
                EXPECT_EQ(request.kind, form.kind);
                EXPECT_EQ(request.asid, 0x1234);
                EXPECT_EQ(request.va, row.va);
                EXPECT_EQ(request.pages, row.pages) << std::hex << row.va;
                EXPECT_EQ(broadcast, crm != 6);
            }
    const size_t before = environment.tlbis.size();
    ASSERT_TRUE(sys(tlbi(2, 1), operand(1, 0, 0, 0, 0x12345)).ok()) << "a granule that is reserved";
    EXPECT_EQ(environment.tlbis.size(), before);
    EXPECT_EQ(sys(tlbi(2, 0)).kind, Kind::Undefined);
    EXPECT_EQ(sys(tlbi(2, 2)).kind, Kind::Undefined);
    enter_el0();
    for (const auto& form : forms) EXPECT_EQ(sys(tlbi(6, form.op2)).kind, Kind::Undefined);
}

TEST_F(SystemInstructions, SmallAsids) {
    cpu.translation.tcr &= ~(uint64_t{1} << 36);
    ASSERT_TRUE(sys(tlbi(7, 2), uint64_t{0x1234} << 48).ok());
    EXPECT_EQ(environment.tlbis.back().first.asid, 0x34);
}

TEST_F(SystemInstructions, InstructionCache) {
    tables.map(0x1000, 3, 0x4010'0000 | kPage | kAf | ap(1));
    ASSERT_TRUE(sys(kIcIvau, 0x1234).ok());
    EXPECT_EQ(environment.ic_lines.back(), std::pair(uint64_t{0x1234}, uint64_t{0x4010'0200}));
    ASSERT_TRUE(sys(kIcIallu).ok());
    ASSERT_TRUE(sys(kIcIalluis).ok());
    EXPECT_EQ(environment.ic_all_local, 1u);
    EXPECT_EQ(environment.ic_all_broadcast, 1u);
    ASSERT_TRUE(sys(kDcCvau, 0x1234).ok());
    EXPECT_EQ(environment.ic_lines.size(), 1u);
}

TEST_F(SystemInstructions, MaintenanceByAddressFaults) {
    tables.map(0x1000, 3, 0x4010'0000 | kPage | kAf);
    for (uint32_t encoding : {kIcIvau, kDcCvac, kDcCvau, kDcCivac}) {
        EXPECT_TRUE(sys(encoding, 0x1000).ok());
        const SystemResult r = sys(encoding, 0x2000);
        EXPECT_EQ(r.kind, Kind::Abort);
        EXPECT_EQ(r.esr, 0x9600'0147u);
        EXPECT_EQ(r.far, 0x2000u);
    }
    tables.map(0x3000, 3, 0x4010'0000 | kPage | kAf | ap(2));
    EXPECT_EQ(sys(kDcIvac, 0x3000).esr, 0x9600'014fu) << "invalidation needs write permission";
    EXPECT_TRUE(sys(kDcIvac, 0x1000).ok());

    cpu.translation.sctlr |= 1 << 26;  // UCI
    enter_el0();
    const SystemResult r = sys(kDcCivac, 0x1000);
    EXPECT_EQ(r.esr, 0x9200'014fu);
    take_system_result(cpu, r, 0x40'0000);
    EXPECT_EQ(read(reg::esr), 0x9200'014fu);
    EXPECT_EQ(read(reg::far), 0x1000u);
}

TEST_F(SystemInstructions, El0Traps) {
    enter_el0();
    environment.instruction = 0xd50b'7520 | 7;  // ic ivau, x7
    SystemResult r = sys(kIcIvau, 0);
    EXPECT_EQ(r.kind, Kind::Trap);
    // op0 1, op2 1, op1 3, CRn 7, Rt 7, CRm 5, write
    EXPECT_EQ(r.esr, 0x6200'0000u | 1 << 20 | 1 << 17 | 3 << 14 | 7 << 10 | 7 << 5 | 5 << 1);
    EXPECT_EQ(sys(kDcZva).kind, Kind::Trap);
    cpu.translation.sctlr |= 1 << 14;
    EXPECT_TRUE(sys(kDcZva).ok());
    EXPECT_EQ(sys(kDcIvac).kind, Kind::Undefined);
    EXPECT_EQ(sys(kIcIallu).kind, Kind::Undefined);
    EXPECT_EQ(sys(sysreg_encoding(1, 0, 7, 8, 0)).kind, Kind::Undefined);
}

TEST_F(SystemInstructions, AddressTranslation) {
    tables.map(0x1000, 3, 0x4010'2000 | kPage | kAf | ap(1) | sh(3) | attribute(0));
    tables.map(0x2000, 3, 0x4010'2000 | kPage | kAf | ap(2) | attribute(4));
    EXPECT_EQ(at(0, 0x1234), uint64_t{0xff} << 56 | 0x4010'2000 | 1 << 11 | 1 << 9 | 3 << 7);
    EXPECT_EQ(at(3, 0x1234), read(reg::par));
    EXPECT_EQ(at(0, 0x2000), 0x4010'2000u | 1 << 11 | 1 << 9 | 2 << 7);
    EXPECT_EQ(at(1, 0x2000), 1u << 11 | 0x0f << 1 | 1) << "EL1 write, permission fault";
    EXPECT_EQ(at(2, 0x2000), 1u << 11 | 0x0f << 1 | 1) << "EL0 read";
    EXPECT_EQ(at(0, 0x5000), 1u << 11 | 0x07 << 1 | 1);
    cpu.pan = true;
    EXPECT_EQ(at(0, 0x1000) & 1, 0u) << "only S1E1RP looks at PAN";
    tables.map(uint64_t{3} << 39, 0, 0x7000'0000 | kTable);  // not RAM
    const SystemResult r = sys(sysreg_encoding(1, 0, 7, 8, 0), uint64_t{3} << 39);
    EXPECT_EQ(r.kind, Kind::Abort);
    EXPECT_EQ(r.esr, 0x9600'0155u);
    for (unsigned op2 = 0; op2 < 2; ++op2) {
        const uint32_t with_pan = sysreg_encoding(1, 0, 7, 9, op2);  // S1E1RP, S1E1WP
        cpu.pan = true;
        EXPECT_TRUE(sys(with_pan, 0x1000).ok());
        EXPECT_EQ(read(reg::par), 1u << 11 | 0x0f << 1 | 1) << "EL0 may read it";
        cpu.pan = false;
        EXPECT_TRUE(sys(with_pan, 0x1000).ok());
        EXPECT_EQ(read(reg::par) & 1, 0u);
    }
}

TEST_F(SystemInstructions, NoEncodingBreaksAnything) {
    unsigned ok = 0;
    for (uint8_t el : {0, 1})
        for (uint32_t encoding = 0; encoding < 0x1'0000; ++encoding) {
            cpu.el = el;
            for (uint64_t xt : {uint64_t{0}, ~uint64_t{0}, uint64_t{0x1234'5678'9abc'def0}})
                ok += sys(encoding, xt).ok();
        }
    EXPECT_GT(ok, 50u);
}

// What the soft TLB has needs no walk; all else is left to one, with its faults and traps.
TEST_F(SystemInstructions, MaintenanceOfKnownPagesWalksNothing) {
    constexpr uint64_t kVa = 0x7000'1234, kUci = uint64_t{1} << 26;
    const auto tlb = std::make_unique<mmu::SoftTlb>();
    state->tlb = tlb.get();
    mmu::TlbEntry& entry = tlb->entries[mmu::tlb_index(kVa)];
    const auto known = [&](uint64_t va) { return known_maintenance_address(cpu, va); };
    EXPECT_FALSE(known(kVa));
    entry.write_tag = 0x7000'1000;
    EXPECT_FALSE(known(kVa));
    entry.read_tag = 0x7000'1000;
    entry.pa = 0x4010'0000;
    EXPECT_EQ(known(kVa), 0x4010'0234u);
    // Another page of the same entry, a tag.
    EXPECT_FALSE(known(kVa + (mmu::kTlbEntries << mmu::kPageBits)));
    EXPECT_FALSE(known(kVa | uint64_t{1} << 56));
    // EL0 traps without SCTLR_EL1.UCI.
    enter_el0();
    cpu.translation.sctlr &= ~kUci;
    EXPECT_FALSE(known(kVa));
    cpu.translation.sctlr |= kUci;
    EXPECT_TRUE(known(kVa));
}

}  // namespace
}  // namespace arclight::frontend::a64
