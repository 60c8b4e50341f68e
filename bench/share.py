#!/usr/bin/env python3
"""Shared directories: what a guest needs for a tree of small files and for a large file, under Arclight and under QEMU in turn,
on copies of the same tree with the same mount options, by 9p and, as root, by virtiofs with the same virtiofsd. Prints a table; the
arguments are the number of files and of rounds."""
import os, random, re, shutil, subprocess, sys, time

here = os.path.dirname(os.path.abspath(__file__))
source = os.path.dirname(here)
os.environ.setdefault("ARCLIGHT", os.path.join(source, "build/release/arclight"))
os.environ.setdefault("ARCLIGHT_SOURCE", source)
sys.path.insert(0, os.path.join(source, "tests/boot"))
import guest
from packages import git_files

FILES = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
SCRIPT = r"""
[ -d /mnt/s ] || {
    modprobe -q virtio_mmio; modprobe -q virtio_pci; modprobe -q 9pnet_virtio; modprobe -q 9p; modprobe -q virtiofs; mkdir /mnt/s
    mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=mmap tree /mnt/s 2> /dev/null ||
        mount -t virtiofs tree /mnt/s || exit 1
}
cd /mnt/s
t() { name=$1; shift; read a x < /proc/uptime; "$@" > /dev/null; read b x < /proc/uptime; echo "time $name $a $b"; }
t find find tree
t stat sh -c 'ls -lR tree'
t read sh -c 'find tree -type f | xargs cat'
t copy cp -a tree copy
t compare diff -r tree copy
t remove rm -r copy
# The first one reads all, since the file system is another one than the host's; the second one looks at each file.
[ ! -d tree/.git ] || for turn in 1 2; do t git_status_$turn git -c safe.directory=* -C tree status --porcelain; done
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


git = git_files() if shutil.which("git") else {}
machine = guest.Guest("generic", add=git)
share = os.path.join(guest.work, "share")
make_tree(share)
if git:
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=t", "-c", "user.email=t@invalid", "commit", "-qm", "all"]):
        subprocess.run(["git", "-C", os.path.join(share, "tree"), *words], check=True)
VIRTIOFSD = next((p for p in ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd") if os.access(p, os.X_OK)), None)
PROTOCOLS = ["9p"] + (["virtiofs"] if VIRTIOFSD and os.geteuid() == 0 else [])


def run_arclight(protocol):
    words = ",protocol=virtiofs" if protocol == "virtiofs" else ",security_model=mapped-xattr"
    return machine.run(["sh", "-c", SCRIPT], limit=600, options=["--share", f"{share}:/mnt/s,tag=tree{words}"])


def run_qemu(protocol):
    if protocol == "9p":
        return machine.run_qemu(["sh", "-c", SCRIPT], limit=900, options=[
            "-fsdev", f"local,id=f,path={share},security_model=mapped-xattr,multidevs=remap",
            "-device", "virtio-9p-device,fsdev=f,mount_tag=tree"])
    path = os.path.join(guest.work, "virtiofsd.sock")
    with subprocess.Popen([VIRTIOFSD, f"--socket-path={path}", "-o", f"source={share}"], stderr=subprocess.DEVNULL) as daemon:
        while not os.path.exists(path):
            time.sleep(0.02)
        # virtiofs wants virtio 1, which QEMU's virtio-mmio has only by request.
        result = machine.run_qemu(["sh", "-c", SCRIPT], limit=900, options=[
            "-object", "memory-backend-memfd,id=mem,size=512M,share=on", "-numa", "node,memdev=mem",
            "-chardev", f"socket,id=f,path={path}", "-device", "vhost-user-fs-pci,chardev=f,tag=tree"])
        daemon.kill()
    os.unlink(path) if os.path.exists(path) else None
    return result


collected = {(protocol, which): [] for protocol in PROTOCOLS for which in ("arclight", "qemu")}
for _ in range(ROUNDS):
    for protocol in PROTOCOLS:
        collected[protocol, "arclight"].append(times(run_arclight(protocol)))
        collected[protocol, "qemu"].append(times(run_qemu(protocol)))
print(f"{FILES} files; seconds, the least of {ROUNDS} rounds")
for protocol in PROTOCOLS:
    print(f"\n| {protocol} | Arclight | QEMU | times faster |\n|---|---|---|---|")
    for name in collected[protocol, "qemu"][0]:
        ours, theirs = (min(r[name] for r in collected[protocol, which]) for which in ("arclight", "qemu"))
        print(f"| {name} | {ours:.2f} | {theirs:.2f} | {theirs / max(ours, 0.01):.1f} |")
