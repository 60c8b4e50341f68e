#!/usr/bin/env python3
"""SVE and SVE2 under Linux, with vectors of 512 and of 256 bits (guest/sve.c, compiled for each)."""
import re
import os
from guest import Failures, Guest, KERNEL_TROUBLE, build_program, work

SVE2 = "sve2 sveaes svepmull svebitperm svesha3 svesm4 svei8mm svef32mm svef64mm svebf16".split()

failures = Failures()
sve2 = os.path.join(work, "sve2")
os.rename(build_program("sve", "-O3", "-march=armv8.5-a+sve2"), sve2)
debian = Guest(add={build_program("sve", "-O3", "-march=armv8.2-a+sve"): "/bin/sve", sve2: "/bin/sve2"})
for words, length in (("sve=on", 64), ("sve256=on", 32)):
    result = debian.run(["sh", "-c", f"sve {length} && sve2 {length}; grep -m1 Features /proc/cpuinfo; dmesg"], append="loglevel=1",
                        options=["--cpu", f"max,{words}", "--smp", "2"])
    failures.check(result.status == 0 and result.text.split().count("ok") == 2, f"{words}: {result}")
    features = re.search(r"^Features\s*:(.*)", result.text, re.M)
    missing = {"sve", *SVE2} - set(features.group(1).split() if features else [])
    failures.check(not missing, f"{words}: not in /proc/cpuinfo: {missing}")
    failures.check(f"maximum available vector length {length} bytes" in result.text, f"{words}: the kernel has found another length")
    failures.check(not KERNEL_TROUBLE.search(result.text), f"{words}: the kernel complains: {result}")
failures.end()
