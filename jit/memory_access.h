// How emitted code describes one guest memory access to the slow path.
//
// The address is in GuestState::access_addr (for ZeroBlock not yet aligned down). Operands and results are in
// access_value[]: integers one an element ([0], [1]), vectors two an element ([0..1], [2..3]).
//   Load(Ex), Load(Ex)Pair          results: zero- or (kMemSigned) sign-extended to 64 bits
//   LoadV, LoadPairV                results: zero-extended to 128 bits
//   Store(V), StorePair(V)          operands: the low bytes count
//   LoadEx(Pair)                    emitted code sets the monitor itself
//   StoreEx(Pair)                   operands: value(s); result [0]: 0 stored, 1 not. Emitted code has compared
//                                   the monitor's address and will clear the monitor: compare memory with
//                                   exclusive_value[], one unit an element, and swap, atomically
//   AtomicRmw                       operand [0]; result [0] = old value, zero-extended
//   Cas                             operands [0] expected, [1] new; result [0] = old value, zero-extended
//   CheckStack                      no access: the address is a misaligned SP
//   CheckZero                       no access: what is wrong about a pointer; aux: number of the key, or ir::kCheckScalableTrap
#pragma once

#include <cstdint>

#include "jit/ir/ir.h"

namespace arclight::jit {

enum class MemoryKind : uint8_t {
    Load,
    Store,
    LoadV,
    StoreV,
    LoadPair,
    LoadPairV,
    StorePair,
    StorePairV,
    LoadEx,
    LoadExPair,
    StoreEx,
    StoreExPair,
    AtomicRmw,
    Cas,
    ZeroBlock,
    CheckStack,
    CheckZero,
};

/// One access, packed into the 32-bit descriptor that emitted code hands to the slow path.
struct MemoryAccess {
    MemoryKind kind = MemoryKind::Load;
    uint32_t aux = 0;  ///< as in the IR: log2 of a unit's bytes, kMemSigned, kMemAcquire ...
    ir::AtomicKind atomic = ir::AtomicKind::Add;

    constexpr uint32_t pack() const {
        return static_cast<uint32_t>(kind) | (aux & 0x3ffff) << 6 | static_cast<uint32_t>(atomic) << 25;
    }
    static constexpr MemoryAccess unpack(uint64_t d) {
        return {static_cast<MemoryKind>(d & 0x3f), static_cast<uint32_t>(d >> 6 & 0x3ffff),
                static_cast<ir::AtomicKind>(d >> 25 & 0xf)};
    }

    constexpr unsigned unit_bytes() const { return 1u << ir::mem_size_log2(aux); }
    constexpr bool is_pair() const {
        using enum MemoryKind;
        return kind == LoadPair || kind == LoadPairV || kind == StorePair || kind == StorePairV ||
               kind == LoadExPair || kind == StoreExPair;
    }
    /// Bytes touched; the whole access lies at [addr, addr + bytes), ZeroBlock at addr & ~63.
    constexpr unsigned bytes() const {
        return kind == MemoryKind::ZeroBlock ? 64 : unit_bytes() << (is_pair() ? 1 : 0);
    }
    constexpr bool reads() const {
        using enum MemoryKind;
        return kind == Load || kind == LoadV || kind == LoadPair || kind == LoadPairV || kind == LoadEx ||
               kind == LoadExPair || kind == AtomicRmw || kind == Cas;
    }
    constexpr bool writes() const {
        using enum MemoryKind;
        return !(kind == Load || kind == LoadV || kind == LoadPair || kind == LoadPairV || kind == LoadEx ||
                 kind == LoadExPair || kind == CheckStack || kind == CheckZero);
    }
    constexpr bool is_vector() const {
        using enum MemoryKind;
        return kind == LoadV || kind == StoreV || kind == LoadPairV || kind == StorePairV;
    }
    /// Must be aligned to bytes() whatever SCTLR_ELx.A says: exclusives, atomics, and plain accesses with
    /// kMemAligned.
    constexpr bool must_be_aligned() const {
        using enum MemoryKind;
        return (aux & ir::kMemAligned) != 0 || kind == LoadEx || kind == LoadExPair || kind == StoreEx ||
               kind == StoreExPair || kind == AtomicRmw || kind == Cas;
    }
    /// A stack alignment fault, which comes before all others (AArch64.CheckSPAlignment).
    constexpr bool misaligns_stack(uint64_t addr) const {
        return kind == MemoryKind::CheckStack ||
               ((aux & ir::kMemSpBase) != 0 && ((addr - ir::mem_sp_offset(aux)) & 15) != 0);
    }
    /// ir::kMemWhole, of a pair that may be one.
    constexpr bool is_whole() const { return (aux & ir::kMemWhole) != 0; }
    constexpr bool is_unprivileged() const { return (aux & ir::kMemUnprivileged) != 0; }
};

}  // namespace arclight::jit
