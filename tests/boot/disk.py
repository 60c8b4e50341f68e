#!/usr/bin/env python3
"""Disks: what the guest was told is written survives SIGKILL of the emulator; read-only and snapshot disks stay as they are."""
import hashlib, os, re, shutil, subprocess, time
import guest
from guest import Failures, Guest, skip

for tool in "mke2fs", "e2fsck", "debugfs":
    if not shutil.which(tool):
        skip(f"no {tool} (package e2fsprogs; /usr/sbin must be in PATH)")

failures = Failures()
debian = Guest()
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
failures.end()
