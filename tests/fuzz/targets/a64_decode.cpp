// The instruction decoder: it finds the row that a search of the whole table finds, its listing names that row, and what is
// translated is a well-formed block.
#include <string>

#include "frontend/a64/decode/disassemble.h"
#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/translate/translator.h"
#include "tests/frontend/a64/block_check.h"
#include "tests/fuzz/driver/input.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using namespace frontend::a64;

int search(uint32_t word) {
    const auto rows = encodings();
    const FeatureSet features = default_decoder().features();
    for (size_t i = 0; i < rows.size(); i++) {
        if ((word & rows[i].mask) == rows[i].value && features.has(rows[i].feature))
            return static_cast<int>(i);
    }
    return -1;
}

void run(std::span<const uint8_t> bytes) {
    Input in(bytes);
    const uint32_t flags = in.u32();
    const uint32_t offset = in.u16() % 1024 * 4;
    std::vector<uint32_t> code;
    while (!in.empty() && code.size() < std::min<size_t>(kMaxBlockInsns, (4096 - offset) / 4))
        code.push_back(in.u32());
    if (code.empty()) return;
    for (const uint32_t word : code) {
        const int row = find_encoding(word);
        require(row == search(word), "the decoder agrees with a search of its table");
        const std::string listed = describe(word);
        require(row < 0 || listed.starts_with(encodings()[static_cast<size_t>(row)].name),
                "a listing names the row");
    }
    static jit::ir::Block block;
    translate_block(block, code, offset, flags, kMaxBlockInsns);
    require(block.guest_insns >= 1 && block.guest_insns <= code.size(), "a block has instructions");
    const std::string wrong = check_block(block);
    if (!wrong.empty())
        std::fprintf(stderr, "%s: %s\n", describe(code[block.guest_insns - 1]).c_str(), wrong.c_str());
    require(wrong.empty(), "a block is well-formed");
}

const Registered registered({.name = "a64_decode", .run = run, .max_size = 262, .words = {}});

}  // namespace
}  // namespace arclight::fuzz
