#!/usr/bin/env python3
"""SVE under Linux, with vectors of 512 and of 256 bits (guest/sve.c)."""
import re
from guest import Failures, Guest, KERNEL_TROUBLE, build_program

failures = Failures()
debian = Guest(add={build_program("sve", "-O3", "-march=armv8.2-a+sve", "-pthread"): "/bin/sve"})
for words, length in (("sve=on", 64), ("sve256=on", 32)):
    result = debian.run(["sh", "-c", f"sve {length}; grep -m1 Features /proc/cpuinfo; dmesg"], append="loglevel=1",
                        options=["--cpu", f"max,{words}", "--smp", "2"])
    failures.check(result.status == 0 and "ok" in result.text.split(), f"{words}: {result}")
    features = re.search(r"^Features\s*:(.*)", result.text, re.M)
    failures.check(features and "sve" in features.group(1).split(), f"{words}: no sve in /proc/cpuinfo: {features}")
    failures.check(f"maximum available vector length {length} bytes" in result.text, f"{words}: the kernel has found another length")
    failures.check(not KERNEL_TROUBLE.search(result.text), f"{words}: the kernel complains: {result}")
failures.end()
