#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "frontend/a64/decode/disassemble.h"
#include "frontend/a64/decode/encoding.h"

namespace arclight::frontend::a64 {
namespace {

struct Row {
    const char* name;
    uint32_t insn;
    const char* source;
};
constexpr Row kRows[] = {
#include "tests/frontend/a64/data/base_encodings.inc"
};

const std::set<std::string>& base_names() {
    static const std::set<std::string> names = {
#define INST(name, ...) #name,
#include "frontend/a64/decode/a64_branches_system.inc"
#include "frontend/a64/decode/a64_data_processing_imm.inc"
#include "frontend/a64/decode/a64_data_processing_reg.inc"
#include "frontend/a64/decode/a64_loads_stores.inc"
#undef INST
    };
    return names;
}

std::string name_of(uint32_t insn) {
    const int e = find_encoding(insn);
    return e < 0 ? "unallocated" : encodings()[static_cast<size_t>(e)].name;
}

TEST(Decode, AssembledInstructionsFindTheirRow) {
    for (const Row& row : kRows) EXPECT_EQ(name_of(row.insn), row.name) << row.source;
}

TEST(Decode, EveryBaseRowIsAssembledOnce) {
    std::set<std::string> seen;
    for (const Row& row : kRows) seen.insert(row.name);
    EXPECT_EQ(seen, base_names());
}

// An earlier row hides a later one where both match. These are meant:
const std::set<std::pair<std::string, std::string>> kMeantOverlaps = {
    {"YIELD", "HINT"},
    {"WFE", "HINT"},
    {"WFI", "HINT"},
    {"SEV", "HINT"},
    {"SEVL", "HINT"},
    {"XPACLRI", "HINT"},
    {"PACIA1716", "HINT"},
    {"PACIB1716", "HINT"},
    {"AUTIA1716", "HINT"},
    {"AUTIB1716", "HINT"},
    {"PACIAZ", "HINT"},
    {"PACIASP", "HINT"},
    {"PACIBZ", "HINT"},
    {"PACIBSP", "HINT"},
    {"AUTIAZ", "HINT"},
    {"AUTIASP", "HINT"},
    {"AUTIBZ", "HINT"},
    {"AUTIBSP", "HINT"},
    {"STL1_single", "ST1_single"},
    {"LDAP1_single", "LD1_single"},
    {"STZGM", "STG"},
    {"LDG", "STZG"},
    {"STGM", "ST2G"},
    {"LDGM", "STZ2G"},
};

TEST(Decode, BaseRowsOverlapOnlyWhereMeant) {
    const auto all = encodings();
    for (size_t a = 0; a < all.size(); ++a) {
        for (size_t b = a + 1; b < all.size(); ++b) {
            if (((all[a].value ^ all[b].value) & all[a].mask & all[b].mask) != 0) continue;
            if (!base_names().contains(all[a].name) && !base_names().contains(all[b].name)) continue;
            EXPECT_TRUE(kMeantOverlaps.contains({all[a].name, all[b].name}))
                << all[a].name << ' ' << all[b].name;
        }
    }
}

TEST(Decode, LookupAgreesWithASearchOfTheTable) {
    std::mt19937 random(1);
    const auto all = encodings();
    for (int n = 0; n < 200000; ++n) {
        // Half of the words are made from a row, so that rare rows come up.
        uint32_t insn = random();
        if (n % 2 == 0) {
            const Encoding& e = all[random() % all.size()];
            insn = (insn & ~e.mask) | e.value;
        }
        const auto first = std::ranges::find_if(all, [&](const Encoding& e) {
            return kDefaultFeatures.has(e.feature) && (insn & e.mask) == e.value;
        });
        ASSERT_EQ(find_encoding(insn), first == all.end() ? -1 : first - all.begin()) << std::hex << insn;
    }
}

TEST(Decode, UnallocatedWords) {
    for (const uint32_t insn : {
             0x00000000u,               // UDF
             0xd503203fu & ~0x1fu,      // a hint whose Rt is not 31
             0xd50331ffu,               // SB with a CRm
             0xd4a0000cu,               // exception group, reserved opc
             0xd63f0800u,               // BLRAAZ-like, FEAT_PAuth
             0x1a000400u,               // ADC with a non-zero opcode2
             0xdac01000u + (6u << 10),  // one source, opcode 6
         })
        EXPECT_EQ(name_of(insn), "unallocated") << std::hex << insn;
}

TEST(Decode, Describe) {
    EXPECT_EQ(describe(0x91004041), "ADD_imm z=1 h=0 i=16 n=2 d=1");
    EXPECT_EQ(describe(0xd4001fe1), "SVC i=0xff");
    EXPECT_EQ(describe(0), "unallocated 0x00000000");
}

}  // namespace
}  // namespace arclight::frontend::a64
