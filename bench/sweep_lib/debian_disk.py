"""A disk of one's own for the sweep's guest: Debian's arm64 packages with all that they depend on, and scripts that run-set.sh runs."""
import hashlib, os, shutil, subprocess, tempfile

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
FETCH = os.path.join(TOP, "guestos/fetch/fetch-guest")
PROGRAMS = os.path.join(TOP, "bench/programs")
LOOPS = os.path.join(PROGRAMS, "loops")


class Failed(Exception):
    pass


def output(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:
        raise Failed(f"{os.path.basename(command[0])} failed (see above)")
    return done.stdout.strip().splitlines()[-1]


def run(*command):
    try:
        done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    except FileNotFoundError:
        raise Failed(f"needs {command[0]} (Debian: gcc-aarch64-linux-gnu libc6-dev-arm64-cross e2fsprogs)") from None
    if done.returncode != 0:
        raise Failed(f"{command[0]}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")


def unpack(root, packages, suite=None, without=()):
    """Into a new tree: the packages, and what run-set.sh needs. `without` are patterns of what stays out."""
    archives = output(FETCH, "archives", *(["--suite", suite] if suite else []), *packages)
    names = [name for part in ("essential", "others") for name in open(os.path.join(archives, part)).read().split()]
    for folder in ("usr/bin", "usr/sbin", "usr/lib", "w/set", "tmp", "proc", "sys", "dev", "etc", "mnt/spec"):
        os.makedirs(os.path.join(root, folder))
    for link in ("bin", "sbin", "lib"):
        os.symlink(f"usr/{link}", os.path.join(root, link))
    for name in names:
        pack = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", os.path.join(archives, name)], stdout=subprocess.PIPE)
        run("tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", root, "-f", f"/proc/{os.getpid()}/fd/{pack.stdout.fileno()}",
            *(f"--exclude=./{pattern}" for pattern in without))
        if pack.wait() != 0:
            raise Failed(f"cannot unpack {name}")
    run("aarch64-linux-gnu-gcc", "-O2", "-o", f"{root}/w/loops", "-static",
        *(os.path.join(LOOPS, f) for f in sorted(os.listdir(LOOPS)) if f.endswith(".c")), "-lm", "-lpthread")
    busybox = output(FETCH, "busybox")
    for target in ("w/busybox", "usr/bin/busybox"):
        shutil.copy(busybox, os.path.join(root, target))
    os.path.lexists(f"{root}/usr/bin/sh") and os.unlink(f"{root}/usr/bin/sh")
    os.symlink("busybox", f"{root}/usr/bin/sh")
    shutil.copy(os.path.join(PROGRAMS, "run-set.sh"), f"{root}/w/")
    os.chmod(f"{root}/w/run-set.sh", 0o755)


def write_scripts(root, scripts):
    """`scripts` by their names; there is one size."""
    for name, script in scripts.items():
        with open(f"{root}/w/set/{name}.short", "w") as f:
            f.write(script + "\n")


def prepare(name, guest, sources, build, size):
    """A directory of the cache with the disk beside the sweep guest's kernel and initramfs. `build` fills a tree; the disk is made anew when one
    of the files or folders `sources`, or this one, has changed. Raises Failed."""
    cache = os.environ.get("ARCLIGHT_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "arclight")
    out, digest = os.path.join(cache, name), hashlib.sha256()
    for source in (__file__, LOOPS, os.path.join(PROGRAMS, "run-set.sh"), *sources):
        for path in sorted(os.path.join(source, f) for f in os.listdir(source)) if os.path.isdir(source) else [source]:
            if os.path.isfile(path):
                with open(path, "rb") as f:
                    digest.update(f.read())
    stamp = os.path.join(out, "stamp")
    if not os.path.exists(stamp) or open(stamp).read() != digest.hexdigest():
        os.makedirs(out, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"arclight-{name}-") as work:
            root = os.path.join(work, "root")
            os.mkdir(root)
            build(root)
            disk = os.path.join(out, "root.ext4")
            os.path.exists(stamp) and os.unlink(stamp)
            os.path.exists(disk) and os.unlink(disk)
            run("mke2fs", "-q", "-t", "ext4", "-d", root, disk, size)
        with open(stamp, "w") as f:
            f.write(digest.hexdigest())
    for part in ("vmlinuz", "init.cpio"):
        shutil.copy(os.path.join(guest, part), os.path.join(out, part))
    return out
