#!/usr/bin/env python3
"""PCI Express: disk, network and entropy device on it, with messages through GICv2m and through the ITS and by pins; devices that
Linux takes out and finds again, so that BARs move; a root port. The board's device tree and the functions' identities are QEMU's."""
import hashlib, os, random, select, struct, subprocess, threading
import guest
from guest import Failures, Guest, work

BIOS = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"  # package qemu-efi-aarch64
failures = Failures()
debian = Guest()
CONTENT = random.Random(3).randbytes(4 << 20)
image = os.path.join(work, "disk.img")
with open(image, "wb") as f:
    f.write(CONTENT)

# Every line is NAME=VALUE.
SCRIPT = r"""
modprobe virtio_rng
for d in /sys/bus/pci/devices/*; do
    echo "function=$(basename $d) $(cat $d/vendor) $(cat $d/device) $(cat $d/class) $(cat $d/subsystem_vendor) $(cat $d/subsystem_device)"
done
hash() { dd if=/dev/vda bs=64k iflag=direct 2> /dev/null | md5sum; }
echo "disk=$(hash)"
dd if=/dev/zero of=/dev/vda bs=64k count=1 seek=3 oflag=direct conv=notrunc 2> /dev/null; echo "written=$(hash)"
ping -c 2 -W 5 10.0.2.2 > /dev/null; echo "ping=$?"
echo "rng=$(head -c 32 /dev/hwrng | wc -c) $(cat /sys/class/misc/hw_random/rng_current)"
# Of all queues of its kind: a disk's are served by the CPU that asks.
count() { awk -v name="$1" 'BEGIN { sub(/\.[0-9]+$/, ".", name) } $NF == name || (name ~ /\.$/ && index($NF, name) == 1) {
    for (i = 2; i <= NF && $i ~ /^[0-9]+$/; i++) n += $i; kind = $i } END { print (n > 0), kind }' /proc/interrupts; }
echo "interrupts=$(count $DISK) $(count $NET)"
irq() { awk -v name="$1" '$NF == name { print $1 }' /proc/interrupts | tr -d :; }
for cpu in 0 1 2 3 0; do
    [ ! -d /sys/devices/system/cpu/cpu$cpu ] || echo $cpu > /proc/irq/$(irq $DISK)/smp_affinity_list 2> /dev/null
    [ "$(hash)" = "$(hash)" ] || echo "moved=$cpu"
done
disk=$(readlink -f /sys/block/vda | grep -o '0000:..:..\..' | tail -n 1)
echo 1 > /sys/bus/pci/devices/$disk/remove; [ -b /dev/vda ] || echo "removed=yes"
echo 1 > /sys/bus/pci/rescan; n=0; until [ -b /dev/vda ] || [ $n -ge 50 ]; do n=$((n + 1)); sleep 0.1; done
echo "again=$(hash)"
"""


def lines_of(result):
    found = {}
    for line in result.text.replace("\r", "").splitlines():
        name, separator, value = line.partition("=")
        if separator:
            found.setdefault(name, []).append(value)
    return found


def functions(result):
    return [value.split() for value in lines_of(result).get("function", [])]


def run_guest(what, options, interrupts, append=""):
    # With pins an interrupt has the device's name, with messages its queue's too.
    names = "DISK=virtio0 NET=virtio1" if "nomsi" in append else "DISK=virtio0-req.0 NET=virtio1-input.0"
    result = debian.run(["sh", "-c", names + SCRIPT], append="quiet loglevel=4 " + append, limit=200,
                        options=["--virtio", "pci", "--drive", f"file={image},format=raw,snapshot=on", "--net", "user", *options])
    found = lines_of(result)
    changed = bytearray(CONTENT)
    changed[3 << 16:4 << 16] = bytes(1 << 16)
    before, after = (hashlib.md5(data).hexdigest() + "  -" for data in (CONTENT, changed))
    expected = {"disk": before, "written": after, "ping": "0", "rng": "32 virtio_rng.0", "removed": "yes", "again": after,
                "interrupts": f"1 {interrupts} 1 {interrupts}"}
    for name, value in expected.items():
        failures.check(found.get(name) == [value], f"{what}: {name} is {found.get(name)}, not {value}: {result}")
    failures.check("moved" not in found and result.status == 0, f"{what}: {result}")
    failures.check(not guest.KERNEL_TROUBLE.search(result.text), f"{what}: the kernel complains: {result}")
    print(f"{what}: {result.seconds:.1f} s")
    return functions(result)


