#include "devices/disk_devices.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>

#include "devices/device_words.h"
#include "devices/nvme/controller.h"
#include "devices/scsi/logical_unit.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/nbd.h"
#include "devices/virtio/scsi.h"

namespace arclight::devices {

namespace {

using Kind = DeviceOption::Kind;

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
constexpr uint64_t kMaxDiskQueues = 64;
constexpr std::string_view kServedFormats[] = {"qcow2", "qcow", "qed",       "vmdk",  "vdi",  "vhdx",
                                               "vpc",   "dmg",  "parallels", "cloop", "bochs"};
constexpr Word<bool> kAio[] = {{"threads", false}, {"native", true}, {"io_uring", true}};
constexpr Word<bool> kFormat[] = {{"auto", false}, {"raw", true}};

std::vector<DeviceOption> disk_options(uint64_t max_serial) {
    return {
        {.name = "file", .help = "path of the image"},
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
         .max = max_serial},
        {.name = "werror",
         .help = "when the host fails a write: report, ignore, stop or enospc (stop when there is no "
                 "space left)",
         .preset = "enospc"},
        {.name = "rerror", .help = "when the host fails a read: report, ignore or stop", .preset = "report"},
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
        {.name = "record", .help = "for tests: a file for all that is written", .preset = ""}};
}

std::vector<HostPath> disk_paths(const DeviceArguments& arguments) {
    const std::string& file = arguments.text("file");
    if (file.empty()) return {};
    return {{.path = file, .written = !arguments.on("readonly") && !arguments.on("snapshot")}};
}

/// The disk that the options of disk_options() describe.
Result<virtio::Disk> open_disk(const DeviceArguments& arguments, const DeviceContext& context) {
    virtio::DiskOptions options;
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
    const std::string &file = arguments.text("file"), &format = arguments.text("format");
    options.image.direct = cache == DiskCache::None || cache == DiskCache::DirectSync;
    // As libaio, the ring takes several requests at once.
    if (!read_word(arguments, "aio", kAio, options.image.ring, error)) return std::unexpected(error);
    if (const auto served = context.images.find(file); served != context.images.end()) {
        // The server does what the words say, once.
        options.image.detect_zeroes = virtio::DiskImage::DetectZeroes::Off;
        options.image.readonly |= served->second->readonly() && !options.image.snapshot;
        return virtio::Disk::over(file, std::make_unique<virtio::NbdStorage>(served->second),
                                  served->second->size(), std::move(options));
    }
    if (std::ranges::find(kServedFormats, format) != std::end(kServedFormats))
        return failure("disk image '{}': nobody serves its format, {}", file, format);
    if (!read_word(arguments, "format", kFormat, options.image.raw, error)) return std::unexpected(error);
    if (context.shared_disks == nullptr || options.image.snapshot)
        return virtio::Disk::open(file, std::move(options));
    virtio::SharedDisk* shared = nullptr;
    auto disk = virtio::Disk::open_shared(file, std::move(options), shared);
    if (disk) context.shared_disks->push_back(shared);
    return disk;
}

DeviceOption queues_option(std::string name) {
    return {.name = std::move(name),
            .kind = Kind::Number,
            .help = "queues for requests; 0: on PCI one for each CPU, else one",
            .preset = "0",
            .max = kMaxDiskQueues};
}

DeviceType block_device() {
    std::vector<DeviceOption> options = disk_options(virtio::Blk::kMaxSerial);
    options.push_back(queues_option("num-queues"));
    return {.name = "virtio-blk",
            .summary = "disk over an image file or block device",
            .options = std::move(options),
            .linux_module = "virtio_blk",
            .paths = disk_paths,
            .make = [](const DeviceArguments& arguments, const DeviceContext& context) -> Result<NewDevice> {
                auto disk = open_disk(arguments, context);
                if (!disk) return std::unexpected(disk.error());
                const auto queues = static_cast<unsigned>(arguments.number("num-queues"));
                return std::make_unique<virtio::Blk>(std::move(*disk), queues != 0 ? queues : context.queues);
            }};
}

DeviceType scsi_host() {
    return {.name = "virtio-scsi",
            .summary = "SCSI host, for scsi-hd and scsi-cd",
            .options = {queues_option("num_queues")},
            .linux_module = "virtio_scsi",
            .paths = nullptr,
            .make = [](const DeviceArguments& arguments, const DeviceContext& context) -> Result<NewDevice> {
                const auto queues = static_cast<unsigned>(arguments.number("num_queues"));
                return std::make_unique<virtio::Scsi>(queues != 0 ? queues : context.queues);
            }};
}

DeviceType scsi_unit(scsi::LogicalUnit::Kind kind) {
    const bool cdrom = kind == scsi::LogicalUnit::Kind::Cdrom;
    std::vector<DeviceOption> options = disk_options(scsi::LogicalUnit::kMaxSerial);
    if (cdrom) {
        std::ranges::find(options, "file", &DeviceOption::name)->preset = "";
        std::ranges::find(options, "readonly", &DeviceOption::name)->preset = "on";
    }
    options.push_back({.name = "device_id",
                       .help = "the identification on VPD page 83; the serial number if empty",
                       .preset = "",
                       .max = 255 - 8});
    return {
        .name = cdrom ? "scsi-cd" : "scsi-hd",
        .summary = cdrom ? "CD-ROM drive on a SCSI host, over an image or empty"
                         : "disk on a SCSI host, over an image file or block device",
        .options = std::move(options),
        .linux_module = cdrom ? "sr_mod" : "sd_mod",
        .paths = disk_paths,
        .make = [kind](const DeviceArguments& arguments, const DeviceContext& context) -> Result<NewDevice> {
            std::optional<virtio::Disk> medium;
            if (!arguments.text("file").empty()) {
                auto disk = open_disk(arguments, context);
                if (!disk) return std::unexpected(disk.error());
                medium.emplace(std::move(*disk));
            } else if (kind == scsi::LogicalUnit::Kind::Disk) {
                return failure("file is empty");
            }
            return std::make_unique<scsi::LogicalUnit>(
                std::move(medium), scsi::LogicalUnit::Options{.kind = kind,
                                                              .serial = arguments.text("serial"),
                                                              .device_id = arguments.text("device_id")});
        }};
}

DeviceType nvme_controller() {
    std::vector<DeviceOption> options = disk_options(nvme::Controller::kMaxSerial);
    // As with QEMU, since guests tell such disks apart by it.
    std::ranges::find(options, "serial", &DeviceOption::name)->preset.reset();
    return {.name = "nvme",
            .summary = "NVM Express controller with a disk, on PCI",
            .options = std::move(options),
            .linux_module = "nvme",
            .paths = disk_paths,
            .make = [](const DeviceArguments& arguments, const DeviceContext& context) -> Result<NewDevice> {
                if (context.memory == nullptr) return failure("it is a PCI device: bus=pci");
                auto disk = open_disk(arguments, context);
                if (!disk) return std::unexpected(disk.error());
                return std::make_unique<nvme::Controller>(*context.memory, std::move(*disk));
            }};
}

}  // namespace

std::vector<DeviceType> disk_device_types() {
    return {block_device(), nvme_controller(), scsi_host(), scsi_unit(scsi::LogicalUnit::Kind::Disk),
            scsi_unit(scsi::LogicalUnit::Kind::Cdrom)};
}

}  // namespace arclight::devices
