#!/usr/bin/env python3
"""A guest that sleeps lets the host CPU sleep."""
import os, subprocess
from guest import Failures, Guest

SLEEP, MOST = 5, 0.2  # seconds in the guest, CPU seconds of the process

failures = Failures()
debian = Guest()


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


for smp, gic in (1, 3), (4, 3), (4, 2):
    # Two seconds for what the kernel does after booting (deferred probes, freeing the initramfs).
    process = subprocess.Popen(debian.arclight(["sh", "-c", f"sleep 2; echo begin; sleep {SLEEP}; echo end"],
                                               options=["--smp", str(smp), "--gic", str(gic)]),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    lines, marks = [], []
    for line in process.stdout:
        lines.append(line)
        marks.append(cpu_seconds(process.pid))
    status = process.wait()
    if failures.check(lines == [b"begin\n", b"end\n"] and status == 0, f"smp {smp}: status {status}, {lines}"):
        used = marks[1] - marks[0]
        print(f"smp {smp} gic {gic}: {used:.2f} CPU s in {SLEEP} s of sleep")
        failures.check(used < MOST, f"smp {smp} gic {gic}: {used:.2f} CPU s while the guest slept {SLEEP} s")
failures.end()
