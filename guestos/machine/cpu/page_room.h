#pragma once

#include <cstdint>

#include "mmu/soft_tlb.h"

namespace arclight::guestos {

/// Bytes of a page from `va` on, or in front of it: 1 to a page.
constexpr uint64_t page_room(uint64_t va, bool forward) {
    return forward ? mmu::kPageSize - (va & ~mmu::kPageMask) : ((va - 1) & ~mmu::kPageMask) + 1;
}

}  // namespace arclight::guestos
