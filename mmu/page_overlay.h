// The page overlay: which host memory backs each guest physical page, and with which rights. Almost every
// page is backed by RAM itself with all rights, and nothing is stored for it. An intercepted page may be
// backed by another page of host memory, have fewer rights, or have a watcher.
//
// The overlay is consulted before a translation is cached and before memory is accessed without the soft TLB:
// fills of soft TLBs and fastmem, instruction fetch, table walks, device DMA. While no page is intercepted,
// the cost is a test of one flag.
//
// Every user of a host address that bypasses the soft TLB holds a shared lock: Access for one access of a
// CPU, Dma for one request of a device. A change under Exclusive is therefore seen by all of them at once.
// Soft TLBs, fastmem and translated code must be invalidated separately (lightv::Machine::forget).
//
// With a HostStage, what backs a page is mapped at its own place in RAM, which remap() changes; rights that a page lacks are
// withheld there. Nothing is stored for a page that only lies elsewhere: it is not intercepted.
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>

#include "mmu/host_stage.h"
#include "mmu/no_speculation.h"

namespace arclight::mmu {

/// Properties of an intercepted page; 0 for all other pages.
namespace page_flag {
inline constexpr uint8_t kIntercepted = 1;  ///< set in all intercepted pages
inline constexpr uint8_t kNoRead = 2;       ///< absent: every access is refused
inline constexpr uint8_t kNoWrite = 4;
inline constexpr uint8_t kNoExecute = 8;
inline constexpr uint8_t kUncached =
    16;  ///< never in a soft TLB or in fastmem: every access takes the slow path
inline constexpr uint8_t kWatched = 32;  ///< the watcher is called; with kUncached, for every data access
inline constexpr uint8_t kTracked =
    64;  ///< the first access and first write since the last forget() set marks
inline constexpr uint8_t kPermission =
    128;  ///< a refused access is a permission fault, not an external abort
}  // namespace page_flag

/// Whether a CPU may cache the page in a soft TLB or fastmem.
constexpr bool may_cache(uint8_t flags) { return (flags & page_flag::kUncached) == 0; }
/// Whether a CPU may cache the page as writable after a permitted access. The first write to a kTracked page
/// must take the slow path.
constexpr bool may_cache_writable(uint8_t flags, bool write) {
    return (flags & page_flag::kNoWrite) == 0 && ((flags & page_flag::kTracked) == 0 || write);
}

/// One access to an intercepted page.
struct AccessEvent {
    static constexpr unsigned kDevice = ~0u;
    enum class Kind : uint8_t { Read, Write, Fetch } kind = Kind::Read;
    unsigned cpu = kDevice;  ///< the virtual CPU; kDevice for DMA
    uint64_t pa = 0;
    uint64_t va = 0;  ///< 0 for a device
    uint64_t pc = 0;  ///< page of the instruction; 0 for a device
    uint32_t bytes = 0;
};

/// Observes accesses. access() runs on all CPU and device threads at once, with locks held: it must return
/// quickly and must not block.
class Watcher {
  public:
    virtual ~Watcher() = default;
    /// Returns false to refuse the access, which then ends in an external abort.
    virtual bool access(const AccessEvent& event) = 0;
};

/// One per machine; any thread, except where a function says otherwise.
class PageOverlay {
  public:
    static constexpr uint64_t kPage = 4096;

    struct Page {
        uint8_t* backing = nullptr;  ///< page-aligned host memory; null: RAM itself
        uint8_t flags = 0;           ///< page_flag bits; 0: not intercepted, and the other fields are ignored
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

    // ---- All addresses below must lie in RAM
    /// Before any page is intercepted. Null: there is none.
    void use(HostStage* stage);
    HostStage* host_stage() const { return stage_; }

    uint8_t flags(uint64_t pa) const { return flags_[number(pa)].load(std::memory_order_acquire); }
    /// The host address of pa in RAM itself.
    uint8_t* own(uint64_t pa) const { return host_ + bounded(pa - base_, size_); }
    /// The host address that backs pa, without a check of rights. Null if the range is not contiguous in host
    /// memory.
    uint8_t* host(uint64_t pa, uint64_t bytes) const;
    Page page(uint64_t pa) const;
    /// Calls the watcher of the page. False if it refuses the access.
    bool watch(const AccessEvent& event) const;

    /// Marks of a kTracked page: accessed, written.
    static constexpr uint8_t kAccessed = 1, kDirty = 2;
    uint8_t marks(uint64_t pa) const { return marks_[number(pa)].load(std::memory_order_relaxed); }
    void mark(uint64_t pa, uint8_t marks) const {
        marks_[number(pa)].fetch_or(marks);
        if (stage_ != nullptr) stage_->open(number(pa), (marks & kDirty) != 0);
    }
    uint8_t take_marks(uint64_t pa) { return marks_[number(pa)].exchange(0); }

    /// Allocates the tables; call it before set(), from one thread at a time. False if the host has no
    /// memory.
    bool prepare();
    /// Changes one page. One thread at a time. With a host stage, what backs it stays (remap()), and rights that it had and has no
    /// longer are there until enforce().
    void set(uint64_t pa, const Page& page);

    // ---- With a host stage
    /// Puts `count` consecutive pages from `pa` on at consecutive memory from `place` on. An error changes nothing.
    Result<void> remap(uint64_t pa, uint64_t count, const Place& place);
    /// Withholds the rights that the page lacks, from those who know its place too.
    Result<void> enforce(uint64_t pa);

    /// Shared lock of one access of a CPU.
    class Access {
      public:
        explicit Access(const PageOverlay& overlay) : lock_(overlay.access_) {
            pthread_rwlock_rdlock(&lock_);
        }
        ~Access() { pthread_rwlock_unlock(&lock_); }
        Access(const Access&) = delete;
        Access& operator=(const Access&) = delete;

      private:
        pthread_rwlock_t& lock_;
    };
    /// Shared lock of one request of a device. It is taken with the device's lock held and without, so a
    /// waiting writer must not block new readers: std::shared_mutex in glibc prefers readers.
    using Dma = std::shared_lock<std::shared_mutex>;
    Dma dma() const { return Dma(dma_); }

    /// Excludes all holders of Dma.
    std::unique_lock<std::shared_mutex> without_devices() { return std::unique_lock(dma_); }

    /// Excludes all holders of Access and Dma.
    class Exclusive {
      public:
        explicit Exclusive(PageOverlay& overlay) : overlay_(overlay) {
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
    uint64_t number(uint64_t pa) const { return bounded(pa - base_, size_) / kPage; }
    /// Nobody may access it at its own place.
    static bool is_closed(uint8_t flags) {
        return (flags & (page_flag::kNoRead | page_flag::kUncached)) != 0;
    }
    uint8_t* place_on_host_stage(uint64_t number) const;

    uint8_t* const host_;
    const uint64_t base_, size_;
    std::atomic<uint64_t> intercepted_{0};
    HostStage* stage_ = nullptr;  ///< null: there is none
    // One sparse mapping made by prepare(), which begins with the backings: the host allocates only the parts for intercepted
    // pages.
    std::atomic<uint8_t>* flags_ = nullptr;
    std::atomic<uint8_t>* marks_ = nullptr;
    std::atomic<uint8_t*>* backings_ = nullptr;
    std::atomic<Watcher*>* watchers_ = nullptr;

    mutable pthread_rwlock_t access_;
    mutable std::shared_mutex dma_;
};

}  // namespace arclight::mmu