messages = run_guest("GICv3 with ITS, 4 CPUs", ["--gic", "3", "--smp", "4"], "ITS-MSI")
run_guest("GICv2 with v2m, 1 CPU", ["--gic", "2"], "MSI")
run_guest("pins, 2 CPUs", ["--gic", "3", "--smp", "2"], "GICv3", append="pci=nomsi")
if os.path.exists(BIOS):
    # edk2 places the BARs, and the kernel finds the bus and the ITS by MCFG, DSDT and IORT.
    run_guest("edk2 and ACPI, GICv3, 2 CPUs", ["--gic", "3", "--smp", "2", "-m", "1G", "--bios", BIOS], "ITS-MSI")
failures.check(messages == [["0000:00:00.0", "0x1b36", "0x0008", "0x060000", "0x1af4", "0x1100"],
                            ["0000:00:01.0", "0x1af4", "0x1001", "0x010000", "0x1af4", "0x0002"],
                            ["0000:00:02.0", "0x1af4", "0x1000", "0x020000", "0x1af4", "0x0001"],
                            ["0000:00:03.0", "0x1af4", "0x1005", "0x00ff00", "0x1af4", "0x0004"]], f"functions: {messages}")

# Places that the user gives; a root port; and the same under QEMU.
LIST = SCRIPT.split("hash()")[0] + 'echo "disk=$(md5sum < /dev/vda)"\nexec 3<> /dev/ttyS0; echo serial >&3; read -t 20 line <&3; echo "typed=$line"\n'
wire = os.path.join(work, "wire")
for end in ".in", ".out":
    os.mkfifo(wire + end)
ends = [os.open(wire + end, os.O_RDWR | os.O_NONBLOCK) for end in (".in", ".out")]
sent = []


def answer():
    # A driver throws away what has come before it.
    if select.select([ends[1]], [], [], 100)[0]:
        sent.append(os.read(ends[1], 6))
        os.write(ends[0], b"back\n")


threading.Thread(target=answer, daemon=True).start()
result = debian.run(["sh", "-c", LIST], options=[
    "--chardev", f"pipe,id=wire,path={wire}", "--device", "pci-serial,bus=pci,chardev=wire,addr=7",
    "--no-rng", "--device", "pcie-root-port,bus=pci,id=rp,addr=6", "--device", f"virtio-blk,file={image},format=raw,readonly,bus=rp",
    "--device", "virtio-rng,bus=pci,addr=4.1", "--device", "virtio-rng,bus=pci,addr=4", "--device", "virtio-rng,bus=pci,disable-legacy=on"])
ours = functions(result)
failures.check(lines_of(result).get("disk") == [hashlib.md5(CONTENT).hexdigest() + "  -"] and len(ours) == 7, f"a root port: {result}")
failures.check(sent == [b"serial"] and lines_of(result).get("typed") == ["back"], f"a serial port: {sent}, {result}")
failures.check([f for f in ours if f[0].startswith("0000:01:00.0")] ==
               [["0000:01:00.0", "0x1af4", "0x1042", "0x010000", "0x1af4", "0x1100"]], f"behind the root port: {ours}")
