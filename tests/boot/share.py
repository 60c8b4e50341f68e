#!/usr/bin/env python3
"""Shared directories: trees copied both ways, with every security model; what a guest's program sees, beside QEMU on the same; a
read-only one; a root file system; what a guest that is root cannot reach."""
import hashlib, os, random, re, shutil, stat, subprocess
import guest
from guest import Failures, Guest, build_program, skip

MODELS = {"x": "mapped-xattr", "f": "mapped-file", "p": "passthrough", "n": "none"}
failures = Failures()
program = build_program("share")
if os.geteuid() == 0 and not hasattr(os, "setxattr"):
    skip("this Python knows no extended attributes")
try:
    os.setxattr(guest.work, "user.test", b"1")
except OSError:
    skip("the file system of temporary files has no user attributes")


def tree(where, seed):
    """Files of many sizes, names and modes, directories, links."""
    noise = random.Random(seed)
    for i in range(80):
        directory = os.path.join(where, *[f"d{noise.randrange(4)}" for _ in range(noise.randrange(5))])
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, noise.choice(["plain", "with space", "ünïcode", "-dash", "x" * 200]) + str(i))
        with open(path, "wb") as f:
            f.write(noise.randbytes(noise.choice([0, 1, 4095, 4096, 70000, 600000 if i % 25 == 0 else 300])))
        if i % 10 == 0:
            os.symlink(noise.choice(["plain", "../nowhere", "/absolute"]), path + ".link")
    return where


def sums(where):
    found = {}
    for directory, directories, files in os.walk(where):
        if ".virtfs_metadata" in directories:
            directories.remove(".virtfs_metadata")
        for name in files:
            path = os.path.join(directory, name)
            key = os.path.relpath(path, where)
            if os.path.islink(path):
                found[key] = "-> " + os.readlink(path)
            elif name != ".virtfs_metadata_root":
                with open(path, "rb") as f:
                    found[key] = hashlib.md5(f.read()).hexdigest()
    return found


def without_links(found):
    """A mapped model keeps the guest's links in files."""
    return {k: v for k, v in found.items() if not k.endswith(".link")}


def shares(root, more=""):
    for name in MODELS:
        os.makedirs(os.path.join(root, name), exist_ok=True)
    return [word for name, model in MODELS.items() for word in
            ("--share", f"{root}/{name}:/mnt/{name},tag={name},security_model={model}{more}")]


def drop_attributes_that_differ(text):
    # Times of the host's, and what depends on its file system.
    return [line for line in text.replace("\r", "").splitlines() if line.strip()]


machine = Guest("generic", add={program: "/bin/share_ops"})

# ---- What a program sees, beside QEMU
OPS = "\n".join(f"echo == {name}; share_ops /mnt/{name} {'mapped' if 'mapped' in model else 'plain'} || echo failed"
                for name, model in MODELS.items())
ours_root, qemu_root = os.path.join(guest.work, "ours"), os.path.join(guest.work, "qemu")
for name in MODELS:
    os.makedirs(os.path.join(qemu_root, name))
ours = machine.run(["sh", "-c", OPS], options=shares(ours_root))
failures.check(ours.status == 0, f"operations: {ours}")
if guest.QEMU and not guest.OPTIONS:
    mounts = "modprobe virtio_mmio; modprobe 9pnet_virtio; modprobe 9p\n" + "".join(
        f"mkdir /mnt/{n}; mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,cache=mmap {n} /mnt/{n}\n" for n in MODELS)
    devices = [word for n, m in MODELS.items() for word in (
        "-fsdev", f"local,id={n},path={qemu_root}/{n},security_model={m},multidevs=remap",
        "-device", f"virtio-9p-device,fsdev={n},mount_tag={n}")]
    theirs = machine.run_qemu(["sh", "-c", mounts + OPS], options=devices)
    failures.check(theirs.status == 0, f"operations under QEMU: {theirs}")
    left, right = (drop_attributes_that_differ(r.text) for r in (ours, theirs))
    failures.check(left == right, "differs from QEMU: " + "; ".join(
        f"'{a}' is '{b}' there" for a, b in zip(left, right) if a != b)[:3000] + f" ({len(left)} and {len(right)} lines)")
    print(f"{len(left)} results as QEMU's; {ours.seconds:.1f} s and {theirs.seconds:.1f} s")

# ---- Trees both ways
source = tree(os.path.join(guest.work, "tree"), 1)
wanted = sums(source)
for name in MODELS:
    shutil.copytree(source, os.path.join(ours_root, name, "in"), symlinks=True)
