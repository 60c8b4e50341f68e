#!/usr/bin/env python3
"""Disks: what the guest was told is written survives SIGKILL of the emulator; read-only and snapshot disks stay as they are."""
import hashlib, os, re, shutil, subprocess, time
import guest
from guest import Failures, Guest, skip

for tool in "mke2fs", "e2fsck", "debugfs", "xorriso":
    if not shutil.which(tool):
        skip(f"no {tool} (packages e2fsprogs and xorriso; /usr/sbin must be in PATH)")

failures = Failures()
debian = Guest(modules=["isofs"])
image = os.path.join(guest.work, "disk.img")


def make_image():
    with open(image, "wb") as f:
        f.truncate(32 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", image], check=True)


def content(name):
    subprocess.run(["e2fsck", "-fy", image], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # replays the journal
    return subprocess.run(["debugfs", "-R", f"cat {name}", image], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def checksum():
    with open(image, "rb") as f:
        return hashlib.md5(f.read()).hexdigest()


def drive(more=""):
    return ["--drive", f"file={image},format=raw{more}"]


WRITER = """mount -t ext4 /dev/vda /mnt 2>/dev/null || { mkdir -p /mnt; mount -t ext4 /dev/vda /mnt; } || exit 1
i=0; while :; do i=$((i+1)); echo $i > /mnt/counter; dd if=/dev/urandom of=/mnt/noise bs=64k count=4 2>/dev/null; sync; echo synced $i; done"""
for round in range(10 if guest.NIGHTLY else 3):
    make_image()
    process = subprocess.Popen(debian.arclight(["sh", "-c", WRITER], options=drive() + ["--smp", "2"]),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seen, stop_at = 0, 20 + 7 * round
    for line in process.stdout:
        match = re.fullmatch(rb"synced (\d+)\n", line)
        if not match:
            failures.add(f"the guest says {line}")
            break
        seen = int(match.group(1))
        if seen == stop_at:
            process.kill()  # and read on: what was printed before counts
    process.kill()
    process.wait()
    written = content("counter").strip()
    print(f"killed after {seen} synced writes: the image holds {written.decode()}")
    failures.check(seen >= stop_at and written.isdigit() and int(written) >= seen,
                   f"{seen} writes were synced, the image holds {written}: {process.stderr.read()}")

# Raw writes, past any file system: the last acknowledged one is there.
with open(image, "wb") as f:
    f.truncate(8 << 20)
process = subprocess.Popen(
    debian.arclight(["sh", "-c", "i=0; while :; do i=$((i+1)); printf '%08d' $i | dd of=/dev/vda bs=512 seek=$((i*3)) conv=fsync,sync "
                     "2>/dev/null; echo $i; done"], options=drive()), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
seen = 0
for line in process.stdout:
    seen = int(line)
    if seen == 100:
        process.kill()
process.wait()
with open(image, "rb") as f:
    disk = f.read()
lost = [i for i in range(1, seen + 1) if disk[i * 1536:i * 1536 + 8] != b"%08d" % i]
failures.check(seen >= 100 and not lost, f"raw writes: {seen} acknowledged, lost {lost}")

# A read-only disk refuses writes, a snapshot forgets them.
make_image()
before = checksum()
result = debian.run(["sh", "-c", "cat /sys/block/vda/ro; dd if=/dev/zero of=/dev/vda bs=4096 count=1 conv=fsync 2>/dev/null && echo written"],
                    options=drive(",readonly=on"))
failures.check(result.output == b"1\n" and checksum() == before, f"read-only: {result}")
result = debian.run(["sh", "-c", "echo changed | dd of=/dev/vda conv=fsync,notrunc 2>/dev/null; echo 3 > /proc/sys/vm/drop_caches; head -c 7 /dev/vda"],
                    options=drive(",snapshot=on"))
failures.check(result.output == b"changed" and checksum() == before, f"snapshot: {result}")

# A SCSI disk, a CD-ROM drive and an NVMe disk; a virtio disk with a queue for each CPU, past the host's cache and by io_uring where it has
# them. What the guest reads is in the images, what it writes is there afterwards.
content = os.urandom(3 << 20)
images = {name: os.path.join(guest.work, name) for name in ("scsi", "nvme", "queues")}
for path in images.values():
    with open(path, "wb") as f:
        f.write(content)
# A seed as cloud-init looks for: an ISO 9660 file system by the name of cidata.
seed = os.path.join(guest.work, "seed")
os.mkdir(seed)
for name, text in (("user-data", "#cloud-config\nhostname: seeded\n"), ("meta-data", "instance-id: one\n")):
    with open(os.path.join(seed, name), "w") as f:
        f.write(text)
images["cdrom"] = os.path.join(guest.work, "seed.iso")
subprocess.run(["xorriso", "-as", "mkisofs", "-quiet", "-output", images["cdrom"], "-volid", "cidata", "-joliet", "-rock", seed],
               stderr=subprocess.DEVNULL, check=True)
with open(images["cdrom"], "rb") as f:
    iso = hashlib.md5(f.read()).hexdigest()
MANY = """sum() { md5sum < /dev/$1 | cut -c1-32; }
for d in sda sr0 nvme0n1 vda; do i=0; while [ ! -b /dev/$d ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done; echo $d $(sum $d); done
echo queues $(ls /sys/block/vda/mq | wc -l)
echo names $(cat /sys/block/sda/device/model) $(cat /sys/block/sr0/device/model) $(cat /sys/block/nvme0n1/device/serial)
echo sizes $(cat /sys/block/sda/queue/logical_block_size /sys/block/sr0/queue/logical_block_size /sys/block/sda/queue/discard_granularity)
for d in sda nvme0n1 vda; do
    for i in 1 2 3 4 5 6 7 8; do dd if=/dev/zero of=/dev/$d bs=64k seek=$((i*4)) count=2 2>/dev/null & done; wait
    sync; echo changed | dd of=/dev/$d bs=512 seek=100 conv=fsync,sync 2>/dev/null || echo $d fails
done
echo 3 > /proc/sys/vm/drop_caches
for d in sda nvme0n1 vda; do echo after $d $(sum $d); done
echo label $(dd if=/dev/sr0 bs=1 skip=32808 count=32 2>/dev/null)
mount -t iso9660 -o ro /dev/sr0 /mnt && cat /mnt/user-data /mnt/meta-data
blkdiscard -o 1179648 -l 65536 /dev/sda || echo no discard
dmesg | grep -iE "(sd|sr|nvme|scsi|virtio).*(error|fail|timeout|abort)"
true"""
result = debian.run(["sh", "-c", MANY], options=[
    "--virtio", "pci", "--smp", "2", "--drive", f"file={images['queues']},format=raw,aio=io_uring", "--device",
    "virtio-scsi,bus=pci,id=s", "--device", f"scsi-hd,bus=s,file={images['scsi']},format=raw,scsi-id=3", "--device",
    f"nvme,bus=pci,serial=abc,file={images['nvme']},format=raw,aio=io_uring,cache=none", "--cdrom", images["cdrom"]])
expected = bytearray(content)
for i in range(1, 9):
    expected[i * 4 * 65536:(i * 4 + 2) * 65536] = bytes(2 * 65536)
expected[51200:51712] = b"changed\n" + bytes(504)
before, after = hashlib.md5(content).hexdigest(), hashlib.md5(expected).hexdigest()
failures.check(result.status == 0 and result.text.splitlines() == [
    f"sda {before}", f"sr0 {iso}", f"nvme0n1 {before}", f"vda {before}", "queues 2", "names QEMU HARDDISK QEMU CD-ROM abc",
    "sizes 512 2048 512", f"after sda {after}", f"after nvme0n1 {after}", f"after vda {after}", "label cidata", "#cloud-config", "hostname: seeded",
    "instance-id: one"], f"other disks: {result}")
for name in "scsi", "nvme", "queues":
    with open(images[name], "rb") as f:
        written = f.read()
    if name == "scsi":
        expected[1179648:1179648 + 65536] = bytes(65536)  # discarded
        failures.check(written == expected, "scsi: what was written is in the image, and what was discarded is zeros")
        expected[1179648:1179648 + 65536] = content[1179648:1179648 + 65536]
    else:
        failures.check(written == expected, f"{name}: what was written is in the image")
failures.end()
