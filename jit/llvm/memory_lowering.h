// Loads and stores, exclusives and atomics.
#pragma once

#include "jit/llvm/address_lowering.h"
#include "jit/llvm/block_values.h"
#include "jit/llvm/fastmem_lowering.h"

namespace arclight::jit::tier2 {

class MemoryLowering {
  public:
    /// `fastmem`: null if guest memory is reached by the soft TLB.
    MemoryLowering(RegionIrBuilder& b, BlockValues& values, AddressLowering& addresses,
                   FastmemLowering* fastmem)
        : b_(b), values_(values), addresses_(addresses), fastmem_(fastmem) {}
    /// False: it is none of these. Throws Unsupported.
    bool lower(const ir::Inst& i, ir::Ref index);

  private:
    Value* load_integer(Value* host, const ir::Inst& i, unsigned offset);
    Value* compare_exchange(Value* host, Value* expected, Value* desired, unsigned unit);
    void atomic_rmw(const ir::Inst& i, ir::Ref index);
    void store_exclusive(const ir::Inst& i, ir::Ref index);
    void load_exclusive(const ir::Inst& i, ir::Ref index);

    RegionIrBuilder& b_;
    BlockValues& values_;
    AddressLowering& addresses_;
    FastmemLowering* const fastmem_;
};

}  // namespace arclight::jit::tier2
