// What the page overlay (mmu/page_overlay.h) says to an access of a virtual CPU.
#pragma once

#include <cstdint>

#include "mmu/page_overlay.h"
#include "mmu/walk.h"

namespace arclight::guestos {

/// The fault status code of an access that a page with these flags refuses; 0: it does not.
/// `level` is the walk's, for permission faults.
inline uint8_t overlay_fault(uint8_t flags, mmu::AccessEvent::Kind kind, int level) {
    using Kind = mmu::AccessEvent::Kind;
    uint8_t refused = mmu::page_flag::kNoRead;
    if (kind == Kind::Write) refused |= mmu::page_flag::kNoWrite;
    if (kind == Kind::Fetch) refused |= mmu::page_flag::kNoExecute;
    if ((flags & refused) == 0) return 0;
    return (flags & mmu::page_flag::kPermission) != 0
               ? mmu::fault_status_code(mmu::FaultKind::Permission, level)
               : mmu::kFscSynchronousExternal;
}

}  // namespace arclight::guestos
