// What the profile of host instructions asks of one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace arclight::jit {

struct HostInstruction {
    size_t bytes = 0;  ///< 0: it is none, or the program has no decoder (have_disassembler())
    /// Its operand in memory at `base`, the number of a general register, and a displacement.
    struct Memory {
        bool present = false, read = false, written = false;
        uint8_t base = 0;
        int64_t displacement = 0;
    } memory;
    /// Whether it reads, or writes, a vector register from xmm16 on, and a general register is its other operand.
    bool from_upper_vector = false, to_upper_vector = false;
};

/// The first instruction of `code`.
HostInstruction host_instruction(std::span<const uint8_t> code);

/// What an instruction refers to by the address of the next one.
struct RelativeOperand {
    uint8_t bytes = 0;  ///< of the instruction; 0: it is not known
    uint8_t field = 0;  ///< where its displacement's four bytes begin; 0: it has no such operand
};
/// Of the instruction that `code` begins with. Nothing is known without a disassembler.
RelativeOperand relative_operand(std::span<const uint8_t> code);

}  // namespace arclight::jit
