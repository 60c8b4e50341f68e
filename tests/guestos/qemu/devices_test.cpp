#include "guestos/qemu/devices.h"

#include <gtest/gtest.h>

#include "guestos/qemu/device_names.h"
#include "guestos/qemu/device_properties.h"
#include "tests/guestos/qemu/qemu_line.h"

namespace arclight::guestos::qemu {
namespace {

TEST(QemuDevices, EveryNameIsListedAndHasHelp) {
    const std::string list = device_help();
    for (const DeviceName& name : device_names()) {
        EXPECT_TRUE(list.contains("name \"" + name.name + "\"")) << name.name;
        const auto help = device_help(name.name);
        ASSERT_TRUE(help) << help.error();
        EXPECT_TRUE(help->starts_with(name.name + " options:\n"));
        for (const std::string_view property : property_names(name.factory))
            EXPECT_TRUE(help->contains(std::string(property) + "=")) << property;
    }
    EXPECT_EQ(device_help("foo").error(), "-device foo,help: 'foo' is not a valid device model name");
    EXPECT_EQ(device_help("usb-kbd").error(), "-device usb-kbd,help: there is no USB");
}

TEST(QemuDevices, Properties) {
    const auto rng = [](std::string_view properties) {
        return request_for(
            "-nic none -object rng-random,id=r,filename=/dev/urandom -device virtio-rng-pci,rng=r" +
            std::string(properties));
    };
    EXPECT_EQ(devices_of(*rng("")), "virtio-rng");
    EXPECT_TRUE(notes_of(*rng(",bus=pcie.0,addr=0x3,vectors=2,disable-legacy=on,iommu_platform=off,max-bytes="
                              "1024,period=1000"))
                    .empty());
    EXPECT_TRUE(notes_of(*rng(",packed=on")).contains("packed=on"));
    EXPECT_FALSE(request_for("-strict -device virtio-rng-pci,packed=on"));
    EXPECT_EQ(rng(",vector=2").error(),
              "-device virtio-rng-pci,rng=r,vector=2: Property 'virtio-rng-pci.vector' not found, did you "
              "mean 'vectors'?");
    EXPECT_EQ(request_for("-device virtio-rng-pci,rng=q").error(),
              "-device virtio-rng-pci,rng=q: Device 'q' not found");
    EXPECT_EQ(request_for("-device virtio-rng-device,id=a -device virtio-rng-device,id=a").error(),
              "-device virtio-rng-device,id=a: Duplicate device ID 'a'");
}

TEST(QemuDevices, Unknown) {
    EXPECT_EQ(request_for("-device virtio-rgn-pci").error(),
              "-device virtio-rgn-pci: 'virtio-rgn-pci' is not a valid device model name, did you mean "
              "'virtio-rng-pci'?");
    EXPECT_EQ(request_for("-device usb-kbd").error(), "-device usb-kbd: there is no USB");
    EXPECT_EQ(request_for("-device e1000,netdev=n").error(),
              "-device e1000,netdev=n: adapters are virtio-net");
}

TEST(QemuDevices, Loader) {
    const auto request = request_for(
        "-device loader,file=f,addr=0x44000000,force-raw=on -device "
        "loader,addr=0x45000000,data=0x1234,data-len=2,data-be=on "
        "-device loader,addr=0x46000000,cpu-num=0");
    ASSERT_TRUE(request) << request.error();
    const auto& loads = request->options.loads;
    ASSERT_EQ(loads.size(), 3u);
    EXPECT_TRUE(loads[0].file == "f" && loads[0].raw && loads[0].address == 0x4400'0000 &&
                !loads[0].starts_cpu);
    EXPECT_TRUE(loads[1].value == 0x1234 && loads[1].value_bytes == 2 && loads[1].big_endian);
    EXPECT_TRUE(loads[2].starts_cpu && loads[2].address == 0x4600'0000);
    for (const std::string_view wrong : {"", ",addr=1", ",data=1", ",data=1,data-len=9", ",file=f,cpu-num=1",
                                         ",file=f,cpu-num=9", ",file=f,data=1,data-len=1", ",fil=f"})
        EXPECT_FALSE(request_for("-device loader" + std::string(wrong))) << wrong;
    EXPECT_TRUE(device_help("loader")->contains("force-raw"));
}

TEST(QemuDevices, Globals) {
    EXPECT_EQ(request_for("")->options.virtio, VirtioMmio::Legacy);
    EXPECT_EQ(request_for("-global virtio-mmio.force-legacy=false")->options.virtio, VirtioMmio::Modern);
    EXPECT_EQ(request_for("-global driver=virtio-mmio,property=force-legacy,value=off")->options.virtio,
              VirtioMmio::Modern);
    const auto serial = request_for(
        "-nic none -global virtio-blk-device.serial=S -drive if=none,id=d,file=a -device "
        "virtio-blk-device,drive=d");
    ASSERT_TRUE(serial) << serial.error();
    EXPECT_EQ(devices_of(*serial), "virtio-blk file=a serial=S");
    EXPECT_TRUE(notes_of(*request_for("-global foo.bar=1")).contains("there is no foo"));
    EXPECT_FALSE(request_for("-global foo"));
}

}  // namespace
}  // namespace arclight::guestos::qemu
