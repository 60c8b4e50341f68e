// The columns of system_instructions.inc: what a row says of an instruction is how it is decoded, translated
// and executed. Each test goes through all rows.
#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "frontend/a64/decode/disassemble.h"
#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/system/system_instructions.h"
#include "frontend/a64/translate/translator.h"
#include "tests/frontend/system/test_cpu.h"

namespace arclight::frontend::a64 {
namespace {

using namespace test;
using namespace mmu::test::descriptor;
using Kind = SystemResult::Kind;

constexpr uint32_t kEl0 = 0, kKernel = translation_flag::kEl1 | translation_flag::kSpElx;
constexpr uint32_t kNop = 0xd503201f, kRt = 3;
constexpr uint64_t kMapped = 0x1000, kUnmapped = 0x7000;

uint32_t word(const SystemInstruction& row) { return 0xd500'0000 | uint32_t{row.encoding} << 5 | kRt; }

ir::Block translate(uint32_t insn, uint32_t flags, const Decoder& decoder = default_decoder()) {
    ir::Block block;
    translate_block(block, std::vector{insn, kNop}, 0x40, flags, 2, decoder);
    return block;
}
/// The helper that is called.
std::optional<Helper> called(const ir::Block& block) {
    const auto i = std::ranges::find(block.insts, ir::Op::CallRuntime, &ir::Inst::op);
    return i == block.insts.end() ? std::nullopt : std::optional(static_cast<Helper>(i->imm));
}
std::optional<Helper> helper_of(SystemInline inlined) {
    switch (inlined) {
        case SystemInline::None: return Helper::SystemInsn;
        case SystemInline::CleanLine: return Helper::CleanLine;
        case SystemInline::CodeLine: return Helper::ForgetCodeLine;
        case SystemInline::TagBlock:
        case SystemInline::ZeroTagBlock: return Helper::StoreTags;
        case SystemInline::ZeroBlock: break;
    }
    return std::nullopt;
}
bool zeroes(const ir::Block& block) {
    return std::ranges::any_of(block.insts, [](const ir::Inst& i) { return i.op == ir::Op::ZeroBlock; });
}
bool undefined(const ir::Block& block) {
    const ir::Inst& last = block.insts.back();
    return last.op == ir::Op::ExitRuntime && last.imm == static_cast<uint64_t>(jit::ExitReason::Undefined);
}

class SystemInstructionRows : public SystemTest {
  protected:
    SystemInstructionRows() {
        tables.map(kMapped, 3, 0x4010'0000 | kPage | kAf | ap(1));
        enable_mmu();
    }
    SystemResult execute(const SystemInstruction& row, uint64_t xt) {
        environment = {};
        return execute_system_instruction(cpu, row.encoding, xt);
    }
    uint8_t observed(uint64_t par_before) const {
        uint8_t io = system_io::kNone;
        if (cpu.registers.par != par_before) io |= system_io::kResult;
        if (environment.ic_all_local + environment.ic_all_broadcast + environment.ic_lines.size() != 0)
            io |= system_io::kCode;
        if (!environment.tlbis.empty()) io |= system_io::kTlb;
        return io;
    }
};

TEST_F(SystemInstructionRows, AreAllThatTheManualHas) {
    std::map<std::string, unsigned> kinds;
    for (const SystemInstruction& row : system_instructions()) {
        const std::string name = row.name;
        ++kinds[name.substr(0, name.find('_'))];
    }
    const std::map<std::string, unsigned> expected = {
        {"IC", 3}, {"DC", 10 + 18}, {"AT", 6}, {"TLBI", 12 + 6 + 12}, {"CFP", 1}, {"DVP", 1}, {"CPP", 1}};
    EXPECT_EQ(kinds, expected);
}

TEST_F(SystemInstructionRows, EveryOtherEncodingIsUndefined) {
    unsigned found = 0;
    for (uint32_t low = 0; low < 0x4000; ++low) {
        const uint32_t encoding = 0x4000 | low, insn = 0xd500'0000 | encoding << 5 | kRt;
        if (find_system_instruction(encoding) != nullptr) {
            ++found;
            continue;
        }
        EXPECT_EQ(execute_system_instruction(cpu, encoding, kMapped).kind, Kind::Undefined) << encoding;
        EXPECT_TRUE(undefined(translate(insn, kKernel))) << encoding;
    }
    EXPECT_EQ(found, system_instructions().size());
}

TEST_F(SystemInstructionRows, AreDisassembledByName) {
    for (const SystemInstruction& row : system_instructions()) {
        EXPECT_EQ(describe(word(row)), std::string(row.name) + " t=3");
        EXPECT_EQ(system_instruction_of(word(row)), &row);
    }
    EXPECT_EQ(describe(0xd508'0000 | kRt).substr(0, 4), "SYS ");
    EXPECT_EQ(system_instruction_of(word(system_instructions()[0]) | 1u << 21), nullptr) << "SYSL";
    EXPECT_EQ(system_instruction_of(kNop), nullptr);
}

TEST_F(SystemInstructionRows, DoAtEl1WhatTheRowSaysAndNoMore) {
    for (const SystemInstruction& row : system_instructions()) {
        const uint64_t par = cpu.registers.par = ~uint64_t{0};
        // The range forms do nothing without a granule.
        const uint64_t granule = row.feature == Feature::TlbiRange ? uint64_t{1} << 46 : 0;
        EXPECT_TRUE(execute(row, kMapped | granule).ok()) << row.name;
        EXPECT_EQ(observed(par), row.io & ~system_io::kWalks) << row.name;
    }
}

/// What walks the tables notices that nothing is mapped: a fault, or in PAR_EL1.
TEST_F(SystemInstructionRows, WalkTheTablesWhereTheRowSays) {
    for (const SystemInstruction& row : system_instructions()) {
        const SystemResult result = execute(row, kUnmapped);
        const bool noticed =
            (row.io & system_io::kResult) != 0 ? (cpu.registers.par & 1) != 0 : result.kind == Kind::Abort;
        EXPECT_EQ(noticed, row.walks_tables()) << row.name;
    }
}

TEST_F(SystemInstructionRows, TrapFromEl0WhereTheRowSays) {
    enter_el0();
    for (const SystemInstruction& row : system_instructions()) {
        EXPECT_EQ(row.el == 0, row.trap != 0) << row.name << ": EL0 has it only by leave of EL1";
        cpu.translation.sctlr &= ~row.trap;
        environment.instruction = word(row);
        const SystemResult denied = execute_system_instruction(cpu, row.encoding, kMapped);
        EXPECT_EQ(denied.kind, row.el == 0 ? Kind::Trap : Kind::Undefined) << row.name;
        if (row.el == 0) {
            EXPECT_EQ(denied.esr >> 5 & 31, kRt) << row.name;
        }
        cpu.translation.sctlr |= row.trap;
        EXPECT_EQ(execute(row, kMapped).kind, row.el == 0 ? Kind::Ok : Kind::Undefined) << row.name;
    }
}

TEST_F(SystemInstructionRows, AreTranslatedAsTheRowSays) {
    for (const SystemInstruction& row : system_instructions()) {
        const bool inlined = row.inlined == SystemInline::ZeroBlock;
        const ir::Block kernel = translate(word(row), kKernel), user = translate(word(row), kEl0);
        EXPECT_EQ(called(kernel), helper_of(row.inlined)) << row.name;
        EXPECT_EQ(zeroes(kernel), inlined) << row.name;
        EXPECT_EQ(kernel.guest_insns, 2u) << row.name << " ends no block";
        EXPECT_EQ(undefined(user), row.el != 0) << row.name;
        EXPECT_EQ(called(user), row.el == 0 ? helper_of(row.inlined) : std::nullopt) << row.name;
        EXPECT_TRUE(called(translate(word(row), kKernel | translation_flag::kZeroTrap))) << row.name;
    }
}

TEST_F(SystemInstructionRows, AbsentFeaturesMakeThemUndefined) {
    for (const SystemInstruction& row : system_instructions()) {
        if (row.feature == Feature::Base) continue;
        const FeatureSet rest = kDefaultFeatures.without(row.feature);
        Cpu lesser(*state, environment, tables.memory(), {.features = rest});
        EXPECT_EQ(execute_system_instruction(lesser, row.encoding, 0).kind, Kind::Undefined) << row.name;
        EXPECT_TRUE(undefined(translate(word(row), kKernel, Decoder(rest)))) << row.name;
    }
}

}  // namespace
}  // namespace arclight::frontend::a64
