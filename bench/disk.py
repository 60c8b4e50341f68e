#!/usr/bin/env python3
"""Disks: fio in a guest, under Arclight and under QEMU in turn, on the same raw image with the same cache mode, as virtio-blk on PCI.
Prints a table of IOPS, MiB/s and the CPU seconds that the emulator takes in the same time. Arguments: seconds of each row, rounds, and words
for both --drive, such as cache=none,aio=io_uring; with several of these, each has a table, and all are measured in turn. The tables come at the
end, after 12 rows of both in each round; meanwhile stderr names each row as it is done. A guest that says nothing for five minutes more than a row takes is ended."""
import os, re, shutil, subprocess, sys, threading

here = os.path.dirname(os.path.abspath(__file__))
source = os.path.dirname(here)
os.environ.setdefault("ARCLIGHT", os.path.join(source, "build/release/arclight"))
os.environ.setdefault("ARCLIGHT_SOURCE", source)
sys.path.insert(0, os.path.join(source, "tests/boot"))
import guest

SECONDS = int(sys.argv[1]) if len(sys.argv) > 1 else 5
ROUNDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
WORDS = sys.argv[3:] or [""]
IMAGE_BYTES = 512 << 20
ROWS = [(rw, size, sync) for size in ("4k", "1M") for rw in ("randread", "randwrite", "read", "write")
        for sync in (0, 1) if not (sync and "read" in rw)]


def closure(root, program):
    """The program and the libraries that it needs, below the tree `root`, as {place in the guest: file}."""
    wanted, found = [program, "lib/ld-linux-aarch64.so.1"], {}
    directories = ["usr/lib/aarch64-linux-gnu", "lib/aarch64-linux-gnu", "lib", "usr/lib/aarch64-linux-gnu/ceph"]
    while wanted:
        name = wanted.pop()
        places = [name] if "/" in name else [os.path.join(d, name) for d in directories]
        place = next((p for p in places if os.path.exists(os.path.join(root, p))), None)
        if place is None:
            sys.exit(f"{name} is in none of the packages")
        if place in found:
            continue
        found[place] = os.path.realpath(os.path.join(root, place))
        shown = subprocess.run(["aarch64-linux-gnu-readelf", "-d", found[place]], stdout=subprocess.PIPE, text=True, check=True).stdout
        wanted += re.findall(r"\(NEEDED\).*\[(.*)\]", shown)
    return found


def make_tools(image):
    """An ext4 image with fio from Debian's arm64 packages."""
    archives = guest.fetch("archives", "fio")
    if archives is None:
        guest.skip("fio is not in the cache and cannot be fetched")
    unpacked, root = os.path.join(guest.work, "unpacked"), os.path.join(guest.work, "root")
    for listed in "essential", "others":
        with open(os.path.join(archives, listed)) as f:
            for package in f.read().split():
                if package.startswith(("lib", "fio", "zlib", "gcc-12-base")):
                    subprocess.run(["dpkg-deb", "-x", os.path.join(archives, package), unpacked], check=True)
    for place, file in closure(unpacked, "usr/bin/fio").items():
        os.makedirs(os.path.join(root, os.path.dirname(place)), exist_ok=True)
        shutil.copy(file, os.path.join(root, place))
    for directory in "proc", "sys", "dev", "tmp":
        os.makedirs(os.path.join(root, directory))
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, image, "200M"], check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"})


