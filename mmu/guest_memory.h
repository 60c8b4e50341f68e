#pragma once

#include <algorithm>
#include <cstdint>

#include "mmu/second_stage.h"

namespace arclight::mmu {

// Guest RAM as seen from the host: one contiguous range of physical addresses backed by one contiguous
// host mapping, but for what a second stage puts behind single pages. Does not own the mapping. Every path
// from a guest-supplied physical address to a host pointer goes through host(), so that no guest input can
// reach host memory outside RAM.
class GuestMemory {
  public:
    GuestMemory(uint8_t* host, uint64_t base_pa, uint64_t size, SecondStage* stage = nullptr)
        : host_(host), base_(base_pa), size_(size), stage_(stage) {}

    bool contains(uint64_t pa, uint64_t len) const {
        const uint64_t offset = pa - base_;  // wraps to a huge value below base_
        return offset <= size_ && len <= size_ - offset;
    }

    // The host address of pa, or nullptr unless all of [pa, pa + len) is RAM. Also nullptr for several pages
    // that the second stage has put in different places.
    uint8_t* host(uint64_t pa, uint64_t len) const {
        if (!contains(pa, len)) return nullptr;
        if (targets_pages()) [[unlikely]]
            return stage_->host(pa, len);
        return host_ + (pa - base_);
    }

    // ---- The second stage
    bool targets_pages() const { return stage_ != nullptr && stage_->active(); }
    const SecondStage& stage() const { return *stage_; }  // if targets_pages()
    // page_flag of pa, which is in RAM.
    uint8_t page_flags(uint64_t pa) const { return targets_pages() ? stage_->flags(pa) : 0; }
    // Whether all of [pa, pa + len), which is in RAM, may be 4 KiB pages and larger ones alike.
    bool none_targeted(uint64_t pa, uint64_t len) const {
        if (!targets_pages()) return true;
        for (uint64_t at = pa; at < pa + len; at += SecondStage::kPage)
            if (stage_->flags(at) != 0) return false;
        return true;
    }

    // For a device that reads or writes: to be held from the call of pieces() to the last use of what it
    // gave.
    SecondStage::Dma dma() const { return stage_ != nullptr ? stage_->dma() : SecondStage::Dma(); }
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
            const uint64_t step = std::min(len, SecondStage::kPage - (pa & (SecondStage::kPage - 1)));
            const uint8_t flags = stage_->flags(pa);
            if ((flags & refused) != 0) return false;
            if ((flags & page_flag::kWatched) != 0 &&
                !stage_->watch({.kind = write ? AccessEvent::Kind::Write : AccessEvent::Kind::Read,
                                .pa = pa,
                                .bytes = static_cast<uint32_t>(step)}))
                return false;
            if ((flags & page_flag::kTracked) != 0)
                stage_->mark(pa, SecondStage::kAccessed | (write ? SecondStage::kDirty : 0));
            f(stage_->host(pa, step), step);
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
    SecondStage* stage_;
};

}  // namespace arclight::mmu
