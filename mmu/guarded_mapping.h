// Mappings that a wrong address computation next to them does not leave unnoticed.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mmu/result.h"

namespace arclight::mmu {

/// On both sides of memory that a guest reaches: address space on which every access faults. An access of translated code
/// whose check went wrong by less than this ends the program instead of reading or changing what lies beside.
inline constexpr size_t kGuardBytes = size_t{2} << 20;

/// Memory with kGuardBytes on both sides, at a multiple of 2 MiB, so that the host can use huge pages throughout. The
/// destructor unmaps all of it.
class GuardedMapping {
  public:
    /// Private and zeroed, or `file` from its start, shared. `bytes` is rounded up to whole pages of 4 KiB. The error is the
    /// system's own text.
    static Result<GuardedMapping> map(size_t bytes, int file = -1);
    GuardedMapping(GuardedMapping&& other) noexcept;
    GuardedMapping& operator=(GuardedMapping&& other) = delete;
    ~GuardedMapping();

    uint8_t* data() const { return data_; }
    size_t size() const { return size_; }

  private:
    GuardedMapping(uint8_t* data, size_t size) : data_(data), size_(size) {}
    uint8_t* data_;
    size_t size_;
};

}  // namespace arclight::mmu
