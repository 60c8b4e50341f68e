// The networks whose end at the host is there before the sandbox is entered and the machine made.
#pragma once

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Fills RunOptions::opened_networks and kernel_networks, and starts what serves the commands of user networks (RunOptions::command_servers). An
/// error is one line for the user.
Result<void> open_networks(RunOptions& options);

}  // namespace arclight::guestos
