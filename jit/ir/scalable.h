// What the IR says of an operation on scalable vectors: on GuestState's vector and predicate registers, not on values, since a
// vector has as many bytes as the operation says (jit/guest_state.h, z_upper, v and p).
//
// Inst::imm of Scalable and ScalableAccess is one of these. Beside it the instruction has a call of the runtime that does the same
// (ScalableCall), which is what it means: a back end does the operation itself where it can and makes the call where it cannot.
#pragma once

#include <cstdint>

#include "jit/ir/ir.h"

namespace arclight::jit::ir {

/// What is done with elements of 8 << Scalable::size bits. n, m, a: the operands; s: Inst::args[2], which stands in each element of
/// the second operand where Scalable::scalar says so.
enum class Lanes : uint8_t {
    Move,  ///< the second operand
    Add,
    Sub,
    SubReversed,  ///< m - n
    Mul,
    And,
    Or,
    Xor,
    AndNot,  ///< n & ~m
    MaxS,
    MaxU,
    MinS,
    MinU,
    AbsDiffS,
    AbsDiffU,
    Abs,  ///< of m, as Neg, Not and those that extend
    Neg,
    Not,
    SExt8,
    ZExt8,
    SExt16,
    ZExt16,
    SExt32,
    ZExt32,
    Shl,  ///< by m, unsigned; 0 from the width on. With Scalable::scalar by Scalable::imm
    ShrU,
    ShrS,    ///< copies of the sign from the width on
    MulAdd,  ///< a + n * m
    MulSub,  ///< a - n * m
    Index,   ///< s + i * Scalable::imm, in element i
    // Of the second operand's elements of half the size, those in its lower or (Scalable::imm not 0) upper half.
    UnpackS,
    UnpackU,
    SatAddS,  ///< saturating
    SatAddU,
    SatSubS,
    SatSubU,
    Compact,    ///< the active ones of m, one behind the other, and then 0
    XorRotate,  ///< n ^ m, rotated to the right by Scalable::imm, 1 to the width
    Bitwise,    ///< bit a << 2 | m << 1 | n of Scalable::imm, for bits of all three
    // a + the products of four elements each of a quarter of the size, of n and m: both signed, both unsigned, one of them.
    DotS,
    DotU,
    DotUS,
    DotSU,
    // Elements of n and m in other places: of both in turns from the lower or upper halves; the even or odd ones of n, then of m; those
    // of both in turns.
    Zip1,
    Zip2,
    Uzp1,
    Uzp2,
    Trn1,
    Trn2,
    Table,    ///< those of n that the elements of m number; 0 of numbers that are too large
    Reverse,  ///< of m, the last one first
    Extract,  ///< the bytes from number Scalable::imm on of n, with m behind it
    // One element of the active ones of m, with zeros above it. Sums have 64 bits.
    ReduceAddS,
    ReduceAddU,
    ReduceMaxS,
    ReduceMaxU,
    ReduceMinS,
    ReduceMinU,
    ReduceOr,
    ReduceXor,
    ReduceAnd,
    // Floating point, with the rules of VFAdd and others (opcodes.inc), of elements of 32 and 64 bits; only active elements raise
    // flags.
    FAdd,
    FSub,
    FSubReversed,
    FMul,
    FDiv,
    FSqrt,  ///< of m, as FNeg and FAbs
    FNeg,
    FAbs,
    FMax,  ///< with a NaN among the operands what FMAX or FMAXNM makes of it, as the call knows
    FMin,
    // Numbers of the same size, of m.
    IntToFpS,
    IntToFpU,
    FpToIntS,  ///< towards zero
    FpToIntU,
    FMulAdd,     ///< a + n * m, fused
    FMulSub,     ///< a - n * m
    FNegMulAdd,  ///< -a - n * m
    FNegMulSub,  ///< -a + n * m
    // To predicate d: the active elements for which it holds.
    CmpEq,
    CmpNe,
    CmpGtS,
    CmpGeS,
    CmpLtS,
    CmpLeS,
    CmpGtU,
    CmpGeU,
    CmpLtU,
    CmpLeU,
    FCmpEq,
    FCmpNe,
    FCmpGt,
    FCmpGe,
    FCmpLt,
    FCmpLe,
    // ScalableAccess: elements one behind the other from s on, of 8 << Scalable::memory_size bits in memory. Inactive ones are not
    // accessed, and are 0 when loaded.
    Load,
    LoadSigned,      ///< extended to the element
    LoadReplicated,  ///< one element of memory, at s, for all that are active
    LoadReplicatedSigned,
    LoadSegment,  ///< 16 bytes at s, for each 128 bits; of g the bits for the first ones count
    Store,
    Count,
};
constexpr bool is_compare(Lanes op) { return op >= Lanes::CmpEq && op <= Lanes::FCmpLe; }
constexpr bool is_dot(Lanes op) { return op >= Lanes::DotS && op <= Lanes::DotSU; }
constexpr bool is_permutation(Lanes op) { return op >= Lanes::Zip1 && op <= Lanes::Extract; }
constexpr bool is_reduction(Lanes op) { return op >= Lanes::ReduceAddS && op <= Lanes::ReduceAnd; }
constexpr bool is_access(Lanes op) { return op >= Lanes::Load && op < Lanes::Count; }
constexpr bool is_replicated(Lanes op) {
    return op == Lanes::LoadReplicated || op == Lanes::LoadReplicatedSigned;
}

/// Elements that the predicate does not name.
enum class Inactive : uint8_t {
    None,   ///< there is no predicate: all elements are active
    Keep,   ///< the destination's stay as they are
    Zero,   ///< become 0; also of comparisons and accesses
    Other,  ///< become those of register a
};

struct Scalable {
    Lanes op{};
    Inactive inactive{};
    uint8_t d = 0, n = 0, m = 0, a = 0;  ///< vector registers 0 to 31; d of comparisons: a predicate
    uint8_t g = 0;     ///< governing predicate: bit i << size of GuestState::p speaks for element i
    uint8_t size = 0;  ///< elements of 8 << size bits
    uint8_t memory_size = 0;
    uint8_t length = 0;   ///< vectors of 16 << length bytes
    bool scalar = false;  ///< the second operand is s, not m
    int8_t imm = 0;
    bool indexed = false;  ///< the second operand is, for each 128 bits, their element imm of m

