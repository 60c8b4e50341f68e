#pragma once

#include <memory>

#include "devices/net_backend.h"
#include "guestos/net/net_sockets.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// An interface of the host's kernel (Linux's Documentation/networking/tuntap.rst), which is there as long as the run unless it
/// was made persistent. What the guest's driver leaves of checksums and segmentation goes to the kernel, and the other way. An
/// error is one line.
Result<std::shared_ptr<devices::NetBackend>> open_tap_network(const NetOptions& options);

/// The same for whoever moves frames itself: its only queue, which does not block, whose frames have a virtio::NetHeader and leave checksums
/// and segmentation of TCP out, both ways.
Result<SocketFd> open_tap_device(const NetOptions& options);

}  // namespace arclight::guestos
