#!/usr/bin/env python3
"""Command lines of pages and scripts that tell people to use qemu-system-aarch64, word for word but for paths and ports, with
Arclight under that name: each machine starts what the line names and does its job, with a line for what is missing. Kernels, boot
loaders and images are stand-ins: Debian's kernel, programs of some instructions, an EFI program on a disk. What is refused says why."""
import concurrent.futures, itertools, os, shlex, shutil, socket, struct, subprocess, time
import guest
from guest import ARCLIGHT, Failures, Guest, OPTIONS, work

failures = Failures()
LINK = os.path.join(work, "qemu-system-aarch64")
os.symlink(ARCLIGHT, LINK)
OWN = ["-arclight", " ".join(OPTIONS)] if OPTIONS else []
BIOS, CODE, VARIABLES = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd", "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"
RAM, FLASH, ESP_SIZE = 0x40000000, 0, 8 << 20
TEXT = "the program of the line"


def words(*numbers):
    return struct.pack(f"<{len(numbers)}I", *numbers)


# Prints the text behind it on the serial port, and turns the machine off by PSCI: movz x1, #0x900, lsl #16; adr x2, text;
# 1: ldrb w0, [x2], #1; cbz w0, 2f; str w0, [x1]; b 1b; 2: SYSTEM_OFF; hvc #0; b .
BARE = words(0xd2a12001, 0x10000122, 0x38401440, 0x34000060, 0xb9000020, 0x17fffffd, 0x52b08000, 0x72800100, 0xd4000002, 0x14000000) + \
    TEXT.encode() + b"\n\0"
# The same by semihosting: SYS_WRITE0, and SYS_EXIT with status 7.
SEMIHOSTING = words(0x52800080, 0x10000161, 0xd45e0000, 0x52800300, 0x10000081, 0xd45e0000, 0x14000000, 0xd503201f, 0x20026, 0, 7, 0) + \
    TEXT.encode() + b"\n\0"
JUMP = words(0xd2aa0000, 0xd61f0000)  # to 0x50000000
# An EFI program's: ConOut->OutputString(text), RuntimeServices->ResetSystem(EfiResetShutdown, 0, 0, 0).
EFI = words(0xaa0103f3, 0xf9402260, 0xf9400402, 0x10000141, 0xd63f0040, 0xf9402e60, 0xf9403404, 0xd2800040, 0xd2800001, 0xd2800002,
            0xd2800003, 0xd63f0080, 0x14000000) + (TEXT + "\r\n\0").encode("utf-16-le")


def elf(code, address):
    header = b"\x7fELF\2\1\1" + bytes(9) + struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, address, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return (header + struct.pack("<IIQQQQQQ", 1, 5, 4096, address, address, len(code), len(code), 4096)).ljust(4096, b"\0") + code


def portable_executable(code):
    size = 0x400
    optional = struct.pack("<HBBIIIII", 0x20b, 0, 0, size, 0, 0, 0x1000, 0x1000) + \
        struct.pack("<QIIHHHHHHIIIIHHQQQQII", 0, 0x1000, 0x200, 0, 0, 0, 0, 0, 0, 0, 0x2000, 0x200, 0, 10, 0, 0, 0, 0, 0, 0, 16) + bytes(128)
    section = struct.pack("<8sIIIIIIHHI", b".text", size, 0x1000, size, 0x200, 0, 0, 0, 0, 0x60000020)
    headers = b"MZ".ljust(0x3c, b"\0") + struct.pack("<I", 0x40) + b"PE\0\0" + \
        struct.pack("<HHIIIHH", 0xaa64, 1, 0, 0, 0, len(optional), 0x0206) + optional + section
    return headers.ljust(0x200, b"\0") + code.ljust(size, b"\0")


names = itertools.count()


def path(name, content=b"", size=0):
    """A new file in the work directory, `size` bytes at least."""
    file = os.path.join(work, f"{next(names)}-{name}")
    with open(file, "wb") as f:
        f.write(content)
        f.truncate(max(size, f.tell()))
    return file


def directory():
    """What a boot loader's build leaves for firmware."""
    root = os.path.join(work, f"{next(names)}-esp")
    os.makedirs(os.path.join(root, "EFI/BOOT"))
    with open(os.path.join(root, "EFI/BOOT/BOOTAA64.EFI"), "wb") as f:
        f.write(portable_executable(EFI))
    return root


