// What an instruction of the host accesses, for faults of which the host's kernel does not tell the address.
#pragma once

#include <array>
#include <cstdint>

namespace arclight::jit {

struct MemoryOperand {
    uint64_t address = 0;  ///< 0: none
    bool write = false;
};

/// Of the instruction at `code`, with the general registers in the order of their numbers in instructions. FS, GS and vectors of
/// addresses are left out; so is everything where the program has no decoder.
std::array<MemoryOperand, 2> memory_operands(const uint8_t* code, const std::array<uint64_t, 16>& registers);

}  // namespace arclight::jit
