#include "mmu/page_overlay.h"

#include <sys/mman.h>

namespace arclight::mmu {
namespace {
constexpr uint64_t kBytesPerPage = 2 * sizeof(std::atomic<uint8_t>) + 2 * sizeof(void*);

using Rights = HostStage::Rights;

/// At the page's own place. Whether code may be executed is decided where it is translated.
Rights rights_of(uint8_t flags) {
    using namespace page_flag;
    if ((flags & (kNoRead | kUncached | kTracked)) != 0) return Rights::None;
    return (flags & kNoWrite) != 0 ? Rights::Read : Rights::All;
}
}  // namespace

PageOverlay::PageOverlay(uint8_t* host, uint64_t base_pa, uint64_t size)
    : host_(host), base_(base_pa), size_(size) {
    pthread_rwlockattr_t attributes;
    pthread_rwlockattr_init(&attributes);
    // With readers preferred, CPUs that access an uncached page in a loop would starve a change. No thread
    // takes the lock recursively.
    pthread_rwlockattr_setkind_np(&attributes, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&access_, &attributes);
    pthread_rwlockattr_destroy(&attributes);
}

PageOverlay::~PageOverlay() {
    if (backings_ != nullptr) munmap(backings_, (size_ / kPage + 1) * kBytesPerPage);
    pthread_rwlock_destroy(&access_);
}

bool PageOverlay::prepare() {
    if (backings_ != nullptr) return true;
    const uint64_t pages = size_ / kPage + 1;  // zero bytes are valid entries: no page is intercepted
    void* p = mmap(nullptr, pages * kBytesPerPage, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return false;
    backings_ = static_cast<std::atomic<uint8_t*>*>(p);
    watchers_ = reinterpret_cast<std::atomic<Watcher*>*>(backings_ + pages);
    flags_ = reinterpret_cast<std::atomic<uint8_t>*>(watchers_ + pages);
    marks_ = flags_ + pages;
    return true;
}

PageOverlay::Page PageOverlay::page(uint64_t pa) const {
    if (flags_ == nullptr) return {};
    const uint64_t n = number(pa);
    return {backings_[n].load(std::memory_order_acquire), flags(pa),
            watchers_[n].load(std::memory_order_acquire)};
}

void PageOverlay::set(uint64_t pa, const Page& page) {
    const uint64_t n = number(pa);
    const uint8_t old = flags_[n].load(std::memory_order_relaxed);
    if (stage_ != nullptr) {
        // More rights before the flags, fewer after them, by enforce(): who finds no flags may access the page.
        const Rights now = rights_of(old), next = rights_of(page.flags);
        if (next <= now) stage_->grant(n, next, (page.flags & page_flag::kTracked) != 0);
    } else {
        backings_[n].store(page.flags != 0 ? page.backing : nullptr, std::memory_order_release);
    }
    // The watcher is stored before the flag that makes it reachable. Its owner keeps it alive until after the
    // flag.
    watchers_[n].store(page.flags != 0 ? page.watcher : nullptr, std::memory_order_release);
    flags_[n].store(page.flags != 0 ? page.flags | page_flag::kIntercepted : 0, std::memory_order_seq_cst);
    if (old == 0 && page.flags != 0) intercepted_.fetch_add(1, std::memory_order_seq_cst);
    if (old != 0 && page.flags == 0) intercepted_.fetch_sub(1, std::memory_order_seq_cst);
}

// ---- With a host stage

void PageOverlay::use(HostStage* stage) {
    stage_ = stage;
    if (stage == nullptr) return;
    stage->set_mark(
        [](void* self, uint64_t page, bool write) {
            auto& overlay = *static_cast<PageOverlay*>(self);
            overlay.marks_[page].fetch_or(kAccessed | (write ? kDirty : 0));
        },
        this);
}

Result<void> PageOverlay::remap(uint64_t pa, uint64_t count, const Place& place) {
    const uint64_t first = number(pa);
    if (auto mapped = stage_->map(first, count, place); !mapped) return mapped;
    for (uint64_t i = 0; i < count; ++i)
        backings_[first + i].store(place.host != nullptr ? place.host + i * kPage : nullptr,
                                   std::memory_order_release);
    return {};
}

Result<void> PageOverlay::enforce(uint64_t pa) {
    const uint8_t now = flags(pa);
    return stage_->withhold(number(pa), rights_of(now), (now & page_flag::kTracked) != 0);
}

/// A closed page is accessed by the memory behind it. No other address may be kept: RAM's own place alone follows changes.
uint8_t* PageOverlay::place_on_host_stage(uint64_t n) const {
    if (!is_closed(flags_[n].load(std::memory_order_acquire))) return host_ + n * kPage;
    uint8_t* const backing = backings_[n].load(std::memory_order_acquire);
    return backing != nullptr ? backing : stage_->alias(n);
}

uint8_t* PageOverlay::host(uint64_t pa, uint64_t bytes) const {
    const uint64_t first = number(pa), last = bytes == 0 ? first : number(pa + bytes - 1);
    const auto place = [&](uint64_t n) {
        if (stage_ != nullptr) return place_on_host_stage(n);
        uint8_t* backing = backings_[n].load(std::memory_order_acquire);
        return backing != nullptr ? backing : host_ + n * kPage;
    };
    uint8_t* const start = place(first);
    for (uint64_t n = first + 1; n <= last; ++n)
        if (place(n) != start + (n - first) * kPage) return nullptr;
    return start + (pa - base_) % kPage;
}

bool PageOverlay::watch(const AccessEvent& event) const {
    Watcher* watcher = watchers_[number(event.pa)].load(std::memory_order_acquire);
    return watcher == nullptr || watcher->access(event);
}

}  // namespace arclight::mmu
