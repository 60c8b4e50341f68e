// The instruction table as data: names, titles and bit patterns, for the decoder, traces and tests.
#pragma once

#include <cstdint>
#include <span>

namespace arclight::frontend::a64 {

struct Encoding {
    const char* name;      ///< handler and identifier, such as "ADD_imm"
    const char* title;     ///< as in the manual: "ADD (immediate)"
    const char* pattern;   ///< 32 characters, see fields.h
    uint32_t mask, value;  ///< insn & mask == value
};

/// All encodings in table order: where two match, the earlier one wins.
std::span<const Encoding> encodings();
/// Index into encodings(), or -1 when unallocated.
int find_encoding(uint32_t insn);

}  // namespace arclight::frontend::a64
