// The LLVM values of the IR values in the block that is being lowered.
#pragma once

#include <vector>

#include "jit/ir/ir.h"
#include "jit/llvm/flags.h"
#include "jit/llvm/region_ir_builder.h"

namespace arclight::jit::tier2 {

/// An IR value is held as whatever LLVM type it came in; the functions here convert it to the one that is
/// asked for, and throw Unsupported if there is no such conversion.
class BlockValues {
  public:
    explicit BlockValues(RegionIrBuilder& b) : b_(b) {}
    void begin_block(const ir::Block& block);
    /// Forgets all values but not the flags.
    void forget() { std::fill(values_.begin(), values_.end(), nullptr); }

    const ir::Block& block() const { return *block_; }
    const ir::Inst& inst(ir::Ref r) const { return (*block_)[r]; }
    void def(ir::Ref r, Value* v) { values_[r] = v; }
    void def_vec(ir::Ref r, Value* v) { def(r, b_.CreateBitCast(v, b_.v128())); }
    Flags& flags(ir::Ref r) { return flags_[r]; }

    Value* get(ir::Ref r) const { return values_[r]; }
    Value* boolean(ir::Ref r) const { return values_[r]; }
    Value* i64(ir::Ref r);
    Value* i32(ir::Ref r);
    Value* integer(ir::Ref r, ir::Type t) { return t == ir::Type::I32 ? i32(r) : i64(r); }
    Value* fp(ir::Ref r, ir::Type t);
    Value* vec(ir::Ref r) { return b_.as_v128(values_[r]); }
    /// As a vector of integers or of numbers of 1 << esize bytes.
    Value* vec(ir::Ref r, unsigned esize) { return b_.CreateBitCast(vec(r), b_.int_vector(esize)); }
    Value* fvec(ir::Ref r, unsigned esize) { return b_.CreateBitCast(vec(r), b_.fp_vector(esize)); }

  private:
    RegionIrBuilder& b_;
    const ir::Block* block_ = nullptr;
    std::vector<Value*> values_;
    std::vector<Flags> flags_;
};

}  // namespace arclight::jit::tier2
