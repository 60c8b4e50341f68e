#include "guestos/qemu/device_properties.h"

#include <algorithm>
#include <iterator>

namespace arclight::guestos::qemu {

namespace {

// Defaults are those of QEMU 7.2 (-device NAME,help), as far as they are Arclight's behaviour.
constexpr PropertyRow kProperties[] = {
    // Of the transport's features.
    {"", "any_layout", "on"},
    {"", "event_idx", "on"},
    {"", "indirect_desc", "on"},
    {"", "iommu_platform", "off"},
    {"", "packed", "off"},
    {"", "queue_reset", ""},
    {"", "notify_on_empty", ""},
    {"", "use-started", ""},
    {"", "use-disabled-flag", ""},
    {"", "iothread", ""},
    {"", "bootindex", ""},
    // Of PCI.
    {"", "ioeventfd", ""},
    {"", "romfile", ""},
    {"", "rombar", ""},
    {"", "romsize", ""},
    {"", "multifunction", "off"},
    {"", "acpi-index", ""},
    {"", "aer", "off"},
    {"", "ats", "off"},
    {"", "page-per-vq", "off"},
    {"", "modern-pio-notify", "off"},
    {"", "failover_pair_id", ""},
    {"", "migrate-extra", ""},
    {"pcie-root-port", "hotplug", ""},
    {"pcie-root-port", "bus-reserve", ""},
    {"pcie-root-port", "io-reserve", ""},
    {"pcie-root-port", "mem-reserve", ""},
    {"pcie-root-port", "pref32-reserve", ""},
    {"pcie-root-port", "pref64-reserve", ""},
    {"pcie-root-port", "disable-acs", ""},
    {"virtio-blk", "config-wce", "on"},
    {"virtio-blk", "write-cache", "on"},
    {"virtio-blk", "share-rw", ""},
    {"virtio-blk", "discard", ""},
    {"virtio-blk", "write-zeroes", ""},
    {"virtio-blk", "max-discard-sectors", ""},
    {"virtio-blk", "max-write-zeroes-sectors", ""},
    {"virtio-blk", "report-discard-granularity", ""},
    {"virtio-blk", "discard_granularity", ""},
    {"virtio-blk", "queue-size", ""},
    {"virtio-blk", "seg-max-adjust", ""},
    {"virtio-blk", "request-merging", ""},
    {"virtio-blk", "scsi", "off"},
    {"virtio-blk", "logical_block_size", "512"},
    {"virtio-blk", "physical_block_size", "512"},
    {"virtio-blk", "min_io_size", "0"},
    {"virtio-blk", "opt_io_size", "0"},
    {"virtio-blk", "cyls", "0"},
    {"virtio-blk", "heads", "0"},
    {"virtio-blk", "secs", "0"},
    {"virtio-blk", "account-failed", ""},
    {"virtio-blk", "account-invalid", ""},
    {"virtio-blk", "backend_defaults", ""},
    {"virtio-scsi", "virtqueue_size", ""},
    {"virtio-scsi", "cmd_per_lun", ""},
    {"virtio-scsi", "max_sectors", ""},
    {"virtio-scsi", "seg_max_adjust", ""},
    {"virtio-scsi", "hotplug", ""},
    {"virtio-scsi", "param_change", ""},
    {"scsi-hd", "removable", "off"},
    {"scsi-hd", "dpofua", "on"},
    {"scsi-hd", "rotation_rate", "0"},
    {"scsi-hd", "discard_granularity", ""},
    {"scsi-hd", "write-cache", "on"},
    {"scsi-hd", "share-rw", ""},
    {"scsi-hd", "logical_block_size", "512"},
    {"scsi-hd", "physical_block_size", "512"},
    {"scsi-hd", "min_io_size", "0"},
    {"scsi-hd", "opt_io_size", "0"},
    {"scsi-hd", "max_io_size", ""},
    {"scsi-hd", "max_unmap_size", ""},
    {"scsi-hd", "scsi_version", "5"},
    {"scsi-hd", "wwn", "0"},
    {"scsi-cd", "write-cache", ""},
    {"scsi-cd", "share-rw", ""},
    {"scsi-cd", "scsi_version", "5"},
    {"scsi-cd", "wwn", "0"},
    {"nvme", "max_ioqpairs", ""},
    {"nvme", "num_queues", ""},
    {"nvme", "msix_qsize", ""},
    {"nvme", "mdts", "7"},
    {"nvme", "aerl", "3"},
    {"nvme", "aer_max_queued", ""},
    {"nvme", "cmb_size_mb", "0"},
    {"nvme", "use-intel-id", "off"},
    {"nvme", "write-cache", "on"},
    {"nvme", "share-rw", ""},
    {"nvme", "discard_granularity", ""},
    {"nvme", "logical_block_size", "512"},
    {"nvme", "physical_block_size", "512"},
    {"nvme", "min_io_size", "0"},
    {"nvme", "opt_io_size", "0"},
    {"virtio-net", "csum", "on"},
    {"virtio-net", "gso", "on"},
    {"virtio-net", "guest_csum", "on"},
    {"virtio-net", "guest_tso4", "on"},
    {"virtio-net", "guest_tso6", "on"},
    {"virtio-net", "guest_ecn", "on"},
    {"virtio-net", "guest_ufo", "on"},
    {"virtio-net", "guest_announce", "on"},
    {"virtio-net", "guest_rsc_ext", "off"},
    {"virtio-net", "host_tso4", "on"},
    {"virtio-net", "host_tso6", "on"},
    {"virtio-net", "host_ecn", "on"},
    {"virtio-net", "host_ufo", "on"},
    {"virtio-net", "mrg_rxbuf", "on"},
    {"virtio-net", "status", "on"},
    {"virtio-net", "ctrl_vq", "on"},
    {"virtio-net", "ctrl_rx", "on"},
    {"virtio-net", "ctrl_vlan", "on"},
    {"virtio-net", "ctrl_rx_extra", "on"},
    {"virtio-net", "ctrl_mac_addr", "on"},
    {"virtio-net", "ctrl_guest_offloads", "on"},
    {"virtio-net", "mq", ""},
    {"virtio-net", "rss", "off"},
    {"virtio-net", "hash", "off"},
    {"virtio-net", "failover", "off"},
    {"virtio-net", "rx_queue_size", ""},
    {"virtio-net", "tx_queue_size", ""},
    {"virtio-net", "tx", ""},
    {"virtio-net", "x-txburst", ""},
    {"virtio-net", "x-txtimer", ""},
    {"virtio-net", "speed", "-1"},
    {"virtio-net", "duplex", ""},
    {"virtio-balloon", "guest-stats", ""},
    {"virtio-balloon", "free-page-hint", "off"},
    {"virtio-serial", "max_ports", ""},
    {"virtio-serial", "emergency-write", ""},
    {"vhost-vsock", "seqpacket", ""},
    {"vhost-user-fs", "queue-size", ""},
    {"vhost-user-blk", "queue-size", ""},
    {"vhost-user-blk", "config-wce", ""},
    {"vhost-user-vsock", "seqpacket", ""},
    {"vfio-pci", "x-no-mmap", ""},
    {"vfio-pci", "x-no-kvm-intx", ""},
    {"vfio-pci", "x-no-kvm-msi", ""},
    {"vfio-pci", "x-no-kvm-msix", ""},
    {"vfio-pci", "x-intx-mmap-timeout-ms", ""},
    {"vfio-pci", "x-req", ""},
    {"vfio-pci", "x-vga", "off"},
    {"vfio-pci", "x-balloon-allowed", "off"},
    {"vfio-pci", "display", "off"},
    {"vfio-pci", "enable-migration", "off"},
};

bool applies(const PropertyRow& row, std::string_view device) {
    return row.device.empty() || row.device == device;
}

}  // namespace

const PropertyRow* find_property(std::string_view device, std::string_view name) {
    const auto* found = std::ranges::find_if(
        kProperties, [&](const PropertyRow& row) { return row.name == name && applies(row, device); });
    return found != std::end(kProperties) ? found : nullptr;
}

std::vector<std::string_view> property_names(std::string_view device) {
    std::vector<std::string_view> names;
    for (const PropertyRow& row : kProperties)
        if (applies(row, device)) names.push_back(row.name);
    return names;
}

}  // namespace arclight::guestos::qemu
