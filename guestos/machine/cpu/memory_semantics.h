// What a MemoryAccess does to bytes of host memory: a virtual CPU's slow path, once it knows where they are.
#pragma once

#include <cstdint>

#include "jit/guest_state.h"
#include "jit/memory_access.h"
#include "jit/memory_semantics.h"

namespace arclight::guestos {

/// Carries out an access of any kind. `host` is aligned as the kind demands; results and operands are in
/// GuestState::access_value and the exclusive monitor.
void access_host(jit::GuestState& state, const jit::MemoryAccess& access, uint64_t va, uint8_t* host);
/// A plain access whose first bytes end one page and whose others begin another.
void access_host_split(jit::GuestState& state, const jit::MemoryAccess& access, uint8_t* first,
                       unsigned first_bytes, uint8_t* second);

using jit::compare_and_swap_16;
using jit::gather;
using jit::scatter;

/// Compares and swaps the 8 bytes at `host`, aligned; the old value.
uint64_t compare_and_swap_8(uint8_t* host, uint64_t expected, uint64_t desired);

}  // namespace arclight::guestos
