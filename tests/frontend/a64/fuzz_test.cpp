// Whatever the guest's words are, translation ends with a well-formed block.
#include <gtest/gtest.h>

#include <array>
#include <random>

#include "frontend/a64/decode/disassemble.h"
#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/translate/translator.h"
#include "tests/frontend/a64/block_check.h"

namespace arclight::frontend::a64 {
namespace {

constexpr uint32_t kModes[] = {
    0,
    translation_flag::kEl1,
    translation_flag::kEl1 | translation_flag::kSpElx,
    translation_flag::kEl1 | translation_flag::kSpElx | translation_flag::kSpAlignCheck,
    translation_flag::kAlignCheck | translation_flag::kFpSlow,
    translation_flag::kFpTrap,
    translation_flag::kEl1 | translation_flag::kSpElx | translation_flag::kFpTrap,
    translation_flag::kSingleStep | translation_flag::kSerial,
    translation_flag::kIllegal | translation_flag::kEl1,
};

void expect_well_formed(std::span<const uint32_t> code, uint32_t offset, uint32_t translation_flags) {
    static ir::Block block;
    translate_block(block, code, offset, translation_flags, kMaxBlockInsns);
    ASSERT_GE(block.guest_insns, 1u);
    ASSERT_LE(block.guest_insns, code.size());
    const std::string wrong = check_block(block);
    ASSERT_EQ(wrong, "") << describe(code[block.guest_insns - 1]) << " in mode " << translation_flags
                         << ", last word " << std::hex << code[block.guest_insns - 1];
}

TEST(Fuzz, RandomWords) {
    std::mt19937 random(2);
    std::array<uint32_t, 16> code;
    for (int n = 0; n < 300000; ++n) {
        for (uint32_t& word : code) word = random();
        ASSERT_NO_FATAL_FAILURE(expect_well_formed(code, random() % 1000 * 4, kModes[n % std::size(kModes)]));
    }
}

TEST(Fuzz, RandomFieldsOfEveryRow) {
    std::mt19937 random(3);
    const auto all = encodings();
    for (int n = 0; n < 2000; ++n) {
        for (const Encoding& e : all) {
            const std::array<uint32_t, 1> code{(static_cast<uint32_t>(random()) & ~e.mask) | e.value};
            ASSERT_NO_FATAL_FAILURE(
                expect_well_formed(code, random() % 1024 * 4, kModes[n % std::size(kModes)]));
        }
    }
}

TEST(Fuzz, BlocksOfAllocatedInstructions) {
    std::mt19937 random(4);
    const auto all = encodings();
    std::array<uint32_t, 64> code;
    for (int n = 0; n < 50000; ++n) {
        for (uint32_t& word : code) {
            const Encoding& e = all[random() % all.size()];
            word = (static_cast<uint32_t>(random()) & ~e.mask) | e.value;
        }
        ASSERT_NO_FATAL_FAILURE(expect_well_formed(code, random() % 900 * 4, kModes[n % std::size(kModes)]));
    }
}

}  // namespace
}  // namespace arclight::frontend::a64
