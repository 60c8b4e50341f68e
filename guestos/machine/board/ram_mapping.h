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
    enum class Sharing : uint8_t {
        Private,
        Shared,  ///< file(), which other processes can map
    };
    /// An error is one line for the user.
    static Result<std::unique_ptr<RamMapping>> allocate(uint64_t bytes, Sharing sharing = Sharing::Private);
    ~RamMapping();
    RamMapping(const RamMapping&) = delete;
    RamMapping& operator=(const RamMapping&) = delete;

    /// Replaces the content by the file's from `offset` on, which is read as the guest comes to it. Nothing is written back. The
    /// error is the system's own text.
    Result<void> map_file(int file, uint64_t offset);

    uint8_t* host() const { return memory_.data(); }
    uint64_t size() const { return size_; }
    /// Of memory that is shared; -1: it is this process's alone.
    int file() const { return file_; }

  private:
    RamMapping(mmu::GuardedMapping memory, uint64_t size, int file)
        : memory_(std::move(memory)),
          size_(size),
          file_(file),
          fallible_(std::in_place, memory_.data(), size, "guest memory",
                    host::FallibleMemory::Kind::Anonymous) {}
    mmu::GuardedMapping memory_;
    uint64_t size_;
    int file_;
    std::optional<host::FallibleMemory> fallible_;
};

}  // namespace arclight::guestos
