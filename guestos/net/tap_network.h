#pragma once

#include <memory>
#include <string>

#include "devices/net_backend.h"
#include "devices/vhost_user/connection.h"
#include "guestos/net/net_sockets.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// An interface of the host's kernel (Linux's Documentation/networking/tuntap.rst), which is there as long as the run unless it
/// was made persistent. What the guest's driver leaves of checksums and segmentation goes to the kernel, and the other way.
struct TapNetworkEnds {
    // One of them.
    std::shared_ptr<devices::NetBackend> frames;              ///< they pass through this process
    std::shared_ptr<devices::vhost_user::Connection> kernel;  ///< the kernel moves them (NetOptions::vhost)
    std::string
        instead;  ///< with `frames`, though the other was asked for: why, in one line; empty: it was not
};
/// `obstacle`: why the kernel may not move frames in this run; empty: it may. An error is one line.
Result<TapNetworkEnds> open_tap_network(const NetOptions& options, const std::string& obstacle);

/// The same for whoever moves frames itself: its only queue, which does not block, whose frames have a virtio::NetHeader and leave checksums
/// and segmentation of TCP out, both ways.
Result<SocketFd> open_tap_device(const NetOptions& options);

}  // namespace arclight::guestos
