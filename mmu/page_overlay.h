// The page overlay: what lies behind each guest physical page. Behind almost all of them it is RAM's own page
// with all rights, and nothing is stored; a page that somebody targets may have another page of host memory
// behind it, or fewer rights, or be looked at.
//
// Consulted where something is about to be remembered or reached without the soft TLB: fills of soft TLBs and
// fastmem, instruction fetch, table walks, device DMA. While no page is intercepted that is a test of one flag.
//
// Who holds a host address without the soft TLB holds a lock too, shared: Access for the moment of one access
// of a CPU, Dma for one request of a device. A change under Exclusive is therefore seen by all of them at
// once; what CPUs have in their soft TLBs, fastmem and translated code must be forgotten besides
// (lightv::Machine::forget).
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <shared_mutex>

namespace arclight::mmu {

/// What may be asked of a intercepted page; 0 for all others.
namespace page_flag {
inline constexpr uint8_t kIntercepted = 1;  ///< set in all intercepted pages
inline constexpr uint8_t kNoRead = 2;       ///< absent: no access at all goes through
inline constexpr uint8_t kNoWrite = 4;
inline constexpr uint8_t kNoExecute = 8;
inline constexpr uint8_t kUncached = 16;  ///< in no soft TLB and no fastmem: every access takes the slow path
inline constexpr uint8_t kWatched = 32;   ///< the watcher is asked; exact for data together with kUncached
inline constexpr uint8_t kTracked =
    64;  ///< first accesses and first writes since the last forget() leave marks
inline constexpr uint8_t kPermission = 128;  ///< what is refused is a permission fault, not an external abort
}  // namespace page_flag

/// Whether a CPU may remember the page, and as writable; the rights were checked for the access at hand. The
/// first write of a page whose writes leave marks must be seen too.
constexpr bool may_cache(uint8_t flags) { return (flags & page_flag::kUncached) == 0; }
constexpr bool may_cache_writable(uint8_t flags, bool write) {
    return (flags & page_flag::kNoWrite) == 0 && ((flags & page_flag::kTracked) == 0 || write);
}

struct AccessEvent {
    static constexpr unsigned kDevice = ~0u;
    enum class Kind : uint8_t { Read, Write, Fetch } kind = Kind::Read;
    unsigned cpu = kDevice;  ///< or kDevice: DMA
    uint64_t pa = 0;
    uint64_t va = 0;  ///< 0 of a device
    uint64_t pc = 0;  ///< page of the instruction; 0 of a device
    uint32_t bytes = 0;
};

/// Called by all CPUs and devices at once, with locks held: count, decide, return.
class Watcher {
  public:
    virtual ~Watcher() = default;
    /// False: the access is refused, as an external abort.
    virtual bool access(const AccessEvent& event) = 0;
};

class PageOverlay {
  public:
    static constexpr uint64_t kPage = 4096;

    struct Page {
        uint8_t* backing = nullptr;  ///< page-aligned host memory; null: RAM's own
        uint8_t flags = 0;           ///< page_flag; 0: not intercepted, whatever the rest says
        Watcher* watcher = nullptr;
    };

    PageOverlay(uint8_t* host, uint64_t base_pa, uint64_t size);
    ~PageOverlay();
    PageOverlay(const PageOverlay&) = delete;
    PageOverlay& operator=(const PageOverlay&) = delete;

    uint64_t base() const { return base_; }
    uint64_t size() const { return size_; }
    bool contains(uint64_t pa, uint64_t bytes) const {
        return pa >= base_ && pa - base_ <= size_ && bytes <= size_ - (pa - base_);
    }

    /// Whether any page is intercepted.
    bool active() const { return intercepted_.load(std::memory_order_relaxed) != 0; }
    uint64_t intercepted() const { return intercepted_.load(std::memory_order_relaxed); }

    // ---- All addresses below lie in RAM.
    uint8_t flags(uint64_t pa) const { return flags_[number(pa)].load(std::memory_order_acquire); }
    /// RAM's own place of a page.
    uint8_t* own(uint64_t pa) const { return host_ + (pa - base_); }
    /// Rights are another matter. Null if the range has several pages that do not follow each other in host
    /// memory.
    uint8_t* host(uint64_t pa, uint64_t bytes) const;
    Page page(uint64_t pa) const;
    /// False: refused.
    bool watch(const AccessEvent& event) const;

    /// Marks of a kTracked page.
    static constexpr uint8_t kAccessed = 1, kDirty = 2;
    uint8_t marks(uint64_t pa) const { return marks_[number(pa)].load(std::memory_order_relaxed); }
    void mark(uint64_t pa, uint8_t marks) const { marks_[number(pa)].fetch_or(marks); }
    uint8_t take_marks(uint64_t pa) { return marks_[number(pa)].exchange(0); }

    /// For one thread at a time. False: no memory for the tables, nothing is changed.
    bool prepare();
    void set(uint64_t pa, const Page& page);

    class Access {
      public:
        explicit Access(const PageOverlay& stage) : lock_(stage.access_) { pthread_rwlock_rdlock(&lock_); }
        ~Access() { pthread_rwlock_unlock(&lock_); }
        Access(const Access&) = delete;
        Access& operator=(const Access&) = delete;

      private:
        pthread_rwlock_t& lock_;
    };
    /// Taken with a device's lock held and without, so it must be one that a waiting writer does not close.
    using Dma = std::shared_lock<std::shared_mutex>;
    Dma dma() const { return Dma(dma_); }

    class Exclusive {
      public:
        explicit Exclusive(PageOverlay& stage) : overlay_(stage) {
            overlay_.dma_.lock();
            pthread_rwlock_wrlock(&overlay_.access_);
        }
        ~Exclusive() {
            pthread_rwlock_unlock(&overlay_.access_);
            overlay_.dma_.unlock();
        }
        Exclusive(const Exclusive&) = delete;
        Exclusive& operator=(const Exclusive&) = delete;

      private:
        PageOverlay& overlay_;
    };

  private:
    uint64_t number(uint64_t pa) const { return (pa - base_) / kPage; }

    uint8_t* const host_;
    const uint64_t base_, size_;
    std::atomic<uint64_t> intercepted_{0};
    // One mapping, of which the host gives pages where pages are intercepted; made by prepare().
    void* tables_ = nullptr;
    std::atomic<uint8_t>* flags_ = nullptr;
    std::atomic<uint8_t>* marks_ = nullptr;
    std::atomic<uint8_t*>* backings_ = nullptr;
    std::atomic<Watcher*>* watchers_ = nullptr;

    mutable pthread_rwlock_t access_;
    mutable std::shared_mutex dma_;
};

}  // namespace arclight::mmu
