#include "mmu/host_stage.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace arclight::mmu {

namespace {
constexpr int protection(HostStage::Rights rights) {
    switch (rights) {
        case HostStage::Rights::None: return PROT_NONE;
        case HostStage::Rights::Read: return PROT_READ;
        case HostStage::Rights::All: break;
    }
    return PROT_READ | PROT_WRITE;
}
}  // namespace

std::shared_ptr<const FaultFile> FaultFile::open() {
    const int file = static_cast<int>(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK));
    if (file < 0) return nullptr;
    std::shared_ptr<const FaultFile> opened(new FaultFile(file));
    uffdio_api api{};
    api.api = UFFD_API;
    api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM;
    return ioctl(file, UFFDIO_API, &api) == 0 ? opened : nullptr;
}

FaultFile::~FaultFile() { close(file_); }

HostStage::Lock::Lock(std::atomic_flag& flag) : flag_(flag) {
    while (flag_.test_and_set(std::memory_order_acquire)) std::this_thread::yield();
}

Result<std::unique_ptr<HostStage>> HostStage::create(uint8_t* ram, uint64_t bytes, int file,
                                                     std::shared_ptr<const FaultFile> faults) {
    auto alias = GuardedMapping::map(bytes, file);
    if (!alias) return std::unexpected(alias.error());
    void* const tables = mmap(nullptr, (bytes / kPage + 1) * kTableBytesPerPage, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (tables == MAP_FAILED) return failure("{}", strerror(errno));
    return std::unique_ptr<HostStage>(
        new HostStage(ram, bytes, file, std::move(faults), std::move(*alias), tables));
}

HostStage::HostStage(uint8_t* ram, uint64_t bytes, int file, std::shared_ptr<const FaultFile> faults,
                     GuardedMapping alias, void* tables)
    : ram_(ram),
      bytes_(bytes),
      file_(file),
      alias_(std::move(alias)),
      states_(reinterpret_cast<std::atomic<uint8_t>*>(static_cast<std::atomic<uint8_t*>*>(tables) + pages())),
      origins_(static_cast<std::atomic<uint8_t*>*>(tables)),
      faults_file_(std::move(faults)),
      withheld_memory_(ram, bytes, {on_fault, origin, next_away, this}) {}

HostStage::~HostStage() { munmap(origins_, pages() * kTableBytesPerPage); }

bool HostStage::is_own(const uint8_t* at, uint64_t bytes) const {
    const uint64_t first = static_cast<uint64_t>(at - ram_) / kPage,
                   end = (static_cast<uint64_t>(at - ram_) + bytes + kPage - 1) / kPage;
    for (uint64_t page = first; page < end; ++page)
        if ((states_[page].load(std::memory_order_relaxed) & kAway) != 0) return false;
    return true;
}

// ---- What lies behind pages

Result<void> HostStage::map(uint64_t first, uint64_t count, const Place& place) {
    const bool own = place.host == nullptr;
    if (!own && place.file < 0) return failure("memory that is no part of a file");
    bool readable = false;
    auto done = map_locked(first, count, place, readable);
    // Or else each page would fault once more when it is accessed, on the thread that accesses it. Where the host cannot (before
    // Linux 5.14, or memory that is gone), that is what happens. Reading makes no page of a file dirty.
    if (done && readable) (void)madvise(ram(first), count * kPage, MADV_POPULATE_READ);
    return done;
}

Result<void> HostStage::map_locked(uint64_t first, uint64_t count, const Place& place, bool& readable) {
    const bool own = place.host == nullptr;
    const Lock lock(lock_);
    const auto rights = [this](uint64_t page) {
        return static_cast<Rights>(states_[page].load(std::memory_order_relaxed) & kRights);
    };
    // No page may have more of them for a moment. Who misses one that it has asks on_fault().
    Rights fewest = rights(first);
    for (uint64_t page = first + 1; page < first + count; ++page) fewest = std::max(fewest, rights(page));
    readable = fewest != Rights::None;
    if (mmap(ram(first), count * kPage, protection(fewest), MAP_SHARED | MAP_FIXED, own ? file_ : place.file,
             static_cast<off_t>(own ? first * kPage : place.offset)) == MAP_FAILED)
        return failure("{}", strerror(errno));
    ++maps_;
    pages_mapped_ += count;
    for (uint64_t page = first; page < first + count; ++page) {
        const uint8_t state = states_[page].load(std::memory_order_relaxed);
        const auto next = static_cast<uint8_t>(own ? state & ~kAway : state | kAway);
        if (next != state) states_[page].store(next, std::memory_order_relaxed);
        if (!own || (state & kAway) != 0)
            origins_[page].store(own ? nullptr : place.host + (page - first) * kPage,
                                 std::memory_order_relaxed);
        if (rights(page) != fewest) {
            [[maybe_unused]] const auto given = protect(page, rights(page));
        }
    }
    return {};
}

// ---- Rights

Result<void> HostStage::protect(uint64_t page, Rights rights) {
    if (mprotect(ram(page), kPage, protection(rights)) != 0) return failure("{}", strerror(errno));
    return {};
}

void HostStage::count_withheld(uint8_t before, uint8_t after) {
    constexpr uint8_t kAny = kRights | kTracked;
    const bool was = (before & kAny) != 0, is = (after & kAny) != 0;
    if (is == was) return;
    if (is)
        ++withheld_;
    else
        --withheld_;
    withheld_memory_.set_active(withheld_ != 0);
}

Result<void> HostStage::withhold(uint64_t page, Rights rights, bool tracked) {
    const Lock lock(lock_);
    const uint8_t state = states_[page].load(std::memory_order_relaxed);
    const auto next =
        static_cast<uint8_t>((state & kAway) | static_cast<uint8_t>(rights) | (tracked ? kTracked : 0));
    if (next == state) return {};
    (void)begin_withholding();
    // A fault's handler finds the new state: it waits for the lock.
    count_withheld(state, next);
    states_[page].store(next, std::memory_order_relaxed);
    if ((state & kRights) == (next & kRights)) return {};
    auto done = protect(page, rights);
    if (!done) {
        count_withheld(next, state);
        states_[page].store(state, std::memory_order_relaxed);
    }
    return done;
}

void HostStage::grant(uint64_t page, Rights rights, bool tracked) {
    const Lock lock(lock_);
    const uint8_t state = states_[page].load(std::memory_order_relaxed);
    const auto next =
        static_cast<uint8_t>((state & kAway) | static_cast<uint8_t>(rights) | (tracked ? kTracked : 0));
    if (next == state) return;
    // More rights make no mapping more, so this does not fail for want of one.
    if ((state & kRights) != (next & kRights)) {
        [[maybe_unused]] const auto given = protect(page, rights);
    }
    states_[page].store(next, std::memory_order_relaxed);
    count_withheld(state, next);
}

bool HostStage::open(uint64_t page, bool write) {
    if ((states_[page].load(std::memory_order_relaxed) & kTracked) == 0) return false;
    const Lock lock(lock_);
    const uint8_t state = states_[page].load(std::memory_order_relaxed);
    if ((state & kTracked) == 0) return false;
    const auto rights = static_cast<Rights>(state & kRights);
    const Rights wanted = write || rights == Rights::All ? Rights::All : Rights::Read;
    if (wanted != rights) {
        [[maybe_unused]] const auto given = protect(page, wanted);
        states_[page].store(static_cast<uint8_t>((state & ~kRights) | static_cast<uint8_t>(wanted)),
                            std::memory_order_relaxed);
    }
    return true;
}

host::WithheldMemory::Answer HostStage::on_fault(void* self, const void* address, bool write) {
    using Answer = host::WithheldMemory::Answer;
    auto& stage = *static_cast<HostStage*>(self);
    const uint64_t page = static_cast<uint64_t>(static_cast<const uint8_t*>(address) - stage.ram_) / kPage;
    ++stage.faults_;
    const int error = errno;
    Answer answer = Answer::Refused;
    if (stage.open(page, write)) {
        if (stage.mark_ != nullptr) stage.mark_(stage.mark_context_, page, write);
        answer = Answer::Opened;
    } else {
        const Lock lock(stage.lock_);  // a change that is under way has ended
        const auto rights =
            static_cast<Rights>(stage.states_[page].load(std::memory_order_relaxed) & kRights);
        if (rights == Rights::All || (rights == Rights::Read && !write)) answer = Answer::Permitted;
    }
    errno = error;
    return answer;
}

const void* HostStage::origin(void* self, const void* address) {
    const auto& stage = *static_cast<HostStage*>(self);
    const auto offset = static_cast<uint64_t>(static_cast<const uint8_t*>(address) - stage.ram_);
    const uint8_t* there = stage.origins_[offset / kPage].load(std::memory_order_relaxed);
    return there != nullptr ? there + offset % kPage : nullptr;
}

const void* HostStage::next_away(void* self, const void* from) {
    const auto& stage = *static_cast<HostStage*>(self);
    const uint64_t end = stage.bytes_ / kPage;
    for (uint64_t page = static_cast<uint64_t>(static_cast<const uint8_t*>(from) - stage.ram_) / kPage;
         page < end; ++page)
        if ((stage.states_[page].load(std::memory_order_relaxed) & kAway) != 0) return stage.ram(page);
    return nullptr;
}

// ---- Copies that lose no write

bool HostStage::hold_writes(uint64_t first, uint64_t count) {
    if (faults_file_ == nullptr) return false;
    uffdio_register known{};
    known.range = {reinterpret_cast<uint64_t>(ram(first)), count * kPage};
    known.mode = UFFDIO_REGISTER_MODE_WP;
    if (ioctl(faults_file_->get(), UFFDIO_REGISTER, &known) != 0) return false;
    uffdio_writeprotect held{};
    held.range = known.range;
    held.mode = UFFDIO_WRITEPROTECT_MODE_WP;
    if (ioctl(faults_file_->get(), UFFDIO_WRITEPROTECT, &held) == 0) return true;
    let_write(first, count);
    return false;
}

void HostStage::let_write(uint64_t first, uint64_t count) {
    uffdio_writeprotect held{};
    held.range = {reinterpret_cast<uint64_t>(ram(first)), count * kPage};
    (void)ioctl(faults_file_->get(), UFFDIO_WRITEPROTECT, &held);
    (void)ioctl(faults_file_->get(), UFFDIO_UNREGISTER, &held.range);
}

void HostStage::release_writes(uint64_t first, uint64_t count) {
    uffdio_range range{reinterpret_cast<uint64_t>(ram(first)), count * kPage};
    (void)ioctl(faults_file_->get(), UFFDIO_WAKE, &range);
}

}  // namespace arclight::mmu
