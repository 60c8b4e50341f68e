// What a serial port's receiver holds, as the PL011 and the 16550 both have it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "devices/state.h"

namespace arclight::devices {

/// Not synchronised: the port's lock is held. An entry is a byte, with marks of the port's own above it.
class ReceiveFifo {
  public:
    static constexpr size_t kDepth = 16;

    size_t count() const { return count_; }
    bool empty() const { return count_ == 0; }
    /// False: there is no room in a FIFO of this depth, which may be less than kDepth as long as none is turned on.
    bool push(uint16_t entry, size_t depth) {
        if (count_ >= depth) return false;
        entries_[(head_ + count_) % kDepth] = entry;
        count_++;
        return true;
    }
    /// The oldest entry, which there must be.
    uint16_t& front() { return entries_[head_]; }
    uint16_t front() const { return entries_[head_]; }
    /// Takes it out. 0: there is none.
    uint16_t pop() {
        if (count_ == 0) return 0;
        const uint16_t entry = entries_[head_];
        head_ = (head_ + 1) % kDepth;
        count_--;
        return entry;
    }
    void clear() { count_ = 0; }

    template <typename Archive, typename Self>
    static void fields(Archive& archive, Self& self) {
        archive(self.entries_, self.head_, self.count_);
    }
    /// After fields() were read; `bits` are those that an entry may have.
    void check(StateReader& in, uint16_t bits) const {
        in.require(head_ < kDepth && count_ <= kDepth, "the FIFO is out of range");
        for (const uint16_t entry : entries_)
            in.require((entry & ~bits) == 0, "the FIFO holds what no line brings");
    }

  private:
    std::array<uint16_t, kDepth> entries_{};
    uint32_t head_ = 0, count_ = 0;
};

}  // namespace arclight::devices
