#include "frontend/a64/system/exceptions.h"

#include "frontend/a64/system/pointer_auth.h"
#include "frontend/a64/system/syndrome.h"
#include "jit/host_fp.h"
#include "tests/frontend/system/test_cpu.h"

namespace arclight::frontend::a64 {
namespace {

using namespace test;
constexpr uint64_t kVectors = 0xffff'0000'1234'5800;

class Exceptions : public SystemTest {
  protected:
    Exceptions() { write(reg::vbar, kVectors); }
};

TEST_F(Exceptions, ResetState) {
    EXPECT_EQ(pstate_to_spsr(cpu), 0x200'03c5u);  // EL1h, DAIF, TCO
    EXPECT_EQ(state->pc, 0x4000'0000u);
    // MMU off: every access must be aligned, and DC ZVA faults; FP trapped; SP checked.
    EXPECT_EQ(state->translation_flags, translation_flag::kEl1 | translation_flag::kSpElx |
                                            translation_flag::kFpTrap | translation_flag::kAlignCheck |
                                            translation_flag::kSpAlignCheck | translation_flag::kZeroTrap);
    EXPECT_EQ(jit::host_fp::rounding(*state), jit::softfloat::Rounding::TieEven);
    EXPECT_EQ(jit::host_fp::exceptions(*state), 0u);
}

TEST_F(Exceptions, VectorOffsets) {
    struct {
        unsigned mode;
        ExceptionKind kind;
        uint64_t offset;
    } const rows[] = {
        {4, ExceptionKind::Synchronous, 0x000}, {4, ExceptionKind::Irq, 0x080},
        {4, ExceptionKind::Fiq, 0x100},         {4, ExceptionKind::SError, 0x180},
        {5, ExceptionKind::Synchronous, 0x200}, {5, ExceptionKind::Irq, 0x280},
        {5, ExceptionKind::Fiq, 0x300},         {5, ExceptionKind::SError, 0x380},
        {0, ExceptionKind::Synchronous, 0x400}, {0, ExceptionKind::Irq, 0x480},
        {0, ExceptionKind::Fiq, 0x500},         {0, ExceptionKind::SError, 0x580},
    };
    for (const auto& row : rows) {
        state->spsr_el1 = row.mode;
        state->elr_el1 = 0x7000;
        eret(cpu);
        cpu.registers.esr = 0x55;
        take_exception(cpu, row.kind, 0x1234'5678, 0x7777);
        EXPECT_EQ(state->pc, kVectors + row.offset);
        EXPECT_EQ(state->spsr_el1, row.mode);
        EXPECT_EQ(state->elr_el1, 0x7777u);
        const bool has_syndrome = row.kind == ExceptionKind::Synchronous || row.kind == ExceptionKind::SError;
        EXPECT_EQ(read(reg::esr), has_syndrome ? 0x1234'5678u : 0x55u);
        EXPECT_EQ(state->daif, 0x3c0u);
        EXPECT_EQ(cpu.el, 1);
        EXPECT_TRUE(cpu.sp_elx);
    }
}

TEST_F(Exceptions, StackPointersAreBanked) {
    state->sp = 0x1111;  // SP_EL1
    state->sp_el0 = 0x2222;
    enter_el0();
    EXPECT_EQ(state->sp, 0x2222u);
    state->sp = 0x3333;
    take_svc(cpu, 0, state->pc);
    EXPECT_EQ(state->sp, 0x1111u);
    EXPECT_EQ(read(reg::sp_el0), 0x3333u);
    write(reg::spsel, 0);
    EXPECT_EQ(state->sp, 0x3333u);
    EXPECT_EQ(state->translation_flags & translation_flag::kSpElx, 0u);
    uint64_t value;
    EXPECT_EQ(read_sysreg(cpu, reg::sp_el0, value).kind, SystemResult::Kind::Undefined)
        << "it is the current one";
    state->sp = 0x4444;
    EXPECT_TRUE(write_pstate_field(cpu, 5, 1).ok());
    EXPECT_EQ(state->sp, 0x1111u);
    EXPECT_EQ(state->sp_el0, 0x4444u);
    state->sp = 0x5555;
    sync_stack_pointers(cpu);
    EXPECT_EQ(state->sp_el1, 0x5555u);
}

TEST_F(Exceptions, RoundTripKeepsPstate) {
    for (unsigned m : {0u, 4u, 5u})
        for (uint64_t nzcv = 0; nzcv < 16; ++nzcv)
            for (uint64_t rest :
                 {uint64_t{0}, uint64_t{0x3c0}, uint64_t{1} << 22, uint64_t{1} << 20, uint64_t{0x240}}) {
                const uint64_t spsr = m | nzcv << 28 | rest;
                state->spsr_el1 = spsr;
                state->elr_el1 = 0x8888'0000;
                eret(cpu);
                EXPECT_EQ(state->pc, 0x8888'0000u);
                EXPECT_EQ(pstate_to_spsr(cpu), spsr);
                EXPECT_EQ((state->translation_flags & translation_flag::kIllegal) != 0,
                          (rest >> 20 & 1) != 0);
                take_exception(cpu, ExceptionKind::Irq, 0, state->pc + 4);
                EXPECT_EQ(state->spsr_el1, spsr);
                EXPECT_FALSE(cpu.il);
            }
}

TEST_F(Exceptions, IllegalReturns) {
    for (unsigned m = 0; m < 32; ++m) {
        const bool legal = m == 0 || m == 4 || m == 5;
        cpu.reset(0);
        state->sp = 0x123;
        state->spsr_el1 = uint64_t{5} << 28 | 0x40 | m;
        state->elr_el1 = 0x9000;
        eret(cpu);
        EXPECT_EQ(cpu.il, !legal) << m;
        if (legal) continue;
        EXPECT_EQ(cpu.el, 1);
        EXPECT_TRUE(cpu.sp_elx);
        EXPECT_EQ(state->sp, 0x123u);
        EXPECT_EQ(state->pc, 0x9000u);
        EXPECT_EQ(state->daif, 0x40u);
        EXPECT_EQ(read(reg::nzcv), uint64_t{5} << 28);
        EXPECT_TRUE(state->translation_flags & translation_flag::kIllegal);
        take_illegal_state(cpu, state->pc);
        EXPECT_EQ(read(reg::esr), 0x3a00'0000u);
        EXPECT_EQ(state->spsr_el1 >> 20 & 1, 1u);
        EXPECT_FALSE(state->translation_flags & translation_flag::kIllegal);
    }
}

TEST_F(Exceptions, PstateBitsOfFeatures) {
    constexpr uint64_t kBtype = 3 << 10, kSsbs = 1 << 12, kUao = 1 << 23, kDit = 1 << 24, kTco = 1 << 25;
    EXPECT_EQ(state->tco, kTco) << "after a reset";
    state->spsr_el1 = 5 | kBtype | kSsbs | kUao | kDit;
    state->elr_el1 = 0x9000;
    eret(cpu);
    EXPECT_EQ(cpu.btype, 3);
    EXPECT_TRUE(cpu.uao);
    EXPECT_TRUE(state->translation_flags & translation_flag::kUao);
    EXPECT_EQ(state->dit, kDit);
    EXPECT_EQ(state->ssbs, kSsbs);
    EXPECT_EQ(state->tco, 0u);
    EXPECT_EQ(pstate_to_spsr(cpu) & (kBtype | kSsbs | kUao | kDit), kBtype | kSsbs | kUao | kDit);
    take_svc(cpu, 0, 0x9000);
    EXPECT_EQ(state->spsr_el1 & (kBtype | kSsbs | kUao | kDit), kBtype | kSsbs | kUao | kDit);
    EXPECT_EQ(cpu.btype, 0);
    EXPECT_FALSE(cpu.uao);
    EXPECT_EQ(state->dit, kDit) << "an exception leaves it alone";
    EXPECT_EQ(state->spsr_el1 & kTco, 0u);
    EXPECT_EQ(state->tco, kTco);
    EXPECT_EQ(pstate_to_spsr(cpu) & kTco, kTco);
    EXPECT_EQ(state->ssbs, 0u) << "SCTLR_EL1.DSSBS is 0";
    write(reg::sctlr, read(reg::sctlr) | uint64_t{1} << 44);
    take_svc(cpu, 0, 0x9000);
    EXPECT_EQ(state->ssbs, kSsbs);

    const FeatureSet rest = kDefaultFeatures.without(Feature::Bti)
                                .without(Feature::Ssbs)
                                .without(Feature::Uao)
                                .without(Feature::Dit)
                                .without(Feature::Mte);
    Cpu lesser(*state, environment, tables.memory(), {.features = rest});
    lesser.reset(0);
    state->spsr_el1 = 5 | kBtype | kSsbs | kUao | kDit;
    eret(lesser);
    take_svc(lesser, 0, 0x9000);
    EXPECT_EQ((pstate_to_spsr(lesser) | state->spsr_el1) & (kBtype | kSsbs | kUao | kDit | kTco), 0u);
}

TEST_F(Exceptions, SyndromesOfControlFlow) {
    take_pointer_authentication(cpu, 3, 0x1000);
    EXPECT_EQ(read(reg::esr), 0x1cull << 26 | 1u << 25 | 3);
    cpu.btype = 2;
    take_branch_target(cpu, 0x2000);
    EXPECT_EQ(read(reg::esr), 0x0dull << 26 | 1u << 25 | 2);
    EXPECT_EQ(state->spsr_el1 >> 10 & 3, 2u);
    EXPECT_EQ(state->elr_el1, 0x2000u);
}

// Avanzi, "The QARMA Block Cipher Family", appendix: QARMA-64 with 5 rounds and S-box 2.
TEST(PointerAuthentication, Qarma5) {
    EXPECT_EQ(qarma(0xfb62'3599'da6e'8127, 0x477d'469d'ec0b'8762, 0xec28'02d4'e0a4'88e9,
                    0x84be'85ce'9804'e94b, false),
              0xc003'b939'99b3'3765u);
}

// Of 3 rounds with S-box 1 there is no published value; that of 5 rounds (0x544b0ab95bda7c3a) was checked with this code.
TEST(PointerAuthentication, Qarma3) {
    const uint64_t five = qarma(1, 2, 3, 4, false), three = qarma(1, 2, 3, 4, true);
    EXPECT_NE(five, three);
    EXPECT_NE(three, qarma(1, 2, 3, 5, true));
    EXPECT_EQ(qarma(0xfb62'3599'da6e'8127, 0x477d'469d'ec0b'8762, 0xec28'02d4'e0a4'88e9,
                    0x84be'85ce'9804'e94b, true),
              0xc8b7'fdc1'd507'b9efu);
}

TEST_F(Exceptions, PacMasksFollowTcr) {
    const auto mask = [&](unsigned data, unsigned half) {
        return state->pac_masks[data][0] ^ (half != 0 ? state->pac_masks[data][1] : 0);
    };
    const uint64_t sizes = 16 | uint64_t{25} << 16;  // 48 and 39 bits
    write(reg::tcr, sizes);
    for (unsigned data = 0; data < 2; ++data) {
        EXPECT_EQ(mask(data, 0), 0xff7f'0000'0000'0000u);
        EXPECT_EQ(mask(data, 1), 0xff7f'ff80'0000'0000u);
    }
    write(reg::tcr, sizes | uint64_t{1} << 37 | uint64_t{1} << 51);  // TBI0, TBID0
    EXPECT_EQ(mask(0, 0), 0xff7f'0000'0000'0000u);
    EXPECT_EQ(mask(1, 0), 0x007f'0000'0000'0000u);
    EXPECT_EQ(mask(1, 1), 0xff7f'ff80'0000'0000u);
}

/// An operating system changes the enables at each switch between threads: no code may be dropped for it.
TEST_F(Exceptions, EnablesOfPacKeysAreMasks) {
    constexpr uint64_t kEnables[] = {1u << 31, 1u << 30, 1u << 27, 1u << 13};
    const uint64_t disabled = read(reg::sctlr);
    const uint32_t before = state->translation_flags;
    write(reg::sctlr, disabled | kEnables[0]);
    const uint32_t used = state->translation_flags;
    EXPECT_NE(used, before);
    for (unsigned enabled = 0; enabled < 16; ++enabled) {
        uint64_t value = disabled;
        for (unsigned key = 0; key < 4; ++key)
            if ((enabled >> key & 1) != 0) value |= kEnables[key];
        write(reg::sctlr, value);
        EXPECT_EQ(state->translation_flags, used) << enabled;
        for (unsigned key = 0; key < 4; ++key)
            for (unsigned half = 0; half < 2; ++half)
                EXPECT_EQ(state->pac_key_masks[key][half],
                          (enabled >> key & 1) != 0 ? state->pac_masks[key / 2][half] : 0)
                    << enabled << ' ' << key;
    }
    cpu.reset(0);
    EXPECT_EQ(state->translation_flags, before);
}

TEST_F(Exceptions, PanOnEntry) {
    enter_el0();
    take_svc(cpu, 0, 0);
    EXPECT_FALSE(cpu.pan) << "SPAN is 1 after reset";
    write(reg::sctlr, read(reg::sctlr) & ~(uint64_t{1} << 23));
    enter_el0();
    const unsigned before = environment.context_changes;
    take_svc(cpu, 0, 0);
    EXPECT_TRUE(cpu.pan);
    EXPECT_EQ(read(reg::pan), uint64_t{1} << 22);
    EXPECT_GT(environment.context_changes, before);
    EXPECT_TRUE(write_pstate_field(cpu, 4, 0).ok());
    EXPECT_FALSE(cpu.pan);
}

TEST_F(Exceptions, SyndromesAsLinuxAndQemuKnowThem) {
    const uint64_t pc = 0x40'0000;
    struct {
        const char* what;
        unsigned el;
        std::function<void()> raise;
        uint64_t esr, elr;
    } const rows[] = {
        {"svc #0", 0, [&] { take_svc(cpu, 0, pc); }, 0x5600'0000, pc + 4},
        {"svc #0xffff at EL1", 1, [&] { take_svc(cpu, 0xffff, pc); }, 0x5600'ffff, pc + 4},
        {"brk #1", 0, [&] { take_brk(cpu, 1, pc); }, 0xf200'0001, pc},
        {"undefined", 0, [&] { take_undefined(cpu, pc); }, 0x0200'0000, pc},
        {"fp", 0, [&] { take_fp_trap(cpu, pc); }, 0x1fe0'0000, pc},
        {"pc alignment", 0, [&] { take_pc_alignment(cpu, pc + 2); }, 0x8a00'0000, pc + 2},
        {"sp alignment", 0, [&] { take_sp_alignment(cpu, pc); }, 0x9a00'0000, pc},
        {"EL0 write, permission 3", 0, [&] { take_data_abort(cpu, 0x1234, 0x0f, true, pc); }, 0x9200'004f,
         pc},
        {"EL1 read, translation 0", 1, [&] { take_data_abort(cpu, 0x1234, 0x04, false, pc); }, 0x9600'0004,
         pc},
        {"EL0 fetch, translation 3", 0, [&] { take_instruction_abort(cpu, pc, 0x07, pc); }, 0x8200'0007, pc},
        {"EL1 fetch, permission 3", 1, [&] { take_instruction_abort(cpu, pc, 0x0f, pc); }, 0x8600'000f, pc},
    };
    for (const auto& row : rows) {
        if (row.el == 0) enter_el0();
        row.raise();
        EXPECT_EQ(read(reg::esr), row.esr) << row.what;
        EXPECT_EQ(state->elr_el1, row.elr) << row.what;
    }
    EXPECT_EQ(read(reg::far), pc);
    EXPECT_EQ(syndrome::hvc(0), 0x5a00'0000u);
    EXPECT_EQ(syndrome::wait_trap(false), 0x07e0'0000u);
    EXPECT_EQ(syndrome::wait_trap(true), 0x07e0'0001u);
    EXPECT_EQ(syndrome::software_step(0, false), 0xcb00'0022u);
    EXPECT_EQ(syndrome::software_step(1, true), 0xcf00'0062u);
}

TEST_F(Exceptions, FaultAddress) {
    take_data_abort(cpu, 0xdead'beef'0000, 0x07, false, 0x10);
    EXPECT_EQ(read(reg::far), 0xdead'beef'0000u);
    take_undefined(cpu, 0x10);
    EXPECT_EQ(read(reg::far), 0xdead'beef'0000u) << "not an address fault";
}

TEST_F(Exceptions, EretClearsTheMonitorAndSetsTheEvent) {
    state->exclusive_addr = 0x1000;
    enter_el0();
    EXPECT_EQ(state->exclusive_addr, jit::kNoExclusive);
    EXPECT_TRUE(cpu.event_register);
    EXPECT_EQ(environment.unmaskings, 1u);
}

TEST_F(Exceptions, EretStripsTheTag) {
    enable_mmu();
    cpu.translation.tcr |= uint64_t{1} << 37;
    cpu.translation.update();
    enter_el0(0x5500'0000'0000'4000);
    EXPECT_EQ(state->pc, 0x4000u);
    EXPECT_EQ(branch_address(cpu, 0x5aff'ffff'ffff'0000), 0x5aff'ffff'ffff'0000u) << "TBI1 is off";
}

TEST_F(Exceptions, ModeFollowsTheControls) {
    enable_mmu();
    const uint32_t base = translation_flag::kEl1 | translation_flag::kSpElx | translation_flag::kSpAlignCheck;
    EXPECT_EQ(state->translation_flags, base | translation_flag::kFpTrap);
    for (unsigned fpen = 0; fpen < 4; ++fpen) {
        write(reg::cpacr, fpen << 20);
        EXPECT_EQ((state->translation_flags & translation_flag::kFpTrap) == 0, fpen == 1 || fpen == 3);
        enter_el0();
        EXPECT_EQ((state->translation_flags & translation_flag::kFpTrap) == 0, fpen == 3);
        take_svc(cpu, 0, 0);
    }
    EXPECT_EQ(state->translation_flags, base);
    write(reg::sctlr, (read(reg::sctlr) | 2) & ~uint64_t{8});
    EXPECT_EQ(state->translation_flags,
              translation_flag::kEl1 | translation_flag::kSpElx | translation_flag::kAlignCheck);
    enter_el0();
    EXPECT_EQ(state->translation_flags, translation_flag::kAlignCheck | translation_flag::kSpAlignCheck |
                                            translation_flag::kZeroTrap);  // DZE is 0
    take_svc(cpu, 0, 0);
    write(reg::sctlr, read(reg::sctlr) | 1 << 14);
    enter_el0();
    EXPECT_EQ(state->translation_flags, translation_flag::kAlignCheck | translation_flag::kSpAlignCheck);
    constexpr std::pair<unsigned, uint32_t> kFpcr[] = {{26, translation_flag::kFpWideHalf},
                                                       {25, translation_flag::kFpDefaultNan},
                                                       {24, translation_flag::kFpFlush},
                                                       {19, translation_flag::kFpFlushHalf},
                                                       {23, 0}};
    for (const auto& [bit, flag] : kFpcr) {
        write(reg::fpcr, 1u << bit);
        EXPECT_EQ(state->translation_flags & translation_flag::kFpSpecial, flag) << "FPCR bit " << bit;
    }
    state->translation_flags |= translation_flag::kSerial;
    update_translation_flags(cpu);
    EXPECT_TRUE(state->translation_flags & translation_flag::kSerial);
}

TEST_F(Exceptions, Hvc) {
    state->x[0] = 1;
    state->x[1] = 20;
    state->x[2] = 300;
    state->x[3] = 4000;
    EXPECT_TRUE(execute_hvc(cpu));
    EXPECT_EQ(state->x[0], 4321u);
    enter_el0();
    EXPECT_FALSE(execute_hvc(cpu));
}

TEST_F(Exceptions, WaitTraps) {
    write(reg::sctlr, read(reg::sctlr) & ~(uint64_t{1} << 16 | uint64_t{1} << 18));
    EXPECT_TRUE(check_wait(cpu, false).ok());
    enter_el0();
    EXPECT_EQ(check_wait(cpu, false).esr, 0x07e0'0000u);
    EXPECT_TRUE(check_wait(cpu, true).ok());  // ERET is an event, so that it would not wait
    cpu.event_register = false;
    EXPECT_EQ(check_wait(cpu, true).esr, 0x07e0'0001u);
    take_svc(cpu, 0, 0);
    write(reg::sctlr, read(reg::sctlr) | uint64_t{1} << 16);
    enter_el0();
    cpu.event_register = false;
    EXPECT_TRUE(check_wait(cpu, false).ok());
    EXPECT_FALSE(check_wait(cpu, true).ok());
}

class SoftwareStep : public Exceptions {
  protected:
    SoftwareStep() {
        write(reg::oslar, 0);
        write(reg::mdscr, 1);
    }
    void step_el0(bool ss) {
        state->spsr_el1 = ss ? 1 << 21 : 0;
        state->elr_el1 = 0x1000;
        eret(cpu);
    }
};

TEST_F(SoftwareStep, OneInstructionAtEl0) {
    EXPECT_FALSE(state->translation_flags & translation_flag::kSingleStep) << "not at EL1 without KDE";
    step_el0(true);
    EXPECT_TRUE(state->translation_flags & translation_flag::kSingleStep);
    EXPECT_FALSE(step_pending(cpu));
    step_done(cpu);
    state->pc = 0x1004;
    ASSERT_TRUE(step_pending(cpu));
    take_step(cpu);
    EXPECT_EQ(read(reg::esr), 0xcb00'0022u);
    EXPECT_EQ(state->elr_el1, 0x1004u);
    EXPECT_EQ(state->spsr_el1 >> 21 & 1, 0u);
    EXPECT_FALSE(state->translation_flags & translation_flag::kSingleStep);
    EXPECT_FALSE(step_pending(cpu));
}

TEST_F(SoftwareStep, PendingAtOnceWithoutSpsrSs) {
    step_el0(false);
    EXPECT_TRUE(step_pending(cpu));
}

TEST_F(SoftwareStep, SvcIsTheStep) {
    step_el0(true);
    take_svc(cpu, 0, 0x1000);
    EXPECT_EQ(state->spsr_el1 >> 21 & 1, 0u)
        << "the return from the system call is followed by the step exception";
    step_el0(true);
    take_undefined(cpu, 0x1000);
    EXPECT_EQ(state->spsr_el1 >> 21 & 1, 1u) << "the instruction was not executed";
}

TEST_F(SoftwareStep, NotWithTheOsLockOrWithoutMdscr) {
    write(reg::oslar, 1);
    step_el0(true);
    EXPECT_FALSE(state->translation_flags & translation_flag::kSingleStep);
    EXPECT_FALSE(cpu.ss);
    take_svc(cpu, 0, 0);
    write(reg::oslar, 0);
    write(reg::mdscr, 0);
    step_el0(true);
    EXPECT_FALSE(state->translation_flags & translation_flag::kSingleStep);
    EXPECT_FALSE(step_pending(cpu));
}

TEST_F(SoftwareStep, KernelDebug) {
    write(reg::mdscr, 1 | 1 << 13);
    EXPECT_FALSE(state->translation_flags & translation_flag::kSingleStep) << "PSTATE.D masks it";
    state->spsr_el1 = 5 | 1 << 21;
    state->elr_el1 = 0x2000;
    eret(cpu);
    EXPECT_TRUE(state->translation_flags & translation_flag::kSingleStep);
    EXPECT_FALSE(step_pending(cpu));
    step_done(cpu);
    take_step(cpu);
    EXPECT_EQ(read(reg::esr), 0xcf00'0022u);
}

}  // namespace
}  // namespace arclight::frontend::a64
