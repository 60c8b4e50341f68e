#include <gtest/gtest.h>

#include "tests/guestos/qemu/qemu_line.h"

namespace arclight::guestos::qemu {
namespace {

std::string devices_for(std::string_view line) {
    const auto request = request_for("-nodefaults -serial stdio " + std::string(line));
    return request ? devices_of(*request) : "error: " + request.error();
}

TEST(QemuDrives, Forms) {
    EXPECT_EQ(devices_for("-drive file=a,format=raw"), "virtio-blk file=a format=raw");
    EXPECT_EQ(devices_for("-drive a"), "virtio-blk file=a");
    EXPECT_EQ(devices_for("-hda a"), "virtio-blk file=a");
    EXPECT_EQ(devices_for("a"), "virtio-blk file=a");
    EXPECT_EQ(devices_for("-cdrom a"), "virtio-blk file=a readonly=on");
    EXPECT_EQ(devices_for("-drive file=a,media=cdrom"), "virtio-blk file=a readonly=on");
    EXPECT_EQ(devices_for("-drive file=a,,b,readonly=on"), "virtio-blk file=a,b readonly=on");
    EXPECT_EQ(devices_for("-drive file=a,readonly"), "virtio-blk file=a readonly=on");
    EXPECT_EQ(devices_for("-drive file=file:a,snapshot=on"), "virtio-blk file=a snapshot=on");
    EXPECT_EQ(devices_for("-drive file=/x:y"), "virtio-blk file=/x:y");
    EXPECT_EQ(devices_for("-snapshot -drive file=a -drive file=b,snapshot=off"),
              "virtio-blk file=b; virtio-blk file=a snapshot=on");
    EXPECT_EQ(devices_for("-drive "
                          "file=a,cache=none,aio=native,discard=unmap,detect-zeroes=on,werror=stop,rerror="
                          "ignore,file.locking=off"),
              "virtio-blk file=a werror=stop rerror=ignore locking=off");
    EXPECT_EQ(devices_for("-drive file.filename=a,file.driver=file,driver=raw"),
              "virtio-blk file=a format=raw");
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
        "virtio-blk file=a format=raw");
    EXPECT_EQ(devices_for("-blockdev driver=file,node-name=f,filename=a -blockdev "
                          "driver=raw,node-name=r,file=f,read-only=on -device "
                          "virtio-blk-pci,drive=r"),
              "virtio-blk file=a format=raw readonly=on");
    EXPECT_EQ(
        devices_for(
            R"(-blockdev '{"driver":"raw","node-name":"r","file":{"driver":"file","filename":"a"}}' -device '{"driver":"virtio-blk-pci","drive":"r"}')"),
        "virtio-blk file=a format=raw");
    EXPECT_EQ(devices_for("-drive file=a,if=none,id=d -set drive.d.file=b -device virtio-blk,drive=d"),
              "virtio-blk file=b");
}

// Places are given in this order: from the highest virtio-mmio slot on.
TEST(QemuDrives, Order) {
    EXPECT_EQ(devices_for("-device virtio-blk-device,drive=x -device virtio-blk-device,drive=y -drive "
                          "if=none,id=x,file=a -drive if=none,id=y,file=b"),
              "virtio-blk file=a; virtio-blk file=b");
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
        {"-sd a", "-sd a: the virt board has no SD card slot"},
        {"-fda a", "-fda a: the virt board has no floppy"},
    };
    for (const auto& [line, error] : wrong) {
        const std::string got = devices_for(line);
        EXPECT_TRUE(got.starts_with("error: " + std::string(error))) << line << " gives " << got;
    }
}

TEST(QemuDrives, WhatTheGuestCouldMiss) {
    for (const std::string_view line : {"-drive file=a,cache=writethrough", "-drive file=a,bps=1000",
                                        "-drive file=a,throttling.iops-total=7"}) {
        EXPECT_FALSE(notes_of(*request_for(line)).empty()) << line;
        EXPECT_FALSE(request_for("-strict " + std::string(line))) << line;
    }
    EXPECT_TRUE(notes_of(*request_for("-drive file=a,bps=0")).empty());
}

}  // namespace
}  // namespace arclight::guestos::qemu
