#!/usr/bin/env python3
"""Several CPUs: the memory model, locks, TLB and instruction cache maintenance by broadcast, forks (guest/*.c).

With 8 virtual CPUs there are more than most hosts have; a code cache that is too small must be emptied again and again
while all of them run.
"""
import guest
from guest import Failures, Guest, KERNEL_TROUBLE, build_program

TESTS = ["mutex", "futex", "seqlock", "cas128", "map", "protect", "jit", "cross", "fork"]
seconds = 10 if guest.NIGHTLY else 0.4
litmus = 120 if guest.NIGHTLY else 2

failures = Failures()
debian = Guest(add={build_program("litmus"): "/bin/litmus", build_program("threads"): "/bin/threads"})
machines = [("2", "256M"), ("4", "256M"), ("8", "256M"), ("4", "4M")] if guest.NIGHTLY else [("4", "256M"), ("8", "4M")]
for smp, cache in machines:
    # Ten times the time, before a test counts as hanging: the host may have little time for us.
    script = f"timeout {litmus * 10} litmus {litmus} || echo FAIL litmus $?\n" + "".join(
        f"echo == {name}; timeout {seconds * 10 + 60:.0f} threads {name} {seconds} || echo FAIL {name} $?\n" for name in TESTS)
    result = debian.run(["sh", "-c", script], limit=(litmus + len(TESTS) * seconds) * 10 + 120, append="loglevel=5",
                        options=["--smp", smp, "--code-cache", cache])
    print(f"smp {smp}, code cache {cache}: {result.seconds:.1f} s, {result.cpu_seconds:.1f} CPU s")
    clean = result.status == 0 and result.text.count("\nok") == len(TESTS) + 1 and "FAIL" not in result.text
    failures.check(clean, f"smp {smp}: {result}")
    failures.check(not KERNEL_TROUBLE.search(result.text), f"smp {smp}: the kernel complains: {result}")
failures.end()
