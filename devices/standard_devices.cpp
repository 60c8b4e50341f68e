#include <fmt/format.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/char_backend.h"
#include "devices/device_factory.h"
#include "devices/device_words.h"
#include "devices/disk_devices.h"
#include "devices/pci/i6300esb.h"
#include "devices/pci/root_port.h"
#include "devices/pci/serial.h"
#include "devices/vfio/device_type.h"
#include "devices/vhost_user/device_types.h"
#include "devices/virtio/9p.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/console.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"
#include "devices/vsock/device.h"

namespace arclight::devices {

using Kind = DeviceOption::Kind;

constexpr Word<virtio::p9::SecurityModel> kSecurityModels[] = {
    {"mapped-xattr", virtio::p9::SecurityModel::MappedXattr},
    {"mapped", virtio::p9::SecurityModel::MappedXattr},
    {"mapped-file", virtio::p9::SecurityModel::MappedFile},
    {"passthrough", virtio::p9::SecurityModel::Passthrough},
    {"none", virtio::p9::SecurityModel::None}};
constexpr Word<virtio::p9::Multidevs> kMultidevs[] = {{"remap", virtio::p9::Multidevs::Remap},
                                                      {"forbid", virtio::p9::Multidevs::Forbid},
                                                      {"warn", virtio::p9::Multidevs::Warn}};
static DeviceType entropy_device() {
    return {.name = "virtio-rng",
            .summary = "entropy from the host",
            .options = {{.name = "max-bytes",
                         .kind = Kind::Number,
                         .help = "the most that the guest gets in a period; 0: as much as it asks for",
                         .preset = "0"},
                        {.name = "period",
                         .kind = Kind::Number,
                         .help = "its length in milliseconds",
                         .preset = "65536",
                         .max = ~uint32_t{0}}},
            .linux_module = "",
            .paths = nullptr,
            .make = [](const DeviceArguments& arguments, const DeviceContext& context) -> Result<NewDevice> {
                const virtio::Rng::Limit limit{
                    .bytes = arguments.number("max-bytes"),
                    .period_ms = static_cast<uint32_t>(arguments.number("period"))};
                if (limit.period_ms == 0) return failure("'period' parameter expects a positive integer");
                if (limit.bytes == 0) return std::make_unique<virtio::Rng>();
                return std::make_unique<virtio::Rng>(context.loop, limit);
            }};
}

static DeviceType balloon_device() {
    return {.name = "virtio-balloon",
            .summary = "memory that the guest gives back to the host",
            .options = {{.name = "deflate-on-oom",
                         .kind = Kind::Switch,
                         .help = "a guest that is short of memory takes it back by itself",
                         .preset = "off"},
                        {.name = "free-page-reporting",
                         .kind = Kind::Switch,
                         .help = "the guest tells what memory it has free, and the host gets it",
                         .preset = "off"},
                        {.name = "page-poison",
                         .kind = Kind::Switch,
                         .help = "the guest tells with what it fills free memory",
                         .preset = "on"},
                        {.name = "guest-stats-polling-interval",
                         .kind = Kind::Number,
                         .help = "seconds between two looks at the guest's statistics; 0: none",
                         .preset = "0",
                         .max = virtio::Balloon::kMaxPollSeconds}},
            .linux_module = "virtio_balloon",
            .paths = nullptr,
            .make = [](const DeviceArguments& arguments, const DeviceContext& context) -> Result<NewDevice> {
                auto balloon = std::make_unique<virtio::Balloon>(
                    context.loop,
                    virtio::Balloon::Options{.ram_bytes = context.ram_bytes,
                                             .deflate_on_oom = arguments.on("deflate-on-oom"),
                                             .free_page_reporting = arguments.on("free-page-reporting"),
                                             .page_poison = arguments.on("page-poison"),
                                             .host = context.host});
                balloon->set_poll_interval(
                    static_cast<unsigned>(arguments.number("guest-stats-polling-interval")));
                return balloon;
            }};
}

static std::expected<NewDevice, std::string> make_network_device(const DeviceArguments& arguments,
                                                                 const DeviceContext& context) {
    const std::string& name = arguments.text("network");
    if (const auto kernel = context.kernel_networks.find(name); kernel != context.kernel_networks.end())
        return vhost_user::make_kernel_net(arguments, kernel->second, context);
    const auto network = context.networks.find(name);
    if (network == context.networks.end())
        return std::unexpected(fmt::format("there is no network '{}'", name));
    virtio::Net::Options options;
    const auto mac = virtio::parse_mac(arguments.text("mac"));
    if (!mac) return std::unexpected(mac.error());
    options.mac = *mac;
    options.pairs = static_cast<unsigned>(arguments.number("queues"));
    if (options.pairs == 0) return std::unexpected("queues is 1 or more");
    options.mtu = static_cast<uint16_t>(arguments.number("mtu"));
    if (options.mtu != 0 && options.mtu < virtio::Net::kMinMtu)
        return std::unexpected(fmt::format("mtu {} is less than {}", options.mtu, virtio::Net::kMinMtu));
    return std::make_unique<virtio::Net>(*network->second, options);
}

static DeviceType network_device() {
    return {.name = "virtio-net",
            .summary = "network adapter",
            .options = {{.name = "network", .help = "the network that it is connected to"},
                        {.name = "mac",
                         .help = "the address that the guest gets",
                         .preset = virtio::format_mac(virtio::Net::Options().mac)},
                        {.name = "mtu",
                         .kind = Kind::Number,
                         .help = "the MTU that the guest is told, 68 to 65521; 0: none",
                         .preset = "0",
                         .max = virtio::Net::kMaxMtu},
                        {.name = "queues",
                         .kind = Kind::Number,
                         .help = "pairs of queues",
                         .preset = "1",
                         .max = virtio::NetQueues::kMaxPairs}},
            .linux_module = "virtio_net",
            .paths = nullptr,
            .make = make_network_device};
}

static DeviceType root_port() {
    // A port's number is the number of its slot. `chassis` and `port` are QEMU's words, for lines that have them.
    return {.name = "pcie-root-port",
            .summary = "PCI Express root port: a bus for one device, which names it by bus=ID",
            .options = {{.name = "slot",
                         .kind = Kind::Number,
                         .help = "the physical slot's number",
                         .preset = "0",
                         .max = 0xff},
                        {.name = "chassis",
                         .kind = Kind::Number,
                         .help = "taken, without effect",
                         .preset = "0",
                         .max = 0xff},
                        {.name = "port",
                         .kind = Kind::Number,
                         .help = "taken, without effect",
                         .preset = "0",
                         .max = 0xff}},
            .linux_module = {},
            .paths = {},
            .make = [](const DeviceArguments& arguments, const DeviceContext&) -> Result<NewDevice> {
                return std::make_unique<pci::RootPort>(static_cast<unsigned>(arguments.number("slot")));
            }};
}

static Result<NewDevice> make_share_device(const DeviceArguments& arguments, const DeviceContext& context) {
    virtio::P9::Options options;
    options.tag = arguments.text("tag");
    options.host = context.host;
    options.server.readonly = arguments.on("readonly");
    options.server.limits.open = virtio::p9::descriptors_for_files();
    std::string error;
    if (!read_word(arguments, "security_model", kSecurityModels, options.server.security, error) ||
        !read_word(arguments, "multidevs", kMultidevs, options.server.multidevs, error))
        return std::unexpected(error);
    if (options.tag.empty()) return std::unexpected("tag is empty");
    auto share = virtio::P9::open(arguments.text("path"), std::move(options));
    if (!share) return std::unexpected(share.error());
    return std::move(*share);
}

static DeviceType share_device() {
    return {
        .name = "virtio-9p",
        .summary = "directory of the host's, by the protocol 9P2000.L",
        .options =
            {{.name = "path", .help = "the directory"},
             {.name = "tag", .help = "the name that the guest mounts it by", .max = virtio::P9::kMaxTag},
             {.name = "security_model",
              .help = "where owners, modes and types of the guest's files are kept: mapped-xattr (in "
                      "attributes), mapped-file (in files beside them), passthrough (as the host's) or "
                      "none (the same, as far as this process may)",
              .preset = "mapped-xattr"},
             {.name = "readonly", .kind = Kind::Switch, .help = "refuse changes", .preset = "off"},
             {.name = "multidevs",
              .help = "when several file systems are below the directory: remap (inode numbers are made "
                      "different), forbid (hide all but the first) or warn",
              .preset = "remap"}},
        .linux_module = "9pnet_virtio",
        .paths = [](const DeviceArguments& arguments) -> std::vector<HostPath> {
            return {
                {.path = arguments.text("path"), .written = !arguments.on("readonly"), .directory = true}};
        },
        .make = make_share_device};
}

static Result<NewDevice> make_console_device(const DeviceArguments& arguments, const DeviceContext& context) {
    const auto ports = virtio::Console::parse_ports(arguments.text("ports"));
    if (!ports) return std::unexpected(ports.error());
    std::vector<CharBackend*> backends;
    for (const auto& port : *ports) {
        if (context.chardevs == nullptr) return failure("there is no chardev '{}'", port.chardev);
        auto backend = context.chardevs->claim(port.chardev);
        if (!backend) return std::unexpected(backend.error());
        backends.push_back(*backend);
    }
    return std::make_unique<virtio::Console>(context.loop, *ports, backends);
}

static DeviceType console_device() {
    return {.name = "virtio-serial",
            .summary = "consoles and named ports",
            .options = {{.name = "ports",
                         .help = "NUMBER:console|port:CHARDEV:NAME, with semicolons between them",
                         .preset = ""}},
            .linux_module = "virtio_console",
            .paths = nullptr,
            .make = make_console_device};
}

static DeviceType watchdog_device() {
    return {.name = "i6300esb",
            .summary = "watchdog (Intel 6300ESB), on PCI",
            .options = {},
            .linux_module = "i6300esb",
            .paths = nullptr,
            .make = [](const DeviceArguments&, const DeviceContext& context) -> Result<NewDevice> {
                return std::make_unique<pci::I6300Esb>(context.loop, context.clock, context.host);
            }};
}

static Result<NewDevice> make_serial_port(const DeviceArguments& arguments, const DeviceContext& context) {
    const std::string& name = arguments.text("chardev");
    if (context.chardevs == nullptr) return failure("there is no chardev '{}'", name);
    auto backend = context.chardevs->claim(name);
    if (!backend) return std::unexpected(backend.error());
    return std::make_unique<pci::Serial>(**backend);
}

static DeviceType serial_port() {
    return {.name = "pci-serial",
            .summary = "serial port (16550A), on PCI",
            .options = {{.name = "chardev", .help = "what is at its other end"}},
            .linux_module = "",
            .paths = nullptr,
            .make = make_serial_port};
}

DeviceFactory DeviceFactory::standard() {
    DeviceFactory factory;
    for (DeviceType& type : disk_device_types()) factory.add(std::move(type));
    factory.add(entropy_device());
    factory.add(network_device());
    factory.add(root_port());
    factory.add(share_device());
    factory.add(console_device());
    vhost_user::add_device_types(factory);
    vsock::add_device_type(factory);
    factory.add(balloon_device());
    factory.add(watchdog_device());
    factory.add(serial_port());
    factory.add(vfio::vfio_pci());
    return factory;
}

}  // namespace arclight::devices
