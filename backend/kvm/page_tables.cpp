#include "backend/kvm/page_tables.h"

#include <sys/mman.h>

#include <cerrno>
#include <system_error>

namespace arclight::backend::kvm {

Arena::Arena(size_t bytes) : size_(bytes) {
    constexpr size_t kLarge = size_t{2} << 20;
    const auto map = [](uint64_t address, size_t size, int flags) {
        return mmap(reinterpret_cast<void*>(address), size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
    };
    void* p = map(kPreferredAddress, bytes, MAP_FIXED_NOREPLACE);
    if (p == MAP_FAILED) {
        // Another machine of this process has the place: any multiple of 2 MiB does.
        p = map(0, bytes + kLarge, 0);
        if (p == MAP_FAILED)
            throw std::system_error(errno, std::generic_category(), "cannot map the virtual machine's page tables");
        const uint64_t start = reinterpret_cast<uint64_t>(p), aligned = (start + kLarge - 1) & ~(kLarge - 1);
        if (aligned != start) munmap(p, aligned - start);
        if (const uint64_t tail = start + kLarge - aligned; tail != 0)
            munmap(reinterpret_cast<void*>(aligned + bytes), tail);
        p = reinterpret_cast<void*>(aligned);
    }
    base_ = static_cast<uint8_t*>(p);
}

Arena::~Arena() { munmap(base_, size_); }

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
