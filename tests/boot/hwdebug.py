#!/usr/bin/env python3
"""Hardware breakpoints and watchpoints in the guest's kernel: ptrace and perf (guest/hwdebug.c), as under QEMU."""
from guest import Failures, Guest, KERNEL_TROUBLE, QEMU, build_program



def lines(result):
    """Without the kernel's."""
    return [line for line in result.text.splitlines() if line and not line.startswith("[")]


failures = Failures()
debian = Guest(add={build_program("hwdebug"): "/bin/hwdebug"})
result = debian.run(["hwdebug"], append="loglevel=5", options=["--smp", "2"])
print(result.text.strip())
failures.check(result.status == 0 and "counted 1000 calls, 1000 stores, 500 loads" in result.text, str(result))
failures.check(not KERNEL_TROUBLE.search(result.text), f"the kernel complains: {result}")
if QEMU:
    theirs = debian.run_qemu(["hwdebug"])
    failures.check(theirs.status == 0 and lines(result) == lines(theirs), f"QEMU's differs: {theirs}")
failures.end()
