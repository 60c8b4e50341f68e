#include "guestos/machine/cpu/memory_semantics.h"

#include <cstring>

namespace arclight::guestos {

using jit::MemoryAccess;
using jit::MemoryKind;

uint64_t compare_and_swap_8(uint8_t* host, uint64_t expected, uint64_t desired) {
    __atomic_compare_exchange_n(reinterpret_cast<uint64_t*>(host), &expected, desired, /*weak=*/false,
                                __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  // within 16 bytes, aligned or not
    return expected;
}

/// The monitor is an address and the values read there, a unit each; jit::perform_access() compares the
/// values.
void access_host(jit::GuestState& state, const MemoryAccess& access, uint64_t va, uint8_t* host) {
    const bool load = access.kind == MemoryKind::LoadEx || access.kind == MemoryKind::LoadExPair;
    const bool store = access.kind == MemoryKind::StoreEx || access.kind == MemoryKind::StoreExPair;
    if (store && state.exclusive_addr != va) {
        state.access_value[0] = 1;
    } else {
        jit::perform_access(state, access, host);
    }
    if (load) {
        state.exclusive_addr = va;
        state.exclusive_value[0] = state.access_value[0];
        state.exclusive_value[1] = access.is_pair() ? state.access_value[1] : 0;
    } else if (store) {
        state.exclusive_addr = jit::kNoExclusive;
    }
}

void access_host_split(jit::GuestState& state, const MemoryAccess& access, uint8_t* first,
                       unsigned first_bytes, uint8_t* second) {
    uint8_t bytes[32];
    const unsigned n = access.bytes();
    if (access.reads()) {
        std::memcpy(bytes, first, first_bytes);
        std::memcpy(bytes + first_bytes, second, n - first_bytes);
        scatter(access, bytes, state.access_value);
    } else {
        gather(access, state.access_value, bytes);
        std::memcpy(first, bytes, first_bytes);
        std::memcpy(second, bytes + first_bytes, n - first_bytes);
    }
}

}  // namespace arclight::guestos