def efi_disk(form="raw"):
    """A disk that firmware starts."""
    raw = path("efi.img", size=ESP_SIZE)
    subprocess.run(["mformat", "-i", raw, "-v", "ESP", "::"], check=True)
    subprocess.run(["mcopy", "-s", "-i", raw, os.path.join(directory(), "EFI"), "::/"], check=True)
    if form == "raw":
        return raw
    converted = raw + "." + form
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", form, raw, converted], check=True)
    return converted


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def variables():
    return path("vars.fd", open(VARIABLES, "rb").read())


def run(line, *files):
    """The line, split as a shell does; each @ is the next one of `files`."""
    rest = iter(files)
    return guest.run([LINK, *[w if "@" not in w else w.replace("@", str(next(rest))) for w in shlex.split(line)], *OWN], 300)


def check(name, result, *wanted, notes=(), status=0):
    failures.check(result.status == status, f"{name}: status {result.status} and not {status}: {result}")
    for text in wanted or (TEXT,):
        failures.check(text in result.text + result.error.decode(), f"{name}: '{text}' is not in {result}")
    said = result.error.decode().splitlines()
    for line in said:
        failures.check(line.startswith(("qemu-system-aarch64: ", "char device redirected to /dev/pts/")) or line in wanted + (TEXT,),
                       f"{name}: on stderr: {line}")
    for note in notes:
        failures.check(any(note in line for line in said), f"{name}: no line on {note}: {said}")


def refused(name, line, why, *files):
    result = run(line, *files)
    said = result.error.decode()
    failures.check(result.status == 1 and not result.output and why in said.splitlines()[-1], f"{name}: refused by {result}")


# ---- Programs without an operating system

def bare_metal():
    program = path("kernel.elf", elf(BARE, 0x40100000))
    check("ELF, cortex-a57", run("-M virt -cpu cortex-a57 -kernel @ -nographic -m 256M", program), notes=["AArch32"])
    check("ELF, cortex-a72", run("-M virt -cpu cortex-a72 -nographic -kernel @", program))
    check("a kernel at EL3", run("-m 4G -M virt,secure=on,gic_version=2 -cpu cortex-a72 -smp 2 -nographic -kernel @", program),
          notes=["no EL3"])
    check("a kernel with virtio-mmio", run(
        "-M virt,gic-version=3,highmem-ecam=off,virtualization=on -cpu cortex-a53 -smp 4 -m 3G -nographic -monitor none -serial stdio "
        "-global virtio-mmio.force-legacy=false -device virtio-net-device,netdev=n0,bus=virtio-mmio-bus.0 -netdev user,id=n0 -kernel @",
        program), notes=["no EL2"])
    nodes = " ".join(f"-object memory-backend-ram,id=mem{n},size=1024M -numa node,memdev=mem{n},cpus={2 * n}-{2 * n + 1},nodeid={n}"
                     for n in range(4))
    check("NUMA nodes", run(f"-machine virt,secure=true,virtualization=true -cpu cortex-a76 -smp cpus=8 -m 4096M {nodes} -nographic "
                            "-kernel @", program), notes=["one NUMA node"])


def semihosting():
    program, disk = path("kernel.bin", SEMIHOSTING), path("disk.img", size=1 << 20)
    check("a test suite", run("-machine virt -cpu cortex-a57 -semihosting-config enable=on,target=native -m 512M -nographic -drive "
                              "file=@,format=raw,if=none,id=hd0 -device virtio-blk-device,drive=hd0 -kernel @", disk, program), status=7)
    check("in flash", run("-M virt,secure=on,virtualization=on,gic-version=2 -cpu cortex-a57 -m 3G -serial stdio -d unimp "
                          "-semihosting-config enable=on,target=native -bios @", program), status=7, notes=["no EL3", "unimp"])


def boot_loaders():
    check("a board's flash", run(
        "-M virt,secure=on -bios @ -cpu cortex-a53 -device virtio-blk-device,drive=hd0 -device virtio-net-device,netdev=eth0 -device "
        "virtio-rng-device,rng=rng0 -drive file=@,if=none,format=raw,id=hd0 -m 1024 -netdev user,id=eth0,hostfwd=tcp::@-:22 -no-acpi "
        "-nographic -object rng-random,filename=/dev/urandom,id=rng0 -rtc base=utc,clock=host -smp 2",
        path("flash.bin", BARE), path("disk.img", size=1 << 20), free_port()))
    check("a hypervisor behind a boot loader", run(
        "-nographic -M virt,secure=on,virtualization=on,gic-version=3 -cpu cortex-a53 -smp 4 -m 4G -bios @ -device "
        "loader,file=@,addr=0x50000000,force-raw=on -device virtio-net-device,netdev=net0 -netdev "
        "user,id=net0,net=192.168.42.0/24,hostfwd=tcp:127.0.0.1:@-:22 -device virtio-serial-device -chardev pty,id=serial3 -device "
        "virtconsole,chardev=serial3", path("flash.bin", JUMP), path("bao.bin", BARE), free_port()))