copy = machine.run(["sh", "-c", r"""
for m in x f p n; do
    cd /mnt/$m && cp -a in out && (cd in && find . -type f -exec md5sum {} + | sort) > /tmp/1
    (cd out && find . -type f -exec md5sum {} + | sort) > /tmp/2; cmp /tmp/1 /tmp/2 && echo same $(wc -l < /tmp/1)
    (cd out && find . -type l | while read -r l; do readlink "$l"; done | sort) > /tmp/2
    (cd in && find . -type l | while read -r l; do readlink "$l"; done | sort) > /tmp/1; cmp /tmp/1 /tmp/2 && echo links $(wc -l < /tmp/1)
    mkdir /tmp/$m && cp -a out /tmp/$m/ && rm -r out && cp -a /tmp/$m/out back && diff -r back /tmp/$m/out 2> /dev/null && echo back
done"""], options=shares(ours_root))
files = sum(1 for v in wanted.values() if not v.startswith("->"))
expected = f"same {files}\nlinks {len(wanted) - files}\nback\n" * len(MODELS)
failures.check(copy.status == 0 and copy.text.replace("\r", "") == expected, f"copies: {copy}, wanted {expected}")
for name, model in MODELS.items():
    got = sums(os.path.join(ours_root, name, "back"))
    if "mapped" in model:
        failures.check(without_links(got) == without_links(wanted), f"{model}: the host sees another copy")
    else:
        failures.check(got == wanted, f"{model}: the host sees another copy")

# ---- Read-only, and out of it
secret = os.path.join(guest.work, "secret")
with open(secret, "w") as f:
    f.write("secret")
x = os.path.join(ours_root, "x")
os.symlink(secret, os.path.join(x, "absolute"))
os.symlink("../../secret", os.path.join(x, "relative"))
before = sums(x)
readonly = machine.run(["sh", "-c", f"""cd /mnt/x
for c in 'touch new' 'rm -r in' 'mkdir d' 'mv in out' 'chmod 0 in' 'ln -s a b' 'dd if=/dev/zero of=absolute'; do $c 2> /dev/null && echo "done: $c"; done
mount -o remount,rw /mnt/x; touch new 2> /dev/null && echo 'done: remounted'
cat absolute relative {secret} 2> /dev/null; cat /mnt/x/../../../..{secret} 2> /dev/null; ls in > /dev/null && echo end"""],
                       options=["--share", f"{x}:/mnt/x,readonly=on"])
failures.check(readonly.status == 0 and readonly.text.split() == ["end"], f"read-only: {readonly}")
failures.check(sums(x) == before, "a read-only share was changed")

# ---- As the root file system: a busybox without an initramfs of its own
root = os.path.join(guest.work, "root")
for directory in ("bin", "proc", "dev", "tmp", "sys"):
    os.makedirs(os.path.join(root, directory))
shutil.copy(machine.busybox, os.path.join(root, "bin/busybox"))
with open(os.path.join(root, "init"), "w") as f:
    f.write("#!/bin/busybox sh\n/bin/busybox mount -t proc proc /proc\n/bin/busybox grep ' / ' /proc/mounts\n"
            "echo from the guest > /made\n/bin/busybox cat /made\n/bin/busybox ln -s made /link\n/bin/busybox cat /link\n"
            "/bin/busybox sync\n/bin/busybox mount -t devtmpfs dev /dev\n/bin/busybox poweroff -f\n")
os.chmod(os.path.join(root, "init"), 0o755)
start = os.path.join(guest.work, "start")
with open(start, "w") as f:
    f.write("#!/bin/sh\nexport PATH=/bin:/sbin\nmount -t devtmpfs dev /dev; mount -t proc proc /proc; modprobe virtio_mmio; modprobe 9pnet_virtio\n"
            "modprobe 9p; mkdir /new; mount -t 9p -o trans=virtio,version=9p2000.L /dev/root /new && exec switch_root /new /init\n")
os.chmod(start, 0o755)
starter = Guest("generic", add={start: "/init"})
command = [guest.ARCLIGHT, "run", *guest.OPTIONS, "--kernel", starter.kernel, "--initrd", starter.initramfs(None), "--append",
           "console=ttyAMA0 quiet panic=-1 root=/dev/root rootfstype=9p rootflags=trans=virtio,version=9p2000.L", "--no-reboot",
           "--share", f"{root},tag=/dev/root"]
rooted = guest.run(command, 120)
failures.check(rooted.text.count("from the guest") == 2 and "/dev/root / 9p" in rooted.text, f"root file system: {rooted}")
with open(os.path.join(root, "made")) as f:
    failures.check(f.read() == "from the guest\n", "the host sees another file")
failures.check(stat.S_ISREG(os.lstat(os.path.join(root, "link")).st_mode), "a guest's link is a file on the host")

# ---- What is wrong is said
for spec, text in (("/nonexistent", "shared directory '/nonexistent': No such file or directory"),
                   (f"{x},security_model=bad", "security_model 'bad' is not known (known: mapped-xattr, mapped, mapped-file, passthrough, none)"),
                   (f"{x},tag=", None)):
    wrong = machine.run(["true"], options=["--share", spec], limit=60)
    failures.check(wrong.status != 0 if text else wrong.status == 0, f"{spec}: {wrong}")
    if text:
        failures.check(text in wrong.error.decode(), f"{spec}: {wrong}")
failures.end()
