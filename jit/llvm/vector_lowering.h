// Vectors of integers: plain LLVM vector operations.
#pragma once

#include "jit/llvm/block_values.h"

namespace arclight::jit::tier2 {

class VectorLowering {
  public:
    VectorLowering(RegionIrBuilder& b, BlockValues& values) : b_(b), values_(values) {}
    /// False: it is none of these. Throws Unsupported.
    bool lower(const ir::Inst& i, ir::Ref index);

  private:
    bool lower_shift(const ir::Inst& i, ir::Ref index);
    bool lower_permute(const ir::Inst& i, ir::Ref index);
    bool lower_widen(const ir::Inst& i, ir::Ref index);
    bool lower_reduce(const ir::Inst& i, ir::Ref index);
    bool lower_crypto(const ir::Inst& i, ir::Ref index);
    void note_saturation(Value* saturated, Value* exact);
    Value* shift_by_register(Value* x, Value* by, unsigned esize, bool is_signed);

    RegionIrBuilder& b_;
    BlockValues& values_;
};

}  // namespace arclight::jit::tier2
