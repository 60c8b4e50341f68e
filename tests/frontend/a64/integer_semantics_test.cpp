// Every computing, memory and branching row of the base instruction set, with random fields and operands,
// against VIXL's simulator.
#include <gtest/gtest.h>
#include <vixl/aarch64/simulator-aarch64.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <random>
#include <set>
#include <vector>

#include "frontend/a64/decode/disassemble.h"
#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/translate/translator.h"
#include "tests/frontend/a64/ir_interpreter.h"

namespace arclight::frontend::a64 {
namespace {

namespace sim = vixl::aarch64;

const std::set<std::string> kMemoryRows = {
#define INST(name, ...) #name,
#include "frontend/a64/decode/a64_loads_stores.inc"
#undef INST
};
const std::set<std::string> kComputingRows = {
#define INST(name, ...) #name,
#include "frontend/a64/decode/a64_data_processing_imm.inc"
#include "frontend/a64/decode/a64_data_processing_reg.inc"
#undef INST
    "B", "BL", "B_cond", "CBZ", "CBNZ", "TBZ", "TBNZ", "BR", "BLR", "RET",
};
const std::set<std::string> kIndirectBranches = {"BR", "BLR", "RET"};
// Not compared: CASP is a helper's; VIXL has no LDLAR family without a feature switch of its own and gives
// STXR random failures once the monitor is held, which it never is here.
// VIXL ends the process where these are not aligned; qemu-user compares them (tests/differential).
const std::set<std::string> kSkipped = {"CASP", "LDAPUR", "LDAPURSB", "LDAPURSH", "LDAPURSW", "STLUR"};

// CSSC, MOPS, LRCPC3 and LSE128 are younger than VIXL 5.1; its codes in pointers are its own.
constexpr bool vixl_has(Feature feature) {
    return feature != Feature::Cssc && feature != Feature::Mops && feature != Feature::PAuth &&
           feature != Feature::Lrcpc3 && feature != Feature::Lse128 && feature != Feature::Mte;
}

constexpr size_t kMemory = size_t{4} << 20;
constexpr size_t kMiddle = kMemory / 2;
constexpr size_t kWindow = 128 << 10;  ///< reach of base and offsets around kMiddle
constexpr size_t kCode = kMiddle + (256 << 10);

uint64_t interesting(std::mt19937_64& random) {
    switch (random() % 8) {
        case 0: return random() % 4;
        case 1: return ~uint64_t{0} - random() % 4;
        case 2: return uint64_t{1} << (random() % 64);
        case 3: return (uint64_t{1} << (random() % 64)) - 1;
        case 4: return 0x7fffffff + random() % 3;
        case 5: return static_cast<uint32_t>(random());
        default: return random();
    }
}

class Semantics : public testing::Test {
  protected:
    Semantics() : memory_(kMemory + 4096), simulator_(&decoder_) {
        simulator_.SetColouredTrace(false);
        base_ = (reinterpret_cast<uint64_t>(memory_.data()) + 4095) & ~uint64_t{4095};
    }

    MachineState simulate(const MachineState& before) {
        for (unsigned r = 0; r < 31; ++r) simulator_.WriteXRegister(r, static_cast<int64_t>(before.x[r]));
        simulator_.WriteXRegister(31, static_cast<int64_t>(before.x[31]), sim::Simulator::LogRegWrites,
                                  sim::Reg31IsStackPointer);
        for (unsigned r = 0; r < 32; ++r) {
            sim::Simulator::qreg_t q;
            std::memcpy(&q, &before.v[r], 16);
            simulator_.WriteQRegister(r, q);
        }
        simulator_.ReadNzcv().SetRawValue(before.nzcv);
        simulator_.WritePc(reinterpret_cast<const sim::Instruction*>(before.pc), sim::Simulator::NoBranchLog);
        simulator_.ExecuteInstruction();

        MachineState after;
        for (unsigned r = 0; r < 31; ++r) after.x[r] = static_cast<uint64_t>(simulator_.ReadXRegister(r));
        after.x[31] = static_cast<uint64_t>(simulator_.ReadXRegister(31, sim::Reg31IsStackPointer));
        for (unsigned r = 0; r < 32; ++r) {
            const auto q = simulator_.ReadVRegister<sim::Simulator::qreg_t>(r);
            std::memcpy(&after.v[r], &q, 16);
        }
        after.nzcv = simulator_.ReadNzcv().GetRawValue();
        after.pc = reinterpret_cast<uint64_t>(simulator_.ReadPc());
        return after;
    }

