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
    bool plain = false;  ///< the one that is not behind PCI is BASE itself
};
constexpr Family kFamilies[] = {
    {"virtio-blk", "virtio-blk", true, true},
    {"virtio-net", "virtio-net", true, true},
    {"virtio-rng", "virtio-rng", true, true},
    {"virtio-9p", "virtio-9p", true, true},
    {"virtio-serial", "virtio-serial", true, true},
    {"virtio-balloon", "virtio-balloon", true, true},
    {"vhost-vsock", "vhost-vsock", false, false},
    {"virtio-scsi", "virtio-scsi", true, true},
    {"vhost-user-fs", "vhost-user-fs", false, false},
    {"vhost-user-blk", "vhost-user-blk", true, false, true},
    {"vhost-user-rng", "vhost-user-rng", false, false, true},
    {"vhost-user-vsock", "vhost-user-vsock", false, false},
};

constexpr std::string_view kOnlyRootPorts = "PCI's bridges are pcie-root-port";
constexpr std::string_view kNoUsb = "there is no USB";
constexpr std::string_view kNoIde = "there is no IDE; its disks are behind virtio-scsi";
constexpr std::string_view kNoDisplay = "there is no display";
constexpr std::string_view kNoSound = "there is no sound";
constexpr std::string_view kOtherScsi = "SCSI hosts are virtio-scsi, with scsi-hd and scsi-cd behind them";
constexpr std::string_view kNoVhost = "no other process carries out devices";
// The first whose prefix a name has.
constexpr AbsentDevice kAbsent[] = {
    {"vhost-user", kNoVhost},
    {"vhost-scsi", kNoVhost},
    {"vhost-vdpa", kNoVhost},
    {"scsi-", kOtherScsi},
    {"megasas", kOtherScsi},
    {"lsi", kOtherScsi},
    {"mptsas", kOtherScsi},
    {"pvscsi", kOtherScsi},
    {"nvme-", "an NVMe disk is one device, nvme, with one namespace"},
    {"ide-", kNoIde},
    {"ahci", kNoIde, true},
    {"ich9-ahci", kNoIde, true},
    {"usb-kbd", kNoUsb, true},
    {"usb-mouse", kNoUsb, true},
    {"usb-tablet", kNoUsb, true},
    {"usb-wacom-tablet", kNoUsb, true},
    {"usb-hub", kNoUsb, true},
    {"usb-ehci", kNoUsb, true},
    {"usb-redir", kNoUsb, true},
    {"usb-audio", kNoSound, true},
    {"usb-", kNoUsb},
    {"qemu-xhci", kNoUsb, true},
    {"nec-usb-xhci", kNoUsb, true},
    {"pci-ohci", kNoUsb, true},
    {"ich9-usb", kNoUsb, true},
    {"piix3-usb", kNoUsb, true},
    {"piix4-usb", kNoUsb, true},
    {"virtio-gpu", kNoDisplay, true},
    {"virtio-vga", kNoDisplay, true},
    {"virtio-keyboard", kNoDisplay, true},
    {"virtio-mouse", kNoDisplay, true},
    {"virtio-tablet", kNoDisplay, true},
    {"virtio-input", kNoDisplay, true},
    {"ramfb", kNoDisplay, true},
    {"bochs-display", kNoDisplay, true},
    {"VGA", kNoDisplay, true},
    {"secondary-vga", kNoDisplay, true},
    {"cirrus-vga", kNoDisplay, true},
    {"qxl", kNoDisplay, true},
    {"virtio-multitouch", kNoDisplay, true},
    {"vhost-user-gpu", kNoDisplay, true},
    {"vhost-user-vga", kNoDisplay, true},
    {"pcie-", kOnlyRootPorts},
    {"pci-serial-", "a serial port on PCI is pci-serial"},
    {"pci-testdev", "there is no pci-testdev"},
    {"pci-", kOnlyRootPorts},
    {"pxb", kOnlyRootPorts},
    {"ioh3420", kOnlyRootPorts},
    {"x3130", kOnlyRootPorts},
    {"xio3130", kOnlyRootPorts},
    {"vfio", "of the host's devices, those on PCI are passed on: vfio-pci"},
    {"virtio-crypto", "there is no virtio-crypto"},
    {"virtio-iommu", "there is no IOMMU"},
    {"arm-smmuv3", "there is no IOMMU"},
    {"virtio-mem", "no memory is plugged in later"},
    {"virtio-pmem", "there is no persistent memory"},
    {"pc-dimm", "no memory is plugged in later"},
    {"nvdimm", "there is no persistent memory"},
    {"intel-hda", kNoSound, true},
    {"ich9-intel-hda", kNoSound, true},
    {"hda-", kNoSound, true},
    {"AC97", kNoSound, true},
    {"ES1370", kNoSound, true},
    {"virtio-sound", kNoSound, true},
    {"tpm", "there is no TPM", true},
    {"ivshmem", "guests share no memory"},
    {"pvpanic", "there is no pvpanic", true},
    {"edu", "there is no edu"},
    {"vmgenid", "there is no VM generation ID"},
    {"guest-loader", "guests of the guest start by its own means"},
    {"sd-card", "there is no SD card slot"},
    {"sdhci-pci", "there is no SD card slot"},
    {"max-arm-cpu", "no CPU is plugged in later"},
};

/// Models of network adapters on PCI and USB.
constexpr std::string_view kOtherAdapters[] = {
    "e1000",   "e1000-82544gc", "e1000-82545em", "e1000e",  "igb",     "rtl8139",  "ne2k_pci", "pcnet",
    "tulip",   "vmxnet3",       "usb-net",       "i82550",  "i82551",  "i82557a",  "i82557b",  "i82557c",
    "i82558a", "i82558b",       "i82559a",       "i82559b", "i82559c", "i82559er", "i82562",   "i82801"};

std::vector<DeviceName> make_names() {
    const auto factory = devices::DeviceFactory::standard();
    std::vector<DeviceName> names;
    for (const Family& family : kFamilies) {
        if (factory.find(family.factory) == nullptr) continue;
        const auto add = [&](std::string_view end, DeviceBus bus, std::string_view alias = "") {
            names.push_back({fmt::format("{}{}", family.base, end), std::string(family.factory), bus,
                             std::string(alias)});
        };
        add(family.plain ? "" : "-device", DeviceBus::Mmio);
        add("-pci", DeviceBus::Pci, family.has_alias ? family.base : "");
        add("-pci-non-transitional", DeviceBus::Pci);
        if (family.has_transitional) add("-pci-transitional", DeviceBus::Pci);
    }
    // Of one kind and bus only.
    for (const char* name : {"pcie-root-port", "nvme", "i6300esb", "pci-serial", "vfio-pci"})
        if (factory.find(name) != nullptr) names.push_back({name, name, DeviceBus::Pci, ""});
    for (const char* name : {"scsi-hd", "scsi-cd"}) names.push_back({name, name, DeviceBus::Scsi, ""});
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

bool is_other_adapter(std::string_view name) {
    return std::ranges::find(kOtherAdapters, name) != std::end(kOtherAdapters);
}

const AbsentDevice* find_absent_device(std::string_view name) {
    const auto* found =
        std::ranges::find_if(kAbsent, [&](const AbsentDevice& one) { return name.starts_with(one.prefix); });
    return found != std::end(kAbsent) ? found : nullptr;
}

}  // namespace arclight::guestos::qemu
