// The performance monitors, on a CPU whose environment says how many cycles have passed.
#include "frontend/a64/system/pmu.h"

#include <bit>

#include "tests/frontend/system/test_cpu.h"

namespace arclight::frontend::a64 {
namespace {

using namespace test;
using Kind = SystemResult::Kind;

constexpr uint64_t kC = uint64_t{1} << 31;
constexpr uint64_t kSoftware = 0x00, kInstructions = 0x08, kCpuCycles = 0x11;
constexpr uint64_t kNotAtEl1 = uint64_t{1} << 31, kNotAtEl0 = uint64_t{1} << 30;

class PmuTest : public SystemTest {
  protected:
    Kind try_read(uint32_t encoding) {
        uint64_t value;
        return read_sysreg(cpu, encoding, value).kind;
    }
    Kind try_write(uint32_t encoding) { return write_sysreg(cpu, encoding, 0).kind; }
    void pass(uint64_t cycles, uint64_t instructions = 0) {
        environment.cycle += cycles;
        state->instructions += instructions;
    }
    bool counted() const { return (state->translation_flags & translation_flag::kCount) != 0; }
};

TEST_F(PmuTest, CyclesAreCountedWhileEnabled) {
    EXPECT_EQ(read(reg::pmcr) >> 11 & 31, 6u);
    pass(100);
    EXPECT_EQ(read(reg::pmccntr), 0u);
    write(reg::pmcr, 1);
    pass(100);
    EXPECT_EQ(read(reg::pmccntr), 0u);
    write(reg::pmcntenset, ~uint64_t{0});
    EXPECT_EQ(read(reg::pmcntenset), kC | 0x3f);
    EXPECT_EQ(read(reg::pmcntenclr), kC | 0x3f);
    pass(100);
    EXPECT_EQ(read(reg::pmccntr), 100u);
    write(reg::pmcntenclr, kC);
    pass(100);
    EXPECT_EQ(read(reg::pmccntr), 100u);
    write(reg::pmcr, 1 << 2);  // C
    EXPECT_EQ(read(reg::pmccntr), 0u);
}

TEST_F(PmuTest, EventsAreThoseOfPmceid) {
    const uint64_t listed = read(reg::pmceid0);
    EXPECT_EQ(listed, 1u << kSoftware | 1u << kInstructions | 1u << kCpuCycles);
    write(reg::pmcr, 1);
    write(reg::pmcntenset, 1);
    for (uint64_t event = 0; event < 0x420; ++event) {
        write(reg::pmevtyper(0), event);
        EXPECT_EQ(read(reg::pmevtyper(0)), event);
        write(reg::pmevcntr(0), 0);
        pass(50, 7);
        write(reg::pmswinc, 1);
        const uint64_t expected = event == kSoftware       ? 1
                                  : event == kInstructions ? 7
                                  : event == kCpuCycles    ? 50
                                                           : 0;
        EXPECT_EQ(read(reg::pmevcntr(0)), expected) << event;
        EXPECT_EQ(expected != 0, event < 32 && (listed >> event & 1) != 0) << event;
    }
}

// The six are alike and independent, by number and by PMSELR.
TEST_F(PmuTest, SixCounters) {
    for (unsigned n = 0; n < 6; ++n) {
        write(reg::pmevtyper(n), n % 2 == 0 ? kCpuCycles : kNotAtEl0 | kInstructions);
        write(reg::pmevcntr(n), 0xffff'ffff'0000'0000 | n);
    }
    write(reg::pmcntenset, 0x3f & ~(1u << 4));
    write(reg::pmcr, 1);
    pass(1000, 300);
    for (unsigned n = 0; n < 6; ++n) {
        const uint64_t expected = (0xffff'ffff'0000'0000 | n) + (n == 4 ? 0 : n % 2 == 0 ? 1000 : 300);
        EXPECT_EQ(read(reg::pmevcntr(n)), expected) << n;
        write(reg::pmselr, n);
        EXPECT_EQ(read(reg::pmxevcntr), expected) << n;
        EXPECT_EQ(read(reg::pmxevtyper), n % 2 == 0 ? kCpuCycles : kNotAtEl0 | kInstructions) << n;
        write(reg::pmxevcntr, 5);
        EXPECT_EQ(read(reg::pmevcntr(n)), 5u);
    }
    for (const uint64_t none : {6u, 30u, 31u}) {
        write(reg::pmselr, none);
        write(reg::pmxevcntr, 99);
        EXPECT_EQ(read(reg::pmxevcntr), 0u);
    }
    write(reg::pmcr, 1 << 1);  // P
    for (unsigned n = 0; n < 6; ++n) EXPECT_EQ(read(reg::pmevcntr(n)), 0u);
    EXPECT_EQ(try_read(reg::pmevcntr(6)), Kind::Undefined);
    EXPECT_EQ(try_write(reg::pmevtyper(6)), Kind::Undefined);
}

TEST_F(PmuTest, SoftwareIncrement) {
    write(reg::pmevtyper(1), kSoftware);
    write(reg::pmevtyper(2), kSoftware | kNotAtEl1);
    write(reg::pmevtyper(3), kCpuCycles);
    write(reg::pmswinc, 0xf);
    EXPECT_EQ(read(reg::pmevcntr(1)), 0u) << "disabled";
    write(reg::pmcntenset, 0xe);
    write(reg::pmcr, 1);
    write(reg::pmswinc, 0xe | kC);
    write(reg::pmswinc, 0x2);
    EXPECT_EQ(read(reg::pmevcntr(1)), 2u);
    EXPECT_EQ(read(reg::pmevcntr(2)), 0u) << "not at EL1";
    EXPECT_EQ(read(reg::pmevcntr(3)), 0u);
    EXPECT_EQ(read(reg::pmccntr), 0u);
}

// The line is up exactly while E, the overflow and its enable are, whoever shows or changes one of them.
TEST_F(PmuTest, OverflowAndInterrupt) {
    struct Row {
        uint64_t bit, type;
    };
    for (const Row row : {Row{1, kCpuCycles}, Row{4, kInstructions}, Row{32, kSoftware}, Row{kC, 0}}) {
        const uint64_t bit = row.bit, type = row.type;
        cpu.reset(0);
        const auto n = static_cast<unsigned>(std::countr_zero(bit));
        const auto set = [&](uint64_t value) {
            bit == kC ? write(reg::pmccntr, value) : write(reg::pmevcntr(n), value);
        };
        const auto get = [&] { return bit == kC ? read(reg::pmccntr) : read(reg::pmevcntr(n)); };
        const auto count = [&](unsigned times) {
            type == kCpuCycles || bit == kC ? pass(times) : type == kInstructions ? pass(0, times) : void();
            if (bit != kC && type == kSoftware)
                for (unsigned i = 0; i < times; ++i) write(reg::pmswinc, bit);
        };
        const uint64_t top = bit == kC ? ~uint64_t{0} : 0xffff'ffff;
        if (bit != kC) write(reg::pmevtyper(n), type);
        set(top - 2);
        write(reg::pmcntenset, bit);
        write(reg::pmintenset, bit);
        write(reg::pmcr, 1);
        count(2);
        EXPECT_EQ(get(), top);
        EXPECT_EQ(read(reg::pmovsset), 0u);
        EXPECT_FALSE(environment.pmu_level);
        count(1);
        EXPECT_EQ(get(), bit == kC ? 0 : top + 1) << "the upper half of an event counter goes on";
        EXPECT_TRUE(environment.pmu_level) << "with the read that shows it";
        EXPECT_EQ(read(reg::pmovsset), bit);
        EXPECT_EQ(read(reg::pmovsclr), bit);
        write(reg::pmcr, 0);
        EXPECT_FALSE(environment.pmu_level);
        write(reg::pmcr, 1);
        EXPECT_TRUE(environment.pmu_level);
        write(reg::pmintenclr, bit);
        EXPECT_EQ(read(reg::pmintenset), 0u);
        EXPECT_FALSE(environment.pmu_level);
        write(reg::pmintenset, bit);
        EXPECT_TRUE(environment.pmu_level);
        write(reg::pmovsclr, ~bit);
        EXPECT_TRUE(environment.pmu_level);
        write(reg::pmovsclr, bit);
        EXPECT_FALSE(environment.pmu_level);
        EXPECT_EQ(read(reg::pmovsset), 0u);
        write(reg::pmovsset, bit);
        EXPECT_TRUE(environment.pmu_level) << "set by software";
        cpu.reset(0);
        EXPECT_FALSE(environment.pmu_level);
    }
}

// PMCR_EL0.LP (FEAT_PMUv3p5): all 64 bits, for which the environment looks as well.
TEST_F(PmuTest, LongEventCounters) {
    constexpr uint64_t kEnableLong = 1 | 1 << 7;
    write(reg::pmevtyper(0), kCpuCycles);
    write(reg::pmevcntr(0), 0xffff'fffe);
    write(reg::pmintenset, 1);
    write(reg::pmcntenset, 1);
    write(reg::pmcr, kEnableLong);
    EXPECT_EQ(read(reg::pmcr) & 0xff, kEnableLong | 1 << 6);
    pass(100);
    EXPECT_EQ(read(reg::pmevcntr(0)), 0x1'0000'0062u);
    EXPECT_EQ(read(reg::pmovsset), 0u);
    write(reg::pmevcntr(0), ~uint64_t{0} - 9);
    EXPECT_EQ(environment.pmu_look, 10u);
    pass(9);
    EXPECT_EQ(read(reg::pmovsset), 0u);
    pass(3);
    EXPECT_EQ(read(reg::pmevcntr(0)), 2u);
    EXPECT_EQ(read(reg::pmovsset), 1u);
    EXPECT_TRUE(environment.pmu_level);
    EXPECT_EQ(read(reg::pmmir), 0u) << "no event of slots";
}

TEST_F(PmuTest, ModelsWithShortCounters) {
    Cpu old(*state, environment, tables.memory(), {.features = kDefaultFeatures.without(Feature::Pmu1)});
    old.reset(0);
    const auto get = [&](uint32_t encoding) {
        uint64_t value = ~uint64_t{0};
        EXPECT_TRUE(read_sysreg(old, encoding, value).ok());
        return value;
    };
    const auto set = [&](uint32_t encoding, uint64_t value) {
        EXPECT_TRUE(write_sysreg(old, encoding, value).ok());
    };
    set(reg::pmevtyper(0), 0xfc00 | kCpuCycles);
    EXPECT_EQ(get(reg::pmevtyper(0)), kCpuCycles) << "events of 10 bits";
    set(reg::pmevcntr(0), 0x7'ffff'fffe);
    EXPECT_EQ(get(reg::pmevcntr(0)), 0xffff'fffeu);
    set(reg::pmcntenset, 1);
    set(reg::pmcr, 1 | 1 << 7);
    EXPECT_EQ(get(reg::pmcr) & 0x80, 0u) << "no LP";
    pass(5);
    EXPECT_EQ(get(reg::pmevcntr(0)), 3u);
    EXPECT_EQ(get(reg::pmovsset), 1u);
    uint64_t value;
    EXPECT_EQ(read_sysreg(old, reg::pmmir, value).kind, Kind::Undefined);
}

// Nobody reads anything: the environment is told when to look.
TEST_F(PmuTest, AsksToBeLookedAtBeforeAnOverflow) {
    write(reg::pmevtyper(0), kCpuCycles);
    write(reg::pmevcntr(0), 0xffff'ffff - 999);
    write(reg::pmcntenset, 1 | kC);
    write(reg::pmcr, 1);
    EXPECT_EQ(environment.pmu_look, 0u) << "without an interrupt there is nothing to look for";
    write(reg::pmintenset, 1 | kC);
    EXPECT_EQ(environment.pmu_look, 1000u);
    pass(600);
    pmu_update(cpu);
    EXPECT_EQ(environment.pmu_look, 400u);
    write(reg::pmccntr, ~uint64_t{0} - 99);
    EXPECT_EQ(environment.pmu_look, 100u);
    pass(400);
    pmu_update(cpu);
    EXPECT_TRUE(environment.pmu_level);
    EXPECT_EQ(read(reg::pmovsset), 1 | kC);

    write(reg::pmovsclr, 1 | kC);
    write(reg::pmcntenclr, 1 | kC);
    write(reg::pmevtyper(1), kInstructions);
    write(reg::pmevcntr(1), 0xffff'ffff - 999'999);
    write(reg::pmintenset, 2);
    write(reg::pmcntenset, 2);
    EXPECT_EQ(environment.pmu_look, 500'000u) << "two in a nanosecond at most";
    pass(500'000, 999'999);
    pmu_update(cpu);
    EXPECT_GE(environment.pmu_look, 1000u) << "not all the time";
    EXPECT_LE(environment.pmu_look, 100'000u);
}

// Translated code counts instructions only where somebody wants to know.
TEST_F(PmuTest, InstructionsAreCountedOnDemand) {
    EXPECT_FALSE(counted());
    write(reg::pmevtyper(2), kInstructions | kNotAtEl1);
    write(reg::pmcntenset, 4 | kC);
    write(reg::pmcr, 1);
    EXPECT_FALSE(counted());
    enter_el0();
    EXPECT_TRUE(counted());
    pass(10, 40);
    take_svc(cpu, 0, 0);
    EXPECT_FALSE(counted());
    pass(10, 1000);
    EXPECT_EQ(read(reg::pmevcntr(2)), 40u);
    write(reg::pmevtyper(2), kInstructions);
    EXPECT_TRUE(counted());
    write(reg::pmcr, 0);
    EXPECT_FALSE(counted());
    write(reg::pmcr, 1);
    EXPECT_TRUE(counted());
    write(reg::pmcntenclr, 4);
    EXPECT_FALSE(counted());

    Cpu always(*state, environment, tables.memory(), {.count_instructions = true});
    always.reset(0);
    EXPECT_TRUE(counted());
}

TEST_F(PmuTest, FilterByExceptionLevel) {
    write(reg::pmselr, 31);
    write(reg::pmxevtyper, ~uint64_t{0});
    EXPECT_EQ(read(reg::pmccfiltr), kNotAtEl1 | kNotAtEl0);
    write(reg::pmccfiltr, kNotAtEl1);
    write(reg::pmevtyper(0), kCpuCycles | kNotAtEl0);
    write(reg::pmevtyper(1), kCpuCycles);
    write(reg::pmcr, 1);
    write(reg::pmcntenset, kC | 3);
    pass(10);
    write(reg::pmuserenr, 1);
    enter_el0();
    pass(200);
    EXPECT_EQ(read(reg::pmccntr), 200u);
    take_svc(cpu, 0, 0);
    pass(3000);
    EXPECT_EQ(read(reg::pmccntr), 200u);
    EXPECT_EQ(read(reg::pmevcntr(0)), 3010u);
    EXPECT_EQ(read(reg::pmevcntr(1)), 3210u);
}

TEST_F(PmuTest, UserAccess) {
    struct {
        uint64_t userenr;
        bool read_cycles, write_cycles, read_count, write_count, read_select, software_increment, control;
    } const rows[] = {
        {0, false, false, false, false, false, false, false},
        {1, true, true, true, true, true, true, true},
        {2, false, false, false, false, false, true, false},
        {4, true, false, false, false, false, false, false},
        {8, false, false, true, false, true, false, false},
    };
    enter_el0();
    for (const auto& row : rows) {
        cpu.registers.pmu.userenr = row.userenr;
        EXPECT_EQ(try_read(reg::pmccntr) == Kind::Ok, row.read_cycles) << row.userenr;
        EXPECT_EQ(try_write(reg::pmccntr) == Kind::Ok, row.write_cycles) << row.userenr;
        for (const uint32_t count : {reg::pmxevcntr, reg::pmevcntr(0), reg::pmevcntr(5)}) {
            EXPECT_EQ(try_read(count) == Kind::Ok, row.read_count) << row.userenr;
            EXPECT_EQ(try_write(count) == Kind::Ok, row.write_count) << row.userenr;
        }
        EXPECT_EQ(try_read(reg::pmselr) == Kind::Ok, row.read_select) << row.userenr;
        EXPECT_EQ(try_write(reg::pmswinc) == Kind::Ok, row.software_increment) << row.userenr;
        for (const uint32_t control : {reg::pmcr, reg::pmevtyper(3), reg::pmccfiltr, reg::pmovsset}) {
            EXPECT_EQ(try_read(control) == Kind::Ok, row.control) << row.userenr;
            EXPECT_EQ(try_write(control) == Kind::Ok, row.control) << row.userenr;
        }
        EXPECT_EQ(try_read(reg::pmuserenr), Kind::Ok);
        EXPECT_EQ(try_read(reg::pmintenset), Kind::Undefined);
    }
}

}  // namespace
}  // namespace arclight::frontend::a64