    /// Where VIXL 5.1 differs from the manual: MOVK to a W register and the signed atomics of bytes and
    /// halfwords leave the register sign-extended.
    static void correct(const std::string_view name, uint32_t insn, MachineState& theirs) {
        const unsigned d = insn & 31, size = insn >> 30;
        if (name == "MOVK" && size < 2 && d != 31) theirs.x[d] &= 0xffffffff;
        if ((name == "LDSMAX" || name == "LDSMIN") && size < 2 && d != 31)
            theirs.x[d] &= size == 0 ? 0xff : 0xffff;
    }

    void expect_same(const MachineState& ours, const MachineState& theirs, uint32_t insn,
                     const ir::Block& block) {
        if (ours == theirs) return;
        ADD_FAILURE() << describe(insn) << std::hex << " " << insn << "\nnzcv " << ours.nzcv << " "
                      << theirs.nzcv << "\npc " << ours.pc << " " << theirs.pc << "\n"
                      << ir::print(block);
        for (unsigned r = 0; r < 32; ++r) {
            EXPECT_EQ(ours.x[r], theirs.x[r]) << "x" << r;
            EXPECT_EQ(ours.v[r].d[0], theirs.v[r].d[0]) << "v" << r;
            EXPECT_EQ(ours.v[r].d[1], theirs.v[r].d[1]) << "v" << r;
        }
    }

    MachineState random_state() {
        MachineState state;
        for (uint64_t& x : state.x) x = interesting(random_);
        for (jit::V128& v : state.v) v.d[0] = random_(), v.d[1] = random_();
        state.nzcv = static_cast<uint32_t>(random_()) & 0xf0000000;
        state.x[31] &= ~uint64_t{15};
        return state;
    }

    uint8_t* at(size_t offset) { return reinterpret_cast<uint8_t*>(base_) + offset; }

