#include "guestos/qemu/devices.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "guestos/qemu/device_names.h"
#include "guestos/qemu/device_properties.h"
#include "guestos/qemu/vhost_user.h"
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
    EXPECT_EQ(devices_of(*rng("")), "virtio-rng-pci");
    EXPECT_TRUE(notes_of(*rng(",bus=pcie.0,addr=0x3,vectors=2,disable-legacy=on,iommu_platform=off,max-bytes="
                              "1024,period=1000"))
                    .empty());
    EXPECT_TRUE(
        notes_of(*request_for("-device virtio-balloon,id=b,deflate-on-oom=on,free-page-reporting=true,"
                              "free-page-hint=off,guest-stats-polling-interval=2,page-poison=on"))
            .empty());
    EXPECT_FALSE(request_for("-strict -device virtio-balloon-device,free-page-hint=on"));
    EXPECT_TRUE(notes_of(*request_for("-device i6300esb,addr=5")).empty());
    EXPECT_FALSE(request_for("-device virtio-rng-pci,period=0,max-bytes=x"));
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

TEST(QemuDevices, GuestsDoWithoutSome) {
    std::vector<std::string_view> missed;
    if (!has_vhost_vsock()) missed.push_back("vhost-vsock-pci,guest-cid=7");
    for (const std::string_view device : missed) {
        EXPECT_EQ(request_for("-device " + std::string(device))->notes.size(), 1u) << device;
        EXPECT_FALSE(request_for("-strict -device " + std::string(device))) << device;
    }
}

TEST(QemuDevices, Unknown) {
    EXPECT_EQ(request_for("-device virtio-rgn-pci").error(),
              "-device virtio-rgn-pci: 'virtio-rgn-pci' is not a valid device model name, did you mean "
              "'virtio-rng-pci'?");
    // What a person has in front of a display; not what carries data.
    for (const std::string_view taken :
         {"usb-kbd", "usb-tablet,bus=b.0", "qemu-xhci,id=b,p2=8", "nec-usb-xhci", "virtio-gpu-pci,xres=800",
          "virtio-gpu", "virtio-keyboard-device,bus=virtio-mmio-bus.3", "ramfb", "VGA", "intel-hda",
          "hda-duplex", "virtio-sound-pci", "pvpanic-pci", "ich9-ahci,id=a"}) {
        const auto request = request_for("-device " + std::string(taken));
        ASSERT_TRUE(request) << taken << ": " << request.error();
        EXPECT_TRUE(notes_of(*request).starts_with("-device " + std::string(taken) + ": there is no "))
            << notes_of(*request);
        EXPECT_EQ(devices_of(*request), devices_of(*request_for("")));
    }
    for (const std::string_view refused : {"usb-host,vendorid=1", "usb-serial", "nvdimm", "vfio-ap", "edu",
                                           "pci-testdev", "sd-card", "ide-cf"})
        EXPECT_FALSE(request_for("-device " + std::string(refused))) << refused;
}

TEST(QemuDevices, OfTheHosts) {
    const auto request = request_for(
        "-nic none -device "
        "vfio-pci,host=01:00.0,id=h,bus=pcie.0,addr=5,x-no-mmap=off,rombar=0,multifunction=off");
    ASSERT_TRUE(request) << request.error();
    EXPECT_EQ(devices_of(*request), "vfio-pci-pci host=01:00.0 @5");
    EXPECT_EQ(notes_of(*request), "");
    EXPECT_TRUE(notes_of(*request_for("-device vfio-pci,sysfsdev=/sys/bus/pci/devices/0000:01:00.0,x-vga=on"))
                    .contains("x-vga=on"));
    EXPECT_EQ(request_for("-device vfio-ap,sysfsdev=/x").error(),
              "-device vfio-ap,sysfsdev=/x: of the host's devices, those on PCI are passed on: vfio-pci");
}

