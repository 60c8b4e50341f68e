// The memory that the virtual machine's page tables lie in.
#pragma once

#include <cstddef>
#include <cstdint>

#include "backend/x64/page_format.h"

namespace arclight::backend::kvm {

using Table = uint64_t;  ///< the first of the 512 entries of a table

using namespace page_entry;

/// One range of this process's memory that the machine sees at guest physical address 0. Its first
/// kSystemBytes, accessible to ring 0 only, hold descriptor tables and ring-0 code; the rest holds page
/// tables, which code inside writes as ordinary memory.
class Arena {
  public:
    static constexpr size_t kSystemBytes = size_t{2} << 20;
    static constexpr uint64_t kPreferredAddress = 0x5b00'0000'0000;

    explicit Arena(size_t bytes);  ///< throws std::system_error when the host has no memory
    ~Arena();
    Arena(const Arena&) = delete;
    Arena& operator=(const Arena&) = delete;

    uint64_t base() const { return reinterpret_cast<uint64_t>(base_); }
    size_t size() const { return size_; }
    static constexpr uint64_t gpa() { return 0; }
    uint64_t gpa_of(const void* p) const {
        return static_cast<uint64_t>(static_cast<const uint8_t*>(p) - base_);
    }
    template <typename T = uint64_t>
    T* at(uint64_t gpa) const {
        return reinterpret_cast<T*>(base_ + gpa);
    }
    /// A zeroed page of the ring-0 part, which is never freed; null if none is left. Not synchronised.
    uint8_t* take_system_page();
    /// The same for `count` consecutive pages of the table part.
    uint8_t* take_pages(size_t count);
    /// The table below `entry`, allocated if the entry is not present; null if no page is left.
    Table* descend(uint64_t& entry);

  private:
    uint8_t* base_;
    size_t size_;
    size_t next_system_ = 0, next_ = kSystemBytes;
};

}  // namespace arclight::backend::kvm
