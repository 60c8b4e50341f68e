#include <gtest/gtest.h>

#include "guestos/scsi_host.h"
#include "tests/guestos/qemu/qemu_line.h"

namespace arclight::guestos::qemu {
namespace {

std::string devices_for(std::string_view line) {
    const auto request = request_for("-nodefaults -serial stdio " + std::string(line));
    return request ? devices_of(*request) : "error: " + request.error();
}

TEST(QemuDrives, Forms) {
    EXPECT_EQ(devices_for("-drive file=a,format=raw"), "virtio-blk-pci file=a format=raw");
    EXPECT_EQ(devices_for("-drive a"), "virtio-blk-pci file=a");
    EXPECT_EQ(devices_for("-hda a"), "virtio-blk-pci file=a");
    EXPECT_EQ(devices_for("a"), "virtio-blk-pci file=a");
    EXPECT_EQ(devices_for("-cdrom a"), "virtio-blk-pci file=a readonly=on");
    EXPECT_EQ(devices_for("-drive file=a,media=cdrom"), "virtio-blk-pci file=a readonly=on");
    EXPECT_EQ(devices_for("-drive file=a,,b,readonly=on"), "virtio-blk-pci file=a,b readonly=on");
    EXPECT_EQ(devices_for("-drive file=a,readonly"), "virtio-blk-pci file=a readonly=on");
    EXPECT_EQ(devices_for("-drive file=file:a,snapshot=on"), "virtio-blk-pci file=a snapshot=on");
    EXPECT_EQ(devices_for("-drive file=/x:y"), "virtio-blk-pci file=/x:y");
    EXPECT_EQ(devices_for("-snapshot -drive file=a -drive file=b,snapshot=off"),
              "virtio-blk-pci file=a snapshot=on; virtio-blk-pci file=b");
    EXPECT_EQ(devices_for("-drive "
                          "file=a,cache=none,aio=native,discard=unmap,detect-zeroes=on,werror=stop,rerror="
                          "ignore,file.locking=off"),
              "virtio-blk-pci file=a werror=stop rerror=ignore locking=off cache=none aio=native");
    EXPECT_EQ(devices_for("-drive file.filename=a,file.driver=file,driver=raw"),
              "virtio-blk-pci file=a format=raw");
}

TEST(QemuDrives, DevicesByName) {
    EXPECT_EQ(devices_for("-drive file=a,if=none,id=hd0 -device virtio-blk-device,drive=hd0,serial=S"),
              "virtio-blk file=a serial=S");
    EXPECT_EQ(devices_for("-device virtio-blk-device,drive=hd0 -drive file=a,if=none,id=hd0"),
              "virtio-blk file=a");
    EXPECT_EQ(devices_for("-drive file=a,if=none,id=hd0"), "");
    EXPECT_EQ(
        devices_for("-device virtio-blk-device,drive=hd0,bus=virtio-mmio-bus.3 -drive file=a,if=none,id=hd0"),
        "virtio-blk file=a @3");
    EXPECT_EQ(
        devices_for(
            "-blockdev "
            "driver=raw,node-name=r,file.driver=file,file.filename=a,file.aio=io_uring,cache.direct=yes,"
            "cache.no-flush=on,discard=unmap -device virtio-blk-pci,drive=r"),
        "virtio-blk-pci file=a format=raw cache=none aio=io_uring");
    EXPECT_EQ(devices_for("-blockdev driver=file,node-name=f,filename=a -blockdev "
                          "driver=raw,node-name=r,file=f,read-only=on -device "
                          "virtio-blk-pci,drive=r"),
              "virtio-blk-pci file=a format=raw readonly=on");
    EXPECT_EQ(
        devices_for(
            R"(-blockdev '{"driver":"raw","node-name":"r","file":{"driver":"file","filename":"a"}}' -device '{"driver":"virtio-blk-pci","drive":"r"}')"),
        "virtio-blk-pci file=a format=raw");
    EXPECT_EQ(devices_for("-drive file=a,if=none,id=d -set drive.d.file=b -device virtio-blk,drive=d"),
              "virtio-blk-pci file=b");
}

// Places are given in this order: from the highest virtio-mmio slot on.
TEST(QemuDrives, Order) {
    EXPECT_EQ(devices_for("-device virtio-blk-device,drive=x -device virtio-blk-device,drive=y -drive "
                          "if=none,id=x,file=a -drive if=none,id=y,file=b"),
              "virtio-blk file=a; virtio-blk file=b");
}

TEST(QemuDrives, Flash) {
    const auto flash = [](std::string_view line) { return request_for(line)->options.flash; };
    const auto two =
        flash("-drive if=pflash,format=raw,readonly=on,file=code -drive if=pflash,format=raw,file=vars");
    ASSERT_EQ(two.size(), 2u);
    EXPECT_TRUE(two[0].file == "code" && two[0].readonly && two[1].file == "vars" && !two[1].readonly);
    const auto second = flash("-bios none -drive if=pflash,unit=1,file=vars");
    ASSERT_EQ(second.size(), 2u);
    EXPECT_TRUE(second[0].file.empty() && second[1].file == "vars");
    EXPECT_FALSE(request_for("-bios none -pflash code"));
    EXPECT_FALSE(request_for("-drive if=pflash,format=qcow2,file=code"));
    EXPECT_TRUE(request_for("-snapshot -drive if=pflash,file=code")->options.flash[0].readonly);
}

TEST(QemuDrives, PlacesOnPci) {
    const auto request = request_for(
        "-nic none -device pcie-root-port,id=rp,slot=3,chassis=1,bus=pcie.0,addr=4.1 -drive "
        "if=none,id=d,file=a -device "
        "virtio-blk-pci-non-transitional,drive=d,bus=rp,addr=0x0,vectors=3,disable-modern=false");
    ASSERT_TRUE(request) << request.error();
    const auto& devices = request->options.devices;
    ASSERT_EQ(devices.size(), 2u);
    EXPECT_TRUE(devices[0].address == 4u && devices[0].pci.function == 1);
    EXPECT_TRUE(devices[1].pci.port == "rp" && devices[1].address == 0u && devices[1].pci.legacy == false &&
                devices[1].pci.vectors == 3);
    EXPECT_TRUE(
        request_for("-device virtio-rng-pci,bus=nowhere").error().ends_with("Bus 'nowhere' not found"));
    EXPECT_FALSE(request_for("-device virtio-rng-pci,addr=zz"));
}

TEST(QemuDrives, Errors) {
    const std::pair<std::string_view, std::string_view> wrong[] = {
        {"-drive format=raw", "-drive format=raw: file= is missing"},
        {"-drive file=a,fromat=raw",
         "-drive file=a,fromat=raw: Invalid parameter 'fromat', did you mean 'format'?"},
        {"-drive file=a,if=ide", "-drive file=a,if=ide: machine type does not support if=ide,bus=0,unit=0"},
        {"-drive file=a,if=foo", "-drive file=a,if=foo: Parameter 'if' does not accept value 'foo'"},
        {"-drive file=nbd:x:1", "-drive file=nbd:x:1: 'nbd:x:1' is no file of the host's"},
        {"-drive file=a,werror=x", "-drive file=a,werror=x: Parameter 'werror'"},
        {"-drive file=a,id=x -drive file=b,id=x", "-drive file=b,id=x: Duplicate ID 'x' for drive"},
        {"-hda a -hda b", "-hda b: drive with bus=0, unit=0 (index=0) exists"},
        {"-device virtio-blk-device", "-device virtio-blk-device: drive property not set"},
        {"-device virtio-blk-device,drive=x",
         "-device virtio-blk-device,drive=x: Property 'virtio-blk-device.drive' can't find value 'x'"},
        {"-drive file=a,if=none,id=x -device virtio-blk-device,drive=x -device virtio-blk-device,drive=x",
         "-device virtio-blk-device,drive=x: Drive 'x' is already in use by another device"},
        {"-drive file=a,id=x -device virtio-blk-device,drive=x",
         "-device virtio-blk-device,drive=x: Drive 'x' is already in use"},
        {"-drive file=a,if=none,id=x -device virtio-blk-device,drive=x,bus=foo",
         "-device virtio-blk-device,drive=x,bus=foo: Bus 'foo' not found"},
        {"-blockdev driver=raw,node-name=r",
         "-blockdev driver=raw,node-name=r: Parameter 'file.filename' is missing"},
        {"-pflash a -pflash b -pflash c", "-pflash c: the board has 2 flash banks"},
        {"-sd a", "-sd a: the virt board has no SD card slot"},
        {"-fda a", "-fda a: the virt board has no floppy"},
    };
    for (const auto& [line, error] : wrong) {
        const std::string got = devices_for(line);
        EXPECT_TRUE(got.starts_with("error: " + std::string(error))) << line << " gives " << got;
    }
}

TEST(QemuDrives, ScsiAndNvme) {
    const std::string disks = "-drive file=a,if=none,id=a -drive file=b,if=none,id=b ";
    EXPECT_EQ(
        devices_for(disks + "-device virtio-scsi-pci,id=s -device scsi-hd,drive=a -device scsi-cd,drive=b"),
        "virtio-scsi-pci; scsi-hd file=a device_id=a; scsi-cd file=b device_id=b");
    EXPECT_EQ(devices_for("-device virtio-scsi-device,num_queues=2 -device scsi-cd"),
              "virtio-scsi num_queues=2; scsi-cd");
    EXPECT_EQ(devices_for(disks + "-device nvme,drive=a,serial=S"), "nvme-pci file=a serial=S");
    const auto placed = request_for("-nic none " + disks +
                                    "-device virtio-scsi-pci,id=s -device virtio-scsi-pci -device "
                                    "scsi-hd,drive=a,bus=scsi.0,scsi-id=3,lun=2,"
                                    "bootindex=7 -device scsi-hd,drive=b,bus=s.0");
    ASSERT_TRUE(placed.has_value());
    const auto& devices = placed->options.devices;
    ASSERT_GE(devices.size(), 4u);
    EXPECT_EQ(scsi_host_of(devices, devices[2]), &devices[1]);
    EXPECT_EQ(devices[2].scsi.target, 3u);
    EXPECT_EQ(devices[2].scsi.lun, 2u);
    EXPECT_EQ(devices[2].boot_index, 7u);
    EXPECT_EQ(scsi_host_of(devices, devices[3]), &devices[0]);
    for (const auto& [line, error] :
         {std::pair("-device scsi-cd", "No 'SCSI' bus found for device 'scsi-cd'"),
          {"-device virtio-scsi-pci,id=s -device scsi-cd,bus=t.0", "Bus 't.0' not found"},
          {"-device virtio-scsi-pci -device scsi-hd", "drive property not set"},
          {"-drive file=a,if=scsi", "machine type does not support if=scsi"}})
        EXPECT_TRUE(devices_for(line).contains(error)) << devices_for(line);
}

TEST(QemuDrives, WhatTheGuestCouldMiss) {
    for (const std::string_view line : {"-drive file=a,bps=1000", "-drive file=a,throttling.iops-total=7"}) {
        EXPECT_FALSE(notes_of(*request_for(line)).empty()) << line;
        EXPECT_FALSE(request_for("-strict " + std::string(line))) << line;
    }
    EXPECT_TRUE(notes_of(*request_for("-drive file=a,bps=0")).empty());
}

}  // namespace
}  // namespace arclight::guestos::qemu
