#!/usr/bin/env python3
"""A PCI device of the host's in the guest's hands, on the rig: an x86 machine with an IOMMU, whose NVMe disk arclight gives to a
guest by VFIO. A bare-metal guest (vfio_guest.c) reads what is on it, writes to it and is interrupted, in both worlds; nightly, Debian's
kernel does, by its own driver."""
import hashlib, os, re, subprocess, sys
import rig

ADDRESS = "0000:00:05.0"
PAGE, AREA = 4096, 1 << 20
failures = 0


def fail(text):
    global failures
    failures += 1
    print("FAIL:", text)


def check(name, text, pattern):
    if re.search(pattern, text) is None:
        fail(f"{name}: not {pattern!r} in {text[-3000:]}")


def sum_of(page):
    """As vfio_guest.c adds it up."""
    whole = (1 << 64) - 1
    total = 0
    for at in range(0, len(page), 8):
        total = ((total << 1 | total >> 63) + int.from_bytes(page[at:at + 8], "little")) & whole
    return f"{total:x}"


content = os.urandom(AREA)
image = os.path.join(rig.work, "disk")
with open(image, "wb") as f:
    f.write(content)
    f.truncate(8 * AREA)

DEVICE = ["--device", f"vfio-pci,host={ADDRESS[5:]}"]
BARE = ["--kernel", "/t/vfio_guest.elf", "--gic", "2", "-m", "128"]
runs = [
    # Before it is bound to vfio-pci; then what cannot be beside it.
    ("unbound", [*BARE, *DEVICE], rf"vfio-pci {ADDRESS}: it is bound to no driver, not to vfio-pci", 1),
    ("process", [*BARE, *DEVICE, "--accel", "process"], None, 0),
    ("kvm", [*BARE, *DEVICE, "--accel", "kvm"], None, 0),
    ("QEMU's word", ["--sandbox", "require", *BARE, "--device", f"vfio-pci,sysfsdev=/sys/bus/pci/devices/{ADDRESS},bus=pci,addr=1"], None, 0),
    ("balloon", [*BARE, *DEVICE, "--device", "virtio-balloon,bus=pci"], "it keeps all of guest memory", 1),
    ("LightV", [*BARE, *DEVICE, "--control", "/tmp/c"], "it does not see what LightV puts behind pages", 1),
    ("twice", [*BARE, *DEVICE, "--device", f"vfio-pci,host={ADDRESS},bus=pci"], "the guest has it already", 1),
    ("-m", [*BARE[:-1], "3055", *DEVICE], "the host's IOMMU reaches no memory from 0xfee00000 on: -m is 3054 MiB at most", 1),
]
files = [rig.elf("vfio_guest")]
first, second = content[:PAGE], bytes(b ^ 0xff for b in content[:PAGE])
written = first + second + content[2 * PAGE:]  # by the bare-metal guest
if rig.NIGHTLY:
    kernel = os.path.join(os.environ.get("ARCLIGHT_CACHE") or os.path.expanduser("~/.cache/arclight"), "kernel-cloud")
    busybox = os.path.join(os.path.dirname(kernel), "busybox/busybox")
    initrd = os.path.join(rig.work, "guest.cpio")
    subprocess.run([rig.ARCLIGHT, "initramfs", "--busybox", busybox, "--output", initrd], check=True)
    files += [os.path.join(kernel, "vmlinuz"), initrd]
    command = ("dd if=/dev/nvme0n1 bs=64k count=16 | sha256sum; dd if=/dev/nvme0n1 of=/dev/nvme0n1 bs=64k count=16 seek=32; sync; "
               "grep nvme /proc/interrupts; cat /sys/bus/pci/devices/0000:00:01.0/uevent")
    # Once: GICv2m and the pin are the bare-metal guest's. In the process world, since the rig emulates a virtual machine at many times
    # the cost; and the driver does not see which it is.
    runs.append(("Linux", ["--accel", "process", "--jit", "tier1", "--kernel", "/t/vmlinuz", "--initrd", "/t/guest.cpio", "--append", "console=ttyAMA0 quiet nowatchdog",
                           "--gic", "3", "-m", "128", *DEVICE, "--", "sh", "-c", command],
                 rf"(?s){hashlib.sha256(written).hexdigest()}.*ITS-MSI.*nvme.*DRIVER=nvme", 0))

bind = (f"/bin/busybox test ! -e /tmp/bound || {{ echo vfio-pci > /sys/bus/pci/devices/{ADDRESS}/driver_override; "
        f"echo {ADDRESS} > /sys/bus/pci/drivers_probe; }}; /bin/busybox touch /tmp/bound")
results = rig.run_each([words for _, words, _, _ in runs], files, limit=3000 if rig.NIGHTLY else 560, before=bind, disk=image)
with open(image, "rb") as f:
    after = f.read()
for (name, words, pattern, status), result in zip(runs, results):
    print(f"{name}: status {result.status}")
    if result.status != status:
        fail(f"{name}: status {result.status}: {result.output[-3000:]}")
    if pattern is not None:
        check(name, result.output, pattern)
        continue
    boot = ("device 101b36\nBAR 0: ffffc004\nidentify: 0\nserial number: rig\ncompletion queue: 0\nsubmission queue: 0\n"
            f"read: 0\nsum {sum_of(first)}\nread: 0\nwrite: 0\nby the pin, read: 0\nsum {sum_of(second)}\nflush: 0\nwaits: 0\n")
    # The first guest finds nothing written, and resets the machine.
    check(name, result.output, re.escape((boot + "once more\n" if name == "process" else "") + boot + "done"))
if after[:AREA] != written:
    fail("what the bare-metal guest wrote is not on the disk")
if rig.NIGHTLY and after[2 * AREA:3 * AREA] != written:
    fail("what Linux wrote is not on the disk")
sys.exit(failures != 0)
