#pragma once

#include <memory>
#include <string>

#include "devices/net_backend.h"
#include "guestos/net/net_sockets.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// Frames through a connection, in the form of frame_reader.h: to another machine, of QEMU's or of this program's, or to a passt.
/// What the guest sends while there is no connection is lost. An error is one line.
Result<std::shared_ptr<devices::NetBackend>> open_stream_network(const NetOptions& options);
/// The same over a connection that exists.
std::shared_ptr<devices::NetBackend> make_stream_network(std::string id, SocketFd connection);

}  // namespace arclight::guestos
