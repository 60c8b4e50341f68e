// What a MemoryAccess does to the bytes it touches, once it is known to be permitted: for slow paths and
// interpreters.
//
// Whether an access is permitted (translation, alignment, SP alignment) comes first and is the caller's
// business.
#pragma once

#include <cstdint>

#include "jit/guest_state.h"
#include "jit/memory_access.h"

namespace arclight::jit {

/// From bytes in memory order to access_value[], by the layout in memory_access.h: extends what is narrower.
void scatter(const MemoryAccess& access, const uint8_t* bytes, uint64_t* values);
/// The other way: access.bytes() bytes are written.
void gather(const MemoryAccess& access, const uint64_t* values, uint8_t* bytes);

/// Compares and swaps 16 bytes at a 16-byte aligned address, atomically. `expected` becomes what was there.
/// Returns whether it stored.
bool compare_and_swap_16(uint8_t* host, uint64_t expected[2], const uint64_t desired[2]);
/// Clear, Set or Swap on such 16 bytes; `old` becomes what was there.
void atomic_rmw_16(uint8_t* host, ir::AtomicKind kind, const uint64_t operand[2], uint64_t old[2]);

/// Performs the access on the bytes at `host`, which must be contiguous (ZeroBlock: 64, aligned). Operands
/// and results are in state.access_value; StoreEx(Pair) compares with state.exclusive_value and does not look
/// at the monitor's address. Other CPUs may access the same bytes: exclusives and atomics are atomic, plain
/// accesses single-copy atomic where the ARM ARM (B2.2.1) wants it, with barriers for acquire and release.
void perform_access(GuestState& state, const MemoryAccess& access, uint8_t* host);

}  // namespace arclight::jit
