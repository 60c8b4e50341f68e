#!/usr/bin/env python3
"""Guest registers in vector registers (--registers simd): Linux and its programs print what they print otherwise, with several virtual
CPUs too; what is not possible is refused in one line."""
import guest
from guest import Failures, Guest

SCRIPT = r"""
cd /tmp
cat /bin/busybox | sha256sum; awk 'BEGIN { for (i = 0; i < 3000; i++) { s = (s * 1103515245 + 12345) % 2147483648; print s, i, s % 1000 } }' > table
sort -k3,3n -k1,1nr table | md5sum; gzip -c table | gunzip -c | cmp - table && echo same
i=0; while [ $i -lt 50 ]; do /bin/busybox true || echo bad; i=$((i + 1)); done; echo $i
awk 'BEGIN { for (x = 0.1; x < 20; x += 0.37) printf "%.12g %e\n", x * x, 1 / x }' | md5sum
(i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); done; echo $i) > one & (seq 1 3 9000 | md5sum) > two & wait; cat one two
exit 42
"""
TIER1 = ["--jit", "tier1"]
SIMD = ["--registers", "simd"]

failures = Failures()
debian = Guest()


def refused(options, pattern):
    result = debian.run(["true"], options=options)
    failures.check(result.status in (1, 2) and pattern in result.error and len(result.error.splitlines()) == 1 and not result.output,
                   f"{' '.join(options)}: {result}")
    return result


refused(SIMD + ["--jit", "tiered"], b"--registers simd: the other tiers")
refused(SIMD + TIER1 + ["--accel", "kvm"], b"--registers simd is for translated code in this process")
with open("/proc/cpuinfo") as f:
    flags = next((line.split() for line in f if line.startswith("flags")), [])
if not {"avx512f", "avx512vl"} <= set(flags):
    refused(SIMD + TIER1, b"this host has no AVX-512")
    failures.end()

expected = debian.run(["sh", "-c", SCRIPT], limit=200, options=TIER1)
failures.check(expected.status == 42 and "same" in expected.text, f"in memory: {expected}")
for cpus in ("1", "4"):
    result = debian.run(["sh", "-c", SCRIPT], limit=200, options=[*TIER1, *SIMD, "--smp", cpus])
    failures.check(result.status == 42 and result.output == expected.output, f"{cpus} CPUs: {result}\nnot {expected.text}")
    print(f"{cpus} CPUs: {result.cpu_seconds:.1f} CPU s, in memory {expected.cpu_seconds:.1f}")
failures.end()
