#!/usr/bin/env python3
"""Direct memory (--direct-memory): programs that hammer their own mappings (guest/mappings.c, guest/threads.c) hold what they wrote while all
address spaces have it, with one CPU and several, in tier 1 and by regions; a program that runs for long gets it by its heat; where it
cannot be, one line says so. The counters must show that it was at work."""
import json, os
import guest
from guest import Failures, Guest, KERNEL_TROUBLE, build_program

failures = Failures()
debian = Guest(add={build_program("mappings"): "/bin/mappings", build_program("threads"): "/bin/threads"})
seconds = 10 if guest.NIGHTLY else 0.7
HAMMER = f"for s in 1 2; do mappings {seconds} $s & done; wait; echo waited"
STATS = os.path.join(guest.work, "stats.json")


def run(what, script, options):
    result = debian.run(["sh", "-c", script], limit=400, options=["--accel", "process", "--jit-cache", "off", "--stats-json", STATS, *options])
    print(f"{what}: {result.seconds:.1f} s, {result.cpu_seconds:.1f} CPU s", flush=True)
    if not failures.check(result.status == 0 and "FAIL" not in result.text and not KERNEL_TROUBLE.search(result.text), f"{what}: {result}"):
        return result, {}
    with open(STATS) as f:
        return result, json.load(f)["cpu"].get("windows", {})


def hammer(what, script, oks, options):
    result, counts = run(what, script, ["--direct-memory", "always", *options])
    failures.check(result.text.count("\nok") >= oks, f"{what}: {result}")
    failures.check(counts.get("spaces", 0) >= oks and counts.get("fills", 0) > 1000 and counts.get("dropped_pages", 0) > 100,
                   f"{what}: counters {counts}")


hammer("one CPU", HAMMER, 2, ["--jit", "tier1"])
hammer("two CPUs", HAMMER + "; for t in map protect jit fork; do threads $t 0.3; done", 2, ["--jit", "tier1", "--smp", "2"])
hammer("regions", HAMMER, 2, ["--jit", "tiered", "--jit-threshold", "20"])

# The sum of 30 MB is more than 20 ms of EL0.
result, counts = run("by heat", "head -c 30000000 /dev/zero | sha256sum", ["--jit", "tier1", "--direct-memory", "on"])
failures.check("  -" in result.text and counts.get("spaces", 0) >= 1, f"by heat: {result} {counts}")

for why, options in {"LightV moves pages": ["--control", os.path.join(guest.work, "control")], "traditional shadow paging": ["--mmu", "tsp"]}.items():
    result = debian.run(["true"], limit=200, options=["--accel", "process", "--direct-memory", "on", *options])
    line = f"arclight: --direct-memory is off: {why}"
    failures.check(result.status == 0 and result.error.decode().count(line) == 1, f"{why}: {result}")
failures.end()
