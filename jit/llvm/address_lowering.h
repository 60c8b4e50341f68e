// Host addresses of guest memory accesses: look-ups in the soft TLB, or fastmem.
//
// Nothing changes a SoftTlb while a region runs: whatever does (a fill, a TLBI) is done outside, so that what
// was read there may be kept as long as it is of use. An access that misses leaves the region.
#pragma once

#include <vector>

#include "jit/llvm/block_values.h"
#include "jit/llvm/fastmem_lowering.h"
#include "jit/llvm/guest_registers.h"
#include "jit/llvm/loop_versioning.h"
#include "jit/llvm/region_exit_builder.h"

namespace arclight::jit::tier2 {

class AddressLowering {
  public:
    /// `fastmem`: null if guest memory is reached by the soft TLB.
    AddressLowering(RegionIrBuilder& b, BlockValues& values, GuestRegisters& registers,
                    RegionExitBuilder& exits, FastmemLowering* fastmem, const AccessPlan& plan);
    void begin_block(size_t block);

    /// The host address of the access `i`, or of its first part. All of it is mapped, or the region is left.
    Value* host_address(const ir::Inst& i, ir::Ref index, unsigned bytes, bool write, bool aligned);
    /// The groups of an access that has several parts, or null.
    const std::vector<uint32_t>* parts_of(ir::Ref index) const;
    /// Where the part of access `i` is that begins `part` bytes from its start and belongs to group `number`.
    Value* host_of_group(const ir::Inst& i, uint32_t number, unsigned part);

    /// Where a group is whose check is hoisted.
    struct HoistedGroup {
        Value* host;
        Value* iterations;  ///< for which its page lasts; null: for all
    };
    /// Checks a group that begins at `start` and moves by `stride` each iteration.
    HoistedGroup check_hoisted(const AccessGroup& g, Value* start, int64_t stride);
    /// From here on the group is at `host`.
    void set_host(uint32_t number, Value* host) { hosts_[number] = host; }

  private:
    /// The variables of a remembered page; `limit`: from its start, where an access may begin, 0 while none
    /// is known.
    struct PageVariables {
        llvm::AllocaInst *minus_tag = nullptr, *addend = nullptr, *limit = nullptr;
        llvm::AllocaInst* write_limit = nullptr;  ///< of a shared one
        ir::Ref root = ir::kNoRef;                ///< in this block, known to have been looked up
    };
    /// What the soft TLB has for a page.
    struct Page {
        Value *tag, *addend;
        Value* writable = nullptr;  ///< of a page that may be shared, looked up to read
    };
    struct LookUp {
        bool write;
        uint32_t aux = 0;
        bool shared = false;      ///< asks whether it may be written, too
        Assumptions assumed = 0;  ///< that all of it lies in one page
    };
    Page look_up(Value* address, Value* wanted, const LookUp& what);
    void declare_page(PageVariables& page, bool shared);
    PageVariables& page_variables(unsigned number);
    void remember(const PageVariables& variables, bool shared, const Page& page, unsigned span);
    Value* check_group(const AccessGroup& g);
    Value* host_address_alone(ir::Ref address, unsigned bytes, bool write, uint32_t aux, bool aligned);
    Value* fastmem_address(ir::Ref address, unsigned bytes, uint64_t predicted, uint32_t aux, bool aligned);

    RegionIrBuilder& b_;
    BlockValues& values_;
    GuestRegisters& registers_;
    RegionExitBuilder& exits_;
    FastmemLowering* const fastmem_;
    const AccessPlan& plan_;
    /// How long one addend lasts: a page of the soft TLB, or a slot of the fastmem.
    const uint64_t page_size_, page_mask_;
    std::vector<PageVariables> pages_;      ///< by AccessPlan::pages
    const BlockAccesses* block_ = nullptr;  ///< of the current block
    std::vector<Value*> hosts_;             ///< by its groups: of root + lo, once checked
};

}  // namespace arclight::jit::tier2
