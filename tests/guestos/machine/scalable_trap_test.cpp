// CPACR_EL1.ZEN has SVE trap and not trap, as Linux does at each system call: exactly at the instruction, and without code being
// translated again.
#include <gtest/gtest.h>

#include "frontend/a64/system/syndrome.h"
#include "tests/guestos/machine/test_machine.h"

namespace arclight::guestos {
namespace {

using namespace insn;
using M = TestMachine;
using Values = std::vector<uint64_t>;

constexpr uint64_t kCode = M::kRam, kUser = M::kRam + 0x4000, kFunction = M::kRam + 0x5000;
constexpr uint64_t kFromSpEl1 = M::kVectors + 0x200, kFromEl0 = M::kVectors + 0x400;
constexpr unsigned kEcShift = 26;
constexpr unsigned kSveEc = 0x19;
/// With FPEN: SVE traps at EL0, or everywhere, or not.
constexpr unsigned kTrapEl0 = 0x31, kTrapAll = 0x30, kTrapNone = 0x33;

constexpr uint32_t msr_cpacr(unsigned t) { return 0xd518'1040 | t; }
constexpr uint32_t msr_zcr(unsigned t) { return 0xd518'1200 | t; }
constexpr uint32_t msr_elr(unsigned t) { return 0xd518'4020 | t; }
constexpr uint32_t msr_spsr(unsigned t) { return 0xd518'4000 | t; }
constexpr uint32_t lsr(unsigned d, unsigned n, unsigned by) { return 0xd340'fc00 | by << 16 | n << 5 | d; }
constexpr uint32_t sub_imm(unsigned d, unsigned n, unsigned imm) {
    return 0xd100'0000 | imm << 10 | n << 5 | d;
}
constexpr uint32_t cbnz(unsigned t, int words) { return cbz(t, words) | 1u << 24; }
constexpr uint32_t cntb(unsigned d) { return 0x0420'e3e0 | d; }
/// dup z0.d, x1; mov v0.16b, v0.16b; mov x2, v0.d[1]; last element of z0: lastb x3, p0, z0.d behind ptrue p0.d
constexpr uint32_t kDup = 0x05e0'3820, kMovV = 0x4ea0'1c00, kPtrue = 0x25d8'e3e0, kLast = 0x05e1'a003;

struct ScalableTrap : testing::Test {
    M m{1, size_t{8} << 20, {}, false, frontend::a64::kScalableFeatures};
    Vcpu& cpu = m.group.cpu(0);
};

TEST_F(ScalableTrap, IsTakenInTheMiddleOfABlock) {
    // With an instruction of SVE before, which has not trapped, and others in its block.
    m.write_program(kCode, {movz(1, kTrapNone, 16), msr_cpacr(1), movz(2, 3), msr_zcr(2), movz(5, 7), cntb(3),
                            add(5, 5, 1), movz(1, kTrapAll, 16), msr_cpacr(1), add(5, 5, 1), cntb(4),
                            add(5, 5, 1), str(5, 9), str(3, 9), str(4, 9), str(9, 9, 8), b(0)});
    m.write(kFromSpEl1, {mrs_esr(6), lsr(6, 6, kEcShift), str(6, 9), mrs_elr(6), str(6, 9), str(4, 9),
                         str(5, 9), movz(1, kTrapNone, 16), msr_cpacr(1), kEret});
    cpu.power_on(kCode, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{kSveEc, M::word(kCode, 10), 0, 9, 10, 64, 64}));
}

/// EL0 calls a function of SVE instructions, and the kernel, which has SVE trap until the next of them, in turns.
struct Flips {
    uint64_t traps, blocks, lookups;
};
Flips flip(unsigned rounds) {
    M m{1, size_t{8} << 20, {}, false, frontend::a64::kScalableFeatures};
    Vcpu& cpu = m.group.cpu(0);
    std::vector<uint32_t> code;
    M::put_constant(code, 9, M::kDevice);
    M::put_constant(code, 10, M::kVectors);
    M::put_constant(code, 11, kFunction);
    M::put_constant(code, 12, kUser);
    M::put_constant(code, 13, rounds);
    code.insert(code.end(), {msr_vbar(10), movz(1, kTrapEl0, 16), msr_cpacr(1), movz(1, 0), msr_spsr(1),
                             msr_elr(12), kEret});
    m.write(kCode, code);
    // x14: traps, x15: turns of the loop, x16: what the function has counted.
    m.write(kUser, {svc(0), blr(11), blr(11), add(15, 15, 1), sub_imm(13, 13, 1), cbnz(13, -5), str(14, 9),
                    str(15, 9), str(16, 9), str(9, 9, 8), b(0)});
    m.write(kFunction, {add(16, 16, 1), cntb(3), kPtrue, kDup, kRet});
    // An SVC has the exception class 0x15.
    m.write(kFromEl0, {mrs_esr(6), lsr(6, 6, kEcShift), sub_imm(6, 6, 0x15), movz(1, kTrapEl0, 16), cbz(6, 3),
                       movz(1, kTrapNone, 16), add(14, 14, 1), msr_cpacr(1), kEret});
    cpu.power_on(kCode, 0);
    EXPECT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{rounds, rounds, 2 * rounds}));
    const VcpuStats& stats = cpu.stats();
    return {m.device.values.at(0), m.engine.stats().blocks, stats.lookups_direct + stats.lookups_indirect};
}

TEST(ScalableTraps, HaveNothingTranslatedAgain) {
    const Flips few = flip(2), many = flip(400);
    EXPECT_EQ(many.blocks, few.blocks);
    // Those of EL0 that are executed while SVE traps, and while not, would be more.
    EXPECT_LE(many.blocks, 12u);
    EXPECT_LE(many.lookups, few.lookups + 20) << "of 2400 branches to registers";
}

TEST_F(ScalableTrap, WhatIsAboveVectorsIsZeroBehindWritesOfThem) {
    // While SVE traps the upper part may be kept or cleared: it is cleared, as in the code that runs when it does not.
    m.write_program(kCode, {movz(1, kTrapNone, 16), msr_cpacr(1), movz(2, 3), msr_zcr(2), kPtrue, kDup, kLast,
                            str(3, 9), movz(2, kTrapAll, 16), msr_cpacr(2), kMovV, msr_cpacr(1), kLast,
                            str(3, 9), str(9, 9, 8), b(0)});
    cpu.power_on(kCode, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (Values{uint64_t{kTrapNone} << 16, 0}));
}

}  // namespace
}  // namespace arclight::guestos
