#pragma once

#include "guestos/net/net_sockets.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Starts `passt` at the other end of a connection, with which it ends. An error is one line.
Result<SocketFd> start_passt(const NetOptions& options);

}  // namespace arclight::guestos
