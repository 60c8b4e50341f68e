// Guests that take their code out without end: what describes it does not grow with it, and a CPU that still executes
// such code has what it needs of it.
#include <gtest/gtest.h>

#include "tests/guestos/machine/test_machine.h"

namespace arclight::guestos {
namespace {

using namespace insn;
using M = TestMachine;

constexpr uint64_t kSled = M::kRam + 0x4'0000, kOtherSled = M::kRam + 0x8'0000;
constexpr uint64_t kSyncVector = M::kVectors + 0x200;  // EL1, SP_EL1
constexpr unsigned kBlocks = 500;
constexpr uint64_t kRounds = 60;
constexpr uint32_t kIcIallu = 0xd508'751f;
constexpr uint32_t sub(unsigned d, unsigned n, unsigned imm) { return 0xd100'0000 | imm << 10 | n << 5 | d; }

/// The program at kRam: x2 = 0; calls the sled at `sled` `rounds` times, which counts its blocks in x2; tells the device
/// x2 and stops the machine, or goes on.
void write_program(M& m, uint64_t pa, uint64_t sled, uint64_t rounds, bool forgets, bool stops) {
    std::vector<uint32_t> code;
    M::put_constant(code, 9, M::kDevice);
    M::put_constant(code, 10, M::kVectors);
    code.push_back(msr_vbar(10));
    M::put_constant(code, 11, sled);
    M::put_constant(code, 3, rounds);
    code.push_back(movz(2, 0));
    code.insert(code.end(), {blr(11), forgets ? kIcIallu : kNop, kDsb, kIsb, sub(3, 3, 1), cbz(3, 2), b(-6)});
    if (stops)
        code.insert(code.end(), {str(2, 9), str(9, 9, 8), b(0)});
    else
        code.push_back(b(-static_cast<int>(code.size())));
    m.write(pa, code);
    code.clear();
    for (unsigned i = 0; i < kBlocks; ++i) code.insert(code.end(), {add(2, 2, 1), cbz(31, 1)});
    code.push_back(kRet);
    m.write(sled, code);
}

void expect_bounded(M& m, uint64_t blocks_at_once) {
    const jit::EngineStats stats = m.engine.stats();
    EXPECT_GT(stats.invalidated, kRounds / 2 * kBlocks);
    EXPECT_EQ(stats.flushes, 0u) << "then this says nothing";
    EXPECT_LT(stats.described_blocks, blocks_at_once);
    EXPECT_LE(stats.described_bytes, m.engine.max_description_bytes());
}

TEST(RetiredCode, IsFreedOnceItsCpuHasLeftTranslatedCode) {
    M m(1, size_t{64} << 20);
    write_program(m, M::kRam, kSled, kRounds, true, true);
    m.group.cpu(0).power_on(M::kRam, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (std::vector<uint64_t>{kRounds * kBlocks}));
    expect_bounded(m, 6 * kBlocks);
}

TEST(RetiredCode, IsFreedWhileOtherCpusRunIt) {
    M m(3, size_t{64} << 20);
    write_program(m, M::kRam, kSled, kRounds, true, true);
    write_program(m, M::kRam + 0x2000, kSled, 1000, false, false);  // the same code, and code of its own
    write_program(m, M::kRam + 0x3000, kOtherSled, 1000, true, false);
    m.group.cpu(0).power_on(M::kRam, 0);
    m.group.cpu(1).power_on(M::kRam + 0x2000, 0);
    m.group.cpu(2).power_on(M::kRam + 0x3000, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (std::vector<uint64_t>{kRounds * kBlocks}));
    expect_bounded(m, 48 * kBlocks);  // a CPU that has lost its core holds what the others retire meanwhile
}

/// A CPU that halts inside helpers and comes back does not hold up the others' blocks.
TEST(RetiredCode, IsFreedWhileAnotherCpuHalts) {
    constexpr uint64_t kWait = M::kRam + 0x2000;
    M m(2, size_t{64} << 20);
    write_program(m, M::kRam, kSled, kRounds, true, true);
    m.write(kWait, {kWfi, b(-1)});
    m.group.cpu(0).power_on(M::kRam, 0);
    m.group.cpu(1).power_on(kWait, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (std::vector<uint64_t>{kRounds * kBlocks}));
    expect_bounded(m, 6 * kBlocks);
}

/// The block that takes itself out faults behind that: the guest's registers come from its description.
TEST(RetiredCode, FaultsWithTheGuestsExactState) {
    constexpr unsigned kFaults = 2000;
    constexpr unsigned kUnmapped = 8;  // no RAM and no device is there
    M m;
    std::vector<uint32_t> code;
    M::put_constant(code, 9, M::kDevice);
    M::put_constant(code, 10, M::kVectors);
    code.push_back(msr_vbar(10));
    M::put_constant(code, 3, kFaults);
    code.insert(code.end(),
                {movz(2, 0), movz(kUnmapped, 0x100), add(2, 2, 1), kIcIallu, add(4, 2, 5), ldr(5, kUnmapped),
                 add(2, 4, 0), sub(2, 2, 5), sub(3, 3, 1), cbz(3, 2), b(-8), str(2, 9), str(9, 9, 8), b(0)});
    m.write(M::kRam, code);
    // Skips the access, if x4 is what was computed before it.
    m.write(kSyncVector, {mrs_elr(6), add(6, 6, 4), 0xd518'4020 | 6, 0xcb02'0087 /* x7 = x4 - x2 */,
                          sub(7, 7, 5), cbz(7, 3), str(7, 9), str(9, 9, 8), kEret});
    m.group.cpu(0).power_on(M::kRam, 0);
    ASSERT_TRUE(m.run());
    EXPECT_EQ(m.device.values, (std::vector<uint64_t>{kFaults}));
    const jit::EngineStats stats = m.engine.stats();
    EXPECT_LT(stats.described_blocks, 1000u);
}

}  // namespace
}  // namespace arclight::guestos
