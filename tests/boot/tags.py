#!/usr/bin/env python3
"""Allocation tags (FEAT_MTE) under Linux: guest/tags.c in both worlds, and the C library's heap with tags."""
import re
from guest import Failures, Guest, HAS_KVM, KERNEL_TROUBLE, build_program

failures = Failures()
debian = Guest(add={build_program("tags", "-march=armv8.5-a+memtag"): "/bin/tags"})
SCRIPT = "tags && GLIBC_TUNABLES=glibc.mem.tagging=3 tags; grep -m1 Features /proc/cpuinfo; dmesg"
for options in [["--accel", "process"], *([["--accel", "kvm"]] if HAS_KVM else [])]:
    result = debian.run(["sh", "-c", SCRIPT], append="loglevel=1", options=["--cpu", "max,mte=on", *options])
    failures.check(result.status == 0 and result.text.split().count("ok") == 2, f"{options}: {result}")
    words = re.search(r"^Features\s*:(.*)", result.text, re.M)
    failures.check(words is not None and {"mte", "mte3"} <= set(words.group(1).split()), f"{options}: {words}")
    failures.check(not KERNEL_TROUBLE.search(result.text), f"{options}: the kernel complains: {result}")
failures.end()
