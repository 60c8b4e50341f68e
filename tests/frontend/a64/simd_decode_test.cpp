// The rows of floating point, Advanced SIMD and cryptography: what GNU as and objdump say of them.
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/translate/translator.h"
#include "tests/frontend/a64/block_check.h"

namespace arclight::frontend::a64 {
namespace {

struct Assembled {
    const char* name;
    uint32_t insn;
    const char* source;
};
constexpr Assembled kAssembled[] = {
#include "tests/frontend/a64/data/simd_encodings.inc"
};

struct Reserved {
    const char* name;
    uint32_t insn;
};
constexpr Reserved kReserved[] = {
#include "tests/frontend/a64/data/simd_reserved.inc"
};

const std::set<std::string>& simd_names() {
    static const std::set<std::string> names = {
#define INST(name, ...) #name,
#include "frontend/a64/decode/a64_crypto.inc"
#include "frontend/a64/decode/a64_fp.inc"
#include "frontend/a64/decode/a64_fp16.inc"
#include "frontend/a64/decode/a64_simd.inc"
#undef INST
    };
    return names;
}

std::string name_of(uint32_t insn) {
    const int e = find_encoding(insn);
    return e < 0 ? "unallocated" : encodings()[static_cast<size_t>(e)].name;
}

ir::Block translate(uint32_t insn, uint32_t translation_flags = 0) {
    ir::Block block;
    translate_block(block, std::span(&insn, 1), 0x40, translation_flags, 1);
    EXPECT_EQ(check_block(block), "") << std::hex << insn;
    return block;
}

/// exit_info of the Undefined exit that `block` ends with, or -1.
int64_t undefined_info(const ir::Block& block) {
    const ir::Inst& last = block.insts.back();
    const bool undefined =
        last.op == ir::Op::ExitRuntime &&
        static_cast<uint32_t>(last.imm) == static_cast<uint32_t>(jit::ExitReason::Undefined);
    return undefined ? static_cast<int64_t>(last.imm >> 32) : -1;
}

TEST(SimdDecode, AssembledInstructionsFindTheirRowAndTranslate) {
    for (const Assembled& a : kAssembled) {
        EXPECT_EQ(name_of(a.insn), a.name) << a.source;
        EXPECT_EQ(undefined_info(translate(a.insn)), -1) << a.source;
    }
}

TEST(SimdDecode, EveryRowIsAssembledOnce) {
    std::set<std::string> seen;
    for (const Assembled& a : kAssembled) seen.insert(a.name);
    EXPECT_EQ(seen, simd_names());
}

TEST(SimdDecode, ReservedFieldsAreUndefined) {
    for (const Reserved& r : kReserved) {
        EXPECT_EQ(name_of(r.insn), r.name) << std::hex << r.insn;
        EXPECT_EQ(undefined_info(translate(r.insn)), 0) << r.name << ' ' << std::hex << r.insn;
        EXPECT_EQ(undefined_info(translate(r.insn, translation_flag::kFpTrap)), 0)
            << r.name << ": an undefined instruction does not trap as FP " << std::hex << r.insn;
    }
}

TEST(SimdDecode, DisabledFloatingPointTrapsEveryRow) {
    for (const Assembled& a : kAssembled)
        EXPECT_EQ(undefined_info(translate(a.insn, translation_flag::kFpTrap)), int64_t{kUndefinedFpTrap})
            << a.source;
}

// An earlier row hides a later one where both match. Meant: immh = 0000 of the shifts is the modified
// immediate group, opcode<2:1> = 11 of the single structure loads is the replicating ones.
bool meant_overlap(const Encoding& first, const Encoding& second) {
    const auto is = [](uint32_t insn, uint32_t mask, uint32_t value) { return (insn & mask) == value; };
    const bool modified_immediate =
        is(first.value, 0x9ff80c00, 0x0f000400) && is(first.mask, 0x9ff80c00, 0x9ff80c00);
    const bool shift = is(second.value, 0x9f800400, 0x0f000400) && is(second.mask, 0x9f800400, 0x9f800400);
    const bool replicate =
        std::string(first.name).starts_with("LD") && std::string(first.name).ends_with("R_vector");
    const bool single =
        std::string(second.name).starts_with("LD") && std::string(second.name).ends_with("_single");
    // immh = 001x, with halves.
    const bool half = first.feature == Feature::Fp16Simd;
    const bool scalar_shift =
        is(second.value, 0xdf800400, 0x5f000400) && is(second.mask, 0xdf800400, 0xdf800400);
    // FEAT_LRCPC3: LD1 and ST1 with a register of 1, and no post-index.
    const bool ordered = first.feature == Feature::Lrcpc3 && std::string(second.name).ends_with("1_single");
    return ordered || ((modified_immediate || half) && shift) || (half && scalar_shift) ||
           (replicate && single);
}

TEST(SimdDecode, RowsOverlapOnlyWhereMeant) {
    const auto all = encodings();
    for (size_t a = 0; a < all.size(); ++a) {
        for (size_t b = a + 1; b < all.size(); ++b) {
            if (((all[a].value ^ all[b].value) & all[a].mask & all[b].mask) != 0) continue;
            if (!simd_names().contains(all[a].name) && !simd_names().contains(all[b].name)) continue;
            EXPECT_TRUE(meant_overlap(all[a], all[b])) << all[a].name << ' ' << all[b].name;
        }
    }
}

// What ID registers do not announce is undefined.
TEST(SimdDecode, ExtensionsNotAnnounced) {
    for (const Assembled& a : std::initializer_list<Assembled>{
             {"", 0x04200020, "add z0.b, z1.b, z0.b"},
             {"", 0x2518e3e0, "ptrue p0.b"},
         })
        EXPECT_GE(undefined_info(translate(a.insn)), 0) << a.source;
}

TEST(SimdDecode, RandomWordsOfTheFpAndSimdSpaceTranslate) {
    constexpr uint32_t kModes[] = {0,
                                   translation_flag::kFpTrap,
                                   translation_flag::kAlignCheck,
                                   translation_flag::kSpAlignCheck | translation_flag::kEl1,
                                   translation_flag::kFpSlow,
                                   translation_flag::kFpSpecial & ~translation_flag::kFpSlow,
                                   translation_flag::kAlignCheck | translation_flag::kSpAlignCheck};
    std::mt19937 random(5);
    for (int n = 0; n < 300000; ++n) {
        const uint32_t bits = random();
        // Data processing (op0 = x111), and the structures among the loads and stores.
        const uint32_t insn = n % 4 != 0 ? bits | 0x0e000000 : (bits & 0xbdffffff) | 0x0c000000;
        const ir::Block block = translate(insn, kModes[n % std::size(kModes)]);
        ASSERT_FALSE(::testing::Test::HasFailure());
        ASSERT_EQ(block.guest_insns, 1u);
    }
}

}  // namespace
}  // namespace arclight::frontend::a64