    constexpr unsigned bytes() const { return 16u << length; }
    constexpr unsigned elements() const { return bytes() >> size; }
    /// Bytes that an access spans.
    constexpr unsigned memory_bytes() const {
        return op == Lanes::LoadSegment ? 16 : (is_replicated(op) ? 1 : elements()) << memory_size;
    }

    constexpr uint64_t pack() const {
        return uint64_t{static_cast<uint8_t>(op)} | uint64_t{static_cast<uint8_t>(inactive)} << 8 |
               uint64_t{d} << 10 | uint64_t{n} << 15 | uint64_t{m} << 20 | uint64_t{a} << 25 |
               uint64_t{g} << 30 | uint64_t{size} << 34 | uint64_t{memory_size} << 36 |
               uint64_t{length} << 38 | uint64_t{scalar} << 40 | uint64_t{static_cast<uint8_t>(imm)} << 41 |
               uint64_t{indexed} << 49;
    }
    static constexpr Scalable unpack(uint64_t word) {
        const auto field = [word](unsigned lsb, unsigned bits) {
            return static_cast<uint8_t>(word >> lsb & ((1u << bits) - 1));
        };
        return {.op = static_cast<Lanes>(field(0, 8)),
                .inactive = static_cast<Inactive>(field(8, 2)),
                .d = field(10, 5),
                .n = field(15, 5),
                .m = field(20, 5),
                .a = field(25, 5),
                .g = field(30, 4),
                .size = field(34, 2),
                .memory_size = field(36, 2),
                .length = field(38, 2),
                .scalar = field(40, 1) != 0,
                .imm = static_cast<int8_t>(field(41, 8)),
                .indexed = field(49, 1) != 0};
    }
};

/// Of a predicate of so many bits, one a byte of the vector, those that speak for elements of 8 << size bits: the lowest of each.
constexpr uint64_t element_bits(unsigned size, unsigned vector_bytes) {
    constexpr uint64_t kLowest[] = {~uint64_t{0}, 0x5555'5555'5555'5555, 0x1111'1111'1111'1111,
                                    0x0101'0101'0101'0101, 0x0001'0001'0001'0001};
    return kLowest[size] & ~uint64_t{0} >> (64 - vector_bytes);
}

/// Whether the instructions at the block's end are executed with zeros above the 128 bits of V register `index` (GuestState::z_upper),
/// since a StoreField before them has stored them there, and nothing has written the register since but SetV.
bool is_clear_above(const Block& block, unsigned index);
/// The same of `store`, which is the next instruction: it stores zeros where they are.
bool is_cleared(const Block& block, const Inst& store);

/// Inst::aux of both: a runtime id (as CallRuntime's imm) whose arguments are args[0] and args[1], and CallAux.
constexpr uint32_t scalable_call(uint32_t id, uint32_t call_aux) { return id << 8 | call_aux; }
constexpr uint32_t scalable_id(uint32_t aux) { return aux >> 8; }
constexpr uint32_t scalable_call_aux(uint32_t aux) { return aux & 0xff; }

}  // namespace arclight::jit::ir
