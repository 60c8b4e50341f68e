#include "devices/device_factory.h"
#include "devices/virtio/blk.h"
#include "devices/virtio/rng.h"

namespace arclight::devices {

using Kind = DeviceOption::Kind;

static DeviceType block_device() {
    return {.name = "virtio-blk",
            .summary = "disk over a raw image file or block device",
            .options = {{.name = "file", .help = "path of the image"},
                        {.name = "readonly", .kind = Kind::Switch, .help = "refuse writes", .preset = "off"},
                        {.name = "snapshot",
                         .kind = Kind::Switch,
                         .help = "keep writes in memory and forget them at the end",
                         .preset = "off"},
                        {.name = "serial",
                         .help = "what the guest reads as the disk's serial number",
                         .preset = "",
                         .max = virtio::Blk::kMaxSerial}},
            .make = [](const DeviceArguments& arguments,
                       const DeviceContext&) -> std::expected<NewDevice, std::string> {
                auto blk = virtio::Blk::open(arguments.text("file"), {.readonly = arguments.on("readonly"),
                                                                      .snapshot = arguments.on("snapshot"),
                                                                      .serial = arguments.text("serial")});
                if (!blk) return std::unexpected(blk.error());
                return std::move(*blk);
            }};
}

static DeviceType entropy_device() {
    return {
        .name = "virtio-rng",
        .summary = "entropy from the host",
        .options = {},
        .make = [](const DeviceArguments&, const DeviceContext&) -> std::expected<NewDevice, std::string> {
            return std::make_unique<virtio::Rng>();
        }};
}

DeviceFactory DeviceFactory::standard() {
    DeviceFactory factory;
    factory.add(block_device());
    factory.add(entropy_device());
    return factory;
}

}  // namespace arclight::devices
