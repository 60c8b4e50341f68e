#include "guestos/machine/board/ram_mapping.h"

#include <sys/mman.h>

#include <utility>

namespace arclight::guestos {

Result<std::unique_ptr<RamMapping>> RamMapping::allocate(uint64_t bytes) {
    auto memory = mmu::GuardedMapping::map(bytes);
    if (!memory) return failure("cannot get {} MiB of memory for the guest: {}", bytes >> 20, memory.error());
    madvise(memory->data(), bytes, MADV_HUGEPAGE);
    return std::unique_ptr<RamMapping>(new RamMapping(std::move(*memory), bytes));
}

}  // namespace arclight::guestos
