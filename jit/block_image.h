// A block's host code with all that depends on where it lies: what another code cache can take it by.
//
// An image is of one build of the program, one host CPU and one choice of CodeOptions; for others it is no code.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "jit/host_code.h"

namespace arclight::jit {

/// Where a byte of a block is: from CompiledBlock::entry, or, from hot_bytes on, from CompiledBlock::cold.
using ImageOffset = uint32_t;
inline constexpr ImageOffset kNoOffset = ~ImageOffset{0};

/// Four bytes of a block's code that say where something else is, or which number it has.
struct Relocation {
    enum class Kind : uint8_t {
        Block,          ///< relative, to a place in the block's other half: an ImageOffset
        Shared,         ///< relative, to a shared stub: its offset from CodeBuffer::base()
        Constant,       ///< relative, to a constant: its index in BlockImage::constants
        Counter,        ///< relative, to the block's counter
        CounterNumber,  ///< the counter's number
        LinkNumber,     ///< the number of an exit's link slot: its index in CompiledBlock::exits
    };
    ImageOffset at;
    uint32_t value;
    Kind kind;
    uint8_t behind;  ///< bytes of the instruction that follow: relative means to its end
    uint16_t unused = 0;
};

/// A LinkSlot.
struct ImageExit {
    ImageOffset jump, epoch, stub;  ///< kNoOffset: null
    int32_t target;
    uint8_t cross_page, page, next_page, unused = 0;
};

/// What is here is someone else's memory.
struct BlockImage {
    ImageOffset body = 0, indirect = kNoOffset;
    uint8_t indirect_register = 0, indirect_kind = 0;
    bool counted = false;  ///< it has a counter
    std::span<const uint8_t> hot, cold;
    std::span<const Relocation> relocations;
    std::span<const std::array<uint64_t, 2>> constants;
    std::span<const ImageExit> exits;
    std::span<const FaultPoint> points;
    std::span<const SavedLocation> locations;
};

/// Of the block that was compiled last, into a buffer with CodeOptions::images. Good until the next one is, or this one is
/// linked. Nothing: it has something that no relocation describes.
std::optional<BlockImage> image_of_last(CodeBuffer& buffer, const CompiledBlock& block);

/// Puts an image into the buffer, as compile() would have compiled the block for this link slot and counter. An image whose
/// offsets are not within it is TooComplex.
CompiledBlock place(const BlockImage& image, CodeBuffer& buffer, uint32_t first_link_slot, uint32_t counter);

/// Differs between buffers where the same images are not the same code: the shared stubs lie elsewhere.
uint64_t image_layout(const CodeBuffer& buffer);

}  // namespace arclight::jit
