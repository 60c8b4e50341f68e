#include "frontend/a64/decode/disassemble.h"

#include <fmt/format.h>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/decode/fields.h"
#include "frontend/a64/system/system_instructions.h"

namespace arclight::frontend::a64 {

std::string describe(uint32_t insn) {
    const int e = find_encoding(insn);
    if (e < 0) return fmt::format("unallocated {:#010x}", insn);
    const Encoding& encoding = encodings()[static_cast<size_t>(e)];
    const SystemInstruction* named = system_instruction_of(insn);
    std::string text = named == nullptr ? encoding.name : named->name;
    constexpr int kRt = 27;  // of a system instruction the other fields are its name
    for (int i = named == nullptr ? 0 : kRt; i < 32;) {
        const char letter = encoding.pattern[i];
        int end = i + 1;
        while (end < 32 && encoding.pattern[end] == letter) ++end;
        if (detail::is_field(letter)) {
            const uint32_t value =
                detail::extract(insn, {static_cast<unsigned>(32 - end), static_cast<unsigned>(end - i)});
            text +=
                value < 32 ? fmt::format(" {}={}", letter, value) : fmt::format(" {}={:#x}", letter, value);
        }
        i = end;
    }
    return text;
}

}  // namespace arclight::frontend::a64
