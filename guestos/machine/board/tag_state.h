// The allocation tags of RAM (FEAT_MTE) in a stream of the machine's state.
#pragma once

#include "devices/state.h"
#include "mmu/tag_memory.h"

namespace arclight::guestos {

/// Of pages that were written to. Loading needs no CPU that runs.
class TagState final : public devices::Stateful {
  public:
    explicit TagState(mmu::TagMemory& tags) : tags_(tags) {}
    void save(devices::StateWriter& out) const override;
    devices::StateResult load(devices::StateReader& in) override;

  private:
    static constexpr uint32_t kVersion = 1;

    mmu::TagMemory& tags_;
};

}  // namespace arclight::guestos
