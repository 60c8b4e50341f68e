#pragma once

#include <memory>

#include "devices/net_backend.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// A datagram a frame, and nothing else: QEMU's `-netdev dgram`, and `socket` with `udp=` or `mcast=`. What nobody takes is lost. An
/// error is one line.
Result<std::shared_ptr<devices::NetBackend>> open_datagram_network(const NetOptions& options);

}  // namespace arclight::guestos
