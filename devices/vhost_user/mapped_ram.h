#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/memory_fault.h"
#include "mmu/guest_memory.h"
#include "mmu/result.h"

namespace arclight::devices::vhost_user {

/// A region of a memory table: `size` bytes of a file from `file_offset` on are at a guest-physical address, and at `user_address` in the
/// front end.
struct Region {
    uint64_t guest_address, size, user_address, file_offset;
};

/// The RAM of a machine of another process, mapped between guards. Nothing that the process does to its files afterwards harms this one:
/// what it takes away is lost memory (host/memory_fault.h).
class MappedRam {
  public:
    static constexpr size_t kMaxRegions = 8;
    static constexpr uint64_t kMaxBytes = uint64_t{1} << 40;

    /// Regions follow each other without a gap in guest-physical addresses, in any order. `files`: one a region, which stay the caller's;
    /// memory files (memfd, tmpfs, hugetlbfs) of at least that size. An error is one line.
    static Result<std::unique_ptr<MappedRam>> map(std::span<const Region> regions,
                                                  std::span<const int> files);
    MappedRam(const MappedRam&) = delete;
    MappedRam& operator=(const MappedRam&) = delete;
    ~MappedRam();

    const mmu::GuestMemory& memory() const { return memory_; }
    /// The guest-physical address of what is at `user` in the front end; nothing: it is in no region.
    std::optional<uint64_t> guest_address(uint64_t user) const;

  private:
    MappedRam(uint8_t* reserved, size_t reserved_bytes, std::vector<Region> regions);

    uint8_t* const reserved_;
    const size_t reserved_bytes_;
    const std::vector<Region> regions_;  ///< by guest address
    const mmu::GuestMemory memory_;
    std::optional<host::FallibleMemory> fallible_;
};

}  // namespace arclight::devices::vhost_user
