#!/usr/bin/env python3
"""Disks in QEMU's formats: what the guest writes is what qemu-img reads, and the other way round; the image is in order after the
emulator was killed while it was written; what the guest discards, the host gets back."""
import hashlib, os, shutil, subprocess, time
import guest
from guest import Failures, Guest, skip

for tool in "qemu-nbd", "qemu-img":
    if not shutil.which(tool):
        skip(f"no {tool} (package qemu-utils)")
failures = Failures()
debian = Guest()
SIZE = 32 << 20


def image(name):
    return os.path.join(guest.work, name)


def img(*words):
    done = subprocess.run(["qemu-img", *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.returncode, done.stdout


def content(path, form):
    raw = image("converted")
    failures.check(img("convert", "-U", "-f", form, "-O", "raw", path, raw)[0] == 0, f"{path} cannot be converted")
    with open(raw, "rb") as f:
        return f.read()


def checked(path):
    """The server closes the image when Arclight has ended, a moment later."""
    for _ in range(100):
        code, text = img("check", path)
        if code == 0 and "No errors were found" in text:
            return True
        time.sleep(0.1)
    failures.add(f"qemu-img check {path}: {text}")
    return False


def noise(seed, size):
    return hashlib.shake_128(bytes([seed])).digest(size)


# ---- A backing file with compressed clusters, an image over it, one in another format: read and written at once
base = noise(1, 3 << 20) + bytes(SIZE - (3 << 20))
with open(image("base.raw"), "wb") as f:
    f.write(base)
img("convert", "-c", "-f", "raw", "-O", "qcow2", image("base.raw"), image("base.qcow2"))
img("create", "-q", "-f", "qcow2", "-b", image("base.qcow2"), "-F", "qcow2", image("top.qcow2"))
img("convert", "-f", "raw", "-O", "vmdk", image("base.raw"), image("disk.vmdk"))
base_sum = hashlib.md5(open(image("base.qcow2"), "rb").read()).hexdigest()
done = debian.run(["sh", "-c", r"""
for d in vda vdb; do cat /sys/block/$d/size; md5sum < /dev/$d; done
dd if=/dev/vdb of=/dev/vda bs=1M count=2 seek=20 conv=notrunc 2> /dev/null
dd if=/dev/zero of=/dev/vda bs=64k count=8 conv=notrunc 2> /dev/null
echo text | dd of=/dev/vdb bs=512 seek=60000 conv=notrunc 2> /dev/null
sync; md5sum < /dev/vda; dd if=/dev/zero of=/dev/vdc bs=4k count=1 2> /dev/null; md5sum < /dev/vdc"""],
                  options=["--drive", f"file={image('top.qcow2')}", "--drive", f"file={image('disk.vmdk')},format=vmdk",
                           "--drive", f"file={image('base.qcow2')},snapshot=on"])
wanted = bytearray(base)
wanted[20 << 20:22 << 20] = base[:2 << 20]
wanted[:8 << 16] = bytes(8 << 16)
snapshot = bytes(4096) + base[4096:]
md5 = [hashlib.md5(bytes(x)).hexdigest() + "  -" for x in (base, wanted, snapshot)]
failures.check(done.status == 0 and done.text.splitlines() == [str(SIZE // 512), md5[0]] * 2 + md5[1:], f"round trip: {done}")
failures.check(checked(image("top.qcow2")) and content(image("top.qcow2"), "qcow2") == wanted, "qemu-img reads something else from the qcow2")
failures.check(content(image("disk.vmdk"), "vmdk")[60000 * 512:][:5] == b"text\n", "qemu-img reads something else from the vmdk")
failures.check(hashlib.md5(open(image("base.qcow2"), "rb").read()).hexdigest() == base_sum, "the backing file was written")

# ---- Killed while it writes: all that was synced is there, and the image is in order
for round in range(5 if guest.NIGHTLY else 2):
    img("create", "-q", "-f", "qcow2", image("kill.qcow2"), "64M")
    script = r"""i=0; while :; do i=$((i+1)); dd if=/dev/urandom of=/dev/vda bs=64k count=3 seek=$((i * 7 % 900)) conv=notrunc 2> /dev/null
printf '%08d' $i | dd of=/dev/vda bs=512 seek=131000 conv=notrunc,fsync 2> /dev/null; echo synced $i; done"""
    process = subprocess.Popen(debian.arclight(["sh", "-c", script], options=["--drive", f"file={image('kill.qcow2')}"]),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    seen = 0
    for line in process.stdout:
        if line.startswith(b"synced "):
            seen = int(line.split()[1])
        if seen == 10 + 7 * round:
            process.kill()
    process.wait()
    if checked(image("kill.qcow2")):
        written = content(image("kill.qcow2"), "qcow2")[131000 * 512:][:8]
        failures.check(seen >= 10 and written.isdigit() and int(written) >= seen, f"{seen} were synced, the image holds {written}: {process.stderr.read()}")
        print(f"killed after {seen} synced writes: the image holds {written.decode(errors='replace')}")

# ---- Discard: the host's file becomes small again; discard=ignore keeps it
fill = "dd if=/dev/urandom of=/dev/vda bs=1M count=24 conv=fsync 2> /dev/null; blkdiscard /dev/vda && sync && echo discarded"
for form, words, returns in (("raw", "", True), ("raw", ",discard=ignore", False), ("qcow2", "", True), ("qcow2", ",discard=ignore", False)):
    path = image(f"discard.{form}")
    if os.path.exists(path):
        os.remove(path)
    img("create", "-q", "-f", form, path, str(SIZE))
    done = debian.run(["sh", "-c", fill], options=["--drive", f"file={path},format={form}{words}"])
    failures.check(done.text == "discarded\n", f"discard: {done}")
    if form == "qcow2":
        checked(path)
    size = os.stat(path).st_blocks * 512
    failures.check((size < 4 << 20) == returns, f"{form}{words}: {size} bytes after a discard")
zeroes = "dd if=/dev/zero of=/dev/vda bs=1M count=16 conv=fsync 2> /dev/null && echo written"
for words, small in ((",detect-zeroes=unmap", True), ("", False)):
    path = image("zeroes.raw")
    with open(path, "wb") as f:
        f.write(noise(2, 16 << 20))
    done = debian.run(["sh", "-c", zeroes], options=["--drive", f"file={path},format=raw{words}"])
    failures.check(done.text == "written\n" and open(path, "rb").read() == bytes(16 << 20), f"zeros: {done}")
    size = os.stat(path).st_blocks * 512
    failures.check((size < 4 << 20) == small, f"zeros{words}: {size} bytes")

# ---- The host's cache and how requests reach it
with open(image("raw"), "wb") as f:
    f.write(noise(3, SIZE))
for words in "cache=writethrough", "cache=unsafe", "cache=none,aio=threads", "cache=none,aio=native", "cache=directsync,aio=io_uring":
    done = debian.run(["sh", "-c", "md5sum < /dev/vda; echo new | dd of=/dev/vda bs=512 seek=9 conv=notrunc 2> /dev/null; sync"],
                      options=["--drive", f"file={image('raw')},format=raw,{words}"])
    before = noise(3, SIZE)
    if words != "cache=writethrough":
        before = before[:9 * 512] + b"new\n" + before[9 * 512 + 4:]
    if "O_DIRECT" in done.error.decode() or "io_uring" in done.error.decode():
        print(f"{words}: not to be had here: {done.error.decode().strip()}")
        continue
    got = done.text.split()[:1]
    # Only the first line of the sector is what dd wrote; it pads nothing.
    failures.check(done.status == 0 and got == [hashlib.md5(before).hexdigest()], f"{words}: {done}")
failures.end()
