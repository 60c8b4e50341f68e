// Where an arm64 Image has its instructions, by the kernel's symbols.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "mmu/result.h"

namespace arclight::guestos::prepare {

/// Offsets from the start of the Image.
struct TextRange {
    uint32_t begin, end;
    bool operator==(const TextRange&) const = default;
};

/// From _stext to _etext and from _sinittext to _einittext, by the symbols that the kernel has inside (Linux
/// scripts/kallsyms.c, versions 4.6 and later), or by the System.map in `system_map`. What is between them is data. An error is
/// one line without the kernel's name.
Result<std::vector<TextRange>> kernel_text(std::span<const uint8_t> image, const std::string& system_map);

}  // namespace arclight::guestos::prepare