def refusals():
    program, disk = path("kernel.elf", elf(BARE, 0x40100000)), path("nvme.img", size=1 << 20)
    refused("another board", "-M raspi4b -m 2G -kernel @ -serial mon:stdio -nographic", "-M raspi4b: unsupported machine type 'raspi4b'", program)
    refused("PCIe switches", "-machine virt,secure=true,virtualization=true -cpu cortex-a76 -smp cpus=4 -m 2048M -drive "
            "file=@,if=none,id=nvm,format=raw -device x3130-upstream,id=upstream_port1,bus=pcie.0 -device "
            "xio3130-downstream,id=downstream_port1,bus=upstream_port1 -device nvme,serial=deadbeef,drive=nvm,bus=downstream_port1 "
            "-nographic -kernel @", "PCI's bridges are pcie-root-port", disk, program)
    refused("a hub between two adapters", "-nographic -cpu cortex-a72 -machine virt,virtualization=on,gic-version=3 -global "
            "virtio-mmio.force-legacy=false -smp 4 -device nvme,drive=disk0,serial=tgoskits,max_ioqpairs=64,msix_qsize=65 -drive "
            "id=disk0,if=none,format=raw,file=@ -append 'root=/dev/nvme0n1 rw init=/bin/sh' -m 8g -netdev hubport,id=net0,hubid=77 -device "
            "virtio-net-device,netdev=net0,bus=virtio-mmio-bus.0,mac=52:54:00:77:00:01 -kernel @", "network 'hubport' is not there",
            disk, program)


# ---- Linux

MODULES = ("virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net")
REPORT = "; ".join(f"modprobe {module} || echo no {module}" for module in MODULES) + \
    "; grep -c ^processor /proc/cpuinfo | sed s/^/cpus=/; head -n 1 /dev/vda; ls /sys/class/net | tr '\\n' ' '; cat /sys/class/net/eth*/address"


def linux():
    debian = Guest(modules=MODULES)
    disk = path("rootfs.img", b"the line's disk\n", 1 << 20)

    def boot(line, *files):
        """The system on the line's root disk is one in memory."""
        ram_disk = "" if "-initrd" in line else f" -initrd {debian.initramfs(['sh', '-c', REPORT])}"
        return run(line.replace("console=ttyAMA0", "console=ttyAMA0 quiet loglevel=0 panic=-1") + ram_disk, *files)

    ram_disk = debian.initramfs(["sh", "-c", REPORT])
    check("a kernel and an initrd", boot("-kernel @ -initrd @ -append 'console=ttyAMA0 earlycon=pl011,0x9000000 root=/dev/vda sched_verbose' "
                                         "-nographic -m 512 -cpu cortex-a53 -machine virt", debian.kernel, ram_disk), "cpus=1", "eth0")
    check("the machine twice", boot("-machine virt -cpu cortex-a57 -machine type=virt -nographic -smp 1  -m 2048 -kernel @ -append "
                                    "'console=ttyAMA0'", debian.kernel), "cpus=1", "eth0", "52:54:00:12:34:56")
    check("a disk without an interface", boot(
        "-m 1024 -cpu cortex-a72 -M virt -nographic --no-reboot -kernel @ -append 'console=ttyAMA0 root=/dev/vda' -drive "
        "file=@,format=raw,snapshot=off", debian.kernel, disk), "the line's disk")
    check("a board's root file system", boot(
        "-M virt -m 4G -cpu max -smp 4 -kernel @ -accel tcg -initrd @ -append 'root=/dev/vda2 rootfstype=ext4 fsck.repair=yes rootwait "
        "console=ttyAMA0' -drive file=@,format=raw,if=none,id=hd0 -device virtio-blk-device,drive=hd0 -serial mon:stdio",
        debian.kernel, ram_disk, disk), "cpus=4", "the line's disk")
    check("Buildroot for two buses", boot(
        "-M virt -cpu cortex-a57 -m 256M -kernel @ -drive file=@,if=virtio,format=raw -append 'rootwait root=/dev/vda console=ttyAMA0' "
        "-netdev user,id=net0 -device virtio-net-device,netdev=net0 -nographic", debian.kernel, disk), "the line's disk", "eth0")
    check("two adapters of another model, on a wire", boot(
        "-m 1024 -cpu cortex-a72 -M virt -nographic --no-reboot -kernel @ -append 'console=ttyAMA0 root=/dev/vda vm=1' -drive "
        "file=@,format=raw,snapshot=on -netdev user,id=net0 -device e1000,netdev=net0 -netdev socket,id=net1,listen=127.0.0.1:@ "
        "-device e1000,netdev=net1,mac=00:00:00:00:00:01 -object filter-dump,id=filter1,netdev=net1,file=/tmp/vm1.pcap",
        debian.kernel, disk, free_port()), "the line's disk", "eth0 eth1", "52:54:00:12:34:56", "00:00:00:00:00:01",
        notes=["there is no e1000", "no packets are recorded"])