    std::mt19937_64 random_{5};
    std::vector<uint8_t> memory_;
    uint64_t base_;
    sim::Decoder decoder_;
    sim::Simulator simulator_;
};

TEST_F(Semantics, Computing) {
    for (const Encoding& e : encodings()) {
        if (!kComputingRows.contains(e.name) || !vixl_has(e.feature)) continue;
        unsigned compared = 0;
        for (int n = 0; n < 20000; ++n) {
            uint32_t insn = (static_cast<uint32_t>(random_()) & ~e.mask) | e.value;
            // Registers 31 and equal ones are too rare otherwise.
            if (n % 4 == 1) insn |= 0x1f & ~e.mask;
            if (n % 4 == 2) insn |= 0x3e0 & ~e.mask;
            if (n % 4 == 3) insn |= 0x1f0000 & ~e.mask;
            MachineState before = random_state();
            // VIXL takes the tag off a branch address, which here the lookup of the target does.
            if (kIndirectBranches.contains(e.name)) before.x[insn >> 5 & 31] &= ~uint64_t{0} >> 8;
            const size_t offset = random_() % 1024 * 4;
            before.pc = base_ + kCode + offset;
            std::memcpy(at(kCode + offset), &insn, 4);
            ir::Block block;
            translate_block(block, {&insn, 1}, static_cast<uint32_t>(offset), 0, 1);
            if (unsupported(block)) continue;
            ++compared;
            MachineState ours = before;
            interpret(block, ours);
            MachineState theirs = simulate(before);
            correct(e.name, insn, theirs);
            expect_same(ours, theirs, insn, block);
            if (HasFailure()) return;
        }
        EXPECT_GT(compared, 1000u) << e.name;
    }
}

// Sequences, so that forwarded registers and flags, folded constants and side exits are compared too.
TEST_F(Semantics, Blocks) {
    std::vector<Encoding> rows;
    for (const Encoding& e : encodings())
        if (kComputingRows.contains(e.name) && !kIndirectBranches.contains(e.name) && vixl_has(e.feature))
            rows.push_back(e);
    constexpr size_t kLength = 24;
    unsigned instructions = 0;
    for (int n = 0; n < 30000; ++n) {
        std::vector<uint32_t> code;
        ir::Block block;
        while (code.size() < kLength) {
            const Encoding& e = rows[random_() % rows.size()];
            uint32_t insn = (static_cast<uint32_t>(random_()) & ~e.mask) | e.value;
            insn &= e.mask | ~0x00180318u;  // few registers, much forwarding
            translate_block(block, {&insn, 1}, 0, 0, 1);
            // A branch to the next instruction leaves our block, but does not show in the simulator.
            const bool branches_to_next = std::ranges::any_of(
                block.insts, [](const ir::Inst& i) { return i.op == ir::Op::ExitIf && i.imm == 4; });
            if (!unsupported(block) && !branches_to_next) code.push_back(insn);
        }
        const size_t offset = random_() % 512 * 4;
        std::memcpy(at(kCode + offset), code.data(), kLength * 4);
        translate_block(block, code, static_cast<uint32_t>(offset), 0, kLength);

        MachineState ours = random_state();
        ours.pc = base_ + kCode + offset;
        MachineState theirs = ours;
        interpret(block, ours);
        for (size_t i = 0; i < block.guest_insns; ++i) {
            const uint64_t next = theirs.pc + 4;
            theirs = simulate(theirs);
            correct(encodings()[static_cast<size_t>(find_encoding(code[i]))].name, code[i], theirs);
            ++instructions;
            if (theirs.pc != next) break;
        }
        expect_same(ours, theirs, code[0], block);
        if (HasFailure()) return;
    }
    EXPECT_GT(instructions, 100000u);
}

/// The rows of FEAT_CSSC by their definitions (ARM ARM C6.2): a is Rn, b Rm or the immediate.
uint64_t cssc(std::string_view row, bool sf, uint64_t a, uint64_t b) {
    const unsigned width = sf ? 64 : 32;
    const auto sign = [&](uint64_t v) {
        return sf ? static_cast<int64_t>(v) : static_cast<int64_t>(static_cast<int32_t>(v));
    };
    if (!sf) a = static_cast<uint32_t>(a), b = static_cast<uint32_t>(b);
    uint64_t r = 0;
    if (row.starts_with("SMAX")) r = sign(a) > sign(b) ? a : b;
    if (row.starts_with("SMIN")) r = sign(a) < sign(b) ? a : b;
    if (row.starts_with("UMAX")) r = std::max(a, b);
    if (row.starts_with("UMIN")) r = std::min(a, b);
    if (row == "ABS_int") r = sign(a) < 0 ? 0 - a : a;
    if (row == "CNT_int") r = static_cast<unsigned>(std::popcount(a));
    if (row == "CTZ") r = std::min(static_cast<unsigned>(std::countr_zero(a)), width);
    return sf ? r : static_cast<uint32_t>(r);
}

TEST_F(Semantics, CsscByDefinition) {
    unsigned rows = 0;
    for (const Encoding& e : encodings()) {
        if (e.feature != Feature::Cssc) continue;
        ++rows;
        for (int n = 0; n < 5000; ++n) {
            const uint32_t insn = (static_cast<uint32_t>(random_()) & ~e.mask) | e.value;
            const unsigned d = insn & 31, rn = insn >> 5 & 31, rm = insn >> 16 & 31, imm = insn >> 10 & 255;
            MachineState ours = random_state();
            if (n % 5 == 0) ours.x[rm] = ours.x[rn];
            const MachineState before = ours;
            const auto x = [&](unsigned r) { return r == 31 ? 0 : before.x[r]; };
            const std::string_view row = e.name;
            const bool immediate = row.ends_with("_imm") && row != "ABS_int";
            const uint64_t b = !immediate      ? x(rm)
                               : row[0] == 'S' ? static_cast<uint64_t>(static_cast<int8_t>(imm))
                                               : imm;
            ir::Block block;
            translate_block(block, {&insn, 1}, 0, 0, 1);
            ASSERT_FALSE(unsupported(block)) << describe(insn);
            interpret(block, ours);
            MachineState right = before;
            if (d != 31) right.x[d] = cssc(row, insn >> 31 != 0, x(rn), b);
            right.pc = ours.pc;
            ASSERT_EQ(ours, right) << describe(insn) << std::hex << " " << x(rn) << " " << b;
        }
    }
    EXPECT_EQ(rows, 11u);
}

TEST_F(Semantics, Memory) {
    std::vector<uint8_t> original(2 * kWindow), ours_memory(2 * kWindow);
    uint8_t* const window = at(kMiddle - kWindow);
    for (size_t i = 0; i < kMemory; i += 8) {
        const uint64_t word = random_();
        std::memcpy(at(i), &word, 8);
    }
    for (const Encoding& e : encodings()) {
        if (!kMemoryRows.contains(e.name) || kSkipped.contains(e.name) || !vixl_has(e.feature)) continue;
        unsigned compared = 0;
        for (int n = 0; n < 600; ++n) {
            uint32_t insn = (static_cast<uint32_t>(random_()) & ~e.mask) | e.value;
            if (n % 4 == 1) insn |= 0x1f & ~e.mask;
            if (n % 4 == 2) insn |= 0x3e0 & ~e.mask;
            if (n % 4 == 3) insn |= 0x1f0000 & ~e.mask;
            const unsigned t = insn & 31, base = insn >> 5 & 31, m = insn >> 16 & 31, t2 = insn >> 10 & 31;
            // What writeback into a transferred register does is CONSTRAINED UNPREDICTABLE, and VIXL refuses
            // it.
            if (base == t || base == t2 || (base == m && base != 31) || t == t2) continue;
            MachineState before = random_state();
            const size_t offset = random_() % 1024 * 4;
            before.pc = base_ + kCode + offset;
            // VIXL has no LDTR and STTR; in these modes they are LDUR and STUR.
            const bool unprivileged = std::string_view(e.name).ends_with("_imm9") && (insn >> 10 & 3) == 2;
            const uint32_t theirs_insn = unprivileged ? insn & ~(3u << 10) : insn;
            std::memcpy(at(kCode + offset), &theirs_insn, 4);
            ir::Block block;
            translate_block(block, {&insn, 1}, static_cast<uint32_t>(offset),
                            translation_flag::kEl1 * (n & 1), 1);
            if (unsupported(block)) continue;
            bool aligned = base == 31;
            for (const ir::Inst& i : block.insts)
                aligned |= ir::info(i.op).effects == 'M' && (i.aux & ir::kMemAligned);
            const uint64_t address = base_ + kMiddle + random_() % 4096;
            before.x[base] = aligned ? address & ~uint64_t{15} : address;
            if (m != 31 && std::string_view(e.name).find("_reg") != std::string_view::npos) {
                // Small, and of either sign as a word and as a doubleword.
                before.x[m] = random_() % 8192 - 4096;
                if (insn >> 13 & 1 ? false : (insn >> 15 & 1) == 0)
                    before.x[m] = (random_() << 32) | random_() % 4096;
                if ((insn >> 13 & 1) == 0 && (insn >> 15 & 1) != 0)
                    before.x[m] = random_() << 32 | static_cast<uint32_t>(random_() % 8192 - 4096);
            }
            if (std::string_view(e.name) == "CAS" && n % 2 == 0 && m != 31)
                std::memcpy(&before.x[m], reinterpret_cast<void*>(before.x[base]), 8);
            ++compared;
            std::memcpy(original.data(), window, original.size());
            MachineState ours = before;
            interpret(block, ours);
            std::memcpy(ours_memory.data(), window, ours_memory.size());
            std::memcpy(window, original.data(), original.size());
            MachineState theirs = simulate(before);
            correct(e.name, insn, theirs);
            expect_same(ours, theirs, insn, block);
            EXPECT_EQ(std::memcmp(ours_memory.data(), window, ours_memory.size()), 0) << describe(insn);
            if (HasFailure()) return;
        }
        EXPECT_GT(compared, 40u) << e.name;
    }
}

}  // namespace
}  // namespace arclight::frontend::a64
