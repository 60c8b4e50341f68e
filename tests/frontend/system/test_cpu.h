#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "frontend/a64/system/cpu.h"
#include "frontend/a64/system/exceptions.h"
#include "frontend/a64/system/translation_flags.h"
#include "frontend/a64/translate/translator.h"
#include "tests/mmu/page_tables.h"

namespace arclight::frontend::a64::test {

/// Records what it is told and answers with fixed values.
struct FakeEnvironment final : Environment {
    unsigned context_changes = 0, translation_changes = 0, unmaskings = 0, ic_all_local = 0,
             ic_all_broadcast = 0;
    std::vector<std::pair<mmu::TlbiRequest, bool>> tlbis;
    std::vector<std::pair<uint64_t, uint64_t>> ic_lines;
    std::vector<std::pair<uint32_t, uint64_t>> timer_writes, icc_writes;
    uint32_t instruction = 0;
    uint64_t isr = 0, time = 1234, cycle = 0, pmu_look = 0;
    bool pmu_level = false;

    void context_changed() override { ++context_changes; }
    void translation_changed() override { ++translation_changes; }
    void tlbi(mmu::TlbiRequest request, bool broadcast) override { tlbis.emplace_back(request, broadcast); }
    void ic_ivau(uint64_t va, uint64_t pa) override { ic_lines.emplace_back(va, pa); }
    void ic_iallu(bool broadcast) override { ++(broadcast ? ic_all_broadcast : ic_all_local); }
    void interrupts_unmasked() override { ++unmaskings; }
    uint64_t pending_interrupts() override { return isr; }
    bool icc_read(uint32_t encoding, uint64_t& value) override {
        value = encoding;
        return encoding != sysreg_encoding(3, 0, 12, 8, 5);  // as with few priority bits
    }
    bool icc_write(uint32_t encoding, uint64_t value) override {
        icc_writes.emplace_back(encoding, value);
        return true;
    }
    uint64_t timer_read(uint32_t encoding) override { return encoding; }
    void timer_write(uint32_t encoding, uint64_t value) override {
        timer_writes.emplace_back(encoding, value);
    }
    uint64_t counter() override { return time; }
    uint64_t counter_frequency() override { return 62'500'000; }
    uint64_t random() override { return 0x4a4d; }
    uint64_t cycles() override { return cycle; }
    void pmu_interrupt(bool level) override { pmu_level = level; }
    void pmu_look_within(uint64_t cycles) override { pmu_look = cycles; }
    uint64_t hvc(uint64_t x0, uint64_t x1, uint64_t x2, uint64_t x3) override { return x0 + x1 + x2 + x3; }
    uint32_t current_instruction() override { return instruction; }
};

struct SystemTest : testing::Test {
    SystemTest() : state(std::make_unique<jit::GuestState>()), cpu(*state, environment, tables.memory(), {}) {
        cpu.reset(0x4000'0000);
        environment = {};
    }

    uint64_t read(uint32_t encoding) {
        uint64_t value = 0xdead;
        EXPECT_TRUE(read_sysreg(cpu, encoding, value).ok()) << std::hex << encoding;
        return value;
    }
    void write(uint32_t encoding, uint64_t value) {
        EXPECT_TRUE(write_sysreg(cpu, encoding, value).ok()) << std::hex << encoding;
    }
    /// To EL0 the way an operating system gets there.
    void enter_el0(uint64_t pc = 0x1000) {
        state->spsr_el1 = 0;
        state->elr_el1 = pc;
        eret(cpu);
        ASSERT_EQ(cpu.el, 0);
    }
    /// Turns the MMU on with the tables of `tables`.
    void enable_mmu() {
        cpu.translation.tcr = tables.regs.tcr | uint64_t{1} << 36;
        cpu.translation.ttbr0 = tables.regs.ttbr0;
        cpu.translation.ttbr1 = tables.regs.ttbr1;
        cpu.translation.mair = tables.regs.mair;
        cpu.translation.sctlr |= 1;
        cpu.translation.update();
        update_translation_flags(cpu);
    }

    mmu::test::PageTables tables;
    FakeEnvironment environment;
    std::unique_ptr<jit::GuestState> state;
    Cpu cpu;
};

namespace reg {
inline constexpr uint32_t sctlr = sysreg_encoding(3, 0, 1, 0, 0), cpacr = sysreg_encoding(3, 0, 1, 0, 2),
                          ttbr0 = sysreg_encoding(3, 0, 2, 0, 0), ttbr1 = sysreg_encoding(3, 0, 2, 0, 1),
                          tcr = sysreg_encoding(3, 0, 2, 0, 2), mair = sysreg_encoding(3, 0, 10, 2, 0),
                          vbar = sysreg_encoding(3, 0, 12, 0, 0), esr = sysreg_encoding(3, 0, 5, 2, 0),
                          far = sysreg_encoding(3, 0, 6, 0, 0), par = sysreg_encoding(3, 0, 7, 4, 0),
                          mdscr = sysreg_encoding(2, 0, 0, 2, 2), oslar = sysreg_encoding(2, 0, 1, 0, 4),
                          oslsr = sysreg_encoding(2, 0, 1, 1, 4), cntkctl = sysreg_encoding(3, 0, 14, 1, 0),
                          cntfrq = sysreg_encoding(3, 3, 14, 0, 0), cntpct = sysreg_encoding(3, 3, 14, 0, 1),
                          cntvct = sysreg_encoding(3, 3, 14, 0, 2),
                          cntv_ctl = sysreg_encoding(3, 3, 14, 3, 1),
                          cntp_cval = sysreg_encoding(3, 3, 14, 2, 2), daif = sysreg_encoding(3, 3, 4, 2, 1),
                          sp_el0 = sysreg_encoding(3, 0, 4, 1, 0), spsel = sysreg_encoding(3, 0, 4, 2, 0),
                          pan = sysreg_encoding(3, 0, 4, 2, 3), current_el = sysreg_encoding(3, 0, 4, 2, 2),
                          nzcv = sysreg_encoding(3, 3, 4, 2, 0), fpcr = sysreg_encoding(3, 3, 4, 4, 0),
                          fpsr = sysreg_encoding(3, 3, 4, 4, 1), ctr = sysreg_encoding(3, 3, 0, 0, 1),
                          dczid = sysreg_encoding(3, 3, 0, 0, 7), midr = sysreg_encoding(3, 0, 0, 0, 0),
                          mpidr = sysreg_encoding(3, 0, 0, 0, 5), pfr0 = sysreg_encoding(3, 0, 0, 4, 0),
                          isr = sysreg_encoding(3, 0, 12, 1, 0), pmcr = sysreg_encoding(3, 3, 9, 12, 0),
                          pmcntenset = sysreg_encoding(3, 3, 9, 12, 1),
                          pmcntenclr = sysreg_encoding(3, 3, 9, 12, 2),
                          pmovsclr = sysreg_encoding(3, 3, 9, 12, 3),
                          pmccntr = sysreg_encoding(3, 3, 9, 13, 0), pmselr = sysreg_encoding(3, 3, 9, 12, 5),
                          pmxevtyper = sysreg_encoding(3, 3, 9, 13, 1),
                          pmuserenr = sysreg_encoding(3, 3, 9, 14, 0),
                          pmccfiltr = sysreg_encoding(3, 3, 14, 15, 7),
                          pmswinc = sysreg_encoding(3, 3, 9, 12, 4),
                          pmintenset = sysreg_encoding(3, 0, 9, 14, 1),
                          pmintenclr = sysreg_encoding(3, 0, 9, 14, 2),
                          pmovsset = sysreg_encoding(3, 3, 9, 14, 3),
                          pmxevcntr = sysreg_encoding(3, 3, 9, 13, 2),
                          pmceid0 = sysreg_encoding(3, 3, 9, 12, 6), pmmir = sysreg_encoding(3, 0, 9, 14, 6),
                          tpidr_el0 = sysreg_encoding(3, 3, 13, 0, 2),
                          tpidrro = sysreg_encoding(3, 3, 13, 0, 3),
                          tpidr_el1 = sysreg_encoding(3, 0, 13, 0, 4),
                          icc_sre = sysreg_encoding(3, 0, 12, 12, 5),
                          scxtnum_el0 = sysreg_encoding(3, 3, 13, 0, 7);
constexpr uint32_t pmevcntr(unsigned n) { return sysreg_encoding(3, 3, 14, 8, n); }
constexpr uint32_t pmevtyper(unsigned n) { return sysreg_encoding(3, 3, 14, 12, n); }
}  // namespace reg

}  // namespace arclight::frontend::a64::test
