// Daemons that carry out devices by vhost-user: connected to, and a virtiofsd started for a directory, before the sandbox is entered.
#pragma once

#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Whether one of the devices is a daemon's, so that guest RAM is to be memory that other processes can map.
bool wants_shared_ram(const RunOptions& options);

/// RunOptions::daemons. An error is one line for the user.
Result<void> open_daemons(RunOptions& options);

}  // namespace arclight::guestos
