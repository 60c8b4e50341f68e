// Whole random programs: loops, calls, indirect and conditional branches around random instructions. They run
// for thousands of instructions, so they reach what short sequences do not: linked blocks, jump caches,
// register allocation under pressure, state carried from block to block.
#pragma once

#include <cstdint>
#include <vector>

#include "tests/differential/case.h"
#include "tests/differential/random.h"

namespace arclight::differential {

inline constexpr unsigned kProgramSlots = 16;  ///< of code for each program
inline constexpr unsigned kProgramsPerBatch = kSlots / kProgramSlots;

/// Fills `batch` with programs number `first` and up. At most kProgramsPerBatch.
void generate_programs(Batch& batch, uint64_t seed, uint64_t first, unsigned count);

}  // namespace arclight::differential
