// The memory slow path, as plainly as its contract (jit/memory_access.h) can be written.
#pragma once

#include <cstdint>

#include "jit/guest_state.h"
#include "jit/memory_access.h"
#include "jit/memory_semantics.h"

namespace arclight::differential {

enum class AccessResult : uint8_t { Done, Unaligned, Fault };

/// `transfer(va, data, bytes, write)` moves bytes and returns false when the access faults.
template <typename Transfer>
AccessResult perform_access(jit::GuestState& s, jit::MemoryAccess access, Transfer&& transfer) {
    using enum jit::MemoryKind;
    const unsigned total = access.bytes();
    const uint64_t va = access.kind == ZeroBlock ? s.access_addr & ~uint64_t{63} : s.access_addr;
    if (access.kind == CheckZero) return AccessResult::Fault;
    if (access.misaligns_stack(va)) return AccessResult::Unaligned;
    if (access.must_be_aligned() && va % total != 0) return AccessResult::Unaligned;

    alignas(64) uint8_t bytes[64] = {};
    // Exclusives and atomics read first, also those that write.
    const bool reads = access.reads() || access.kind == StoreEx || access.kind == StoreExPair;
    if (reads && !transfer(va, bytes, total, false)) return AccessResult::Fault;
    jit::perform_access(s, access, bytes);
    const bool stores = access.writes() &&
                        !((access.kind == StoreEx || access.kind == StoreExPair) && s.access_value[0] != 0);
    if (stores && !transfer(va, bytes, total, true)) return AccessResult::Fault;
    return AccessResult::Done;
}

}  // namespace arclight::differential
