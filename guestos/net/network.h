// The networks that `--net` names.
#pragma once

#include <memory>

#include "devices/char_backend.h"
#include "devices/net_backend.h"
#include "guestos/options.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// A network in user space (libslirp): an address for the guest by DHCP, name service, and connections that this process makes
/// for the guest; the host needs no setup and sees none of the guest's frames. It has a thread of its own
/// (ThreadRole::Network) from NetBackend::connect() on. `chardevs` are for forwards that name some; null: there are none. An error
/// is one line for the user.
Result<std::unique_ptr<devices::NetBackend>> make_user_network(const NetOptions& options,
                                                               devices::CharBackends* chardevs);

}  // namespace arclight::guestos
