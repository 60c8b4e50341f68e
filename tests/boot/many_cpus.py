#!/usr/bin/env python3
"""More CPUs than a GICv2 can have: Linux brings all of them up, and each runs a program. 16; in the
long form 64, too.

Far more than the host has cores, so that CPUs that wait for each other in loops must hand their cores over.
"""
import re

import guest
from guest import Failures, Guest

failures = Failures()
debian = Guest()
# /proc/interrupts has a column for each CPU that is there; the timer's has a tick at least of each that was used.
SCRIPT = """
echo online $(cat /sys/devices/system/cpu/online)
for cpu in $(seq 0 %d); do taskset -c $cpu sh -c 'i=0; while [ $i -lt 200 ]; do i=$((i + 1)); done; echo ran on $0' $cpu & done
wait
grep -m 1 arch_timer /proc/interrupts
"""
for cpus in (16, 64) if guest.NIGHTLY else (16,):
    # The kernel looks for stalls, which a busy host causes without anybody's fault, and says so with a trace: neither is looked at. What they are:
    # docs/time.md, "Many CPUs on few cores, while Linux starts".
    result = debian.run(["sh", "-c", SCRIPT % (cpus - 1)], limit=300 if cpus == 16 else 1200, append="loglevel=5 rcupdate.rcu_cpu_stall_suppress=1",
                        options=["--smp", str(cpus)])
    print(f"{cpus} CPUs: {result.seconds:.1f} s, {result.cpu_seconds:.1f} CPU s")
    failures.check(result.status == 0 and f"online 0-{cpus - 1}" in result.text, f"{cpus} CPUs: {result}")
    ran = {int(n) for n in re.findall(r"^ran on (\d+)\r?$", result.text, re.M)}
    failures.check(ran == set(range(cpus)), f"{cpus} CPUs: programs ran on {sorted(ran)} alone")
    ticks = re.search(r"^ *\d+: (.*) GICv3", result.text, re.M)
    failures.check(ticks and len(ticks.group(1).split()) == cpus and all(int(n) > 0 for n in ticks.group(1).split()),
                   f"{cpus} CPUs: timer interrupts: {ticks.group(1) if ticks else 'none'}")
    failures.check(not re.search(r"Oops|Internal error|Unable to handle|Kernel panic|Bad mode|segfault", result.text), f"{cpus} CPUs: the kernel complains: {result}")
failures.end()
