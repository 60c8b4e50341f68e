#!/usr/bin/env python3
"""Shared directories: what a guest needs for a tree of small files and for a large file, under Arclight and under QEMU in turn,
on copies of the same tree with the same mount options. Prints a table; the arguments are the number of files and of rounds."""
import os, random, re, shutil, statistics, subprocess, sys

here = os.path.dirname(os.path.abspath(__file__))
source = os.path.dirname(here)
os.environ.setdefault("ARCLIGHT", os.path.join(source, "build/release/arclight"))
os.environ.setdefault("ARCLIGHT_SOURCE", source)
sys.path.insert(0, os.path.join(source, "tests/boot"))
import guest

FILES = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
SCRIPT = r"""
[ -d /mnt/s ] || {
    modprobe -q virtio_mmio; modprobe -q 9pnet_virtio; modprobe -q 9p; mkdir /mnt/s
    mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=mmap tree /mnt/s || exit 1
}
cd /mnt/s
t() { name=$1; shift; read a x < /proc/uptime; "$@" > /dev/null; read b x < /proc/uptime; echo "time $name $a $b"; }
t find find tree
t stat sh -c 'ls -lR tree'
t read sh -c 'find tree -type f | xargs cat'
t copy cp -a tree copy
t compare diff -r tree copy
t remove rm -r copy
t write_large dd if=/dev/zero of=large bs=1M count=512
t read_large dd if=large of=/dev/null bs=1M
t read_4k dd if=large of=/dev/null bs=4k count=16384
rm large
"""


def make_tree(where):
    noise = random.Random(1)
    for i in range(FILES):
        directory = os.path.join(where, "tree", f"d{i % 60}", f"e{i % 7}")
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, f"file{i}.txt"), "wb") as f:
            f.write(noise.randbytes(int(noise.expovariate(1 / 6000))))


def times(result):
    if result.status != 0:
        sys.exit(f"the guest failed: {result}")
    found = {m[1]: float(m[3]) - float(m[2]) for m in re.finditer(r"time (\S+) (\S+) (\S+)", result.text)}
    return found


machine = guest.Guest("generic")
share = os.path.join(guest.work, "share")
make_tree(share)
collected = {"arclight": [], "qemu": []}
for _ in range(ROUNDS):
    collected["arclight"].append(times(machine.run(
        ["sh", "-c", SCRIPT], options=["--share", f"{share}:/mnt/s,tag=tree,security_model=mapped-xattr"])))
    collected["qemu"].append(times(machine.run_qemu(["sh", "-c", SCRIPT], options=[
        "-fsdev", f"local,id=f,path={share},security_model=mapped-xattr,multidevs=remap",
        "-device", "virtio-9p-device,fsdev=f,mount_tag=tree"])))
print(f"{FILES} files; seconds, the least of {ROUNDS} rounds\n\n| | Arclight | QEMU | times faster |\n|---|---|---|---|")
for name in collected["qemu"][0]:
    ours, theirs = (min(r[name] for r in collected[which]) for which in ("arclight", "qemu"))
    print(f"| {name} | {ours:.2f} | {theirs:.2f} | {theirs / max(ours, 0.01):.1f} |")
