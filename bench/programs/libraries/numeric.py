# Workloads of numpy, and of OpenBLAS under it. Kernels for different processors add in different orders, so operands are small
# integers, whose sums are exact; what approximates is printed with few digits.
import sys, zlib
import numpy as np


def integers(*shape, most=8, dtype=np.float64):
    count = int(np.prod(shape))
    return ((np.arange(count, dtype=np.uint64) * 2654435761 >> 7) % (2 * most + 1)).astype(np.int64).reshape(shape).astype(dtype) - dtype(most)


def product(dtype, n, times):
    a, b = integers(n, n, dtype=dtype), integers(n, n, dtype=dtype).T.copy()
    for _ in range(times):
        c = a @ b
    return zlib.crc32(c.tobytes())


def lu(n, times):
    a = integers(n, n) + n * 8 * np.eye(n)
    for _ in range(times):
        x = np.linalg.solve(a, a @ np.arange(n))
    return zlib.crc32(np.rint(x).astype(np.int64).tobytes())


def dots(times):
    x, y = integers(100_000), integers(100_000)[::-1].copy()
    total = 0
    for _ in range(times):
        total += x.dot(y) + x.sum() + x.max()
    return int(total)


def sorts(times):
    x = (np.arange(400_000, dtype=np.uint64) * 2654435761 % 1_000_003).astype(np.int32)
    for _ in range(times):
        y = np.sort(x)
        z = np.argsort(x.astype(np.float64), kind="stable")
    return zlib.crc32(y.tobytes()), zlib.crc32(z.tobytes())


def functions(dtype, times):
    x = np.linspace(0.01, 3, 100_000).astype(dtype)
    for _ in range(times):
        values = np.exp(x), np.log(x), np.sin(x), np.cos(x), np.tanh(x), np.sqrt(x)
    return [f"{v.astype(np.float64).mean():.3f}" for v in values]


def nothing(_):
    return "imported"


def halves(times):
    x = integers(100_000, dtype=np.float16)
    for _ in range(times):
        y = x * x + x - np.float16(3)
        y = np.maximum(y, x) / np.float16(2)
        z = y.astype(np.float32)
    return zlib.crc32(z.tobytes())


def bytes_(times):
    x = (np.arange(1 << 20, dtype=np.uint64) * 2654435761 >> 11).astype(np.uint8)
    for _ in range(times):
        y = np.minimum(x, x[::-1]) ^ (x << 1)
        z = (y > 100) & (x != y)
    return zlib.crc32(y.tobytes()), int(z.sum())


WORK = {"dgemm": lambda n: product(np.float64, 500, n), "sgemm": lambda n: product(np.float32, 500, n), "solve": lambda n: lu(400, n), "dot": dots,
        "sort": sorts, "exp32": lambda n: functions(np.float32, n), "exp64": lambda n: functions(np.float64, n), "half": halves, "bytes": bytes_, "nothing": nothing}
print(WORK[sys.argv[1]](int(sys.argv[2])))
