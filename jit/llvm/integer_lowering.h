// Integers and the operations on NZCV.
#pragma once

#include "jit/llvm/block_values.h"
#include "jit/llvm/flags.h"

namespace arclight::jit::tier2 {

class IntegerLowering {
  public:
    IntegerLowering(RegionIrBuilder& b, BlockValues& values, GuestFlags& flags)
        : b_(b), values_(values), flags_(flags) {}
    /// False: it is none of these. Throws Unsupported.
    bool lower(const ir::Inst& i, ir::Ref index);

  private:
    Value* bit_field(const ir::Inst& i, bool is_signed);
    Value* crc32(const ir::Inst& i);

    RegionIrBuilder& b_;
    BlockValues& values_;
    GuestFlags& flags_;
};

}  // namespace arclight::jit::tier2
