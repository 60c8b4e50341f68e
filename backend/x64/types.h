// The words that all parts of the x86-64 backend share: IR and Xbyak names, value records, guest slots, x86
// conditions.
//
// Host registers in translated code:
//
//     rbp                 &GuestState + kStateBias
//     r14                 the SoftTlb in use
//     rsp                 the host's stack, 16-byte aligned
//     rax, xmm15          scratch: any emission may clobber them
//     everything else     allocated, see register_allocator.h
//
// A block starts and ends with no guest register in a host register.
#pragma once

#include <cstdint>

#include "backend/x64/encoder.h"
#include "jit/guest_state.h"
#include "jit/host_code.h"
#include "jit/ir/ir.h"
#include "jit/ir/register_slots.h"

namespace arclight::backend {

namespace ir = jit::ir;
using ir::Inst;
using ir::kNoRef;
using ir::Op;
using ir::Ref;
using ir::Type;
using jit::FaultPoint;
using jit::SavedLocation;
using Xbyak::Address;
using Xbyak::Operand;
using Xbyak::Reg;
using Xbyak::Reg64;
using Xbyak::Xmm;

inline constexpr uint32_t kNever = ~uint32_t{0};  ///< Value::next_use of a value without further uses
inline constexpr uint8_t kNone = 0xff;            ///< no register, slot or spill slot

using jit::ir::kFlagsSlot;
using jit::ir::kSlots;
using jit::ir::kVSlot;
using jit::ir::slot_of;

/// Instead of a slot, in the three SavedLocations of NZCV that is made again from what was compared: where the
/// operands are, as values, or as displacements from rbp in `value`; then kFlagsSlot, with a FlagsRecipe.
inline constexpr uint8_t kFirstOperand = 65, kSecondOperand = 66, kFirstInMemory = 67, kSecondInMemory = 68;
enum FlagsRecipe : int64_t {
    kFlagsOfSub,
    kFlagsOfAdd,
    kFlagsOfAnd,
    kFlagsWide,  ///< added where they are of 64 bits
};

/// Thrown when a block needs more registers or spill slots than there are: CompileStatus::TooComplex.
struct TooComplex {};

/// x86 condition codes as in jcc; the low bit inverts.
enum Cc : uint8_t { kO, kNo, kB, kAe, kE, kNe, kBe, kA, kS, kNs, kP, kNp, kL, kGe, kLe, kG };
constexpr Cc inverted(Cc cc) { return static_cast<Cc>(cc ^ 1); }

/// What the allocator knows of one SSA value.
struct Value {
    uint32_t next_use;  ///< next instruction that uses it
    uint32_t
        last_need;  ///< last instruction that needs it, as an operand or as a guest register to be written back
    Ref home_next;        ///< next value with the same home
    uint8_t reg;          ///< 0..15 GPR, 16..31 xmm, kNone
    uint8_t home;         ///< guest slot whose memory holds the value, kNone
    uint8_t spill;        ///< spill slot that holds it, kNone
    bool live : 1;        ///< must be emitted
    bool flags_live : 1;  ///< a FlagsOf of it is used
    bool kept : 1;        ///< an operand of flags that are made again: it stays somewhere until last_need
    bool sure : 1;        ///< an addend: where its group's check failed the superblock was left
    bool folded : 1;      ///< its operand's operation became part of it (see analyse.cpp)
};

constexpr bool is_vec(Type t) { return t == Type::F32 || t == Type::F64 || t == Type::V128; }

/// A place in GuestState by its displacement from rbp.
constexpr Mem at(int disp) { return {Operand::RBP, Mem::kNoIndex, disp}; }
/// The displacement of GuestState's member at `offset`.
constexpr int field(size_t offset) { return static_cast<int>(offset) - jit::kStateBias; }
/// The displacement of a guest slot.
constexpr int slot_disp(unsigned slot) {
    if (slot == kFlagsSlot) return ARCLIGHT_STATE_DISP(flags);
    if (slot >= kVSlot) return field(offsetof(jit::GuestState, v) + 16 * (slot - kVSlot));
    return field(offsetof(jit::GuestState, x) + 8 * slot);
}

// Registers by width.
inline Reg sized(const Reg64& r, Type t) {
    if (t == Type::I32) return r.cvt32();
    return r;
}
inline Xbyak::Reg32e r32e(const Reg& r) { return Xbyak::Reg32e(r.getIdx(), static_cast<int>(r.getBit())); }
Reg sized_log2(const Reg64& r, unsigned log2);
Address memory_log2(const Xbyak::RegExp& where, unsigned log2);

}  // namespace arclight::backend
