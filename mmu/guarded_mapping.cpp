#include "mmu/guarded_mapping.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace arclight::mmu {

namespace {
constexpr size_t kAlignment = size_t{2} << 20, kHostPage = 4096;
}

Result<GuardedMapping> GuardedMapping::map(size_t bytes, int file) {
    const size_t size = (bytes + kHostPage - 1) & ~(kHostPage - 1), whole = size + 2 * kGuardBytes;
    const size_t reserved = whole + kAlignment;
    void* p = mmap(nullptr, reserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return failure("{}", strerror(errno));
    auto* start = static_cast<uint8_t*>(p);
    auto* data = reinterpret_cast<uint8_t*>(
        (reinterpret_cast<uintptr_t>(start) + kGuardBytes + kAlignment - 1) & ~(kAlignment - 1));
    uint8_t* const first = data - kGuardBytes;
    if (first != start) munmap(start, static_cast<size_t>(first - start));
    const auto rest = static_cast<size_t>(start + reserved - (first + whole));
    if (rest != 0) munmap(first + whole, rest);
    const int kind = file >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    if (mmap(data, size, PROT_READ | PROT_WRITE, kind | MAP_FIXED, file, 0) == MAP_FAILED) {
        const int error = errno;
        munmap(first, whole);
        return failure("{}", strerror(error));
    }
    return GuardedMapping(data, size);
}

GuardedMapping::GuardedMapping(GuardedMapping&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(other.size_) {}

GuardedMapping::~GuardedMapping() {
    if (data_ != nullptr) munmap(data_ - kGuardBytes, size_ + 2 * kGuardBytes);
}

}  // namespace arclight::mmu