// A script's network works, by another driver.
TEST(QemuDevices, AdaptersOfOtherModels) {
    const auto devices = [](const std::string& line) {
        const auto request = request_for("-serial null -display none " + line);
        return request ? devices_of(*request) + "\n" + notes_of(*request) : "error: " + request.error();
    };
    EXPECT_EQ(
        devices("-netdev user,id=n -device e1000,netdev=n,mac=52:54:00:00:00:07,mitigation=off,bootindex=1"),
        "virtio-net-pci network=n mac=52:54:00:00:00:07\n-device "
        "e1000,netdev=n,mac=52:54:00:00:00:07,mitigation=off,bootindex=1: there is no e1000; the adapter is "
        "a "
        "virtio-net-pci\n");
    EXPECT_EQ(
        devices("-netdev user,id=n -device usb-net,netdev=n,bus=usb.0"),
        "virtio-net-pci network=n\n-device usb-net,netdev=n,bus=usb.0: there is no usb-net; the adapter is a "
        "virtio-net-pci\n");
    EXPECT_EQ(devices("-nic user,model=rtl8139"),
              "virtio-net-pci network=nic0\n-nic user,model=rtl8139: there is no rtl8139; the adapter is a "
              "virtio-net-pci\n");
    EXPECT_EQ(devices("-net nic,model=e1000 -net user"),
              "virtio-net-pci network=hub0\n-net nic,model=e1000: there is no e1000; the adapter is a "
              "virtio-net-pci\n");
    EXPECT_EQ(devices("-netdev user,id=n -device e1000,netdev=q"),
              "error: -device e1000,netdev=q: Property 'virtio-net-pci.netdev' can't find value 'q'");
    EXPECT_FALSE(request_for("-strict -nic user,model=e1000"));
}

// The guest finds them by the same names as with QEMU: sda, sr0.
TEST(QemuDevices, DisksBehindWhatIsNotThere) {
    const auto devices = [](const std::string& line) {
        const auto request = request_for("-nic none -serial null -display none " + line);
        return request ? devices_of(*request) + "\n" + notes_of(*request) : "error: " + request.error();
    };
    EXPECT_EQ(
        devices("-drive if=none,id=d,file=a,format=raw -device usb-storage,drive=d,bus=usb.0,removable=on"),
        "virtio-scsi-pci; scsi-hd file=a format=raw\n-device "
        "usb-storage,drive=d,bus=usb.0,removable=on: there is no USB; the disk is behind a virtio-scsi "
        "host\n");
    EXPECT_EQ(
        devices("-drive if=none,id=d,file=a,media=cdrom -device usb-storage,drive=d"),
        "virtio-scsi-pci; scsi-cd file=a\n-device usb-storage,drive=d: there is no USB; the disk is behind "
        "a virtio-scsi host\n");
    EXPECT_EQ(
        devices(
            "-drive if=none,id=d,file=a -drive if=none,id=c,file=b -device virtio-scsi-device,id=s -device "
            "ide-hd,drive=d,bus=ahci.0 -device ide-cd,drive=c,bus=ahci.1"),
        "virtio-scsi; scsi-hd file=a; scsi-cd file=b\n-device ide-hd,drive=d,bus=ahci.0: there is no IDE; "
        "the "
        "disk is behind a virtio-scsi host\n-device ide-cd,drive=c,bus=ahci.1: there is no IDE; the disk is "
        "behind a virtio-scsi host\n");
    EXPECT_TRUE(devices("-device usb-storage").contains("drive property not set"));
    EXPECT_TRUE(devices("-device usb-storage,drive=d").contains("can't find value 'd'"));
    EXPECT_TRUE(devices("-strict -drive if=none,id=d,file=a -device usb-storage,drive=d")
                    .contains("there is no USB"));
}

TEST(QemuDevices, Shares) {
    const auto devices = [](std::string_view line) {
        const auto request = request_for("-nic none " + std::string(line));
        return request ? devices_of(*request) : "error: " + request.error();
    };
    EXPECT_EQ(devices("-fsdev local,id=r,path=/,security_model=none,readonly=on,multidevs=remap -device "
                      "virtio-9p-device,fsdev=r,mount_tag=/dev/root"),
              "virtio-9p path=/ tag=/dev/root security_model=none readonly=on");
    EXPECT_EQ(devices("-virtfs local,path=d,mount_tag=t,security_model=mapped"),
              "virtio-9p-pci path=d tag=t security_model=mapped");
    // In its place among the devices.
    EXPECT_EQ(devices("-virtfs local,path=d,mount_tag=t,security_model=none -device virtio-rng-pci"),
              "virtio-9p-pci path=d tag=t security_model=none; virtio-rng-pci");
    const std::pair<std::string_view, std::string_view> wrong[] = {
        {"-virtfs local,path=d,security_model=none", "Usage: -virtfs fsdriver,mount_tag=tag."},
        {"-fsdev local,path=d,security_model=none", "Parameter 'id' is missing"},
        {"-fsdev local,id=r,path=d", "security_model property not set"},
        {"-fsdev local,id=r,path=d,security_model=x", "Parameter 'security_model' does not accept value 'x'"},
        {"-fsdev proxy,id=r", "'proxy' is not there, 'local' is"},
        {"-device virtio-9p-device,fsdev=r,mount_tag=t", "9pfs device couldn't find fsdev with the id = r"},
    };
    for (const auto& [line, error] : wrong)
        EXPECT_TRUE(devices(line).contains(error)) << line << " gives " << devices(line);
}

