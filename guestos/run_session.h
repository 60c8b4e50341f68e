#pragma once

#include "guestos/options.h"

namespace arclight::guestos {

// Builds the machine, runs it to its end, and returns the process's exit code.
int run_session(const RunOptions& options);

}  // namespace arclight::guestos
