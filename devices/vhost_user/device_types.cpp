#include "devices/vhost_user/device_types.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>
#include <vector>

#include "devices/vhost_user/device.h"
#include "devices/virtio/net.h"
#include "devices/vsock/device.h"

namespace arclight::devices::vhost_user {

namespace {

using OptionKind = DeviceOption::Kind;

Result<Device::Options> fs_options(const DeviceArguments& arguments) {
    const std::string& tag = arguments.text("tag");
    if (tag.empty()) return failure("tag is empty");
    const auto queues = static_cast<uint32_t>(arguments.number("num-request-queues"));
    // 5.11.4: the tag, filled up with zeros, and the number of request queues.
    std::vector<uint8_t> config(kMaxFsTag + sizeof queues);
    std::ranges::copy(tag, config.begin());
    std::memcpy(config.data() + kMaxFsTag, &queues, sizeof queues);
    return Device::Options{.config = std::move(config), .queues = queues};
}

Result<Device::Options> blk_options(const DeviceArguments& arguments) {
    return Device::Options{.queues = static_cast<unsigned>(arguments.number("num-queues"))};
}

Result<Device::Options> net_options(const DeviceArguments& arguments) {
    const auto mac = virtio::parse_mac(arguments.text("mac"));
    if (!mac) return std::unexpected(mac.error());
    const auto mtu = static_cast<uint16_t>(arguments.number("mtu"));
    const auto pairs = static_cast<uint16_t>(arguments.number("queues"));
    if (pairs == 0) return failure("queues is 1 or more");
    if (mtu != 0 && mtu < virtio::Net::kMinMtu)
        return failure("mtu {} is less than {}", mtu, virtio::Net::kMinMtu);
    // 5.1.4: the address, status, which is not offered, number of pairs, and the MTU.
    std::vector<uint8_t> config(12);
    std::ranges::copy(*mac, config.begin());
    std::memcpy(config.data() + 8, &pairs, sizeof pairs);
    std::memcpy(config.data() + 10, &mtu, sizeof mtu);
    return Device::Options{.config = std::move(config),
                           .features = virtio::kNetFeatureMac | (mtu != 0 ? virtio::kNetFeatureMtu : 0),
                           .queues = 0,
                           .net_pairs = pairs};
}

Result<Device::Options> no_options(const DeviceArguments&) { return Device::Options{.queues = 0}; }

struct Type {
    const char* name;
    const char* summary;
    const char* linux_module;
    Result<Device::Options> (*read)(const DeviceArguments&);
    std::vector<DeviceOption> options;
};

DeviceOption queues_option(const char* name, const char* help) {
    return {.name = name, .kind = OptionKind::Number, .help = help, .preset = "1", .max = kMaxQueues};
}

std::vector<Type> make_types() {
    return {
        {"vhost-user-fs",
         "directory that a virtiofsd serves",
         "virtiofs",
         fs_options,
         {{.name = "tag", .help = "the name that the guest mounts it by", .max = kMaxFsTag},
          {.name = "directory", .help = "instead of a socket: a virtiofsd is started for it", .preset = ""},
          queues_option("num-request-queues", "queues for requests")}},
        {"vhost-user-blk",
         "disk that a daemon serves",
         "virtio_blk",
         blk_options,
         {queues_option("num-queues", "queues for requests")}},
        {"vhost-user-net",
         "network adapter that a daemon serves",
         "virtio_net",
         net_options,
         {{.name = "mac",
           .help = "the address that the guest gets",
           .preset = virtio::format_mac(virtio::Net::Options().mac)},
          {.name = "mtu",
           .kind = OptionKind::Number,
           .help = "the MTU that the guest is told, 68 to 65521; 0: none",
           .preset = "0",
           .max = virtio::Net::kMaxMtu},
          {.name = "queues",
           .kind = OptionKind::Number,
           .help = "pairs of queues",
           .preset = "1",
           .max = virtio::NetQueues::kMaxPairs}}},
        {"vhost-user-vsock",
         "sockets between host and guest that a daemon serves",
         "vmw_vsock_virtio_transport",
         no_options,
         {}},
        {"vhost-vsock",
         "sockets between host and guest, by the host's kernel (/dev/vhost-vsock)",
         "vmw_vsock_virtio_transport",
         no_options,
         {{.name = "guest-cid",
           .kind = OptionKind::Number,
           .help = "the guest's address, 3 and more",
           .max = vsock::Device::kMaxCid}}},
        {"vhost-user-rng", "entropy from a daemon", "", no_options, {}},
    };
}

bool starts_daemon(const Type& type) { return type.read == fs_options; }
bool is_kernel(std::string_view name) { return name == kKernelVsock; }

Result<NewDevice> make(const Type& type, const DeviceArguments& arguments, const DeviceContext& context) {
    auto options = type.read(arguments);
    if (!options) return std::unexpected(options.error());
    std::string name = arguments.text(is_kernel(type.name) ? "guest-cid" : "socket");
    if (name.empty() && starts_daemon(type)) name = arguments.text("directory");
    const auto connection = context.daemons.find(name);
    if (connection == context.daemons.end() || (context.ram.file < 0 && !is_kernel(type.name)))
        return failure("there is no daemon");
    options->label = fmt::format("{} '{}'", type.name, name);
    options->host = context.host;
    auto device = Device::make(*find_kind(type.name), connection->second, context.ram, std::move(*options));
    if (!device) return std::unexpected(device.error());
    return std::move(*device);
}

}  // namespace

Result<NewDevice> make_kernel_net(const DeviceArguments& arguments, std::shared_ptr<Connection> connection,
                                  const DeviceContext& context) {
    auto options = net_options(arguments);
    if (!options) return std::unexpected(options.error());
    options->label = fmt::format("network '{}'", arguments.text("network"));
    options->host = context.host;
    auto device =
        Device::make(*find_kind(kKernelNet), std::move(connection), context.ram, std::move(*options));
    if (!device) return std::unexpected(device.error());
    return std::move(*device);
}

std::string connection_name(const DeviceRequest& request) {
    std::string name;
    for (const auto& [option, value] : request.options)
        if (option == "guest-cid" || (option == "socket" && !value.empty()) ||
            (option == "directory" && name.empty()))
            name = value;
    return name;
}

std::chrono::seconds reconnection(const DeviceRequest& request) {
    unsigned seconds = 0;
    for (const auto& [option, value] : request.options)
        if (option == "reconnect") std::from_chars(value.data(), value.data() + value.size(), seconds);
    return std::chrono::seconds(std::min(seconds, kMaxReconnect));
}

void add_device_types(DeviceFactory& factory) {
    for (Type& type : make_types()) {
        DeviceType made{.name = type.name,
                        .summary = type.summary,
                        .options = std::move(type.options),
                        .linux_module = type.linux_module,
                        .has_daemon = true,
                        .paths = nullptr,
                        .make = [type](const DeviceArguments& arguments, const DeviceContext& context) {
                            return make(type, arguments, context);
                        }};
        if (is_kernel(type.name)) {
            factory.add(std::move(made));
            continue;
        }
        DeviceOption socket{.name = "socket", .help = "path of the daemon's socket"};
        if (starts_daemon(type)) socket.preset = "";
        made.options.push_back(std::move(socket));
        made.options.push_back({.name = "server",
                                .kind = OptionKind::Switch,
                                .help = "the daemon connects to the socket, which is made for it",
                                .preset = "off"});
        made.options.push_back(
            {.name = "reconnect",
             .kind = OptionKind::Number,
             .help = "seconds between attempts to reach another daemon when one has ended; 0: none",
             .preset = "0",
             .max = kMaxReconnect});
        factory.add(std::move(made));
    }
}

}  // namespace arclight::devices::vhost_user
