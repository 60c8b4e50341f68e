#include "jit/memory_semantics.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <type_traits>

namespace arclight::jit {

using ir::AtomicKind;

namespace {
template <typename T>
T apply(AtomicKind kind, T old, T operand) {
    using S = std::make_signed_t<T>;
    switch (kind) {
        case AtomicKind::Add: return static_cast<T>(old + operand);
        case AtomicKind::Clear: return static_cast<T>(old & ~operand);
        case AtomicKind::Xor: return static_cast<T>(old ^ operand);
        case AtomicKind::Set: return static_cast<T>(old | operand);
        case AtomicKind::MaxS: return static_cast<S>(old) > static_cast<S>(operand) ? old : operand;
        case AtomicKind::MinS: return static_cast<S>(old) < static_cast<S>(operand) ? old : operand;
        case AtomicKind::MaxU: return old > operand ? old : operand;
        case AtomicKind::MinU: return old < operand ? old : operand;
        case AtomicKind::Swap: return operand;
    }
    return old;
}

/// Calls f with a value of the unsigned type of `bytes` bytes: 1, 2, 4 or 8.
template <typename F>
uint64_t by_size(unsigned bytes, F&& f) {
    switch (bytes) {
        case 1: return f(uint8_t{});
        case 2: return f(uint16_t{});
        case 4: return f(uint32_t{});
        default: return f(uint64_t{});
    }
}

/// `host` is aligned to T, or all of it within 16 aligned bytes, where x86's locked instructions are atomic too. Not
/// std::atomic_ref, which wants alignment.
template <typename T>
T atomic_load(uint8_t* host) {
    return __atomic_load_n(reinterpret_cast<T*>(host), __ATOMIC_SEQ_CST);
}
template <typename T>
bool atomic_exchange_if(uint8_t* host, T& expected, T desired) {
    return __atomic_compare_exchange_n(reinterpret_cast<T*>(host), &expected, desired, /*weak=*/false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

template <typename T>
uint64_t atomic_rmw(uint8_t* host, AtomicKind kind, uint64_t operand) {
    T old = atomic_load<T>(host);
    while (!atomic_exchange_if<T>(host, old, apply<T>(kind, old, static_cast<T>(operand)))) {
    }
    return old;
}

template <typename T>
uint64_t compare_and_swap(uint8_t* host, uint64_t expected, uint64_t desired) {
    T old = static_cast<T>(expected);
    atomic_exchange_if<T>(host, old, static_cast<T>(desired));
    return old;
}

uint64_t extend(uint64_t value, const MemoryAccess& access) {
    const unsigned bits = access.unit_bytes() * 8;
    if (bits == 64 || (access.aux & ir::kMemSigned) == 0) return value;
    return static_cast<uint64_t>(static_cast<int64_t>(value << (64 - bits)) >> (64 - bits));
}

/// Single-copy atomic where the address is aligned. Not memcpy with a size that only the run knows: it may
/// write a byte twice, and the second time undo what another CPU has stored since.
template <typename T>
void copy_in(uint8_t* bytes, uint8_t* host) {
    T v;
    if ((reinterpret_cast<uintptr_t>(host) & (sizeof(T) - 1)) == 0)
        v = std::atomic_ref(*reinterpret_cast<T*>(host)).load(std::memory_order_relaxed);
    else
        std::memcpy(&v, host, sizeof v);
    std::memcpy(bytes, &v, sizeof v);
}
template <typename T>
void copy_out(uint8_t* host, const uint8_t* bytes) {
    T v;
    std::memcpy(&v, bytes, sizeof v);
    if ((reinterpret_cast<uintptr_t>(host) & (sizeof(T) - 1)) == 0)
        std::atomic_ref(*reinterpret_cast<T*>(host)).store(v, std::memory_order_relaxed);
    else
        std::memcpy(host, &v, sizeof v);
}

/// Vector registers go by doublewords, which is all the atomicity they have.
template <typename F>
void each_unit(const MemoryAccess& access, F&& f) {
    const unsigned step = std::min(access.unit_bytes(), 8u);
    for (unsigned i = 0; i < access.bytes(); i += step)
        by_size(step, [&](auto t) {
            f(i, t);
            return 0;
        });
}

/// Sixteen bytes at a time, which are single-copy atomic where they are aligned: so is an aligned vector move on hosts with AVX.
template <typename F>
void each_vector(const MemoryAccess& access, F&& f) {
    for (unsigned i = 0; i < access.bytes(); i += 16) f(i);
}

void load_exclusive(GuestState& state, const MemoryAccess& access, uint8_t* host) {
    uint8_t bytes[16] = {};
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (access.bytes() == 16) {
        // The pair is single-copy atomic; storing what is there changes nothing.
        uint64_t pair[2] = {};
        const uint64_t same[2] = {};
        compare_and_swap_16(host, pair, same);
        std::memcpy(bytes, pair, 16);
    } else {
        by_size(access.bytes(), [&](auto t) -> uint64_t {
            t = atomic_load<decltype(t)>(host);
            std::memcpy(bytes, &t, sizeof t);
            return 0;
        });
    }
    scatter(access, bytes, state.access_value);
}

bool store_exclusive(GuestState& state, const MemoryAccess& access, uint8_t* host) {
    uint64_t expected[2] = {}, desired[2] = {};
    gather(access, state.exclusive_value, reinterpret_cast<uint8_t*>(expected));
    gather(access, state.access_value, reinterpret_cast<uint8_t*>(desired));
    if (access.bytes() == 16) return compare_and_swap_16(host, expected, desired);
    return by_size(access.bytes(), [&](auto t) -> uint64_t {
               using T = decltype(t);
               return compare_and_swap<T>(host, expected[0], desired[0]) == static_cast<T>(expected[0]);
           }) != 0;
}
}  // namespace

void scatter(const MemoryAccess& access, const uint8_t* bytes, uint64_t* values) {
    const unsigned unit = access.unit_bytes(), units = access.is_pair() ? 2 : 1;
    for (unsigned i = 0; i < units; ++i) {
        uint64_t v[2] = {};
        std::memcpy(v, bytes + i * unit, unit);
        if (access.is_vector()) {
            values[2 * i] = v[0], values[2 * i + 1] = v[1];
        } else {
            values[i] = extend(v[0], access);
        }
    }
}

void gather(const MemoryAccess& access, const uint64_t* values, uint8_t* bytes) {
    const unsigned unit = access.unit_bytes(), units = access.is_pair() ? 2 : 1;
    for (unsigned i = 0; i < units; ++i)
        std::memcpy(bytes + i * unit, values + (access.is_vector() ? 2 * i : i), unit);
}

bool compare_and_swap_16(uint8_t* host, uint64_t expected[2], const uint64_t desired[2]) {
    using Wide = unsigned __int128;
    Wide want, next;
    std::memcpy(&want, expected, sizeof want);
    std::memcpy(&next, desired, sizeof next);
    const Wide found = __sync_val_compare_and_swap(reinterpret_cast<Wide*>(host), want, next);
    std::memcpy(expected, &found, sizeof found);
    return found == want;
}

void atomic_rmw_16(uint8_t* host, AtomicKind kind, const uint64_t operand[2], uint64_t old[2]) {
    uint64_t found[2] = {}, desired[2];
    do {
        for (unsigned i = 0; i < 2; ++i) desired[i] = apply<uint64_t>(kind, found[i], operand[i]);
    } while (!compare_and_swap_16(host, found, desired));
    old[0] = found[0], old[1] = found[1];
}

void perform_access(GuestState& state, const MemoryAccess& access, uint8_t* host) {
    uint64_t* values = state.access_value;
    const unsigned unit = access.unit_bytes();
    switch (access.kind) {
        case MemoryKind::LoadEx:
        case MemoryKind::LoadExPair: return load_exclusive(state, access, host);
        case MemoryKind::StoreEx:
        case MemoryKind::StoreExPair: values[0] = store_exclusive(state, access, host) ? 0 : 1; return;
        case MemoryKind::AtomicRmw:
            values[0] = by_size(
                unit, [&](auto t) { return atomic_rmw<decltype(t)>(host, access.atomic, values[0]); });
            return;
        case MemoryKind::Cas:
            values[0] = by_size(
                unit, [&](auto t) { return compare_and_swap<decltype(t)>(host, values[0], values[1]); });
            return;
        case MemoryKind::ZeroBlock: std::memset(host, 0, 64); return;
        case MemoryKind::CheckStack:
        case MemoryKind::CheckZero: return;
        default: break;
    }
    alignas(16) uint8_t bytes[32];
    const bool whole = access.is_whole() && (reinterpret_cast<uintptr_t>(host) & 15) == 0;
    using Vector [[gnu::vector_size(16), gnu::may_alias]] = int64_t;
    const auto* from = reinterpret_cast<const volatile Vector*>(host);
    auto* to = reinterpret_cast<volatile Vector*>(host);
    auto* vectors = reinterpret_cast<Vector*>(bytes);
    if (access.reads() && whole) {
        each_vector(access, [&](unsigned i) { vectors[i / 16] = from[i / 16]; });
        scatter(access, bytes, values);
    } else if (access.reads()) {
        each_unit(access, [&](unsigned i, auto t) { copy_in<decltype(t)>(bytes + i, host + i); });
        scatter(access, bytes, values);
    } else {
        gather(access, values, bytes);
        if (whole)
            each_vector(access, [&](unsigned i) { to[i / 16] = vectors[i / 16]; });
        else
            each_unit(access, [&](unsigned i, auto t) { copy_out<decltype(t)>(host + i, bytes + i); });
        if (access.aux & ir::kMemRelease) std::atomic_thread_fence(std::memory_order_seq_cst);
    }
}

}  // namespace arclight::jit
