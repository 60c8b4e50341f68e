#!/usr/bin/env python3
"""Debian's installer by the command line that its users have for QEMU: from a kernel and an initrd to its first menu on the serial
port, and through that menu to the next one."""
import os, re, select, subprocess, time
from guest import ARCLIGHT, Failures, OPTIONS, skip, work
from packages import unpacked

package = unpacked("debian-installer-12-netboot-arm64")
if package is None:
    skip("the package debian-installer-12-netboot-arm64 is not to be had")
images = os.path.join(package, "usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64")
failures = Failures()
LINK = os.path.join(work, "qemu-system-aarch64")
os.symlink(ARCLIGHT, LINK)
disk = os.path.join(work, "disk.img")
with open(disk, "wb") as f:
    f.truncate(1 << 30)

own = ["-arclight", " ".join(OPTIONS)] if OPTIONS else []
process = subprocess.Popen(
    [LINK, "-M", "virt", "-m", "1024", "-cpu", "cortex-a53", "-smp", "2", "-kernel", os.path.join(images, "linux"), "-initrd",
     os.path.join(images, "initrd.gz"), "-drive", f"if=none,file={disk},format=raw,id=hd", "-device", "virtio-blk-pci,drive=hd",
     "-netdev", "user,id=mynet", "-device", "virtio-net-pci,netdev=mynet", "-nographic", "-no-reboot", *own],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
start, seen = time.monotonic(), b""


def expect(text, limit=300):
    """The screen's text, without what moves the cursor and sets colours."""
    global seen
    end = time.monotonic() + limit
    while True:
        plain = re.sub(rb"\x1b(\[[0-9;?]*[A-Za-z]|\(.|\).|[=>78])|[\x0e\x0f]", b"", seen)
        at = plain.find(text.encode())
        if at >= 0:
            seen = plain[at + len(text):]
            print(f"'{text}' after {time.monotonic() - start:.1f} s", flush=True)
            return True
        if not select.select([process.stdout], [], [], max(0, end - time.monotonic()))[0]:
            break
        piece = os.read(process.stdout.fileno(), 65536)
        if not piece:
            break
        seen += piece
    failures.add(f"'{text}' does not come: {plain[-2000:].decode(errors='replace')}")
    return False


if expect("Select a language") and expect("English"):
    process.stdin.write(b"\r")
    process.stdin.flush()
    expect("Select your location")
process.stdin.write(b"\x01x")
process.stdin.flush()
_, error = process.communicate(timeout=60)
failures.check(process.returncode == 0, f"status {process.returncode}: {error.decode(errors='replace')}")
failures.end()
