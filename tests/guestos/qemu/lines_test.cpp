// The command lines of the tools that start qemu-system-aarch64, as they pass them.
#include <gtest/gtest.h>

#include "tests/guestos/qemu/qemu_line.h"

namespace arclight::guestos::qemu {
namespace {

struct Line {
    std::string_view tool;
    std::string_view words;
    std::string_view devices;  ///< devices_of()
};

const Line kLines[] = {
    {"kunit.py",
     "-nodefaults -m 1024 -kernel Image.gz -append 'console=ttyAMA0 kunit_shutdown=reboot' -no-reboot "
     "-nographic -accel kvm -accel hvf "
     "-accel tcg -serial stdio -machine virt -cpu cortex-a57",
     ""},
    {"virtme-ng",
     "-name guest -m 1G -M virt -cpu cortex-a57 -parallel none -net none -echr 1 -fsdev "
     "local,id=virtfs5,path=/,security_model=none,readonly=on,multidevs=remap -device "
     "virtio-9p-device,fsdev=virtfs5,mount_tag=/dev/root -fsdev "
     "local,id=virtfs6,path=/lib/modules,security_model=none,readonly=on,multidevs=remap -device "
     "virtio-9p-device,fsdev=virtfs6,mount_tag=virtme.guesttools -chardev file,path=/proc/self/fd/2,id=dmesg "
     "-device virtio-serial-device -device "
     "virtconsole,chardev=dmesg -chardev stdio,id=console,signal=off,mux=on -serial chardev:console -mon "
     "chardev=console -vga none -display none "
     "-smp 4 -kernel Image -append 'root=/dev/root'",
     "virtio-9p path=/ tag=/dev/root security_model=none readonly=on; virtio-9p path=/lib/modules "
     "tag=virtme.guesttools "
     "security_model=none readonly=on; virtio-serial ports=0:console:dmesg:"},
    {"virtme-ng, network",
     "-M virt -cpu cortex-a57 -display none -kernel Image -device virtio-net-device,netdev=n0 -netdev "
     "user,id=n0,hostfwd=tcp::2222-:22 -s",
     "virtio-net network=n0"},
    {"boot-utils",
     "-display none -nodefaults -cpu max,lpa2=off,pauth-impdef=true -machine "
     "virt,gic-version=max,virtualization=true -append "
     "'console=ttyAMA0 earlycon' -kernel Image.gz -initrd rootfs.cpio -m 512m -smp 2 -serial mon:stdio -s -S",
     ""},
    {"boot-utils, EFI",
     "-display none -nodefaults -cpu max,lpa2=off,pauth-impdef=true -machine virt,gic-version=max -drive "
     "if=pflash,format=raw,file=code.img,readonly=on -drive if=pflash,format=raw,file=vars.img -object "
     "rng-random,filename=/dev/urandom,id=rng0 "
     "-device virtio-rng-pci,rng=rng0 -append 'console=ttyAMA0' -kernel Image -initrd rootfs.cpio -m 512m "
     "-serial mon:stdio",
     "virtio-rng-pci"},
    {"tuxrun",
     "-machine virt,virtualization=on,gic-version=3,mte=on -cpu max,pauth-impdef=on -smp 2 -no-reboot "
     "-nographic -kernel Image -append "
     "'console=ttyAMA0,115200 rootwait root=/dev/vda' -drive file=rootfs.ext4,format=raw,id=hd0,if=virtio "
     "-virtfs "
     "local,path=share,mount_tag=tuxrun,security_model=mapped",
     "virtio-net-pci network=hub0; virtio-9p-pci path=share tag=tuxrun security_model=mapped; virtio-blk-pci "
     "file=rootfs.ext4 format=raw"},
    {"KernelCI",
     "-machine virt,gic-version=3 -cpu max -m 1G -nographic -net nic,model=virtio -net user -monitor none "
     "-kernel Image -append x -drive "
     "format=qcow2,file=rootfs.qcow2,media=disk,if=virtio,id=lavatest",
     "virtio-net-pci network=hub0; virtio-blk-pci file=rootfs.qcow2 format=qcow2"},
    {"syzkaller",
     "-machine virt,virtualization=on,gic-version=max -cpu max,sve128=on,pauth=off -m 2048 -smp 2 -chardev "
     "socket,id=SOCKSYZ,server=on,wait=off,host=localhost,port=51727 -mon chardev=SOCKSYZ,mode=control "
     "-display none -serial stdio -no-reboot "
     "-name VM-0 -device virtio-rng-pci -device virtio-net-pci,netdev=net0 -netdev "
     "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:10022-:22 -device virtio-blk-device,drive=hd0 -drive "
     "file=image,if=none,format=raw,id=hd0 -snapshot -kernel Image -append 'root=/dev/vda console=ttyAMA0'",
     "virtio-rng-pci; virtio-net-pci network=net0; virtio-blk file=image format=raw snapshot=on"},
    {"vmtest",
     "-nodefaults -display none -serial mon:stdio -cpu max -M virt -m 4G -smp 2 -chardev "
     "socket,path=qmp.sock,server=on,wait=off,id=qmp -mon "
     "chardev=qmp,mode=control -device virtio-serial-pci -chardev "
     "socket,path=qga.sock,server=on,wait=off,id=qga0 -device "
     "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0 -virtfs "
     "local,id=root,path=/,mount_tag=/dev/root,security_model=none,multidevs=remap -kernel Image -append x "
     "-drive "
     "file=image,if=none,id=d -device virtio-blk-pci,drive=d",
     "virtio-serial-pci ports=1:port:qga0:org.qemu.guest_agent.0; virtio-9p-pci path=/ tag=/dev/root "
     "security_model=none; virtio-blk-pci "
     "file=image"},
    {"mkosi",
     "-machine type=virt -smp 2 -m 2G -accel tcg -cpu max -object rng-random,filename=/dev/urandom,id=rng0 "
     "-device "
     "virtio-rng-pci,rng=rng0,id=rng-device0 -device virtio-balloon,free-page-reporting=on -nic "
     "user,model=virtio-net-pci -device "
     "vhost-vsock-pci,guest-cid=3 -nographic -nodefaults -chardev stdio,mux=on,id=console,signal=off -device "
     "virtio-serial-pci,id=mkosi-virtio-serial-pci -device virtconsole,chardev=console -mon console -drive "
     "if=pflash,format=raw,readonly=on,file=code.fd -drive file=vars.fd,if=pflash,format=raw -blockdev "
     "driver=raw,node-name=mkosi,discard=unmap,file.driver=file,file.filename=image.raw,file.aio=io_uring,"
     "cache.direct=yes,cache.no-flush=on "
     "-device virtio-blk-pci,drive=mkosi,bootindex=1 -fw_cfg name=opt/io.systemd.credentials/a,string=b "
     "-smbios "
     "type=11,value=io.systemd.credential:a=b",
     "virtio-net-pci network=nic0; virtio-rng-pci; virtio-balloon-pci free-page-reporting=on; "
     "virtio-serial-pci "
     "ports=0:console:console:; "
     "virtio-blk-pci file=image.raw format=raw cache=none aio=io_uring"},
    {"lima",
     "-m 4096 -cpu max -machine virt,accel=tcg -smp 4,sockets=1,cores=4,threads=1 -drive "
     "if=pflash,format=raw,readonly=on,file=code.fd -boot "
     "order=d,splash-time=0,menu=on -drive file=diffdisk,if=virtio,discard=on -drive "
     "id=cdrom0,if=none,format=raw,readonly=on,file=cidata.iso "
     "-device virtio-blk-pci,drive=cdrom0 -netdev "
     "user,id=net0,net=192.168.5.0/24,dhcpstart=192.168.5.15,hostfwd=tcp:127.0.0.1:60022-:22 -device "
     "virtio-net-pci,netdev=net0,mac=52:55:55:00:00:01 -device virtio-rng-pci -display none -device "
     "virtio-gpu "
     "-device virtio-keyboard-pci -device virtio-mouse-pci -device qemu-xhci,id=usb-bus "
     "-parallel none -chardev "
     "socket,id=char-serial,path=serial.sock,server=on,wait=off,logfile=serial.log -serial "
     "chardev:char-serial -chardev "
     "socket,id=char-serial-pci,path=serialp.sock,server=on,wait=off,logfile=serialp.log -device "
     "pci-serial,chardev=char-serial-pci -chardev "
     "socket,id=char-serial-virtio,path=serialv.sock,server=on,wait=off,logfile=serialv.log -device "
     "virtio-serial-pci,id=virtio-serial0,max_ports=1 "
     "-device virtconsole,chardev=char-serial-virtio,id=console0 -virtfs "
     "local,mount_tag=mount0,path=/tmp,security_model=none,readonly -chardev "
     "socket,id=char-qmp,path=qmp.sock,server=on,wait=off -qmp "
     "chardev:char-qmp -name lima-default -pidfile qemu.pid",
     "virtio-blk-pci file=cidata.iso format=raw readonly=on; virtio-net-pci network=net0 "
     "mac=52:55:55:00:00:01; virtio-rng-pci; pci-serial-pci chardev=char-serial-pci; virtio-serial-pci "
     "ports=0:console:char-serial-virtio:; virtio-9p-pci path=/tmp tag=mount0 security_model=none "
     "readonly=on; virtio-blk-pci file=diffdisk"},
    // As users have them on pages and in scripts, for the words that no tool above has.
    {"libvirt",
     "-name guest=g,debug-threads=on -S -object "
     "'{\"qom-type\":\"secret\",\"id\":\"masterKey0\",\"format\":\"raw\",\"file\":\"key\"}' -blockdev "
     "'{\"driver\":\"file\",\"filename\":\"code.fd\",\"node-name\":\"s0\",\"auto-read-only\":true,"
     "\"discard\":\"unmap\"}' "
     "-blockdev '{\"node-name\":\"f0\",\"read-only\":true,\"driver\":\"raw\",\"file\":\"s0\"}' -blockdev "
     "'{\"driver\":\"file\",\"filename\":\"vars.fd\",\"node-name\":\"s1\",\"auto-read-only\":true}' "
     "-blockdev "
     "'{\"node-name\":\"f1\",\"read-only\":false,\"driver\":\"raw\",\"file\":\"s1\"}' -machine "
     "virt-7.2,usb=off,gic-version=3,dump-guest-core=off,memory-backend=mach-virt.ram,pflash0=f0,pflash1=f1,"
     "acpi=on "
     "-accel tcg -cpu cortex-a57 -m size=1048576k -object "
     "'{\"qom-type\":\"memory-backend-ram\",\"id\":\"mach-virt.ram\",\"size\":1073741824}' -overcommit "
     "mem-lock=off -smp "
     "2,sockets=2,cores=1,threads=1 -uuid f3197c89-6457-44fe-b26d-897090ba6541 -no-user-config -nodefaults "
     "-chardev "
     "socket,id=charmonitor,path=m,server=on,wait=off -mon chardev=charmonitor,id=monitor,mode=control -rtc "
     "base=utc "
     "-no-shutdown -boot strict=on -device "
     "'{\"driver\":\"pcie-root-port\",\"port\":8,\"chassis\":1,\"id\":\"pci.1\",\"bus\":\"pcie.0\","
     "\"multifunction\":true,"
     "\"addr\":\"0x1\"}' -device "
     "'{\"driver\":\"qemu-xhci\",\"p2\":15,\"p3\":15,\"id\":\"usb\",\"bus\":\"pci.2\",\"addr\":\"0x0\"}' "
     "-blockdev "
     "'{\"driver\":\"file\",\"filename\":\"d\",\"node-name\":\"s\"}' -blockdev "
     "'{\"node-name\":\"f\",\"read-only\":false,\"driver\":\"qcow2\",\"file\":\"s\",\"backing\":null}' "
     "-device "
     "'{\"driver\":\"virtio-blk-pci\",\"bus\":\"pci.1\",\"addr\":\"0x0\",\"drive\":\"f\",\"id\":\"virtio-"
     "disk0\",\"bootindex\":1}' "
     "-chardev pty,id=charserial0 -serial chardev:charserial0 -audiodev "
     "'{\"id\":\"audio1\",\"driver\":\"none\"}' -sandbox "
     "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny -msg timestamp=on",
     "pcie-root-port-pci chassis=1 port=8 @1; virtio-blk-pci file=d format=qcow2 @0"},
    {"quickemu",
     "-name a,process=a -machine virt,highmem=on,pflash0=rom,pflash1=efivars -cpu max -smp "
     "cores=4,threads=1,sockets=1 -m 2G -pidfile p "
     "-rtc base=utc,clock=host -vga none -device virtio-gpu-pci,xres=1280,yres=800 -display none -device "
     "virtio-rng-pci,rng=rng0 "
     "-object rng-random,id=rng0,filename=/dev/urandom -device qemu-xhci,id=spicepass -device "
     "usb-ehci,id=input -device "
     "usb-kbd,bus=input.0 -k en-us -device usb-tablet,bus=input.0 -audiodev none,id=audio0 -device "
     "virtio-net,netdev=nic -netdev "
     "user,hostname=a,hostfwd=tcp::22220-:22,id=nic -blockdev "
     "node-name=rom,driver=file,filename=code.fd,read-only=true -blockdev "
     "node-name=efivars,driver=file,filename=vars.fd -device virtio-blk-pci,drive=SystemDisk -drive "
     "id=SystemDisk,if=none,format=qcow2,file=d -monitor unix:m,server,nowait -serial unix:s,server,nowait",
     "virtio-rng-pci; virtio-net-pci network=nic; virtio-blk-pci file=d format=qcow2"},
    {"RT-Thread",
     "-M virt,gic-version=2 -cpu cortex-a53 -smp 4 -kernel rtthread.bin -serial stdio -drive "
     "if=none,file=sd.bin,format=raw,id=blk0 -device virtio-blk-device,drive=blk0,bus=virtio-mmio-bus.0 "
     "-netdev user,id=net0 -device "
     "virtio-net-device,netdev=net0,bus=virtio-mmio-bus.1 -device "
     "virtio-gpu-device,xres=800,yres=600,bus=virtio-mmio-bus.2 -device "
     "virtio-keyboard-device,bus=virtio-mmio-bus.3 -device virtio-tablet-device,bus=virtio-mmio-bus.5",
     "virtio-blk file=sd.bin format=raw @0; virtio-net network=net0 @1"},
    {"Microkit",
     "-machine virt,virtualization=on -cpu cortex-a53 -serial mon:stdio -device "
     "loader,file=loader.img,addr=0x70000000,cpu-num=0 -m "
     "size=2G -nographic",
     "virtio-net-pci network=hub0"},
    {"serial ports by telnet",
     "-M virt -cpu cortex-a57 -kernel k -display none -serial telnet:localhost:4444,server,nowait -monitor "
     "telnet:localhost:4445,server,nowait",
     "virtio-net-pci network=hub0"},
    {"Buildroot",
     "-M virt -cpu cortex-a53 -nographic -smp 1 -kernel Image -append \"rootwait root=/dev/vda "
     "console=ttyAMA0\" -netdev user,id=eth0 "
     "-device virtio-net-device,netdev=eth0 -drive file=rootfs.ext4,if=none,format=raw,id=hd0 -device "
     "virtio-blk-device,drive=hd0",
     "virtio-net network=eth0; virtio-blk file=rootfs.ext4 format=raw"},
    {"cloud image",
     "-M virt -cpu max -m 2G -smp 2 -nographic -bios QEMU_EFI.fd -drive if=virtio,file=IMAGE.qcow2 -drive "
     "if=virtio,format=raw,file=seed.iso "
     "-nic user,hostfwd=tcp::2222-:22",
     "virtio-net-pci network=nic0; virtio-blk-pci file=IMAGE.qcow2; virtio-blk-pci file=seed.iso format=raw"},
};

TEST(QemuLines, AreTakenWordForWord) {
    for (const Line& line : kLines) {
        const auto request = request_for_whole(line.words);
        ASSERT_TRUE(request) << line.tool << ": " << request.error();
        EXPECT_EQ(devices_of(*request), line.devices) << line.tool;
    }
}

TEST(QemuLines, Kunit) {
    const auto request = request_for_whole(kLines[0].words);
    ASSERT_TRUE(request) << request.error();
    EXPECT_EQ(request->options.memory, uint64_t{1024} << 20);
    EXPECT_EQ(request->options.append, "console=ttyAMA0 kunit_shutdown=reboot");
    EXPECT_TRUE(request->options.no_reboot && request->options.networks.empty());
    EXPECT_EQ(request->options.gic, 2u);
}

}  // namespace
}  // namespace arclight::guestos::qemu
