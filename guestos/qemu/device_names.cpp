#include "guestos/qemu/device_names.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "devices/device_factory.h"

namespace arclight::guestos::qemu {

namespace {

/// Devices of one kind behind different buses: BASE-device, and behind PCI BASE-pci, BASE-pci-transitional,
/// BASE-pci-non-transitional, and BASE itself.
struct Family {
    std::string_view base;
    std::string_view factory;
    bool has_transitional;
    bool has_alias;
};
constexpr Family kFamilies[] = {
    {"virtio-blk", "virtio-blk", true, true},       {"virtio-net", "virtio-net", true, true},
    {"virtio-rng", "virtio-rng", true, true},       {"virtio-9p", "virtio-9p", true, true},
    {"virtio-serial", "virtio-serial", true, true}, {"virtio-balloon", "virtio-balloon", true, true},
    {"vhost-vsock", "virtio-vsock", false, false},  {"virtio-scsi", "virtio-scsi", true, true},
    {"vhost-user-fs", "virtio-fs", false, false},
};

struct Absent {
    std::string_view prefix, why;
};
constexpr std::string_view kOnlyRootPorts = "PCI's bridges are pcie-root-port";
constexpr std::string_view kNoUsb = "there is no USB";
constexpr std::string_view kNoDisplay = "there is no display";
constexpr std::string_view kNoScsi = "there is no SCSI; disks are virtio-blk";
constexpr std::string_view kNoVhost = "no other process carries out devices";
// The first whose prefix a name has.
constexpr Absent kAbsent[] = {
    {"vhost-vsock", "there is no vsock"},
    {"vhost-user", kNoVhost},
    {"vhost-scsi", kNoVhost},
    {"vhost-vdpa", kNoVhost},
    {"virtio-scsi", kNoScsi},
    {"scsi-", kNoScsi},
    {"megasas", kNoScsi},
    {"lsi", kNoScsi},
    {"nvme", "there is no NVMe; disks are virtio-blk"},
    {"ide-", "there is no IDE; disks are virtio-blk"},
    {"ahci", "there is no IDE; disks are virtio-blk"},
    {"ich9-ahci", "there is no IDE; disks are virtio-blk"},
    {"usb-", kNoUsb},
    {"qemu-xhci", kNoUsb},
    {"nec-usb-xhci", kNoUsb},
    {"pci-ohci", kNoUsb},
    {"ich9-usb", kNoUsb},
    {"piix3-usb", kNoUsb},
    {"piix4-usb", kNoUsb},
    {"virtio-gpu", kNoDisplay},
    {"virtio-vga", kNoDisplay},
    {"virtio-keyboard", kNoDisplay},
    {"virtio-mouse", kNoDisplay},
    {"virtio-tablet", kNoDisplay},
    {"virtio-input", kNoDisplay},
    {"ramfb", kNoDisplay},
    {"bochs-display", kNoDisplay},
    {"VGA", kNoDisplay},
    {"secondary-vga", kNoDisplay},
    {"cirrus-vga", kNoDisplay},
    {"qxl", kNoDisplay},
    {"e1000", "adapters are virtio-net"},
    {"rtl8139", "adapters are virtio-net"},
    {"ne2k", "adapters are virtio-net"},
    {"pcnet", "adapters are virtio-net"},
    {"vmxnet3", "adapters are virtio-net"},
    {"i8255", "adapters are virtio-net"},
    {"igb", "adapters are virtio-net"},
    {"pcie-", kOnlyRootPorts},
    {"pci-", kOnlyRootPorts},
    {"pxb", kOnlyRootPorts},
    {"ioh3420", kOnlyRootPorts},
    {"x3130", kOnlyRootPorts},
    {"xio3130", kOnlyRootPorts},
    {"vfio", "no device of the host is passed on"},
    {"virtio-crypto", "there is no virtio-crypto"},
    {"virtio-iommu", "there is no IOMMU"},
    {"arm-smmuv3", "there is no IOMMU"},
    {"virtio-mem", "no memory is plugged in later"},
    {"virtio-pmem", "there is no persistent memory"},
    {"pc-dimm", "no memory is plugged in later"},
    {"nvdimm", "there is no persistent memory"},
    {"intel-hda", "there is no sound"},
    {"ich9-intel-hda", "there is no sound"},
    {"hda-", "there is no sound"},
    {"AC97", "there is no sound"},
    {"ES1370", "there is no sound"},
    {"tpm", "there is no TPM"},
    {"ivshmem", "guests share no memory"},
    {"pvpanic", "there is no pvpanic"},
    {"edu", "there is no edu"},
    {"vmgenid", "there is no VM generation ID"},
    {"guest-loader", "guests of the guest start by its own means"},
    {"sd-card", "there is no SD card slot"},
    {"sdhci-pci", "there is no SD card slot"},
    {"max-arm-cpu", "no CPU is plugged in later"},
};

std::vector<DeviceName> make_names() {
    const auto factory = devices::DeviceFactory::standard();
    std::vector<DeviceName> names;
    for (const Family& family : kFamilies) {
        if (factory.find(family.factory) == nullptr) continue;
        const auto add = [&](std::string_view end, DeviceBus bus, std::string_view alias = "") {
            names.push_back({fmt::format("{}{}", family.base, end), std::string(family.factory), bus,
                             std::string(alias)});
        };
        add("-device", DeviceBus::Mmio);
        add("-pci", DeviceBus::Pci, family.has_alias ? family.base : "");
        add("-pci-non-transitional", DeviceBus::Pci);
        if (family.has_transitional) add("-pci-transitional", DeviceBus::Pci);
    }
    // Of one kind and bus only.
    for (const char* name : {"pcie-root-port", "i6300esb"})
        if (factory.find(name) != nullptr) names.push_back({name, name, DeviceBus::Pci, ""});
    return names;
}

}  // namespace

const std::vector<DeviceName>& device_names() {
    static const std::vector<DeviceName> names = make_names();
    return names;
}

const DeviceName* find_device_name(std::string_view name) {
    const auto found = std::ranges::find_if(device_names(), [&](const DeviceName& one) {
        return one.name == name || (!one.alias.empty() && one.alias == name);
    });
    return found != device_names().end() ? &*found : nullptr;
}

std::string_view why_no_device(std::string_view name) {
    const auto* found =
        std::ranges::find_if(kAbsent, [&](const Absent& one) { return name.starts_with(one.prefix); });
    return found != std::end(kAbsent) ? found->why : "";
}

}  // namespace arclight::guestos::qemu
