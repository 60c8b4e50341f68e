// How an exit to another page, which is not linked for the running soft TLB, finds its way.
#pragma once

#include "jit/host_code.h"

namespace arclight::jit {

/// From now on by RuntimeEntry::kLookupDirect each time, with `always`; else, as after compile(), by the jump cache first. Other threads
/// may be executing the block, which is none of several pages.
void look_up_always(CodeBuffer& buffer, const LinkSlot& exit, bool always);

}  // namespace arclight::jit
