// Allocation tags (FEAT_MTE) in the code of blocks.
#pragma once

#include "jit/host_code.h"

namespace arclight::jit {

/// For CPUs that have them: blocks compiled from now on make accesses to checked pages (mmu/checked_page.h) themselves where the tags are
/// equal, and else by the slow path. No block has been compiled yet. With CodeBuffer::spectre() they do not.
void enable_tag_checks(CodeBuffer& buffer);

}  // namespace arclight::jit
