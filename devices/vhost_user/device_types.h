// The device types that daemons carry out, for the factory and for whoever connects to the daemons.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "devices/device_factory.h"
#include "devices/vhost_user/connection.h"

namespace arclight::devices::vhost_user {

inline constexpr size_t kMaxFsTag = 36;
/// The device type that the host's kernel serves, and not a daemon.
inline constexpr std::string_view kKernelVsock = "vhost-vsock";
/// What virtio-net is on a network whose frames the host's kernel moves.
inline constexpr std::string_view kKernelNet = "vhost-net";
inline constexpr unsigned kMaxQueues = 64;
inline constexpr unsigned kMaxReconnect = 86400;  ///< seconds

void add_device_types(DeviceFactory& factory);

/// virtio-net, with its arguments, on such a network.
Result<NewDevice> make_kernel_net(const DeviceArguments& arguments, std::shared_ptr<Connection> connection,
                                  const DeviceContext& context);

/// Of such a request, the name of its connection in DeviceContext::daemons.
std::string connection_name(const DeviceRequest& request);
/// How long it is between attempts to reach another daemon; 0: there are none.
std::chrono::seconds reconnection(const DeviceRequest& request);

}  // namespace arclight::devices::vhost_user
