// The files of one run.
#pragma once

#include <vector>

#include "guestos/options.h"
#include "guestos/sandbox/landlock.h"

namespace arclight::guestos::sandbox {

/// What `options` name, and what the program needs of its own. Files that the run is going to write are made here, since
/// only what exists can be granted, and directories of the cache.
std::vector<FileGrant> grants_for(const RunOptions& options);
/// What the guest's networks need.
TcpGrant tcp_for(const RunOptions& options);

}  // namespace arclight::guestos::sandbox
