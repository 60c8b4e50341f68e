// What a load or store touches, read from the manual's encoding diagrams (ARM ARM C4.1.94) and from nothing
// of Arclight: the generator needs it to keep accesses inside the arena.
#pragma once

#include <cstdint>
#include <optional>

namespace arclight::differential {

struct MemoryOperand {
    enum class Mode : uint8_t {
        Offset,
        PostImmediate,
        PreImmediate,
        PostRegister,
        RegisterOffset,
        Literal,
        None
    };
    Mode mode = Mode::Offset;
    unsigned base = 0;         ///< Rn, 31 = SP
    unsigned index = 0;        ///< Rm of PostRegister and RegisterOffset
    unsigned extend = 3;       ///< option of RegisterOffset
    unsigned shift = 0;        ///< of the index
    int64_t offset = 0;        ///< immediate
    unsigned bytes = 1;        ///< the whole access
    unsigned alignment = 1;    ///< below which the access faults
    uint32_t gpr_written = 0;  ///< mask of general registers written, but for the base
    uint32_t gpr_read = 0;     ///< but for base and index
    bool is_load = false;
    bool is_exclusive_store = false;
    bool writes_back() const {
        return mode == Mode::PostImmediate || mode == Mode::PreImmediate || mode == Mode::PostRegister;
    }
    /// CONSTRAINED UNPREDICTABLE (write-back to a transferred register, equal registers of a pair and the
    /// like): implementations may differ, so the generator avoids it.
    bool unpredictable = false;
};

/// Bits 28:25 are x1x0.
constexpr bool is_load_store(uint32_t insn) { return (insn >> 27 & 1) == 1 && (insn >> 25 & 1) == 0; }
constexpr bool is_dc_zva(uint32_t insn) { return (insn & 0xffffffe0) == 0xd50b7420; }

/// Nothing for encodings that are no loads or stores, or not allocated.
std::optional<MemoryOperand> memory_operand(uint32_t insn);

}  // namespace arclight::differential
