#pragma once

#include <cstdint>

namespace arclight::mmu {

// Guest RAM as seen from the host: one contiguous range of physical addresses backed by one contiguous
// host mapping. Does not own the mapping. Every path from a guest-supplied physical address to a host pointer
// goes through host(), so that no guest input can reach host memory outside RAM.
class GuestMemory {
  public:
    GuestMemory(uint8_t* host, uint64_t base_pa, uint64_t size) : host_(host), base_(base_pa), size_(size) {}

    // The host address of pa, or nullptr unless all of [pa, pa + len) is RAM.
    uint8_t* host(uint64_t pa, uint64_t len) const {
        const uint64_t offset = pa - base_;  // wraps to a huge value below base_
        if (offset > size_ || len > size_ - offset) return nullptr;
        return host_ + offset;
    }

    uint64_t base() const { return base_; }
    uint64_t size() const { return size_; }
    uint8_t* host_base() const { return host_; }

  private:
    uint8_t* host_;
    uint64_t base_;
    uint64_t size_;
};

}  // namespace arclight::mmu