TEST(QemuDevices, Daemons) {
    const auto devices = [](std::string_view line) {
        const auto request = request_for("-display none -serial null " + std::string(line));
        return request ? devices_of(*request) : "error: " + request.error();
    };
    EXPECT_EQ(
        devices("-nic none -chardev socket,id=c,path=/s -object memory-backend-memfd,id=m,size=128M,share=on "
                "-numa node,memdev=m -device vhost-user-fs-pci,chardev=c,tag=home,queue-size=1024"),
        "vhost-user-fs-pci socket=/s tag=home");
    EXPECT_EQ(devices("-nic none -device vhost-user-blk,chardev=c,num-queues=2 -chardev "
                      "socket,id=c,path=/s,server=on,wait=off"),
              "vhost-user-blk socket=/s server=on num-queues=2");
    EXPECT_EQ(devices("-chardev socket,id=c,path=/s -netdev vhost-user,id=n,chardev=c,vhostforce=on -device "
                      "virtio-net-pci,netdev=n,mac=02:00:00:00:00:07,host_mtu=1400"),
              "vhost-user-net-pci mac=02:00:00:00:00:07 mtu=1400 socket=/s");
    EXPECT_EQ(devices("-chardev socket,id=c,path=/s,reconnect=2 -netdev vhost-user,id=n,chardev=c,queues=4 "
                      "-device virtio-net-pci,netdev=n,mq=on"),
              "vhost-user-net-pci queues=4 socket=/s reconnect=2");
    // No chardev is made of it, which would talk to the daemon.
    const auto request =
        request_for("-chardev socket,id=c,path=/s -device vhost-user-fs-device,chardev=c,tag=t");
    ASSERT_TRUE(request);
    EXPECT_TRUE(std::ranges::none_of(request->options.chardevs,
                                     [](const ChardevOptions& one) { return one.id == "c"; }));
    const std::pair<std::string_view, std::string_view> wrong[] = {
        {"-device vhost-user-fs-pci,tag=t", "missing chardev"},
        {"-device vhost-user-fs-pci,tag=t,chardev=c", "can't find value 'c'"},
        {"-chardev null,id=c -device vhost-user-fs-pci,tag=t,chardev=c", "is no Unix socket with a path"},
        {"-chardev socket,id=c,path=/s -device vhost-user-fs-pci,chardev=c", "tag=... is missing"},
        {"-chardev socket,id=c,path=/s -device vhost-user-blk-pci,chardev=c -device "
         "vhost-user-rng-pci,chardev=c",
         "can't find value 'c'"},
        {"-netdev vhost-user,id=n", "Parameter 'chardev' is missing"},
        {"-netdev vhost-user,id=n,chardev=c,queues=0", "queues is 1 to 32"},
    };
    for (const auto& [line, error] : wrong)
        EXPECT_TRUE(devices(line).contains(error)) << line << " gives " << devices(line);
}

TEST(QemuDevices, Ports) {
    const auto devices = [](std::string_view line) {
        const auto request =
            request_for("-nic none -display none -serial null -chardev null,id=a -chardev null,id=b " +
                        std::string(line));
        return request ? devices_of(*request) : "error: " + request.error();
    };
    EXPECT_EQ(devices("-device virtio-serial-device -device virtconsole,chardev=a -device "
                      "virtserialport,chardev=b,name=org.qemu.guest_agent.0"),
              "virtio-serial ports=0:console:a:;1:port:b:org.qemu.guest_agent.0");
    EXPECT_EQ(devices("-device virtio-serial-pci,id=s -device virtserialport,chardev=b,nr=5,bus=s.0"),
              "virtio-serial-pci ports=5:port:b:");
    EXPECT_TRUE(devices("-device virtconsole,chardev=a").contains("No 'virtio-serial-bus' bus found"));
    EXPECT_TRUE(
        devices("-device virtio-serial-pci -device virtconsole,chardev=q").contains("can't find value 'q'"));
    // Without bus=, the last one so far.
    EXPECT_EQ(
        devices("-device virtio-serial-pci -device virtserialport,chardev=a,name=A -device virtio-serial-pci "
                "-device virtserialport,chardev=b,name=B"),
        "virtio-serial-pci ports=1:port:a:A; virtio-serial-pci ports=1:port:b:B");
    EXPECT_TRUE(devices("-device virtio-serial-pci -device virtserialport,chardev=a,nr=0")
                    .contains("reserved for virtconsole"));
    EXPECT_TRUE(
        devices("-device virtio-serial-pci -device virtserialport,chardev=a,nr=99").contains("more than"));
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
    EXPECT_TRUE(device_help("virtserialport")->contains("chardev=<str>"));
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