def script():
    lines = ["modprobe -q virtio_pci; modprobe -q virtio_blk; modprobe -q ext4; mkdir -p /mnt/t",
             "i=0; while [ ! -b /dev/vdb ] && [ $i -lt 100 ]; do sleep 0.1; i=$((i+1)); done",
             "mount -t ext4 -o ro /dev/vda /mnt/t || exit 1",
             "for d in proc sys dev; do mount --bind /$d /mnt/t/$d || exit 1; done",
             "mount -t tmpfs tmpfs /mnt/t/tmp || exit 1"]
    for rw, size, sync in ROWS:
        lines.append(f"echo row {rw} {size} {sync}")
        lines.append(f"chroot /mnt/t /usr/bin/fio --name=r --filename=/dev/vdb --rw={rw} --bs={size} --direct=1 --ioengine=libaio "
                     f"--iodepth={1 if sync else 16} --fsync={sync} --time_based --runtime={SECONDS} --randseed=7 --minimal || exit 1")
        lines.append("echo end")
    return "\n".join(lines)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(which, command):
    """{row: (IOPS, MiB/s, CPU seconds)}"""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    results, row, before, said = {}, None, 0.0, []
    while True:
        late = threading.Timer(SECONDS + 300, process.kill)
        late.start()
        line = process.stdout.readline()
        late.cancel()
        if not line:
            break
        said.append(line)
        line = line.strip()
        if line.startswith("row "):
            row, before = line[4:], cpu_seconds(process.pid)
        elif line == "end":
            results[row] = results[row][:2] + (cpu_seconds(process.pid) - before,)
            print(f"{which}: {row}: {results[row][0]:.0f} IOPS", file=sys.stderr, flush=True)
        elif re.match(r"3;fio", line):
            fields = line.split(";")
            at = 6 if "read" in row else 47
            results[row] = (float(fields[at + 1]), float(fields[at]) / 1024)
    process.wait()
    if len(results) != len(ROWS):
        sys.exit(f"{which}: the guest failed or was ended in row '{row}': {''.join(said)[-2000:]} {process.stderr.read()[-2000:]}")
    return results


machine = guest.Guest("generic")
tools, image = os.path.join(guest.work, "tools.img"), os.path.join(guest.work, "disk.img")
make_tools(tools)
with open(image, "wb") as f:
    noise = os.urandom(1 << 20)
    for _ in range(IMAGE_BYTES >> 20):
        f.write(noise)
run = ["sh", "-c", script()]


def commands(words):
    """Arclight's and QEMU's."""
    words = "," + words if words else ""
    ours = machine.arclight(run, options=["--virtio", "pci", "--drive", f"file={tools},format=raw,readonly=on", "--drive",
                                          f"file={image},format=raw,discard=unmap{words}"])
    theirs = [guest.QEMU, "-M", "virt,gic-version=3", "-cpu", guest.QEMU_CPU, "-accel", "tcg,thread=single", "-m", "512M", "-nodefaults",
              "-display", "none", "-chardev", "stdio,id=c,signal=off", "-serial", "chardev:c", "-no-reboot", "-kernel", machine.kernel,
              "-initrd", machine.initramfs(run), "-append", "console=ttyAMA0 panic=-1 quiet loglevel=0",
              "-drive", f"file={tools},format=raw,readonly=on,if=virtio", "-drive", f"file={image},format=raw,if=virtio,discard=unmap{words}"]
    return {"arclight": ours, "qemu": theirs}


def table(words, collected):
    print(f"\n{SECONDS} s a row, the best of {ROUNDS} rounds; words of the drive: {words or 'none'}\n")
    print("| | Arclight IOPS | MiB/s | CPU s | QEMU IOPS | MiB/s | CPU s | times as many | CPU of one request, QEMU/Arclight |")
    print("|---|---|---|---|---|---|---|---|---|")
    for row in collected["qemu"][0]:
        a, q = (max((r[row] for r in collected[which]), key=lambda r: r[0]) for which in ("arclight", "qemu"))
        rw, size, sync = row.split()
        name = f"{rw} {size}" + (", fsync" if sync == "1" else "")
        per_request = (q[2] / max(q[0], 1)) / max(a[2] / max(a[0], 1), 1e-9)
        print(f"| {name} | {a[0]:.0f} | {a[1]:.1f} | {a[2]:.1f} | {q[0]:.0f} | {q[1]:.1f} | {q[2]:.1f} | {a[0] / max(q[0], 1):.2f} | {per_request:.2f} |")


collected = {words: {"arclight": [], "qemu": []} for words in WORDS}
for _ in range(ROUNDS):
    for words in WORDS:
        for which, command in commands(words).items():
            print(f"{which}: {words}", file=sys.stderr, flush=True)
            collected[words][which].append(measure(which, command))
for words in WORDS:
    table(words, collected[words])
