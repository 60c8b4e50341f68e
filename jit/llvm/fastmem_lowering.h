// Guest memory through fastmem (mmu/fastmem.h): an access is one host instruction, and what is not mapped
// there faults.
//
// To LLVM such an instruction is a jump: it continues behind itself or, if it faults and the page cannot be
// entered where it stands, at the side exit of its checkpoint, with all registers as they were before. That
// is an asm goto, which records in section .guest_ex where it is and where its side exit is (region_exits.cpp
// makes a table of that). Nothing has to be known of pages, only which slot of 512 GiB an address is in, and
// of that only its addend. The addend of a wrong slot would lead to some other place in memory: so the addend
// of a group's accesses is looked up once for all, but they must be so near to each other that what is in the
// next slot is in its first page, which is never mapped, as the last one is not.
#pragma once

#include <string>
#include <vector>

#include "jit/ir/ir.h"
#include "jit/llvm/region_exit_builder.h"
#include "jit/llvm/region_ir_builder.h"

namespace arclight::jit::tier2 {

/// Accesses at host addresses; `log2`: of the bytes.
class FastmemLowering {
  public:
    FastmemLowering(RegionIrBuilder& b, RegionExitBuilder& exits) : b_(b), exits_(exits) {}

    /// What has to be added to the address. Does not depend on it if it is in the predicted slot (0: none),
    /// so that the access need not wait.
    Value* addend(Value* address, uint64_t predicted, uint32_t aux);
    Value* load(Value* host, unsigned log2, bool is_signed, bool wide, unsigned offset);
    Value* load_vector(Value* host, unsigned log2, unsigned offset);
    void store(Value* host, Value* v, unsigned log2, unsigned offset);
    void store_vector(Value* host, Value* v, unsigned log2, unsigned offset);
    void zero_block(Value* host);
    /// Both return what was there before.
    Value* compare_exchange(Value* host, Value* expected, Value* desired, unsigned log2);
    Value* rmw(ir::AtomicKind kind, Value* host, Value* v, unsigned log2);

  private:
    /// How an instruction that may fault is described to LLVM: AT&T syntax, $0 and so on are its operands.
    struct FaultingInst {
        std::string text, constraints;
        unsigned operands;     ///< in `constraints`, but for labels and what is clobbered
        llvm::Type* result;    ///< void: none
        llvm::Type* accessed;  ///< in memory
    };
    Value* may_fault(const FaultingInst& how, const std::vector<Value*>& args);

    RegionIrBuilder& b_;
    RegionExitBuilder& exits_;
};

}  // namespace arclight::jit::tier2
