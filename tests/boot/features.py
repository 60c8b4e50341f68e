#!/usr/bin/env python3
"""What Linux finds of the CPU's features, and what a program does with them (guest/features.c)."""
import re
from guest import Failures, Guest, KERNEL_TROUBLE, build_program

HWCAPS = "sha512 sha3 sm3 sm4 dcpop dcpodp dit flagm flagm2 ilrcpc ssbs sb paca pacg bti rng wfxt uscat afp rpres ebf16".split()

failures = Failures()
debian = Guest(add={build_program("features", "-march=armv8.5-a", "-mbranch-protection=standard"): "/bin/features"})
result = debian.run(["sh", "-c", "features; grep -m1 Features /proc/cpuinfo; dmesg"], append="loglevel=1", options=["--cpu", "max,pauth=on,bti=on"])
failures.check(result.status == 0 and "ok" in result.text.split(), str(result))
words = re.search(r"^Features\s*:(.*)", result.text, re.M)
missing = [w for w in HWCAPS if w not in words.group(1).split()] if words else HWCAPS
failures.check(not missing, f"not in /proc/cpuinfo: {missing}")
failures.check("Address authentication (IMP DEF algorithm)" in result.text, f"no pointer authentication: {result}")
failures.check(not KERNEL_TROUBLE.search(result.text), f"the kernel complains: {result}")
failures.end()
