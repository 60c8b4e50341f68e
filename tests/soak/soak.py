#!/usr/bin/env python3
"""Programs that compute while their code is invalidated and rewritten, with too little room for translated code and a
compiler that fails: no wrong result, and bounded memory. A minute; an hour with ARCLIGHT_NIGHTLY."""
import json, os, re, subprocess, sys
sys.path.insert(0, os.path.join(os.environ["ARCLIGHT_SOURCE"], "tests/boot"))
import guest
from guest import Failures, Guest, skip

SECONDS = 3600 if guest.NIGHTLY else 30
MIB = 1 << 20
# What tier 2 may need beside what tier 1 needs: LLVM itself, and the code that it makes.
ROOM = 128 * MIB
TIGHT = ["--jit", "tiered", "--jit-threshold", "20", "--jit-code", "64K", "--code-cache", "4M"]
failures = Failures()

if guest.CROSS_CC is None:
    skip("no aarch64-linux-gnu-gcc")
here = os.path.dirname(os.path.realpath(__file__))
program = os.path.join(guest.work, "soak")
loops = os.path.join(guest.SOURCE, "bench/programs/loops")
subprocess.run([guest.CROSS_CC, "-O2", "-static", "-o", program, os.path.join(here, "soak.c"),
                *(os.path.join(loops, f"{name}.c") for name in ("runtime", "integer", "data", "floating", "memory")), "-lm"],
               check=True)
debian = Guest(add={program: "/soak"})
cache = os.path.join(guest.work, "regions")


def soak(name, seconds, seed, *options):
    """The checksums that the guest found, and the machine's counters."""
    file = os.path.join(guest.work, "stats.json")
    result = debian.run(["/soak", str(seconds), str(seed)], limit=seconds * 3 + 120,
                        options=[*options, "--stats-json", file])
    text = result.text.replace("\r", "")
    found = re.search(r"rounds (\d+) wrong (\d+)\n", text)
    if result.status != 0 or not found or found.group(2) != "0" or int(found.group(1)) == 0:
        failures.add(f"{name}: {result}")
        return None, {}
    # A compiler that fails is told of when it is given up, which it must not be here.
    failures.check(not result.error, f"{name}: {result.error.decode(errors='replace')}")
    with open(file) as f:
        stats = json.load(f)
    print(f"{name}: {found.group(1)} rounds, {stats['peak_memory_bytes'] // MIB} MiB, "
          f"{ {k: v for k, v in stats.get('tier2', {}).items() if k != 'cache'} }", flush=True)
    return [line for line in text.splitlines() if re.match(r"\w+ [0-9a-f]{16}$", line)], stats


expected, plain = soak("tier 1", 2, 1, "--jit", "tier1")
if expected is None:
    failures.end()
cases = [("tight", ["--jit-cache", "off"], 2),
         ("tight, with failures", ["--jit-cache", cache, "--jit-faults", "3"], 3),
         ("tight, two CPUs, with a cache", ["--jit-cache", cache, "--smp", "2"], 4)]
for name, options, seed in cases:
    sums, stats = soak(name, SECONDS / len(cases), seed, *TIGHT, *options)
    if sums is None:
        continue
    failures.check(sums == expected, f"{name}: other checksums than tier 1's: {sums}")
    tier2 = stats["tier2"]
    failures.check(stats["peak_memory_bytes"] < plain["peak_memory_bytes"] + ROOM,
                   f"{name}: {stats['peak_memory_bytes'] // MIB} MiB of memory, tier 1 {plain['peak_memory_bytes'] // MIB}")
    made = tier2["compiled"] + tier2["cache"]["hits"]
    failures.check(made > 20 and tier2["dropped"] > 0 and not tier2["stopped"], f"{name}: {tier2}")
    failures.check(tier2["live_bytes"] <= 65536, f"{name}: {tier2['live_bytes']} bytes of code")
    failures.check(tier2["evicted"] > 0, f"{name}: no region was evicted: {tier2}")
    failures.check(stats["translation"]["flushes"] > 0, f"{name}: the code cache was never full")
    if "--jit-faults" in options:
        failures.check(tier2["failed"] > 0, f"{name}: nothing failed")
failures.end()
