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

/// Appends it to `out`, of which the size is a multiple of kStoredAlignment and stays one.
inline constexpr size_t kStoredAlignment = 16;
void append_stored(const StoredBlock& block, std::string& out);
/// What was appended at `at`; nothing: it is not one, or not all of it is there. `bytes` must be aligned.
std::optional<StoredBlock> read_stored(std::span<const char> bytes, size_t at);

}  // namespace arclight::jit
