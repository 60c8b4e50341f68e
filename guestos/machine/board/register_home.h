// Whether the machine can have guest registers where its options say.
#pragma once

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// One line if not. `host_has_them`: jit::host_has_vector_registers().
Result<void> check_registers(const RunOptions& options, bool host_has_them);

}  // namespace arclight::guestos
