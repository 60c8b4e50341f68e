#!/usr/bin/env python3
"""Mistakes that only show once a machine is built: one clear line on stderr and a non-zero exit, or a guest's own panic.

What needs no guest is in tests/guestos/command_line.sh and fetch_errors.sh; guests that do everything wrong are in tests/fuzz.
"""
import gzip, os, random, re, signal, struct, subprocess, time
import guest
from guest import Failures, Guest, run

failures = Failures()
debian = Guest()
work = guest.work


def path(name, content):
    name = os.path.join(work, name)
    with open(name, "wb") as f:
        f.write(content)
    return name


def refuse(what, pattern, *options, kernel=debian.kernel, initrd=debian.initrd, command=("true",)):
    """The machine never starts: exit 1 or 2, one line that says why."""
    words = [guest.ARCLIGHT, "run", "--kernel", kernel, "--append", "console=ttyAMA0 panic=-1 quiet"]
    if initrd:
        words += ["--initrd", initrd]
    result = run(words + list(options) + (["--", *command] if command else []), 60)
    error = result.error.decode(errors="replace")
    failures.check(result.status in (1, 2) and len(error.splitlines()) == 1 and re.search(pattern, error) and
                   not result.output, f"{what}: no single line with /{pattern}/: {result}")


# Memory
refuse("1 MiB", "memory|RAM|room|fit", "-m", "1")
refuse("16 MiB", "memory|RAM|room|fit", "-m", "16M")
refuse("100 TiB", "255 GiB", "-m", "100T")
refuse("a negative size", "memory size", "-m", "-5")
refuse("an initrd larger than memory", "initrd|memory|RAM", "-m", "64M", initrd=path("huge.cpio", bytes(80 << 20)))

# Kernels
with open(debian.kernel, "rb") as f:
    packed = f.read()
image = gzip.decompress(packed) if packed[:2] == b"\x1f\x8b" else packed
refuse("half a kernel, gzip", "truncated|damaged|corrupt", kernel=path("half.gz", gzip.compress(image[:4 << 20], 1)[:1 << 20]))
refuse("half a kernel", "truncated", kernel=path("half", image[:len(image) // 2]))
refuse("a flipped bit in gzip", "damaged|corrupt|truncated|checksum",
       kernel=path("flipped.gz", (lambda z: z[:500000] + bytes([z[500000] ^ 16]) + z[500001:])(gzip.compress(image[:8 << 20], 1))))
refuse("a big-endian kernel", "endian", kernel=path("big", image[:24] + struct.pack("<Q", struct.unpack_from("<Q", image, 24)[0] | 1) + image[32:]))
refuse("a directory for an initrd", "directory", initrd="/tmp")
refuse("no such initrd", "does not exist|No such file", initrd="/no/such/initrd")

# Disks, files, CPUs
refuse("no such disk", "No such file|does not exist", "--drive", "file=/no/such,format=raw")
refuse("a directory for a disk", "directory", "--drive", "file=/tmp,format=raw")
refuse("a disk in another format", "not in qcow2 format", "--drive", "file=/dev/null,format=qcow2")
refuse("no CPU", "smp", "--smp", "0")
refuse("65 CPUs", "smp", "--smp", "65")
refuse("nine CPUs of a GICv2", "a GICv2 has 8 CPUs at most", "--smp", "9", "--gic", "2")
refuse("an interrupt controller of version 4", "gic", "--gic", "4")
refuse("a device tree that is none", "device tree|dtb", "--dtb", path("no.dtb", b"\0" * 4096))
refuse("an unwritable trace", "trace|No such file", "--trace", "blocks", "--trace-file", "/no/such/file")
refuse("a command without an initrd", "initrd", initrd=None)

# A disk that is full, or gone, for what we print.
with open("/dev/full", "wb") as full:
    process = subprocess.run(debian.arclight(["echo", "lost"]), stdin=subprocess.DEVNULL, stdout=full,
                             stderr=subprocess.PIPE, timeout=90)
    failures.check(process.returncode != 0 and len(process.stderr.splitlines()) == 1, f"/dev/full: {process}")

# Initrds that are none: the guest's kernel panics, which ends the machine; never a hang, never a crash.
for name, content in ("random", random.Random(3).randbytes(1 << 20)), ("cut", open(debian.initrd, "rb").read()[:300_000]):
    result = run([guest.ARCLIGHT, "run", "--kernel", debian.kernel, "--initrd", path(name, content), "--no-reboot",
                  "--append", "console=ttyAMA0 panic=-1 quiet"], 90)
    failures.check(not result.timed_out and result.status >= 0 and "Kernel panic" in result.text, f"{name} initrd: {result}")

# The guest powers off, resets or panics before the command has ended: that is no success.
for what, command in ("power off", "poweroff -f"), ("panic", "echo c > /proc/sysrq-trigger"), ("reset", "reboot -f"):
    result = debian.run(["sh", "-c", f"{command}; sleep 60"], limit=90)
    failures.check(not result.timed_out and result.status > 0 and b"before the command ended" in result.error, f"{what}: {result}")

# Signals end it with their number, and soon.
for number in signal.SIGTERM, signal.SIGINT, signal.SIGHUP:
    process = subprocess.Popen(debian.arclight(["sh", "-c", "echo up; while :; do :; done"], options=["--smp", "2"]),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    start = time.monotonic()
    process.send_signal(number)
    status = process.wait(60)
    failures.check(status == 128 + number and time.monotonic() - start < 10, f"{number}: status {status}")
failures.end()
