// A block's host code with all that depends on where it lies: what another code cache can take it by.
//
// An image is of one build of the program, one host CPU and one choice of CodeOptions; for others it is no code.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "jit/host_code.h"

namespace arclight::jit {

/// Where a byte of a block is: from CompiledBlock::entry, or, from hot_bytes on, from CompiledBlock::cold.
using ImageOffset = uint32_t;
inline constexpr ImageOffset kNoOffset = ~ImageOffset{0};

/// See Relocation::append_to().
using PackedRelocation = std::array<uint8_t, 2>;

/// Four bytes of a block's code that say where something else is, or which number it has. In an image they hold what does not
/// depend on where the block lies.
struct Relocation {
    enum class Kind : uint8_t {
        Block,           ///< relative, to a place in the block's other half: its ImageOffset
        Shared,          ///< relative, to a shared stub: its offset from CodeBuffer::base()
        Constant,        ///< relative, to a constant: its index in BlockImage::constants
        ConstantBefore,  ///< the same in an instruction that a byte follows the field in
        Counter,         ///< relative, to the block's counter; likewise
        CounterNumber,   ///< the counter's number
        LinkNumber,      ///< the number of an exit's link slot: its index in CompiledBlock::exits
        None,            ///< no field is here, but the next one is not far
    };
    ImageOffset at = 0;
    Kind kind = Kind::Block;

    /// Bytes of the instruction that follow the field: relative means to its end.
    unsigned behind() const { return kind == Kind::ConstantBefore || kind == Kind::Counter ? 1 : 0; }
    /// By its distance from the one before it; from 0 for the first.
    void append_to(std::vector<PackedRelocation>& out, ImageOffset before) const;
    static Relocation unpack(PackedRelocation packed, ImageOffset before);
};

/// A LinkSlot.
struct ImageExit {
    ImageOffset jump, epoch, stub;  ///< kNoOffset: null
    int32_t target;
    bool cross_page;
};

/// What is here is someone else's memory.
struct BlockImage {
    ImageOffset body = 0, indirect = kNoOffset;
    uint8_t indirect_register = 0, indirect_kind = 0;
    bool counted = false;  ///< it has a counter
    std::span<const uint8_t> hot, cold;
    std::span<const PackedRelocation> relocations;
    std::span<const std::array<uint64_t, 2>> constants;
    std::span<const ImageExit> exits;
    std::span<const FaultPoint> points;
    std::span<const LocationWord> locations;
};

/// Memory of parts of an image.
struct ImageMemory {
    std::vector<uint8_t> code;
    std::vector<std::array<uint64_t, 2>> constants;
    std::vector<ImageExit> exits;
    FaultMap faults;
};

/// Of the block that was compiled last, into a buffer with CodeOptions::images, and is not linked yet: what image_of() needs. None:
/// it has something that no relocation describes, and there is no image of it.
std::vector<PackedRelocation> relocations_of_last(CodeBuffer& buffer, const CompiledBlock& block);

/// Of a block with these relocations, whatever its exits, its entry and its indirect branch lead to by now; compile() was given
/// first_link_slot for it. It points to what is given and to `memory`. Nothing: it has something that an image has not.
std::optional<BlockImage> image_of(const CodeBuffer& buffer, const CompiledBlock& block,
                                   std::span<const PackedRelocation> relocations, uint32_t first_link_slot,
                                   ImageMemory& memory);

/// Puts an image into the buffer, as compile() would have compiled the block for this link slot and counter. An image whose
/// offsets are not within it is TooComplex.
CompiledBlock place(const BlockImage& image, CodeBuffer& buffer, uint32_t first_link_slot, uint32_t counter);

/// Differs between buffers where the same images are not the same code: the shared stubs lie elsewhere.
uint64_t image_layout(const CodeBuffer& buffer);

}  // namespace arclight::jit
