// A block of tier 1 as bytes: what BlockStore keeps.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "jit/block_image.h"

namespace arclight::jit {

/// What is here is someone else's memory, as in BlockImage.
struct StoredBlock {
    uint32_t translation_flags = 0;
    uint32_t page_offset = 0;  ///< of its first instruction
    uint32_t guest_insns = 0;
    bool spins = false;     ///< TranslationBlock::spins
    bool grouping = false;  ///< CodeBuffer::grouping()
    std::span<const std::byte> guest_code;
    BlockImage image;

    /// Whether it is the block that `code` begins with.
    bool is_of(uint32_t flags, uint32_t offset, bool grouped, std::span<const std::byte> code) const;
};

/// Appends it to `out`. False, and nothing is: it has something that no block of tier 1 has that may be stored.
bool append_stored(const StoredBlock& block, std::string& out);
/// What was appended at `at`: it points there and to `memory`. Nothing: it is not one, or not all of it is there.
std::optional<StoredBlock> read_stored(std::span<const char> bytes, size_t at, ImageMemory& memory);

}  // namespace arclight::jit