# ---- Firmware

def firmware_on_disks():
    check("a directory and an empty drive", run(
        "-M virt,gic-version=3,secure=off,virtualization=on -smp 1 -bios @ -cpu cortex-a53 -m 2G -nographic -device "
        "virtio-blk-device,drive=disk -drive file=fat:rw:@/,format=raw,if=none,media=disk,id=disk -cdrom @", BIOS, directory(),
        path("alpine.iso", size=1 << 20)))
    check("a directory and new variables", run(
        "-accel hvf -m 2048 -cpu cortex-a72 -M virt -drive file=@,if=pflash,format=raw,readonly=on -drive file=@,if=pflash,format=raw "
        "-drive format=raw,file=fat:rw:@ -nographic", CODE, path("vars.fd", size=64 << 20), directory()))
    check("an installed system, sockets and cores", run(
        "-m 4096 -cpu cortex-a72 -smp 8,sockets=4,cores=2 -M virt -bios @ -device VGA -device nec-usb-xhci -device usb-mouse -device usb-kbd "
        "-drive if=none,file=@,id=hd0 -device virtio-blk-device,drive=hd0 -drive if=none,file=@,id=cdrom,media=cdrom -device "
        "virtio-scsi-device -device scsi-cd,drive=cdrom -net nic -net user,hostfwd=tcp::@-:22", BIOS, efi_disk("qcow2"),
        path("kylin.iso", size=1 << 20), free_port()), notes=["there is no display", "there is no USB"])
    check("-hda and -cdrom", run(
        "-machine virt,accel=kvm,gic-version=3 -cpu host -m 8092 -smp 4 -serial stdio -hda @ -cdrom @ -bios @ -device virtio-gpu-pci -device "
        "nec-usb-xhci -device usb-tablet -device usb-kbd -vnc :31 -device virtio-net-pci,netdev=net0 -netdev "
        "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:@-:22", efi_disk(), path("euler.iso", size=1 << 20), BIOS, free_port()))
    check("two disks, no CPU named", run("-M virt -m 1024 -bios @ -device virtio-gpu -hda @ -hdb @", BIOS, efi_disk(),
                                         path("data.image", size=1 << 20)))
    check("a cloud image, emulated", run(
        "-m 2048 -cpu max -M virt -nographic -drive if=pflash,format=raw,file=@,readonly=on -drive if=pflash,format=raw,file=@ -drive "
        "if=none,file=@,id=hd0 -device virtio-blk-device,drive=hd0 -netdev user,id=net0 -device virtio-net-device,netdev=net0", CODE,
        variables(), efi_disk("qcow2")))
    serial1 = path("serial1.log")
    result = run(
        "-M virt -accel tcg -cpu max -smp 4 -m 6144 -drive if=pflash,format=raw,unit=0,file=@,readonly=on -drive "
        "if=pflash,format=raw,unit=1,file=@ -drive file=@,if=none,id=hd,format=qcow2 -device nvme,drive=hd,serial=ncztest01 -drive "
        "file=@,if=none,id=usbstick,format=raw,readonly=on -device qemu-xhci,id=xhci -device usb-storage,bus=xhci.0,drive=usbstick -netdev "
        "user,id=n0 -device virtio-net-pci,netdev=n0,romfile= -serial stdio -serial file:@ -serial file:@ -display none -no-reboot", CODE,
        variables(), empty_qcow2(), efi_disk(), serial1, path("serial2.log"))
    check("a stick behind USB, three serial ports", result, "UEFI firmware", notes=["there is no USB", "2 serial ports"])
    # Where there are two ports, edk2 of that age has its messages on the first one and its console on the second.
    with open(serial1, errors="replace") as f:
        failures.check(TEXT in f.read() + result.text, "a stick behind USB: nothing of its program")