if guest.QEMU and guest.NIGHTLY:
    qemu = debian.run_qemu(["sh", "-c", LIST], options=[
        "-device", "pcie-root-port,id=rp,addr=6", "-drive", f"file={image},format=raw,if=none,readonly=on,id=d", "-device",
        "virtio-blk-pci,drive=d,bus=rp", "-device", "virtio-rng-pci,addr=4.1,multifunction=on", "-device",
        "virtio-rng-pci,addr=4,multifunction=on", "-device", "virtio-rng-pci,disable-legacy=on", "-chardev", "null,id=wire", "-device",
        "pci-serial,chardev=wire,addr=7"])
    theirs = functions(qemu)
    # A root port has a subsystem by a capability, which we leave out.
    differing = [(a, b) for a, b in zip(ours, theirs) if a != b and a[2] != "0x000c"]
    failures.check(len(ours) == len(theirs) and not differing, f"beside QEMU: {ours}, {theirs}: {qemu}")

for options, said in ((["--device", "virtio-rng,bus=pci,addr=0"], "taken"), (["--device", "virtio-rng,bus=pci,addr=20"], "no PCI address"),
                      (["--device", "virtio-rng,bus=nowhere"], "no bus 'nowhere'"),
                      (["--device", "virtio-rng,bus=pci,disable-legacy=on,disable-modern=on"], "neither legacy nor modern"),
                      (["--device", "virtio-rng,bus=pci,addr=x"], "addr 'x'")):
    result = debian.run(["true"], options=options)
    failures.check(result.status not in (0, 139) and said in result.error.decode() and result.error.count(b"\n") <= 2,
                   f"{options}: {result}")


# ---- the device tree, beside QEMU's

def nodes(blob):
    """{path: {property: bytes}} of a flattened device tree."""
    structure, strings = struct.unpack(">II", blob[8:16])
    found, path, at = {}, [], structure
    while True:
        token, = struct.unpack(">I", blob[at:at + 4])
        at += 4
        if token == 1:
            end = blob.index(b"\0", at)
            path.append(blob[at:end].decode())
            found["/".join(path)] = {}
            at = end + 4 & ~3
        elif token == 2:
            path.pop()
        elif token == 3:
            size, name = struct.unpack(">II", blob[at:at + 8])
            text = blob[strings + name:blob.index(b"\0", strings + name)].decode()
            found["/".join(path)][text] = blob[at + 8:at + 8 + size]
            at += 8 + size + 3 & ~3
        elif token == 9:
            return found


def normal(properties, handles):
    """Without handles, whose numbers are free, and with an interrupt map's rows in order."""
    out = {}
    for name, value in properties.items():
        if name == "phandle":
            continue
        if name in ("interrupt-map", "msi-map"):
            cells = list(struct.unpack(f">{len(value) // 4}I", value))
            step, handle = (10, 4) if name == "interrupt-map" else (4, 1)
            rows = [cells[i:i + step] for i in range(0, len(cells), step)]
            for row in rows:
                row[handle] = handles[row[handle]]
            value = sorted(rows)
        out[name] = value
    return out


if guest.QEMU:
    for gic, frame in ((2, "/intc@8000000/v2m@8020000"), (3, "/intc@8000000/its@8080000")):
        trees = []
        for name in "ours", "theirs":
            path = os.path.join(work, name)
            subprocess.run(debian.arclight(options=["--gic", str(gic), "--dump-dtb", path]) if name == "ours" else
                           [guest.QEMU, "-M", f"virt,gic-version={gic},dumpdtb={path}", "-cpu", guest.QEMU_CPU, "-display", "none"],
                           check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with open(path, "rb") as f:
                tree = nodes(f.read())
            handles = {struct.unpack(">I", p["phandle"])[0]: where for where, p in tree.items() if "phandle" in p}
            trees.append({where: normal(tree[where], handles) for where in ("/pcie@10000000", frame) if where in tree})
        failures.check(len(trees[0]) == 2 and trees[0] == trees[1], f"device tree with GICv{gic}: {trees[0]}, {trees[1]}")
failures.end()
