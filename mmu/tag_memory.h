// Allocation tags (FEAT_MTE2, ARM ARM D9): four bits for each granule of 16 bytes of RAM, in memory of their own.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>

#include "mmu/guarded_mapping.h"
#include "mmu/page_overlay.h"

namespace arclight::mmu {

inline constexpr unsigned kTagGranuleBits = 4;
inline constexpr uint64_t kTagGranule = uint64_t{1} << kTagGranuleBits;

/// A byte each, since CPUs write neighbours at the same time; the host gives it pages where there are tags. Zero at first. Offsets
/// are in bytes from the beginning of RAM, and inside of it. Any thread.
class TagMemory {
  public:
    static constexpr uint64_t kPage = PageOverlay::kPage;
    static constexpr unsigned kGranules = kPage / kTagGranule;  ///< of a page

    /// The error is the system's own text.
    static Result<std::unique_ptr<TagMemory>> make(uint64_t ram_bytes) {
        auto tags = GuardedMapping::map(ram_bytes >> kTagGranuleBits);
        if (!tags) return std::unexpected(tags.error());
        return std::unique_ptr<TagMemory>(new TagMemory(std::move(*tags), ram_bytes / kPage));
    }

    unsigned load(uint64_t offset) const { return at(offset).load(std::memory_order_relaxed); }
    void store(uint64_t offset, unsigned tag) {
        at(offset).store(static_cast<uint8_t>(tag & 15), std::memory_order_relaxed);
        written_[offset / kPage].store(true, std::memory_order_relaxed);
    }

    /// Where tags are of a RAM that begins at host address `ram`: of the granule at host address h the byte at
    /// bias + (h >> kTagGranuleBits), to be read only.
    uint64_t bias(const uint8_t* ram) const {
        return reinterpret_cast<uint64_t>(tags_.data()) -
               (reinterpret_cast<uint64_t>(ram) >> kTagGranuleBits);
    }

    // ---- While no CPU runs
    uint64_t pages() const { return pages_; }
    /// Whether a tag of the page has been written to since the last clear().
    bool was_written(uint64_t page) const { return written_[page].load(std::memory_order_relaxed); }
    void clear() {
        for (uint64_t page = 0; page < pages_; ++page)
            if (written_[page].exchange(false, std::memory_order_relaxed))
                for (uint64_t i = 0; i < kGranules; ++i)
                    at(page * kPage + i * kTagGranule).store(0, std::memory_order_relaxed);
    }

  private:
    TagMemory(GuardedMapping tags, uint64_t pages)
        : tags_(std::move(tags)), pages_(pages), written_(std::make_unique<std::atomic<bool>[]>(pages)) {}
    std::atomic_ref<uint8_t> at(uint64_t offset) const {
        return std::atomic_ref(tags_.data()[offset >> kTagGranuleBits]);
    }

    GuardedMapping tags_;
    uint64_t pages_;
    std::unique_ptr<std::atomic<bool>[]> written_;
};

}  // namespace arclight::mmu