def empty_qcow2():
    image = path("disk.qcow2")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1G"], check=True)
    return image


def network_boot():
    root = os.path.join(work, "tftp")
    os.mkdir(root)
    shutil.copyfile(os.path.join(directory(), "EFI/BOOT/BOOTAA64.EFI"), os.path.join(root, "ipxe-arm64.efi"))
    check("PXE", run("-machine virt -accel hvf -cpu host -smp 4 -m 2048 -drive if=pflash,format=raw,readonly=on,file=@ -drive "
                     "if=pflash,format=raw,file=@ -device virtio-net-pci,netdev=n0,mac=52:54:00:00:01:01,bootindex=1 -netdev "
                     "user,id=n0,tftp=@,bootfile=ipxe-arm64.efi -drive if=virtio,file=@ -nographic", CODE, variables(), root, empty_qcow2()))


def monitor_on_stdio():
    """No serial port to see: the monitor answers, and ends the run."""
    command = [LINK, *shlex.split(
        f"-monitor stdio -machine virt -accel hvf -cpu host -smp 4 -m 8192 -bios {BIOS} -device virtio-gpu-pci -display "
        "default,show-cursor=on -device qemu-xhci -device usb-kbd -device usb-tablet -device intel-hda -device hda-duplex -drive "
        f"file={path('ubuntu.raw', size=1 << 20)},format=raw,if=virtio,cache=writethrough -cdrom {path('ubuntu.iso', size=1 << 20)} -net "
        f"nic,model=virtio -net user,hostfwd=tcp::{free_port()}-:22"), *OWN]
    result = guest.run(command, 100, b"info status\ninfo block\nquit\n")
    check("a monitor on stdin", result, "VM status: running", "ubuntu.raw", notes=["there is no display", "there is no sound"])


def in_the_background():
    """A machine with NVMe, that goes into the background, is found by its monitor."""
    at = lambda name: os.path.join(work, name)
    log = at("background.log")
    result = run(
        "-name vm -machine virt,highmem=on -accel hvf -cpu host -smp 4 -m 8G -drive if=pflash,format=raw,readonly=on,file=@ -drive "
        "if=pflash,format=raw,file=@ -device ramfb -device qemu-xhci -device usb-kbd -device usb-tablet -drive "
        "if=none,id=disk,file=@,format=qcow2 -device nvme,drive=disk,serial=reviewr -drive if=none,id=winiso,media=cdrom,readonly=on,file=@ "
        "-device usb-storage,drive=winiso -nic user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:@-:22 -object secret,id=vncpw,data=reviewr "
        "-display none -vnc 127.0.0.1:5,password-secret=vncpw -monitor unix:@,server,nowait -serial file:@ -daemonize -pidfile @", CODE,
        variables(), efi_disk("qcow2"), path("win.iso", size=1 << 20), free_port(), at("monitor.sock"), log, at("background.pid"))
    failures.check(result.status == 0, f"in the background: {result}")
    end = time.monotonic() + 200
    while os.path.exists(at("background.pid")) and time.monotonic() < end:
        time.sleep(0.1)
    with open(log, errors="replace") as f:
        text = f.read()
    failures.check(TEXT in text and not os.path.exists(at("background.pid")), f"in the background: no end by the program on NVMe: {text[-500:]}")


parts = [bare_metal, semihosting, boot_loaders, refusals]
if guest.NIGHTLY:
    parts.append(linux)
    if shutil.which("mformat") and all(map(os.path.exists, (BIOS, CODE))):
        parts += [firmware_on_disks, network_boot, monitor_on_stdio, in_the_background]
    else:
        print("without firmware: no mformat (package mtools) or no qemu-efi-aarch64")


def attempt(part):
    start = time.monotonic()
    try:
        part()
    except (OSError, subprocess.SubprocessError) as error:
        failures.add(f"{part.__name__}: {error}")
    print(f"{part.__name__}: {time.monotonic() - start:.1f} s", flush=True)


# Firmware waits part of its time.
with concurrent.futures.ThreadPoolExecutor(2) as pool:
    list(pool.map(attempt, parts))
failures.end()
