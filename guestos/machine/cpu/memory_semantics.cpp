#include "guestos/machine/cpu/memory_semantics.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <type_traits>

namespace arclight::guestos {

using jit::MemoryAccess;
using jit::MemoryKind;
using jit::ir::AtomicKind;

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

/// `host` is aligned to T: the alignment check came first.
template <typename T>
uint64_t atomic_rmw(uint8_t* host, AtomicKind kind, uint64_t operand) {
    std::atomic_ref<T> cell(*reinterpret_cast<T*>(host));
    T old = cell.load();
    while (!cell.compare_exchange_weak(old, apply<T>(kind, old, static_cast<T>(operand)))) {
    }
    return old;
}

template <typename T>
uint64_t compare_and_swap(uint8_t* host, uint64_t expected, uint64_t desired) {
    std::atomic_ref<T> cell(*reinterpret_cast<T*>(host));
    T old = static_cast<T>(expected);
    cell.compare_exchange_strong(old, static_cast<T>(desired));
    return old;
}

template <typename F>
uint64_t by_size(unsigned size_log2, F&& f) {
    switch (size_log2) {
        case 0: return f(uint8_t{});
        case 1: return f(uint16_t{});
        case 2: return f(uint32_t{});
        default: return f(uint64_t{});
    }
}

uint64_t extend(uint64_t value, const MemoryAccess& access) {
    const unsigned bits = access.unit_bytes() * 8;
    if (bits == 64 || (access.aux & jit::ir::kMemSigned) == 0) return value;
    return static_cast<uint64_t>(static_cast<int64_t>(value << (64 - bits)) >> (64 - bits));
}

/// Single-copy atomic where the address is aligned (ARM ARM B2.2.1). Not memcpy with a size that only the run
/// knows: it may write a byte twice, and the second time undo what another CPU has stored since.
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
        by_size(static_cast<unsigned>(std::countr_zero(step)), [&](auto t) {
            f(i, t);
            return 0;
        });
}
}  // namespace

void scatter(const MemoryAccess& access, const uint8_t* bytes, uint64_t* values) {
    const unsigned unit = access.unit_bytes(), units = access.is_pair() ? 2 : 1;
    for (unsigned i = 0; i < units; ++i) {
        if (access.is_vector()) {
            uint64_t v[2] = {};
            std::memcpy(v, bytes + i * unit, unit);
            values[2 * i] = v[0], values[2 * i + 1] = v[1];
        } else {
            uint64_t v = 0;
            std::memcpy(&v, bytes + i * unit, unit);
            values[i] = extend(v, access);
        }
    }
}

void gather(const MemoryAccess& access, const uint64_t* values, uint8_t* bytes) {
    const unsigned unit = access.unit_bytes(), units = access.is_pair() ? 2 : 1;
    for (unsigned i = 0; i < units; ++i)
        std::memcpy(bytes + i * unit, values + (access.is_vector() ? 2 * i : i), unit);
}

bool compare_and_swap_16(uint8_t* host, uint64_t expected[2], const uint64_t desired[2]) {
    bool done;
    // The operand is 16-byte aligned (checked by the caller), which CMPXCHG16B needs.
    asm volatile("lock cmpxchg16b %1"
                 : "=@ccz"(done), "+m"(*reinterpret_cast<unsigned __int128*>(host)), "+a"(expected[0]),
                   "+d"(expected[1])
                 : "b"(desired[0]), "c"(desired[1])
                 : "memory");
    return done;
}

uint64_t compare_and_swap_8(uint8_t* host, uint64_t expected, uint64_t desired) {
    return compare_and_swap<uint64_t>(host, expected, desired);
}

void access_host(jit::GuestState& state, const MemoryAccess& access, uint64_t va, uint8_t* host) {
    uint64_t* values = state.access_value;
    const unsigned size = jit::ir::mem_size_log2(access.aux);
    switch (access.kind) {
        case MemoryKind::LoadEx:
        case MemoryKind::LoadExPair:
            std::atomic_thread_fence(std::memory_order_seq_cst);
            state.exclusive_addr = va;
            state.exclusive_value[0] = state.exclusive_value[1] = 0;
            if (access.bytes() == 16) {
                // A torn pair would make the store fail, never succeed wrongly; but the pair is single-copy
                // atomic.
                uint64_t pair[2] = {};
                const uint64_t same[2] = {};
                compare_and_swap_16(host, pair, same);
                std::memcpy(state.exclusive_value, pair, 16);
            } else {
                const uint64_t v = by_size(std::countr_zero(access.bytes()), [&](auto t) -> uint64_t {
                    return std::atomic_ref(*reinterpret_cast<decltype(t)*>(host)).load();
                });
                state.exclusive_value[0] = v;
            }
            scatter(access, reinterpret_cast<const uint8_t*>(state.exclusive_value), values);
            return;
        case MemoryKind::StoreEx:
        case MemoryKind::StoreExPair: {
            uint64_t desired[2] = {};
            gather(access, values, reinterpret_cast<uint8_t*>(desired));
            bool stored = false;
            if (state.exclusive_addr == va) {
                uint64_t expected[2] = {state.exclusive_value[0], state.exclusive_value[1]};
                if (access.bytes() == 16)
                    stored = compare_and_swap_16(host, expected, desired);
                else
                    stored = by_size(std::countr_zero(access.bytes()), [&](auto t) -> uint64_t {
                                 using T = decltype(t);
                                 return compare_and_swap<T>(host, expected[0], desired[0]) ==
                                        static_cast<T>(expected[0]);
                             }) != 0;
            }
            state.exclusive_addr = jit::kNoExclusive;
            values[0] = stored ? 0 : 1;
            return;
        }
        case MemoryKind::AtomicRmw:
            values[0] = by_size(
                size, [&](auto t) { return atomic_rmw<decltype(t)>(host, access.atomic, values[0]); });
            return;
        case MemoryKind::Cas:
            values[0] = by_size(
                size, [&](auto t) { return compare_and_swap<decltype(t)>(host, values[0], values[1]); });
            return;
        case MemoryKind::ZeroBlock: std::memset(host, 0, 64); return;
        default: break;
    }
    uint8_t bytes[32];
    if (access.reads()) {
        each_unit(access, [&](unsigned i, auto t) { copy_in<decltype(t)>(bytes + i, host + i); });
        scatter(access, bytes, values);
    } else {
        gather(access, values, bytes);
        each_unit(access, [&](unsigned i, auto t) { copy_out<decltype(t)>(host + i, bytes + i); });
        if (access.aux & jit::ir::kMemRelease) std::atomic_thread_fence(std::memory_order_seq_cst);
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
