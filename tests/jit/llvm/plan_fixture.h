// Regions for the plans' tests: blocks of IR, without LLVM.
#pragma once

#include "jit/ir/ir.h"
#include "jit/llvm/region.h"

namespace arclight::jit::tier2::testing {

using ir::Builder;
using ir::Op;
using ir::Ref;
using ir::Type;

inline constexpr uint32_t kEightBytes = 3, kSixteenBytes = 4;  // log2, as in Inst::aux

/// Adds a block at `offset` that `write` fills; its first instruction has started.
template <typename Write>
void add_block(Region& region, uint32_t offset, Write&& write) {
    RegionBlock& block = region.blocks.emplace_back();
    block.offset = offset;
    block.ir.guest_insns = 1;
    Builder b(block.ir);
    b.insn_start(offset, 0);
    write(b);
}

inline Ref load(Builder& b, Ref address, uint64_t predicted = 0) {
    return b.emit(Op::Load, Type::I64, {address}, predicted, kEightBytes);
}
inline void store(Builder& b, Ref address, Ref value, uint64_t predicted = 0) {
    b.emit(Op::Store, Type::Void, {address, value}, predicted, kEightBytes);
}
inline void exit_to(Builder& b, uint32_t offset) { b.emit(Op::Exit, Type::Void, {}, offset); }
/// NZCV of x - y.
inline void compare(Builder& b, Ref x, Ref y) {
    const Ref difference = b.bin_raw(Op::Sub, Type::I64, x, y);
    b.set_flags(b.flags_of(difference));
}
inline void exit_if_not_equal(Builder& b, uint32_t offset) {
    constexpr unsigned kNotEqual = 1;
    b.emit(Op::ExitIf, Type::Void, {b.cond(kNotEqual)}, offset);
}

}  // namespace arclight::jit::tier2::testing
