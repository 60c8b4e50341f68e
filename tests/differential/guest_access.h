// The memory slow path, as plainly as its contract (jit/memory_access.h) can be written.
#pragma once

#include <algorithm>
#include <cstring>

#include "jit/guest_state.h"
#include "jit/memory_access.h"

namespace arclight::differential {

enum class AccessResult : uint8_t { Done, Unaligned, Fault };

/// `transfer(va, data, bytes, write)` moves bytes and returns false when the access faults.
template <typename Transfer>
AccessResult perform_access(jit::GuestState& s, jit::MemoryAccess access, Transfer&& transfer) {
    using enum jit::MemoryKind;
    using jit::ir::AtomicKind;
    const unsigned unit = access.unit_bytes(), total = access.bytes(), count = total / unit;
    uint64_t va = s.access_addr;
    uint64_t* values = s.access_value;
    const unsigned stride = access.is_vector() ? 2 : 1;

    if (access.kind == ZeroBlock) {
        const uint8_t zeros[64] = {};
        return transfer(va & ~uint64_t{63}, const_cast<uint8_t*>(zeros), 64, true) ? AccessResult::Done
                                                                                   : AccessResult::Fault;
    }
    if (access.misaligns_stack(va)) return AccessResult::Unaligned;
    if (access.must_be_aligned() && va % total != 0) return AccessResult::Unaligned;

    uint8_t bytes[32] = {};
    const auto element = [&](unsigned i) {
        uint64_t v = 0;
        std::memcpy(&v, bytes + i * unit, std::min(unit, 8u));
        return v;
    };
    const unsigned spare = 64 - 8 * std::min(unit, 8u);
    const auto sign_extended = [&](uint64_t v) { return static_cast<int64_t>(v << spare) >> spare; };
    const auto zero_extended = [&](uint64_t v) { return v << spare >> spare; };
    const auto store = [&] {
        for (unsigned i = 0; i < count; ++i) std::memcpy(bytes + i * unit, values + i * stride, unit);
        return transfer(va, bytes, total, true);
    };

    if (access.kind == Store || access.kind == StoreV || access.kind == StorePair ||
        access.kind == StorePairV)
        return store() ? AccessResult::Done : AccessResult::Fault;

    if (!transfer(va, bytes, total, false)) return AccessResult::Fault;
    switch (access.kind) {
        case LoadV:
        case LoadPairV:
            for (unsigned i = 0; i < count; ++i) {
                values[2 * i] = values[2 * i + 1] = 0;
                std::memcpy(values + 2 * i, bytes + i * unit, unit);
            }
            break;
        case StoreEx:
        case StoreExPair: {
            bool same = true;
            for (unsigned i = 0; i < count; ++i) same &= element(i) == zero_extended(s.exclusive_value[i]);
            if (same) store();
            values[0] = same ? 0 : 1;
            break;
        }
        case AtomicRmw: {
            const uint64_t old = element(0), operand = zero_extended(values[0]);
            const int64_t a = sign_extended(old), b = sign_extended(operand);
            uint64_t result = operand;
            switch (access.atomic) {
                case AtomicKind::Add: result = old + operand; break;
                case AtomicKind::Clear: result = old & ~operand; break;
                case AtomicKind::Xor: result = old ^ operand; break;
                case AtomicKind::Set: result = old | operand; break;
                case AtomicKind::MaxS: result = a > b ? old : operand; break;
                case AtomicKind::MinS: result = a < b ? old : operand; break;
                case AtomicKind::MaxU: result = old > operand ? old : operand; break;
                case AtomicKind::MinU: result = old < operand ? old : operand; break;
                case AtomicKind::Swap: break;
            }
            transfer(va, &result, unit, true);
            values[0] = old;
            break;
        }
        case Cas: {
            const uint64_t old = element(0);
            if (old == zero_extended(values[0])) transfer(va, &values[1], unit, true);
            values[0] = old;
            break;
        }
        default:
            for (unsigned i = 0; i < count; ++i)
                values[i] = (access.aux & jit::ir::kMemSigned) != 0
                                ? static_cast<uint64_t>(sign_extended(element(i)))
                                : element(i);
            break;
    }
    return AccessResult::Done;
}

}  // namespace arclight::differential
