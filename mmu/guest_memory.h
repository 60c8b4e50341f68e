// Guest memory as the host sees it: RAM, and what can be read and executed beside it.
#pragma once

#include <algorithm>
#include <cstdint>

#include "mmu/device_writes.h"
#include "mmu/no_speculation.h"
#include "mmu/page_overlay.h"
#include "mmu/tag_memory.h"

namespace arclight::mmu {

/// Memory that CPUs fetch instructions and translation tables from, and that nothing writes through GuestMemory: a
/// flash bank's array. Data accesses go to the device, which knows whether the array is what they see.
struct ReadOnlyMemory {
    const uint8_t* host = nullptr;
    uint64_t base = 0;  ///< a page's address
    uint64_t size = 0;  ///< whole pages; 0: there is none
};

/// Guest RAM: one contiguous range of physical addresses backed by one contiguous host mapping, except where
/// a page overlay backs single pages otherwise. Does not own the mapping. Every path from a guest-supplied
/// physical address to a host pointer goes through host() or pieces(), which keep the guest inside RAM.
class GuestMemory {
  public:
    /// `observer` learns what devices write; null: nobody asks. `read_only` does not overlap RAM. `tags`: of all of RAM; null: there are
    /// none.
    GuestMemory(uint8_t* host, uint64_t base_pa, uint64_t size, PageOverlay* overlay = nullptr,
                DeviceWriteObserver* observer = nullptr, const ReadOnlyMemory& read_only = {},
                TagMemory* tags = nullptr)
        : host_(host),
          base_(base_pa),
          size_(size),
          overlay_(overlay),
          observer_(observer),
          read_only_(read_only),
          tags_(tags) {}

    bool contains(uint64_t pa, uint64_t len) const {
        const uint64_t offset = pa - base_;  // wraps to a huge value below base_
        return offset <= size_ && len <= size_ - offset;
    }

    /// The host address of pa. Null unless all of [pa, pa + len) is RAM and contiguous in host memory; the
    /// page overlay may back neighbouring pages at different places.
    uint8_t* host(uint64_t pa, uint64_t len) const {
        if (!contains(pa, len)) return nullptr;
        if (has_intercepted_pages()) [[unlikely]]
            return overlay_->host(pa, len);
        return host_ + bounded(pa - base_, size_);
    }

    /// The same for what is only read: instructions, translation tables. RAM or the read-only memory.
    const uint8_t* readable(uint64_t pa, uint64_t len) const {
        if (const uint8_t* ram = host(pa, len); ram != nullptr) [[likely]]
            return ram;
        const uint64_t offset = pa - read_only_.base;
        const bool inside = offset <= read_only_.size && len <= read_only_.size - offset;
        return inside && read_only_.size != 0 ? read_only_.host + bounded(offset, read_only_.size) : nullptr;
    }

    // ---- Pages of 4 KiB by number, for tables of what is known of each: RAM's, then the read-only memory's
    uint64_t pages() const { return (size_ + read_only_.size) / PageOverlay::kPage; }
    static constexpr uint64_t kNoPage = ~uint64_t{0};
    /// kNoPage: neither.
    uint64_t page_number(uint64_t pa) const {
        if (const uint64_t offset = pa - base_; offset < size_) [[likely]]
            return bounded(offset, size_) / PageOverlay::kPage;
        const uint64_t offset = pa - read_only_.base;
        if (offset >= read_only_.size) return kNoPage;
        return (size_ + bounded(offset, read_only_.size)) / PageOverlay::kPage;
    }
    uint64_t page_address(uint64_t number) const {
        const uint64_t offset = number * PageOverlay::kPage;
        return offset < size_ ? base_ + offset : read_only_.base + (offset - size_);
    }

    // ---- Allocation tags, of pa, which must be in RAM. Without tags they are 0, and stay so.
    unsigned tag(uint64_t pa) const { return tags_ != nullptr ? tags_->load(bounded(pa - base_, size_)) : 0; }
    void set_tag(uint64_t pa, unsigned tag) const {
        if (tags_ != nullptr) tags_->store(bounded(pa - base_, size_), tag);
    }

    // ---- The page overlay
    bool has_intercepted_pages() const { return overlay_ != nullptr && overlay_->active(); }
    /// Only if has_intercepted_pages().
    const PageOverlay& overlay() const { return *overlay_; }
    /// The page_flag bits of pa, which must be in RAM or in the read-only memory, whose pages have none.
    uint8_t page_flags(uint64_t pa) const {
        return has_intercepted_pages() && contains(pa, 1) ? overlay_->flags(pa) : 0;
    }
    /// Whether [pa, pa + len), which must be in RAM, contains no intercepted page, so that large pages may
    /// map it.
    bool none_intercepted(uint64_t pa, uint64_t len) const {
        if (!has_intercepted_pages()) return true;
        for (uint64_t at = pa; at < pa + len; at += PageOverlay::kPage)
            if (overlay_->flags(at) != 0) return false;
        return true;
    }

    /// Of one request of a device: the page overlay's lock, and the end of its writes.
    class Dma {
      public:
        explicit Dma(const GuestMemory& memory)
            : lock_(memory.overlay_ != nullptr ? memory.overlay_->dma() : PageOverlay::Dma()),
              observer_(memory.observer_) {}
        ~Dma() {
            if (observer_ != nullptr) observer_->device_has_written();
        }
        Dma(const Dma&) = delete;
        Dma& operator=(const Dma&) = delete;

      private:
        const PageOverlay::Dma lock_;
        DeviceWriteObserver* const observer_;
    };
    /// A device holds it from the call of pieces() to the last use of the pieces.
    Dma dma() const { return Dma(*this); }
    /// Calls f(host address, bytes) for each contiguous run of [pa, pa + len). False if the range leaves RAM,
    /// or if an intercepted page refuses the access; runs before that page have been passed to f.
    template <typename F>
    bool pieces(uint64_t pa, uint64_t len, bool write, F&& f) const {
        if (!contains(pa, len)) return false;
        if (write && observer_ != nullptr) observer_->device_writes(pa, len);
        if (!has_intercepted_pages()) {
            f(host_ + bounded(pa - base_, size_), len);
            return true;
        }
        const uint8_t refused = page_flag::kNoRead | (write ? page_flag::kNoWrite : 0);
        while (len != 0) {
            const uint64_t step = std::min(len, PageOverlay::kPage - (pa & (PageOverlay::kPage - 1)));
            const uint8_t flags = overlay_->flags(pa);
            if ((flags & refused) != 0) return false;
            if ((flags & page_flag::kWatched) != 0 &&
                !overlay_->watch({.kind = write ? AccessEvent::Kind::Write : AccessEvent::Kind::Read,
                                  .pa = pa,
                                  .bytes = static_cast<uint32_t>(step)}))
                return false;
            if ((flags & page_flag::kTracked) != 0)
                overlay_->mark(pa, PageOverlay::kAccessed | (write ? PageOverlay::kDirty : 0));
            f(overlay_->host(pa, step), step);
            pa += step, len -= step;
        }
        return true;
    }

    uint64_t base() const { return base_; }
    uint64_t size() const { return size_; }
    uint8_t* host_base() const { return host_; }

  private:
    uint8_t* host_;
    uint64_t base_;
    uint64_t size_;
    PageOverlay* overlay_;
    DeviceWriteObserver* observer_;  ///< null: nobody asks
    ReadOnlyMemory read_only_;
    TagMemory* tags_;
};

}  // namespace arclight::mmu
