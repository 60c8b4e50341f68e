"""The guest's disk for bench/libraries: Debian 13's libraries with the programs that use them, their inputs, and a script for each workload."""
import hashlib, os, shutil
from sweep_lib import debian_disk
from sweep_lib.debian_disk import PROGRAMS, Failed, run  # noqa: F401
from . import workloads

# Of Debian 13, whose versions choose among more than Debian 12's do.
SUITE = "trixie"
PACKAGES = ["python3", "python3-numpy", "libopenblas0-pthread", "openssl", "libssl-dev", "libdeflate-tools", "isal", "x265", "svt-av1", "aom-tools", "dav1d"]
WIDTH, HEIGHT, FRAMES = 352, 288, 60


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


def build(root):
    debian_disk.unpack(root, PACKAGES, SUITE, ["usr/share/*", "usr/lib/*/perl*", "var/*"])
    triple = "usr/lib/aarch64-linux-gnu"
    run("aarch64-linux-gnu-gcc", "-O2", "-o", f"{root}/w/crypto", f"-I{root}/usr/include", f"-I{root}/usr/include/aarch64-linux-gnu",
        f"{PROGRAMS}/libraries/crypto.c", f"-L{root}/{triple}", "-Wl,--unresolved-symbols=ignore-in-shared-libs", "-l:libcrypto.so.3")
    shutil.copy(os.path.join(PROGRAMS, "libraries/numeric.py"), f"{root}/w/")
    clip(f"{root}/w/clip.y4m")
    text(f"{root}/w/text")
    debian_disk.write_scripts(root, {w.name: w.script for w in workloads.WORKLOADS})
    shutil.rmtree(f"{root}/usr/include")
    run("sh", "-c", f"rm -rf {root}/{triple}/*.a {root}/usr/lib/python3*/test")


def prepare(guest):
    """A directory with the disk beside the sweep guest's kernel and initramfs. Raises Failed."""
    return debian_disk.prepare("libraries", guest, [os.path.dirname(os.path.realpath(__file__)), os.path.join(PROGRAMS, "libraries")], build, "600M")
