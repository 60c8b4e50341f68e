// Devices that daemons carry out: -device vhost-user-*, and -netdev vhost-user with an adapter. A chardev says where the daemon is.
#pragma once

#include <string>
#include <string_view>

#include "devices/device_factory.h"
#include "guestos/qemu/keys.h"
#include "guestos/qemu/translation.h"
#include "mmu/result.h"

namespace arclight::guestos::qemu {

/// Whether a daemon carries out devices of this type of the factory's.
bool is_vhost_user(std::string_view factory);

/// Whether the host's kernel can be the end of a guest's sockets.
bool has_vhost_vsock();

/// Puts where the chardev leads into the request. No chardev is made of it.
Result<void> take_daemon(Translation& t, const std::string& origin, const std::string& chardev,
                         devices::DeviceRequest& request);

/// -netdev vhost-user; `keys`: without its type and id.
Result<void> take_daemon_network(Translation& t, Keys& keys, const std::string& id);

}  // namespace arclight::guestos::qemu
