#include "guestos/machine/board/ram_mapping.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace arclight::guestos {

Result<std::unique_ptr<RamMapping>> RamMapping::allocate(uint64_t bytes) {
    auto memory = mmu::GuardedMapping::map(bytes);
    if (!memory) return failure("cannot get {} MiB of memory for the guest: {}", bytes >> 20, memory.error());
    madvise(memory->data(), bytes, MADV_HUGEPAGE);
    return std::unique_ptr<RamMapping>(new RamMapping(std::move(*memory), bytes));
}

Result<void> RamMapping::map_file(int file, uint64_t offset) {
    void* const mapped = mmap(memory_.data(), size_, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, file, static_cast<off_t>(offset));
    if (mapped == MAP_FAILED) return failure("{}", std::strerror(errno));
    fallible_.reset();
    fallible_.emplace(memory_.data(), size_, "guest memory", host::FallibleMemory::Kind::File);
    return {};
}

}  // namespace arclight::guestos
