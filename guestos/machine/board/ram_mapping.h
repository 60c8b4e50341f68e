#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "host/memory_fault.h"
#include "mmu/guarded_mapping.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Guest RAM: anonymous memory with guards on both sides, huge pages where the host gives them; or a private copy of a file,
/// each page made when the guest first reads or writes it.
class RamMapping {
  public:
    /// An error is one line for the user.
    static Result<std::unique_ptr<RamMapping>> allocate(uint64_t bytes);
    RamMapping(const RamMapping&) = delete;
    RamMapping& operator=(const RamMapping&) = delete;

    /// Replaces the content by the file's from `offset` on, which is read as the guest comes to it. Nothing is written back. The
    /// error is the system's own text.
    Result<void> map_file(int file, uint64_t offset);

    uint8_t* host() const { return memory_.data(); }
    uint64_t size() const { return size_; }

  private:
    RamMapping(mmu::GuardedMapping memory, uint64_t size)
        : memory_(std::move(memory)),
          size_(size),
          fallible_(std::in_place, memory_.data(), size, "guest memory",
                    host::FallibleMemory::Kind::Anonymous) {}
    mmu::GuardedMapping memory_;
    uint64_t size_;
    std::optional<host::FallibleMemory> fallible_;
};

}  // namespace arclight::guestos
