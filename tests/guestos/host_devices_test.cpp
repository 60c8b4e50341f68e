#include "guestos/host_devices.h"

#include <gtest/gtest.h>

#include <string>

#include "devices/vfio/host_device.h"
#include "guestos/device_requests.h"
#include "tests/devices/fake_vfio.h"

namespace arclight::guestos {
namespace {

using devices::test::FakeVfio;

class HostDevicesTest : public testing::Test {
  protected:
    HostDevicesTest() { add("vfio-pci,host=01:00.0"); }
    void add(const std::string& device) {
        options.devices.push_back(*placed_device(*devices::DeviceRequest::parse(device)));
    }
    std::string error() {
        const auto opened = open_host_devices(options, host.system());
        return opened ? "" : opened.error();
    }

    FakeVfio host;
    RunOptions options;
};

TEST_F(HostDevicesTest, AreOpenedByTheirFullAddress) {
    EXPECT_EQ(options.devices[0].bus, DeviceBus::Pci);
    EXPECT_EQ(error(), "");
    EXPECT_TRUE(options.host_devices.contains("0000:01:00.0"));
    options.host_devices.clear();
    options.devices.clear();
    add("vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:01:00.0/");
    EXPECT_EQ(error(), "");
    EXPECT_TRUE(options.host_devices.contains("0000:01:00.0"));
}

TEST_F(HostDevicesTest, WithoutOneNothingIsOpened) {
    options.devices.clear();
    add("virtio-balloon");
    std::filesystem::remove_all(host.root());
    EXPECT_EQ(error(), "");
}

TEST_F(HostDevicesTest, WrongAddresses) {
    options.devices.clear();
    add("vfio-pci");
    EXPECT_EQ(error(), "vfio-pci: host=ADDRESS says which device of the host's (or sysfsdev=DIRECTORY)");
    options.devices.clear();
    add("vfio-pci,host=01:00");
    EXPECT_EQ(error(), "vfio-pci: '01:00' is no PCI address, DDDD:BB:DD.F");
    options.devices.clear();
    add("vfio-pci,host=02:00.0");
    EXPECT_EQ(error(), "vfio-pci 0000:02:00.0: the host has no such PCI device");
}

TEST_F(HostDevicesTest, WhatCannotBeBeside) {
    options.lightv = "policy";
    EXPECT_EQ(error(), "vfio-pci 0000:01:00.0: it does not see what LightV puts behind pages");
    options.lightv.clear();
    options.control = "socket";
    EXPECT_EQ(error(), "vfio-pci 0000:01:00.0: it does not see what LightV puts behind pages");
    options.control.clear();
    options.shadow.policy = mmu::ShadowPolicy::Tsp;
    EXPECT_EQ(error(), "vfio-pci 0000:01:00.0: --mmu tsp cannot see what it writes");
    options.shadow.policy = mmu::ShadowPolicy::Ssp;
    options.restore = "snapshot";
    EXPECT_EQ(error(), "vfio-pci 0000:01:00.0: it cannot be given a state");
    options.restore.clear();
    options.memory = uint64_t{3055} << 20;
    EXPECT_EQ(error(),
              "vfio-pci 0000:01:00.0: the host's IOMMU reaches no memory from 0xfee00000 on: -m is 3054 MiB "
              "at most");
    options.memory = uint64_t{3054} << 20;
    add("virtio-balloon");
    EXPECT_EQ(error(),
              "vfio-pci 0000:01:00.0: it keeps all of guest memory: no balloon gives the host any back");
    options.devices.pop_back();
    add("vfio-pci,host=0000:01:00.0");
    EXPECT_EQ(error(), "vfio-pci 0000:01:00.0: the guest has it already");
}

}  // namespace
}  // namespace arclight::guestos
