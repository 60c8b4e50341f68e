// Paths of devices for firmware, as QEMU 7.2 writes them for the same devices (read from its fw_cfg file "bootorder").
#include "guestos/machine/board/boot_order.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "devices/device_factory.h"
#include "devices/event_loop.h"
#include "devices/guest_clock.h"
#include "guestos/machine/board/pci_devices.h"
#include "tests/devices/fakes.h"

namespace arclight::guestos {
namespace {

using Options = std::vector<std::pair<std::string, std::string>>;

DeviceOptions device(const char* name, std::optional<unsigned> index, DeviceBus bus = DeviceBus::Pci,
                     Options options = {}) {
    return {.request = {name, std::move(options)}, .bus = bus, .boot_index = index};
}

TEST(BootOrder, PathsAreThoseOfQemu) {
    char name[] = "/tmp/arclight-order-XXXXXX";
    const int fd = mkstemp(name);
    ASSERT_EQ(ftruncate(fd, 1 << 20), 0);
    close(fd);
    const Options image{{"file", name}, {"readonly", "on"}};
    Options nvme = image;
    nvme.emplace_back("serial", "x");
    auto behind = device("virtio-blk", 6, DeviceBus::Pci, image), port = device("pcie-root-port", {});
    port.id = behind.pci.port = "rp";
    auto cdrom = device("scsi-cd", 9, DeviceBus::Scsi);
    cdrom.scsi = {.host = {}, .target = 4, .lun = 2};
    auto function = device("virtio-blk", 10, DeviceBus::Pci, image);
    function.address = 0x12, function.pci.function = 3;
    const std::vector<DeviceOptions> wanted = {device("virtio-blk", 3, DeviceBus::Pci, image),
                                               device("virtio-scsi", {}),
                                               device("scsi-hd", 1, DeviceBus::Scsi, image),
                                               cdrom,
                                               device("nvme", 4, DeviceBus::Pci, nvme),
                                               port,
                                               behind,
                                               function};
    ASSERT_TRUE(BootOrder::check(wanted));
    {
        std::vector<uint8_t> ram(1 << 20);
        const mmu::GuestMemory memory(ram.data(), devices::layout::kRamBase, ram.size());
        devices::EventLoop loop;
        devices::GuestClock clock;
        devices::Bus bus;
        devices::test::FakeController controller;
        PciDevices pci(bus, {}, nullptr, memory);
        devices::DeviceContext context{loop, clock};
        context.memory = &memory;
        BootOrder order;
        const auto added = pci.add(wanted, devices::DeviceFactory::standard(), context, order);
        ASSERT_TRUE(added) << added.error();
        order.place(device("virtio-rng", {}), "/nothing@0");
        EXPECT_EQ(order.text(),
                  "/pci@ffffffffffffffff/scsi@2/channel@0/disk@0,0\n"
                  "/pci@ffffffffffffffff/scsi@1/disk@0,0\n"
                  "/pci@ffffffffffffffff/pci1b36,0010@3/namespace@1,0\n"
                  "/pci@ffffffffffffffff/pci-bridge@4/scsi@0/disk@0,0\n"
                  "/pci@ffffffffffffffff/scsi@2/channel@0/disk@4,2\n"
                  "/pci@ffffffffffffffff/scsi@12,3/disk@0,0");
    }
    unlink(name);
}

TEST(BootOrder, IndexesAreOneDevicesEach) {
    EXPECT_FALSE(BootOrder::check({device("virtio-rng", 1), device("virtio-net", 1)}));
    EXPECT_TRUE(
        BootOrder::check({device("virtio-rng", 1), device("virtio-net", 2), device("virtio-net", {})}));
    EXPECT_EQ(BootOrder().text(), "");
}

}  // namespace
}  // namespace arclight::guestos
