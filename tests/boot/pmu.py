#!/usr/bin/env python3
"""Linux finds the performance monitors, and perf's system call counts and samples with them (guest/pmu.c)."""
from guest import Failures, Guest, KERNEL_TROUBLE, build_program

failures = Failures()
debian = Guest(add={build_program("pmu"): "/bin/counters"})
for options in (["--smp", "2"], ["--gic", "2"]):
    result = debian.run(["sh", "-c", "counters; grep -i pmu /proc/interrupts; dmesg"], append="loglevel=1", options=options)
    failures.check(result.status == 0 and "ok" in result.text.split(), f"{options}: {result}")
    failures.check("hw perfevents: enabled with armv8_pmuv3" in result.text and "7 counters available" in result.text,
                   f"{options}: Linux does not find it: {[l for l in result.text.splitlines() if 'perf' in l]}")
    failures.check(not KERNEL_TROUBLE.search(result.text), f"the kernel complains: {result}")
failures.end()
