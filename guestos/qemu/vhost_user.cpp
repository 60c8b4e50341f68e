#include "guestos/qemu/vhost_user.h"

#include <unistd.h>

#include <algorithm>

#include "devices/vhost_user/kernel_vsock.h"
#include "devices/virtio/net_queues.h"

namespace arclight::guestos::qemu {

bool is_vhost_user(std::string_view factory) { return factory.starts_with("vhost-user-"); }

bool has_vhost_vsock() { return access(devices::vhost_user::kVhostVsock, R_OK | W_OK) == 0; }

Result<void> take_daemon(Translation& t, const std::string& origin, const std::string& chardev,
                         devices::DeviceRequest& request) {
    const auto found = std::ranges::find(t.out.chardevs, chardev, &ChardevOptions::id);
    if (found == t.out.chardevs.end())
        return failure("{}: Property 'chardev' can't find value '{}'", origin, chardev);
    if (found->kind != ChardevOptions::Kind::Socket || found->path.empty())
        return failure("{}: chardev '{}' is no Unix socket with a path", origin, chardev);
    request.options.emplace_back("socket", found->path);
    request.options.emplace_back("server", found->server ? "on" : "off");
    if (found->reconnect != 0) request.options.emplace_back("reconnect", fmt::format("{}", found->reconnect));
    t.out.chardevs.erase(found);
    return {};
}

Result<void> take_daemon_network(Translation& t, Keys& keys, const std::string& id) {
    const std::string chardev = keys.text("chardev");
    if (chardev.empty()) keys.fail("Parameter 'chardev' is missing");
    const uint64_t pairs = keys.number("queues").value_or(1);
    constexpr unsigned kMaxPairs = devices::virtio::NetQueues::kMaxPairs;
    if (pairs == 0 || pairs > kMaxPairs) keys.fail("queues is 1 to {}", kMaxPairs);
    keys.ignore({"vhostforce"});
    if (t.daemon_networks.contains(id) || std::ranges::count(t.out.networks, id, &NetOptions::id) != 0)
        keys.fail("Duplicate ID '{}' for netdev", id);
    if (const auto known = keys.finish(); !known) return known;
    t.daemon_networks[id] = {chardev, static_cast<unsigned>(pairs)};
    return {};
}

}  // namespace arclight::guestos::qemu
