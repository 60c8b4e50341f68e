#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "host/memory_fault.h"
#include "mmu/guarded_mapping.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Guest RAM: anonymous memory with guards on both sides, huge pages where the host gives them.
class RamMapping {
  public:
    /// An error is one line for the user.
    static Result<std::unique_ptr<RamMapping>> allocate(uint64_t bytes);
    RamMapping(const RamMapping&) = delete;
    RamMapping& operator=(const RamMapping&) = delete;

    uint8_t* host() const { return memory_.data(); }
    uint64_t size() const { return size_; }

  private:
    RamMapping(mmu::GuardedMapping memory, uint64_t size)
        : memory_(std::move(memory)),
          size_(size),
          fallible_(memory_.data(), size, "guest memory", host::FallibleMemory::Kind::Anonymous) {}
    mmu::GuardedMapping memory_;
    uint64_t size_;
    host::FallibleMemory fallible_;
};

}  // namespace arclight::guestos
