#include "frontend/a64/system/sysregs.h"

#include <map>
#include <string>

#include "frontend/a64/system/syndrome.h"
#include "jit/host_fp.h"
#include "tests/frontend/system/test_cpu.h"

namespace arclight::frontend::a64 {
namespace {

using namespace test;
using Kind = SystemResult::Kind;

class Sysregs : public SystemTest {
  protected:
    Kind try_read(uint32_t encoding) {
        uint64_t value;
        return read_sysreg(cpu, encoding, value).kind;
    }
    Kind try_write(uint32_t encoding, uint64_t value = 0) { return write_sysreg(cpu, encoding, value).kind; }
};

// Who may access what, from the manual's pseudocode: per register, EL1 read and write, then EL0 read and
// write with all EL0 enables clear (U undefined, T trapped, - fine).
TEST_F(Sysregs, AccessMatrix) {
    const std::map<std::string, std::string> expected = {
        {"MIDR_EL1", "-UUU"},       {"MPIDR_EL1", "-UUU"},
        {"REVIDR_EL1", "-UUU"},     {"CTR_EL0", "-UTU"},
        {"DCZID_EL0", "-U-U"},      {"SCTLR_EL1", "--UU"},
        {"CPACR_EL1", "--UU"},      {"TTBR0_EL1", "--UU"},
        {"TTBR1_EL1", "--UU"},      {"TCR_EL1", "--UU"},
        {"MAIR_EL1", "--UU"},       {"VBAR_EL1", "--UU"},
        {"ESR_EL1", "--UU"},        {"FAR_EL1", "--UU"},
        {"PAR_EL1", "--UU"},        {"ISR_EL1", "-UUU"},
        {"SPSR_EL1", "--UU"},       {"ELR_EL1", "--UU"},
        {"SP_EL0", "--UU"},         {"SPSel", "--UU"},
        {"CurrentEL", "-UUU"},      {"PAN", "--UU"},
        {"NZCV", "----"},           {"DAIF", "--TT"},
        {"FPCR", "TTTT"},           {"FPSR", "TTTT"},
        {"TPIDR_EL0", "----"},      {"TPIDRRO_EL0", "---U"},
        {"TPIDR_EL1", "--UU"},      {"CONTEXTIDR_EL1", "--UU"},
        {"SCXTNUM_EL0", "----"},    {"SCXTNUM_EL1", "--UU"},
        {"CNTKCTL_EL1", "--UU"},    {"CNTFRQ_EL0", "--TU"},
        {"CNTPCT_EL0", "-UTU"},     {"CNTVCT_EL0", "-UTU"},
        {"CNTV_CTL_EL0", "--TT"},   {"CNTV_TVAL_EL0", "--TT"},
        {"CNTV_CVAL_EL0", "--TT"},  {"CNTP_CTL_EL0", "--TT"},
        {"CNTP_TVAL_EL0", "--TT"},  {"CNTP_CVAL_EL0", "--TT"},
        {"PMCR_EL0", "--TT"},       {"PMCNTENSET_EL0", "--TT"},
        {"PMCNTENCLR_EL0", "--TT"}, {"PMOVSCLR_EL0", "--TT"},
        {"PMOVSSET_EL0", "--TT"},   {"PMSWINC_EL0", "U-UT"},
        {"PMSELR_EL0", "--TT"},     {"PMCEID0_EL0", "-UTU"},
        {"PMCEID1_EL0", "-UTU"},    {"PMCCNTR_EL0", "--TT"},
        {"PMXEVTYPER_EL0", "--TT"}, {"PMXEVCNTR_EL0", "--TT"},
        {"PMUSERENR_EL0", "---U"},  {"PMCCFILTR_EL0", "--TT"},
        {"PMINTENSET_EL1", "--UU"}, {"PMINTENCLR_EL1", "--UU"},
        {"MDSCR_EL1", "--UU"},      {"OSLAR_EL1", "U-UU"},
        {"OSLSR_EL1", "-UUU"},      {"OSDLR_EL1", "--UU"},
        {"DBGBVR0_EL1", "--UU"},    {"DBGWCR1_EL1", "--UU"},
        {"MDCCSR_EL0", "-U-U"},     {"DBGDTR_EL0", "----"},
        {"ICC_PMR_EL1", "--UU"},    {"ICC_IAR1_EL1", "-UUU"},
        {"ICC_EOIR1_EL1", "U-UU"},  {"ICC_SGI1R_EL1", "U-UU"},
        {"ICC_SRE_EL1", "--UU"},    {"ICC_DIR_EL1", "U-UU"},
    };
    cpu.translation.sctlr &= ~(uint64_t{1} << 9 | uint64_t{1} << 15 | uint64_t{1} << 20);  // UMA, UCT, TSCXT
    const auto letter = [](Kind kind) { return kind == Kind::Ok ? '-' : kind == Kind::Trap ? 'T' : 'U'; };
    unsigned found = 0;
    for (const SysregRow& row : sysreg_rows()) {
        const auto it = expected.find(row.name);
        if (it == expected.end()) continue;
        ++found;
        std::string got;
        for (uint8_t el : {1, 0}) {
            cpu.el = el;
            update_translation_flags(cpu);
            uint64_t value = 0;
            got += letter(read_sysreg(cpu, row.encoding, value).kind);
            // What was read goes back, so that the CPU stays as it is; write-only registers get zero.
            got += letter(write_sysreg(cpu, row.encoding, value).kind);
            cpu.sp_elx = true;
        }
        EXPECT_EQ(got, it->second) << row.name;
    }
    EXPECT_EQ(found, expected.size());
}

TEST_F(Sysregs, NoEncodingBreaksAnything) {
    unsigned ok = 0;
    for (uint8_t el : {0, 1}) {
        for (uint32_t encoding = 0; encoding < 0x1'0000; ++encoding) {
            cpu.el = el;
            cpu.sp_elx = el == 1;
            uint64_t value = 0;
            const SystemResult r = read_sysreg(cpu, encoding, value);
            ok += r.ok();
            if (find_sysreg(encoding) == nullptr) {
                ASSERT_EQ(r.kind, Kind::Undefined) << std::hex << encoding;
            }
            for (uint64_t v : {uint64_t{0}, ~uint64_t{0}, uint64_t{0x5555'5555'5555'5555}})
                (void)write_sysreg(cpu, encoding, v);
        }
    }
    EXPECT_GT(ok, 150u);
}

TEST_F(Sysregs, EncodingsOfLinuxsNames) {
    struct {
        uint32_t encoding;
        const char* name;
    } const rows[] = {
        {0xc080, "SCTLR_EL1"},   {0xc082, "CPACR_EL1"}, {0xc102, "TCR_EL1"},   {0xc290, "ESR_EL1"},
        {0xc300, "FAR_EL1"},     {0xc600, "VBAR_EL1"},  {0xde82, "TPIDR_EL0"}, {0xdf02, "CNTVCT_EL0"},
        {0xdce8, "PMCCNTR_EL0"}, {0x8012, "MDSCR_EL1"}, {0x8084, "OSLAR_EL1"}, {0xc660, "ICC_IAR1_EL1"},
        {0xda20, "FPCR"},        {0xd801, "CTR_EL0"},
    };
    for (const auto& row : rows) {
        ASSERT_NE(find_sysreg(row.encoding), nullptr) << row.name;
        EXPECT_STREQ(find_sysreg(row.encoding)->name, row.name);
    }
}

// ESR_ELx_SYS64_ISS of Linux, with Rt from the instruction.
TEST_F(Sysregs, TrapSyndromes) {
    enter_el0();
    environment.instruction = 0xd53b'e045;  // mrs x5, cntvct_el0
    uint64_t value;
    SystemResult r = read_sysreg(cpu, reg::cntvct, value);
    EXPECT_EQ(r.kind, Kind::Trap);
    EXPECT_EQ(r.esr, 0x6234'f8a1u);
    environment.instruction = 0xd53b'0023;  // mrs x3, ctr_el0
    r = read_sysreg(cpu, reg::ctr, value);
    EXPECT_EQ(r.esr, 0x6232'c061u);
    environment.instruction = 0xd51b'4237;  // msr daif, x23
    r = write_sysreg(cpu, reg::daif, 0);
    EXPECT_EQ(r.esr, 0x6232'd2e4u);
    take_system_result(cpu, r, 0x1000);
    EXPECT_EQ(read(reg::esr), 0x6232'd2e4u);
    EXPECT_EQ(state->elr_el1, 0x1000u);
}

TEST_F(Sysregs, El0TimerEnables) {
    struct {
        uint64_t cntkctl;
        bool cntpct, cntvct, cntfrq, cntv, cntp;
    } const rows[] = {
        {0, false, false, false, false, false},     {1, true, false, true, false, false},
        {2, false, true, true, false, false},       {1 << 8, false, false, false, true, false},
        {1 << 9, false, false, false, false, true}, {0x303, true, true, true, true, true},
    };
    enter_el0();
    for (const auto& row : rows) {
        cpu.registers.cntkctl = row.cntkctl;
        EXPECT_EQ(try_read(reg::cntpct) == Kind::Ok, row.cntpct) << row.cntkctl;
        EXPECT_EQ(try_read(reg::cntvct) == Kind::Ok, row.cntvct) << row.cntkctl;
        EXPECT_EQ(try_read(reg::cntfrq) == Kind::Ok, row.cntfrq) << row.cntkctl;
        EXPECT_EQ(try_write(reg::cntv_ctl) == Kind::Ok, row.cntv) << row.cntkctl;
        EXPECT_EQ(try_read(reg::cntp_cval) == Kind::Ok, row.cntp) << row.cntkctl;
    }
}

TEST_F(Sysregs, TimersAndGicGoOutside) {
    EXPECT_EQ(read(reg::cntvct), 1234u);
    EXPECT_EQ(read(reg::cntfrq), 62'500'000u);
    EXPECT_EQ(read(reg::cntp_cval), reg::cntp_cval);
    write(reg::cntv_ctl, 3);
    EXPECT_EQ(environment.timer_writes.back(), std::pair(reg::cntv_ctl, uint64_t{3}));
    EXPECT_EQ(read(reg::icc_sre), reg::icc_sre);
    write(reg::icc_sre, 7);
    EXPECT_EQ(environment.icc_writes.back(), std::pair(reg::icc_sre, uint64_t{7}));
    EXPECT_EQ(try_read(sysreg_encoding(3, 0, 12, 8, 5)), Kind::Undefined) << "the GIC refused it";
    Cpu gicv2(*state, environment, tables.memory(), {.features = kDefaultFeatures.without(Feature::Gic)});
    uint64_t value;
    EXPECT_EQ(read_sysreg(gicv2, reg::icc_sre, value).kind, Kind::Undefined);
    environment.isr = 1 << 7;
    EXPECT_EQ(read(reg::isr), 1u << 7);
}

TEST_F(Sysregs, SctlrKeepsItsFixedBits) {
    write(reg::sctlr, ~uint64_t{0});
    EXPECT_EQ(read(reg::sctlr) >> 24 & 3, 0u) << "no big-endian data";
    EXPECT_EQ(read(reg::sctlr) >> 32, 0x1ffau) << "DSSBS, ATA, ATA0, TCF, TCF0, ITFSB, BT1, BT0, MSCEn";
    write(reg::sctlr, 0);
    EXPECT_EQ(read(reg::sctlr), 0x3040'0980u);
}

TEST_F(Sysregs, TranslationControls) {
    const unsigned flushes = environment.translation_changes;
    const uint64_t tcr = 16 | 16 << 16 | uint64_t{2} << 30 | uint64_t{1} << 36 | uint64_t{1} << 37;
    write(reg::tcr, tcr);
    EXPECT_EQ(environment.translation_changes, flushes + 1);
    write(reg::tcr, tcr);
    EXPECT_EQ(environment.translation_changes, flushes + 1) << "nothing changed";
    EXPECT_TRUE(cpu.translation.half[0].tbi);
    write(reg::tcr, ~uint64_t{0});
    EXPECT_EQ(read(reg::tcr), 0x079f'fff7'ffff'ffbfu);
    write(reg::tcr, tcr);

    const unsigned contexts = environment.context_changes;
    const unsigned before = environment.translation_changes;
    write(reg::ttbr0, uint64_t{0x1234} << 48 | 0x4000'1000);
    EXPECT_EQ(cpu.translation.asid, 0x1234);
    EXPECT_EQ(environment.context_changes, contexts + 1);
    EXPECT_EQ(environment.translation_changes, before) << "a context switch flushes nothing";

    write(reg::mair, 0x44ff);
    EXPECT_EQ(cpu.translation.device_mask, 0xfc);
    EXPECT_EQ(environment.translation_changes, before + 1);
    write(reg::sctlr, read(reg::sctlr) | 1);
    EXPECT_TRUE(cpu.translation.enabled);
    EXPECT_EQ(environment.translation_changes, before + 2);
    write(reg::sctlr, read(reg::sctlr) | 1 << 12);
    EXPECT_EQ(environment.translation_changes, before + 2) << "I does not matter to the TLB";
}

// Bits that belong to features.
TEST_F(Sysregs, ControlBitsOfFeatures) {
    const FeatureSet rest =
        kDefaultFeatures.without(Feature::Hpds2).without(Feature::Iesb).without(Feature::Ecv);
    Cpu lesser(*state, environment, tables.memory(), {.features = rest});
    struct {
        uint32_t encoding;
        uint64_t bits;
    } const rows[] = {{reg::tcr, 0x7'f800'0000'0000}, {reg::sctlr, 1 << 21}, {reg::cntkctl, 1 << 17}};
    for (const auto& row : rows) {
        write(row.encoding, ~uint64_t{0});
        EXPECT_EQ(read(row.encoding) & row.bits, row.bits);
        ASSERT_TRUE(write_sysreg(lesser, row.encoding, ~uint64_t{0}).ok());
        uint64_t value = 0;
        ASSERT_TRUE(read_sysreg(lesser, row.encoding, value).ok());
        EXPECT_EQ(value & row.bits, 0u);
    }
}

TEST_F(Sysregs, SelfSynchronisedCounters) {
    const uint32_t physical = sysreg_encoding(3, 3, 14, 0, 5), virtual_one = sysreg_encoding(3, 3, 14, 0, 6);
    EXPECT_EQ(read(physical), 1234u);
    EXPECT_EQ(read(virtual_one), 1234u);
    EXPECT_EQ(try_write(virtual_one), Kind::Undefined);
    enter_el0();
    cpu.registers.cntkctl = 0;
    EXPECT_EQ(try_read(physical), Kind::Trap);
    EXPECT_EQ(try_read(virtual_one), Kind::Trap);
    cpu.registers.cntkctl = 2;
    EXPECT_EQ(try_read(virtual_one), Kind::Ok);
    EXPECT_EQ(try_read(physical), Kind::Trap);
}

// No error records, and so no registers of them.
TEST_F(Sysregs, ErrorsOfTheMachine) {
    EXPECT_EQ(read(sysreg_encoding(3, 0, 5, 3, 0)), 0u) << "ERRIDR_EL1.NUM";
    EXPECT_EQ(try_read(sysreg_encoding(3, 0, 5, 3, 1)), Kind::Undefined) << "ERRSELR_EL1";
    EXPECT_EQ(try_read(sysreg_encoding(3, 0, 5, 4, 0)), Kind::Undefined) << "ERXFR_EL1";
    const uint32_t disr = sysreg_encoding(3, 0, 12, 1, 1);
    EXPECT_EQ(read(disr), 0u);
    write(disr, ~uint64_t{0});
    EXPECT_EQ(read(disr), 0x81ff'ffffu);
}

TEST_F(Sysregs, Daif) {
    write(reg::daif, ~uint64_t{0});
    EXPECT_EQ(read(reg::daif), 0x3c0u);
    EXPECT_EQ(environment.unmaskings, 0u);
    EXPECT_TRUE(write_pstate_field(cpu, 3 << 3 | 7, 2).ok());  // DAIFClr #2: I
    EXPECT_EQ(read(reg::daif), 0x340u);
    EXPECT_EQ(environment.unmaskings, 1u);
    EXPECT_TRUE(write_pstate_field(cpu, 3 << 3 | 6, 2).ok());
    EXPECT_EQ(read(reg::daif), 0x3c0u);
    EXPECT_EQ(environment.unmaskings, 1u);
    enter_el0();
    EXPECT_EQ(write_pstate_field(cpu, 3 << 3 | 6, 2).esr, 0x620c'd3e4u);
    cpu.translation.sctlr |= 1 << 9;
    EXPECT_TRUE(write_pstate_field(cpu, 3 << 3 | 6, 2).ok());
    EXPECT_EQ(write_pstate_field(cpu, 4, 1).kind, Kind::Undefined);
    EXPECT_EQ(write_pstate_field(cpu, 5, 1).kind, Kind::Undefined);
}

TEST_F(Sysregs, NoOtherPstateField) {
    for (unsigned field = 0; field < 64; ++field) {
        const bool exists =
            field == 3 || field == 4 || field == 5 || field == (3 << 3 | 6) || field == (3 << 3 | 7);
        EXPECT_EQ(write_pstate_field(cpu, field, 1).ok(), exists) << field;
    }
}

// Bits of features that the model lacks are RES0.
TEST_F(Sysregs, FpcrOfAModel) {
    Cpu old(
        *state, environment, tables.memory(),
        {.features = kDefaultFeatures.without(Feature::Fp16).without(Feature::Ebf16).without(Feature::Afp)});
    old.reset(0);
    ASSERT_TRUE(write_sysreg(old, reg::cpacr, 3 << 20).ok());
    ASSERT_TRUE(write_sysreg(old, reg::fpcr, 0xffff'ffff).ok());
    uint64_t value = 0;
    ASSERT_TRUE(read_sysreg(old, reg::fpcr, value).ok());
    EXPECT_EQ(value, 0x07c0'0000u);
    EXPECT_EQ(state->translation_flags & (translation_flag::kFpAlternative | translation_flag::kFpMerges),
              0u);
}

TEST_F(Sysregs, FpRegisters) {
    write(reg::cpacr, 3 << 20);
    write(reg::fpcr, 0xffff'ffff);
    EXPECT_EQ(read(reg::fpcr), 0x07c8'2007u);
    constexpr uint32_t kAfp =
        translation_flag::kFpSlow | translation_flag::kFpAlternative | translation_flag::kFpMerges;
    EXPECT_EQ(state->translation_flags & kAfp, kAfp);
    EXPECT_EQ(jit::host_fp::rounding(*state), jit::softfloat::Rounding::Zero);
    jit::host_fp::set_exceptions(*state, jit::softfloat::kIoc);
    EXPECT_EQ(read(reg::fpsr), 1u);
    write(reg::fpsr, 0x0800'0000);
    EXPECT_EQ(read(reg::fpsr), 0x0800'0000u);
    EXPECT_EQ(jit::host_fp::exceptions(*state), 0u);
    write(reg::cpacr, 1 << 20);
    enter_el0();
    uint64_t value;
    EXPECT_EQ(read_sysreg(cpu, reg::fpsr, value).esr, 0x1fe0'0000u);
}

TEST_F(Sysregs, PlainStorageAndMasks) {
    write(reg::vbar, ~uint64_t{0});
    EXPECT_EQ(read(reg::vbar), ~uint64_t{0x7ff});
    write(reg::tpidr_el0, 0x1234'5678'9abc'def0);
    EXPECT_EQ(state->tpidr_el0, 0x1234'5678'9abc'def0u);
    write(reg::nzcv, uint64_t{0xa} << 28);
    EXPECT_EQ(read(reg::nzcv), uint64_t{0xa} << 28);
    EXPECT_EQ(read(reg::current_el), 4u);
    EXPECT_EQ(read(reg::oslsr), 0xau);
    write(reg::oslar, 0);
    EXPECT_EQ(read(reg::oslsr), 0x8u);
    write(sysreg_encoding(2, 0, 0, 1, 4), 0x1234'5678);
    EXPECT_EQ(read(sysreg_encoding(2, 0, 0, 1, 4)), 0x1234'5678u);
    EXPECT_EQ(read(sysreg_encoding(2, 0, 0, 0, 4)), 0u);
    EXPECT_EQ(try_read(sysreg_encoding(2, 0, 0, 5, 5)), Kind::Ok);
    EXPECT_EQ(try_read(sysreg_encoding(2, 0, 0, 6, 5)), Kind::Undefined) << "six breakpoints";
    EXPECT_EQ(try_read(sysreg_encoding(2, 0, 0, 4, 7)), Kind::Undefined) << "four watchpoints";
    // The claim tags: a set of bits.
    write(sysreg_encoding(2, 0, 7, 8, 6), 0x0f);
    write(sysreg_encoding(2, 0, 7, 9, 6), 0x05);
    EXPECT_EQ(read(sysreg_encoding(2, 0, 7, 9, 6)), 0x0au);
    EXPECT_EQ(read(sysreg_encoding(2, 0, 7, 8, 6)), 0xffu);
}

TEST_F(Sysregs, ScalableVectors) {
    constexpr uint32_t kZcr = sysreg_encoding(3, 0, 1, 2, 0);
    constexpr uint64_t kZen = 3 << 16, kFpen = 3 << 20, kSveField = uint64_t{15} << 32;
    uint64_t value = 0;
    EXPECT_EQ(read_sysreg(cpu, kZcr, value).kind, SystemResult::Kind::Undefined);
    write(reg::cpacr, kZen | kFpen);
    EXPECT_EQ(read(reg::cpacr), kFpen) << "there is no SVE to be enabled";
    EXPECT_EQ(read(reg::pfr0) & kSveField, 0u);

    Cpu vectors(*state, environment, tables.memory(), {.features = kUsualFeatures.with(Feature::Sve512)});
    vectors.reset(0x1000);
    EXPECT_TRUE(read_sysreg(vectors, reg::pfr0, value).ok());
    EXPECT_EQ(value & kSveField, uint64_t{1} << 32);
    const auto trapped = [&] { return syndrome::class_of(write_sysreg(vectors, kZcr, 0).esr); };
    EXPECT_EQ(trapped(), syndrome::Class::SveTrap) << "before FP's";
    EXPECT_TRUE(write_sysreg(vectors, reg::cpacr, kZen).ok());
    EXPECT_EQ(trapped(), syndrome::Class::FpTrap);
    EXPECT_TRUE(write_sysreg(vectors, reg::cpacr, kZen | kFpen).ok());
    // Lengths are powers of two, up to the longest.
    for (const auto& [zcr, bytes] : std::initializer_list<std::pair<uint64_t, uint32_t>>{
             {0, 16}, {1, 32}, {2, 32}, {3, 64}, {0xff, 64}}) {
        EXPECT_TRUE(write_sysreg(vectors, kZcr, zcr).ok());
        EXPECT_EQ(state->vector_bytes, bytes) << zcr;
    }
    EXPECT_TRUE(read_sysreg(vectors, kZcr, value).ok());
    EXPECT_EQ(value, 15u);
}

}  // namespace
}  // namespace arclight::frontend::a64
