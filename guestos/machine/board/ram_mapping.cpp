#include "guestos/machine/board/ram_mapping.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

namespace arclight::guestos {

Result<std::unique_ptr<RamMapping>> RamMapping::allocate(uint64_t bytes) {
    constexpr uint64_t kHuge = uint64_t{2} << 20;
    // Room to start at a multiple of 2 MiB, so that the host can use huge pages throughout.
    const uint64_t reserve = bytes + kHuge;
    void* p =
        mmap(nullptr, reserve, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return failure("cannot get {} MiB of memory for the guest: {}", bytes >> 20, strerror(errno));
    auto* start = static_cast<uint8_t*>(p);
    auto* aligned =
        reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(start) + kHuge - 1) & ~(kHuge - 1));
    if (aligned != start) munmap(start, static_cast<size_t>(aligned - start));
    const size_t tail = static_cast<size_t>(start + reserve - (aligned + bytes));
    if (tail != 0) munmap(aligned + bytes, tail);
    madvise(aligned, bytes, MADV_HUGEPAGE);
    return std::unique_ptr<RamMapping>(new RamMapping(aligned, bytes));
}

RamMapping::~RamMapping() { munmap(host_, size_); }

}  // namespace arclight::guestos
