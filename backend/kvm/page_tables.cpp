#include "backend/kvm/page_tables.h"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>

namespace arclight::backend::kvm {

namespace {
constexpr uint64_t kGib = uint64_t{1} << 30;
}

Arena::Arena(size_t bytes) : size_(bytes) {
    // Each machine of this process has its own arena in its own GiB, because ProcessMap maps whole GiB.
    constexpr unsigned kPlaces = 64;
    for (unsigned i = 0; i < kPlaces; ++i) {
        // The whole GiB: what somebody else had in the rest of it could not be mapped inside.
        // NOLINTNEXTLINE(performance-no-int-to-ptr): an address of its own choice
        void* p = mmap(reinterpret_cast<void*>(kPreferredAddress + i * kGib), kGib, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
        if (p != MAP_FAILED) {
            base_ = static_cast<uint8_t*>(p);
            if (mprotect(p, bytes, PROT_READ | PROT_WRITE) == 0) return;
            const int error = errno;
            munmap(p, kGib);
            errno = error;
            break;
        }
        if (errno != EEXIST) break;
    }
    throw std::system_error(errno, std::generic_category(), "cannot map the virtual machine's page tables");
}

Arena::~Arena() { munmap(base_, kGib); }

uint8_t* Arena::take_system_page() {
    if (next_system_ + 4096 > kSystemBytes) return nullptr;
    uint8_t* page = base_ + next_system_;
    next_system_ += 4096;
    return page;
}

uint8_t* Arena::take_pages(size_t count) {
    if (count > (size_ - next_) / 4096) return nullptr;
    uint8_t* page = base_ + next_;
    next_ += count * 4096;
    return page;
}

Table* Arena::descend(uint64_t& entry) {
    if ((entry & kPresent) == 0) {
        uint8_t* page = take_pages(1);
        if (page == nullptr) return nullptr;
        entry = gpa_of(page) | kPresent | kWritable | kUser | kAccessed;
    }
    return at(entry & kAddressMask);
}

}  // namespace arclight::backend::kvm
