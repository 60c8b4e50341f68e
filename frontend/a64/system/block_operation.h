// CPY and SET (FEAT_MOPS, ARM ARM C3.2.14): memory copied or set by three instructions, a prologue, a main part and an epilogue.
// Here the prologue chooses the direction and brings the registers into the form of option A, and the main part does it all; what
// is left after an exception stands in the registers.
#pragma once

#include <cstdint>

namespace arclight::frontend::a64 {

enum class BlockStage : uint8_t { Prologue, Main, Epilogue };
enum class BlockKind : uint8_t {
    CopyForward,  ///< CPYF: from low to high addresses
    Copy,         ///< CPY: as an overlap asks
    Set,
};

struct BlockOperation {
    BlockKind kind;
    BlockStage stage;
    uint8_t options;                    ///< the instruction's: T and N of the accesses
    uint8_t destination, source, size;  ///< registers

    /// As the argument of Helper::BlockMemory.
    constexpr uint64_t pack() const {
        return static_cast<uint64_t>(kind) | static_cast<uint64_t>(stage) << 2 | uint64_t{options} << 4 |
               uint64_t{destination} << 8 | uint64_t{source} << 13 | uint64_t{size} << 18;
    }
    static constexpr BlockOperation unpack(uint64_t v) {
        return {static_cast<BlockKind>(v & 3),      static_cast<BlockStage>(v >> 2 & 3),
                static_cast<uint8_t>(v >> 4 & 15),  static_cast<uint8_t>(v >> 8 & 31),
                static_cast<uint8_t>(v >> 13 & 31), static_cast<uint8_t>(v >> 18 & 31)};
    }

    /// LDTR's and STTR's privileges at EL1. Copies: bit 1 of the options reads so, bit 0 writes so. Sets: bit 0.
    constexpr bool reads_unprivileged() const { return kind != BlockKind::Set && (options & 2) != 0; }
    constexpr bool writes_unprivileged() const { return (options & 1) != 0; }
};

}  // namespace arclight::frontend::a64
