#pragma once

#include <algorithm>
#include <cstdint>

#include "mmu/page_overlay.h"

namespace arclight::mmu {

// Guest RAM as seen from the host: one contiguous range of physical addresses backed by one contiguous
// host mapping, but for what a page overlay puts behind single pages. Does not own the mapping. Every path
// from a guest-supplied physical address to a host pointer goes through host(), so that no guest input can
// reach host memory outside RAM.
class GuestMemory {
  public:
    GuestMemory(uint8_t* host, uint64_t base_pa, uint64_t size, PageOverlay* stage = nullptr)
        : host_(host), base_(base_pa), size_(size), overlay_(stage) {}

    bool contains(uint64_t pa, uint64_t len) const {
        const uint64_t offset = pa - base_;  // wraps to a huge value below base_
        return offset <= size_ && len <= size_ - offset;
    }

    // The host address of pa, or nullptr unless all of [pa, pa + len) is RAM. Also nullptr for several pages
    // that the page overlay has put in different places.
    uint8_t* host(uint64_t pa, uint64_t len) const {
        if (!contains(pa, len)) return nullptr;
        if (targets_pages()) [[unlikely]]
            return overlay_->host(pa, len);
        return host_ + (pa - base_);
    }

    // ---- The page overlay
    bool targets_pages() const { return overlay_ != nullptr && overlay_->active(); }
    const PageOverlay& overlay() const { return *overlay_; }  // if targets_pages()
    // page_flag of pa, which is in RAM.
    uint8_t page_flags(uint64_t pa) const { return targets_pages() ? overlay_->flags(pa) : 0; }
    // Whether all of [pa, pa + len), which is in RAM, may be 4 KiB pages and larger ones alike.
    bool none_intercepted(uint64_t pa, uint64_t len) const {
        if (!targets_pages()) return true;
        for (uint64_t at = pa; at < pa + len; at += PageOverlay::kPage)
            if (overlay_->flags(at) != 0) return false;
        return true;
    }

    // For a device that reads or writes: to be held from the call of pieces() to the last use of what it
    // gave.
    PageOverlay::Dma dma() const { return overlay_ != nullptr ? overlay_->dma() : PageOverlay::Dma(); }
    // Calls f(host address, bytes) for the runs that [pa, pa + len) consists of. False: it is not RAM, or
    // must not be accessed so.
    template <typename F>
    bool pieces(uint64_t pa, uint64_t len, bool write, F&& f) const {
        if (!contains(pa, len)) return false;
        if (!targets_pages()) {
            f(host_ + (pa - base_), len);
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
};

}  // namespace arclight::mmu
