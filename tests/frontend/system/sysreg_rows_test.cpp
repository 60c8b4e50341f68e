// The columns of sysregs.inc: what a row says of a register is how it behaves.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/system/sysregs.h"
#include "frontend/a64/translate/translator.h"
#include "jit/host_fp.h"
#include "tests/frontend/system/test_cpu.h"

namespace arclight::frontend::a64 {
namespace {

using namespace test;
using Kind = SystemResult::Kind;
using SysregRows = SystemTest;

constexpr uint32_t kKernel = translation_flag::kEl1 | translation_flag::kSpElx, kNop = 0xd503201f;

uint32_t msr(const SysregRow& row) { return 0xd510'0001 | (row.encoding & 0x7fffu) << 5; }
uint32_t mrs(const SysregRow& row) { return 0xd530'0001 | (row.encoding & 0x7fffu) << 5; }

const Decoder& full_decoder() {
    static const Decoder decoder(kDefaultFeatures.with(Feature::Sve));
    return decoder;
}
ir::Block translate(uint32_t insn, const Decoder& decoder = full_decoder()) {
    ir::Block block;
    translate_block(block, std::vector{insn, kNop}, 0x40, kKernel, 2, decoder);
    return block;
}
bool calls(const ir::Block& block, Helper helper) {
    return std::ranges::any_of(block.insts, [&](const ir::Inst& i) {
        return i.op == ir::Op::CallRuntime && i.imm == static_cast<uint64_t>(helper);
    });
}
bool undefined(const ir::Block& block) {
    const ir::Inst& last = block.insts.back();
    return last.op == ir::Op::ExitRuntime && last.imm == static_cast<uint64_t>(jit::ExitReason::Undefined);
}

TEST_F(SysregRows, ResetIsWhatTheRowSays) {
    for (const SysregRow& row : sysreg_rows())
        if (row.write != nullptr) row.write(cpu, row, ~uint64_t{0});
    cpu.reset(0x1000);
    unsigned with_reset = 0;
    for (const SysregRow& row : sysreg_rows()) {
        if (!row.reset || row.read == nullptr) continue;
        ++with_reset;
        EXPECT_EQ(row.read(cpu, row), *row.reset) << row.name;
    }
    EXPECT_GT(with_reset, 80u);
}

// Of the values after a cold reset, those that are not zero.
TEST_F(SysregRows, ResetValues) {
    const std::map<std::string, uint64_t> expected = {
        {"SCTLR_EL1", 0x30c5'0998}, {"DAIF", 0x3c0},    {"SPSel", 1},
        {"CurrentEL", 4},           {"DCZID_EL0", 4},   {"PMCR_EL0", 0x3040},
        {"PMCEID0_EL0", 0x2'0101},  {"OSLSR_EL1", 0xa}, {"DBGCLAIMSET_EL1", 0xff},
        {"TCO", 1 << 25},
    };
    for (const SysregRow& row : sysreg_rows()) {
        if (!row.reset) continue;
        const auto nonzero = expected.find(row.name);
        EXPECT_EQ(*row.reset, nonzero == expected.end() ? 0 : nonzero->second) << row.name;
    }
}

/// What of sysreg_io a write was seen to do.
uint8_t observed(Cpu& cpu, FakeEnvironment& environment, const SysregRow& row, uint64_t value) {
    environment = {};
    const uint32_t flags = cpu.state.translation_flags, exceptions = jit::host_fp::exceptions(cpu.state);
    const auto rounding = jit::host_fp::rounding(cpu.state);
    row.write(cpu, row, value);
    uint8_t io = sysreg_io::kNone;
    if (cpu.state.translation_flags != flags) io |= sysreg_io::kFlags;
    if (environment.context_changes != 0) io |= sysreg_io::kContext;
    if (environment.translation_changes != 0) io |= sysreg_io::kTlb;
    if (environment.unmaskings != 0) io |= sysreg_io::kUnmask;
    if (jit::host_fp::exceptions(cpu.state) != exceptions || jit::host_fp::rounding(cpu.state) != rounding)
        io |= sysreg_io::kHostFp;
    if (!environment.timer_writes.empty()) io |= sysreg_io::kOutside;
    return io;
}

TEST_F(SysregRows, WritesDoWhatTheRowSaysAndNoMore) {
    for (const SysregRow& row : sysreg_rows()) {
        if (row.write == nullptr) continue;
        uint8_t seen = 0;
        cpu.reset(0x1000);
        cpu.registers.os_lock = false;
        cpu.registers.dbgbcr[5] = 0x1e7;  // so that it matters when debug events are enabled
        jit::host_fp::set_exceptions(cpu.state, jit::softfloat::kIoc);  // a write of FPSR clears it
        for (unsigned n = 0; n < 64; ++n) seen |= observed(cpu, environment, row, uint64_t{1} << n);
        for (const uint64_t value : {~uint64_t{0}, uint64_t{0}, ~uint64_t{0}})
            seen |= observed(cpu, environment, row, value);
        EXPECT_EQ(seen & ~row.io, 0) << row.name << " does what its row does not say";
        constexpr uint8_t kAlwaysSeen =
            sysreg_io::kContext | sysreg_io::kTlb | sysreg_io::kUnmask | sysreg_io::kHostFp;
        EXPECT_EQ(row.io & kAlwaysSeen & ~seen, 0) << row.name << " does not do what its row says";
    }
}

TEST_F(SysregRows, WritesEndTheBlockWhereTheRowSays) {
    for (const SysregRow& row : sysreg_rows()) {
        if ((row.access & sysreg_access::kWrite1) == 0 || row.feature == Feature::Fp) continue;
        const ir::Block block = translate(msr(row));
        const bool inlined = row.inlined == SysregInline::Field || row.inlined == SysregInline::Nzcv ||
                             row.inlined == SysregInline::SpEl0;
        EXPECT_EQ(calls(block, Helper::WriteSysreg), !inlined) << row.name;
        EXPECT_EQ(block.guest_insns, inlined || !row.ends_block ? 2u : 1u) << row.name;
    }
}

TEST_F(SysregRows, ReadsAreInlineWhereTheRowSays) {
    for (const SysregRow& row : sysreg_rows()) {
        if ((row.access & sysreg_access::kRead1) == 0) continue;
        const bool inlined = row.inlined != SysregInline::None && row.inlined != SysregInline::Fpsr;
        EXPECT_EQ(calls(translate(mrs(row)), Helper::ReadSysreg), !inlined) << row.name;
    }
}

TEST_F(SysregRows, AbsentFeaturesMakeThemUndefined) {
    unsigned tested = 0;
    for (const SysregRow& row : sysreg_rows()) {
        if (row.feature == Feature::Base) continue;
        ++tested;
        const FeatureSet rest = kDefaultFeatures.without(row.feature);
        Cpu lesser(*state, environment, tables.memory(), {.features = rest});
        uint64_t value;
        EXPECT_EQ(read_sysreg(lesser, row.encoding, value).kind, Kind::Undefined) << row.name;
        EXPECT_EQ(write_sysreg(lesser, row.encoding, 0).kind, Kind::Undefined) << row.name;
        const Decoder decoder(rest);
        EXPECT_TRUE(undefined(translate(mrs(row), decoder))) << row.name;
        EXPECT_TRUE(undefined(translate(msr(row), decoder))) << row.name;
        EXPECT_FALSE(undefined(translate(mrs(row)))) << row.name;
    }
    EXPECT_GT(tested, 40u);
}

TEST_F(SysregRows, FeaturesOfSome) {
    const auto feature = [](uint32_t encoding) { return find_sysreg(encoding)->feature; };
    EXPECT_EQ(feature(reg::pan), Feature::Pan);
    EXPECT_EQ(feature(reg::fpcr), Feature::Fp);
    EXPECT_EQ(feature(reg::pmcr), Feature::Pmu);
    EXPECT_EQ(feature(reg::icc_sre), Feature::Gic);
    EXPECT_EQ(feature(reg::scxtnum_el0), Feature::Csv2Scxtnum);
    EXPECT_EQ(feature(reg::sctlr), Feature::Base);
}

}  // namespace
}  // namespace arclight::frontend::a64
