#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "devices/char_backend.h"
#include "devices/device_factory.h"
#include "devices/pci/i6300esb.h"
#include "devices/pci/root_port.h"
#include "devices/virtio/9p.h"
#include "devices/virtio/balloon.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/console.h"
#include "devices/virtio/nbd.h"
#include "devices/virtio/net.h"
#include "devices/virtio/rng.h"

namespace arclight::devices {

using Kind = DeviceOption::Kind;

template <typename Value>
using Word = std::pair<std::string_view, Value>;

constexpr Word<virtio::OnDiskError> kOnReadError[] = {{"report", virtio::OnDiskError::Report},
                                                      {"ignore", virtio::OnDiskError::Ignore},
                                                      {"stop", virtio::OnDiskError::Stop}};
constexpr Word<virtio::OnDiskError> kOnWriteError[] = {{"report", virtio::OnDiskError::Report},
                                                       {"ignore", virtio::OnDiskError::Ignore},
                                                       {"stop", virtio::OnDiskError::Stop},
                                                       {"enospc", virtio::OnDiskError::Enospc}};
constexpr Word<virtio::ImageLocking> kLocking[] = {{"auto", virtio::ImageLocking::Auto},
                                                   {"on", virtio::ImageLocking::On},
                                                   {"off", virtio::ImageLocking::Off}};
constexpr Word<virtio::p9::SecurityModel> kSecurityModels[] = {
    {"mapped-xattr", virtio::p9::SecurityModel::MappedXattr},
    {"mapped", virtio::p9::SecurityModel::MappedXattr},
    {"mapped-file", virtio::p9::SecurityModel::MappedFile},
    {"passthrough", virtio::p9::SecurityModel::Passthrough},
    {"none", virtio::p9::SecurityModel::None}};
constexpr Word<virtio::p9::Multidevs> kMultidevs[] = {{"remap", virtio::p9::Multidevs::Remap},
                                                      {"forbid", virtio::p9::Multidevs::Forbid},
                                                      {"warn", virtio::p9::Multidevs::Warn}};
constexpr Word<bool> kDiscard[] = {{"unmap", true}, {"ignore", false}, {"on", true}, {"off", false}};
constexpr Word<virtio::DiskImage::DetectZeroes> kDetectZeroes[] = {
    {"off", virtio::DiskImage::DetectZeroes::Off},
    {"on", virtio::DiskImage::DetectZeroes::On},
    {"unmap", virtio::DiskImage::DetectZeroes::Unmap}};
enum class DiskCache : uint8_t { WriteBack, WriteThrough, Unsafe, None, DirectSync };
constexpr Word<DiskCache> kCache[] = {{"writeback", DiskCache::WriteBack},
                                      {"writethrough", DiskCache::WriteThrough},
                                      {"unsafe", DiskCache::Unsafe},
                                      {"none", DiskCache::None},
                                      {"directsync", DiskCache::DirectSync}};
constexpr std::string_view kServedFormats[] = {"qcow2", "qcow", "qed",       "vmdk",  "vdi",  "vhdx",
                                               "vpc",   "dmg",  "parallels", "cloop", "bochs"};
constexpr Word<bool> kFormat[] = {{"auto", false}, {"raw", true}};

// False: the option's text is none of the words, and `error` says so.
template <typename Value, size_t N>
static bool read_word(const DeviceArguments& arguments, std::string_view option,
                      const Word<Value> (&words)[N], Value& value, std::string& error) {
    const std::string& text = arguments.text(option);
    std::string known;
    for (const auto& [word, meaning] : words) {
        if (text == word) {
            value = meaning;
            return true;
        }
        known += known.empty() ? "" : ", ";
        known += word;
    }
    error = fmt::format("{} '{}' is not known (known: {})", option, text, known);
    return false;
}

static Result<NewDevice> make_block_device(const DeviceArguments& arguments, const DeviceContext& context) {
    virtio::Blk::Options options;
    options.image.readonly = arguments.on("readonly");
    options.image.snapshot = arguments.on("snapshot");
    options.image.record = arguments.text("record");
    options.serial = arguments.text("serial");
    options.host = context.host;
    std::string error;
    auto cache = DiskCache::WriteBack;
    if (!read_word(arguments, "cache", kCache, cache, error) ||
        !read_word(arguments, "discard", kDiscard, options.image.unmap, error) ||
        !read_word(arguments, "detect-zeroes", kDetectZeroes, options.image.detect_zeroes, error) ||
        !read_word(arguments, "locking", kLocking, options.image.locking, error) ||
        !read_word(arguments, "rerror", kOnReadError, options.on_read_error, error) ||
        !read_word(arguments, "werror", kOnWriteError, options.on_write_error, error))
        return std::unexpected(error);
    options.write_through = cache == DiskCache::WriteThrough || cache == DiskCache::DirectSync;
    options.image.flushes = cache != DiskCache::Unsafe;
    const std::string &file = arguments.text("file"), &format = arguments.text("format"),
                      &aio = arguments.text("aio");
    if (const auto served = context.images.find(file); served != context.images.end()) {
        // The server does what the words say, once.
        options.image.detect_zeroes = virtio::DiskImage::DetectZeroes::Off;
        options.image.readonly |= served->second->readonly() && !options.image.snapshot;
        auto blk = virtio::Blk::over(file, std::make_unique<virtio::NbdStorage>(served->second),
                                     served->second->size(), std::move(options));
        if (!blk) return std::unexpected(blk.error());
        return std::move(*blk);
    }
    if (std::ranges::find(kServedFormats, format) != std::end(kServedFormats))
        return failure("disk image '{}': nobody serves its format, {}", file, format);
    if (aio != "threads" || cache == DiskCache::None || cache == DiskCache::DirectSync)
        return failure("disk image '{}': nobody serves it with these of cache and aio", file);
    if (!read_word(arguments, "format", kFormat, options.image.raw, error)) return std::unexpected(error);
    auto blk = virtio::Blk::open(arguments.text("file"), std::move(options));
    if (!blk) return std::unexpected(blk.error());
    return std::move(*blk);
}

static DeviceType block_device() {
    return {
        .name = "virtio-blk",
        .summary = "disk over an image file or block device",
        .options =
            {{.name = "file", .help = "path of the image"},
             {.name = "format",
              .help = "raw: the image is raw whatever its content says; auto: by its content; qcow2 and "
                      "others of "
                      "QEMU's",
              .preset = "auto"},
             {.name = "readonly", .kind = Kind::Switch, .help = "refuse writes", .preset = "off"},
             {.name = "snapshot",
              .kind = Kind::Switch,
              .help = "keep writes in memory and forget them at the end",
              .preset = "off"},
             {.name = "serial",
              .help = "what the guest reads as the disk's serial number",
              .preset = "",
              .max = virtio::Blk::kMaxSerial},
             {.name = "werror",
              .help = "when the host fails a write: report, ignore, stop or enospc (stop when there is no "
                      "space left)",
              .preset = "enospc"},
             {.name = "rerror",
              .help = "when the host fails a read: report, ignore or stop",
              .preset = "report"},
             {.name = "locking",
              .help = "keep others from the image: auto, on (or fail) or off",
              .preset = "auto"},
             {.name = "cache",
              .help = "writeback, writethrough, unsafe (flushes do nothing), none or directsync (past the "
                      "host's cache)",
              .preset = "writeback"},
             {.name = "aio",
              .help = "how requests reach the host: threads, native or io_uring",
              .preset = "threads"},
             {.name = "discard", .help = "what the guest discards: unmap or ignore", .preset = "unmap"},
             {.name = "detect-zeroes",
              .help = "writes of zeros become holes (unmap) or zeros without data (on): off, on or unmap",
              .preset = "off"},
             {.name = "record", .help = "for tests: a file for all that is written", .preset = ""}},
        .linux_module = "virtio_blk",
        .paths = [](const DeviceArguments& arguments) -> std::vector<HostPath> {
            return {{.path = arguments.text("file"),
                     .written = !arguments.on("readonly") && !arguments.on("snapshot")}};
        },
        .make = make_block_device};
}

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
    const auto network = context.networks.find(name);
    if (network == context.networks.end())
        return std::unexpected(fmt::format("there is no network '{}'", name));
    virtio::Net::Options options;
    const auto mac = virtio::parse_mac(arguments.text("mac"));
    if (!mac) return std::unexpected(mac.error());
    options.mac = *mac;
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
                         .max = virtio::Net::kMaxMtu}},
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

DeviceFactory DeviceFactory::standard() {
    DeviceFactory factory;
    factory.add(block_device());
    factory.add(entropy_device());
    factory.add(network_device());
    factory.add(root_port());
    factory.add(share_device());
    factory.add(console_device());
    factory.add(balloon_device());
    factory.add(watchdog_device());
    return factory;
}

}  // namespace arclight::devices
