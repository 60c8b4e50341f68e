"""What bench/libraries runs: a script for the guest each, which prints an answer that no instruction set may change, and no time."""
from dataclasses import dataclass


@dataclass
class Workload:
    name: str
    library: str
    script: str
    chooses: bool = False  # its answer depends on the features, under QEMU too: compared between emulators only


PYTHON = "export OPENBLAS_NUM_THREADS=1 LD_LIBRARY_PATH=/usr/lib/aarch64-linux-gnu/openblas-pthread; python3 /w/numeric.py"
X265 = "x265 --input /w/clip.y4m --preset fast --pools none --frame-threads 1 --no-info --log-level error"


def numeric(library, name, times):
    return Workload(f"{library}-{name}", library, f"{PYTHON} {name} {times}")


def crypto(name, mib):
    return Workload(f"openssl-{name.lower()}", "openssl", f"/w/crypto {name} {mib}")


WORKLOADS = [
    Workload("numpy-import", "numpy", f"{PYTHON} nothing 0"),  # the others find it translated
    numeric("openblas", "dgemm", 6), numeric("openblas", "sgemm", 10), numeric("openblas", "solve", 12), numeric("openblas", "dot", 600),
    numeric("numpy", "sort", 4), numeric("numpy", "exp32", 12), numeric("numpy", "exp64", 12), numeric("numpy", "half", 60), numeric("numpy", "bytes", 40),
    crypto("SHA2-256", 200), crypto("SHA2-512", 150), crypto("SHA3-256", 100), crypto("SM3", 60), crypto("AES-256-GCM", 300), crypto("AES-128-CBC", 200),
    crypto("ChaCha20-Poly1305", 150), crypto("SM4-CTR", 40),
    Workload("zlib-crc32", "zlib", "python3 -c \"import zlib; d = open('/w/text', 'rb').read(); print([zlib.crc32(d, k) for k in range(12)], zlib.adler32(d))\""),
    Workload("zlib-deflate", "zlib", "python3 -c \"import zlib; d = open('/w/text', 'rb').read(2 << 20); c = zlib.compress(d, 6); "
                                     "print(len(c), zlib.crc32(c), all(zlib.decompress(c) == d for _ in range(10)))\""),
    Workload("libdeflate", "libdeflate", "libdeflate-gzip -6 -c /w/text > /tmp/gz; for k in 1 2 3; do libdeflate-gunzip -c -d < /tmp/gz | $B md5sum; done; $B md5sum < /tmp/gz"),
    Workload("isa-l", "isa-l", "for k in 1 2 3; do igzip -c /w/text > /tmp/gz; igzip -d -c /tmp/gz | $B md5sum; done; $B md5sum < /tmp/gz"),
    Workload("x265", "x265", f"{X265} --frames 12 -o /tmp/x265.hevc; $B md5sum < /tmp/x265.hevc"),
    Workload("svt-av1", "svt-av1", "SvtAv1EncApp -i /w/clip.y4m --preset 10 -n 30 --lp 1 --progress 0 -b /tmp/svt.ivf > /dev/null 2>&1; $B md5sum < /tmp/svt.ivf", True),
    Workload("libaom", "libaom", "aomenc --rt --cpu-used=8 --threads=1 --limit=30 --ivf -q -o /tmp/aom.ivf /w/clip.y4m; $B md5sum < /tmp/aom.ivf"),
    Workload("dav1d", "dav1d", "[ -s /tmp/aom.ivf ] || aomenc --rt --cpu-used=8 --threads=1 --limit=30 --ivf -q -o /tmp/aom.ivf /w/clip.y4m; "
                               "for k in 1 2 3 4 5 6; do dav1d -q --threads 1 -i /tmp/aom.ivf --muxer md5 -o -; done"),
]
BY_NAME = {w.name: w for w in WORKLOADS}


def select(names):
    """The workloads of these names, or of these libraries; all for none. Raises ValueError for what is neither."""
    for name in names:
        if name not in BY_NAME and all(w.library != name for w in WORKLOADS):
            raise ValueError(f"no workload or library named '{name}' (--list shows them)")
    return [w for w in WORKLOADS if not names or w.name in names or w.library in names]
