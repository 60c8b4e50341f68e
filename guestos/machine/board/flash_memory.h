// The memory of the board's two flash banks, and the images in it.
#pragma once

#include <array>
#include <memory>
#include <utility>

#include "devices/firmware/flash_bank.h"
#include "devices/layout.h"
#include "guestos/options.h"
#include "mmu/guarded_mapping.h"
#include "mmu/guest_memory.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Both banks lie beside each other, as in the guest's address space.
class FlashMemory {
  public:
    /// Opens what the options name; null: the board has no flash. An error is one line for the user.
    static Result<std::unique_ptr<FlashMemory>> open(const RunOptions& options);

    devices::FlashBank& bank(unsigned number) { return banks_[number]; }
    /// What CPUs fetch from. `flash`: null, for none.
    static mmu::ReadOnlyMemory memory_of(const FlashMemory* flash);

  private:
    explicit FlashMemory(mmu::GuardedMapping memory);
    Result<void> fill(const RunOptions& options);

    mmu::GuardedMapping memory_;
    std::array<devices::FlashBank, devices::layout::kFlashBanks> banks_;
};

}  // namespace arclight::guestos
