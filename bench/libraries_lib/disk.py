"""The guest's disk for bench/libraries: Debian 13's libraries with the programs that use them, their inputs, and a script for each workload."""
import hashlib, os, shutil, subprocess, tempfile
from . import workloads

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
FETCH = os.path.join(TOP, "guestos/fetch/fetch-guest")
PROGRAMS = os.path.join(TOP, "bench/programs")
# Of Debian 13, whose versions choose among more than Debian 12's do.
SUITE = "trixie"
PACKAGES = ["python3", "python3-numpy", "libopenblas0-pthread", "openssl", "libssl-dev", "libdeflate-tools", "isal", "x265", "svt-av1", "aom-tools", "dav1d"]
WIDTH, HEIGHT, FRAMES = 352, 288, 60


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


def clip(path):
    """A picture that moves over another one, with noise."""
    random = bytes((k * k * 2654435761 >> 16) & 15 for k in range(WIDTH * HEIGHT * 2))
    with open(path, "wb") as f:
        f.write(b"YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C420jpeg\n" % (WIDTH, HEIGHT))
        for t in range(FRAMES):
            f.write(b"FRAME\n")
            rows = []
            for y in range(HEIGHT):
                noise = random[(t * 977 + y * WIDTH) % (WIDTH * HEIGHT):]
                inside = abs(y - 140) < 60
                rows.append(bytes(((x + 2 * t ^ y + t) & 127) + 64 + noise[x] if inside and abs(x - 60 - 3 * t) < 50
                                  else ((x * 3 + t) // 4 + y & 255) * 7 // 8 + noise[x] for x in range(WIDTH)))
            f.write(b"".join(rows))
            for plane in range(2):
                f.write(b"".join(bytes(128 + ((x + t * (plane + 1) ^ y) & 31) for x in range(WIDTH // 2)) for y in range(HEIGHT // 2)))


def text(path):
    """8 MiB of words, of which some are frequent."""
    state, words, size = 12345, [], 0
    lexicon = [hashlib.md5(str(k).encode()).hexdigest()[:3 + k % 9] for k in range(4096)]
    while size < 8 << 20:
        state = (state * 6364136223846793005 + 1442695040888963407) & (1 << 64) - 1
        word = lexicon[(state >> 33) % (1 + (state >> 52))]
        words.append(word)
        size += len(word) + 1
    with open(path, "w") as f:
        f.write(" ".join(words))


def sources():
    here = os.path.dirname(os.path.realpath(__file__))
    for folder in (here, os.path.join(PROGRAMS, "libraries"), os.path.join(PROGRAMS, "loops")):
        yield from (os.path.join(folder, f) for f in sorted(os.listdir(folder)) if os.path.isfile(os.path.join(folder, f)))
    yield os.path.join(PROGRAMS, "run-set.sh")


def build(root):
    archives = output(FETCH, "archives", "--suite", SUITE, *PACKAGES)
    names = [name for part in ("essential", "others") for name in open(os.path.join(archives, part)).read().split()]
    for folder in ("usr/bin", "usr/sbin", "usr/lib", "w/set", "tmp", "proc", "sys", "dev", "etc", "mnt/spec"):
        os.makedirs(os.path.join(root, folder))
    for link in ("bin", "sbin", "lib"):
        os.symlink(f"usr/{link}", os.path.join(root, link))
    for name in names:
        pack = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", os.path.join(archives, name)], stdout=subprocess.PIPE)
        run("tar", "-x", "--keep-directory-symlink", "--no-same-owner", "-C", root, "-f", f"/proc/{os.getpid()}/fd/{pack.stdout.fileno()}",
            "--exclude=./usr/share/*", "--exclude=./usr/lib/*/perl*", "--exclude=./var/*")
        if pack.wait() != 0:
            raise Failed(f"cannot unpack {name}")
    triple = "usr/lib/aarch64-linux-gnu"
    cc = ["aarch64-linux-gnu-gcc", "-O2", "-o"]
    run(*cc, f"{root}/w/crypto", f"-I{root}/usr/include", f"-I{root}/usr/include/aarch64-linux-gnu", f"{PROGRAMS}/libraries/crypto.c",
        f"-L{root}/{triple}", "-Wl,--unresolved-symbols=ignore-in-shared-libs", "-l:libcrypto.so.3")
    loops = os.path.join(PROGRAMS, "loops")
    run(*cc, f"{root}/w/loops", "-static", *(os.path.join(loops, f) for f in sorted(os.listdir(loops)) if f.endswith(".c")), "-lm", "-lpthread")
    busybox = output(FETCH, "busybox")
    for target in ("w/busybox", "usr/bin/busybox"):
        shutil.copy(busybox, os.path.join(root, target))
    os.path.lexists(f"{root}/usr/bin/sh") and os.unlink(f"{root}/usr/bin/sh")
    os.symlink("busybox", f"{root}/usr/bin/sh")
    shutil.copy(os.path.join(PROGRAMS, "libraries/numeric.py"), f"{root}/w/")
    shutil.copy(os.path.join(PROGRAMS, "run-set.sh"), f"{root}/w/")
    os.chmod(f"{root}/w/run-set.sh", 0o755)
    clip(f"{root}/w/clip.y4m")
    text(f"{root}/w/text")
    for w in workloads.WORKLOADS:
        with open(f"{root}/w/set/{w.name}.short", "w") as f:
            f.write(w.script + "\n")
    shutil.rmtree(f"{root}/usr/include")
    run("sh", "-c", f"rm -rf {root}/{triple}/*.a {root}/usr/lib/python3*/test")


def prepare(guest):
    """A directory with the disk beside the sweep guest's kernel and initramfs. Raises Failed."""
    cache = os.environ.get("ARCLIGHT_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "arclight")
    out, digest = os.path.join(cache, "libraries"), hashlib.sha256()
    for path in sources():
        with open(path, "rb") as f:
            digest.update(f.read())
    stamp = os.path.join(out, "stamp")
    if not os.path.exists(stamp) or open(stamp).read() != digest.hexdigest():
        os.makedirs(out, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="arclight-libraries-") as work:
            root = os.path.join(work, "root")
            os.mkdir(root)
            build(root)
            disk = os.path.join(out, "root.ext4")
            os.path.exists(stamp) and os.unlink(stamp)
            os.path.exists(disk) and os.unlink(disk)
            run("mke2fs", "-q", "-t", "ext4", "-d", root, disk, "600M")
        with open(stamp, "w") as f:
            f.write(digest.hexdigest())
    for name in ("vmlinuz", "init.cpio"):
        shutil.copy(os.path.join(guest, name), os.path.join(out, name))
    return out
