#!/usr/bin/env python3
"""Programs that compute while their code is invalidated and rewritten, with too little room for translated code and a
compiler that fails or hardly ever gets the CPU: no wrong result, and bounded memory. A third of a minute; an hour with
ARCLIGHT_NIGHTLY."""
import json, os, re, subprocess, sys, threading, time
sys.path.insert(0, os.path.join(os.environ["ARCLIGHT_SOURCE"], "tests/boot"))
import guest
from guest import Failures, Guest, skip

SECONDS = int(os.environ.get("ARCLIGHT_SOAK_SECONDS", 3450 if guest.NIGHTLY else 20))  # with the boots, an hour
MIB = 1 << 20
RAM = 512 * MIB
# What tier 2 may need beside what tier 1 needs: LLVM itself, and the code that it makes.
ROOM = 128 * MIB
# How much more of its own memory a machine may have in the second half of a long run than in the first.
GROWTH = 16 * MIB
ENOUGH_LOOKS = 40
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


def own_memory(pid):
    """Bytes of a machine's memory that are there, but for the guest's RAM."""
    total = size = 0
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            if re.match("[0-9a-f]+-", line):
                first, last = (int(word, 16) for word in line.split()[0].split("-"))
                size = last - first
            elif line.startswith("Rss:") and size < RAM:
                total += int(line.split()[1]) * 1024
    return total


class Watch(threading.Thread):
    """Looks at a machine's memory as long as it runs, and starves its compiler if asked to."""

    def __init__(self, pid, starve):
        super().__init__(daemon=True)
        self.pid, self.starve, self.starved, self.looks = pid, starve, False, []
        self.start()

    def run(self):
        try:
            while True:
                time.sleep(1)
                self.looks.append(own_memory(self.pid))
                if self.starve and not self.starved:
                    self.starve_compiler()
        except OSError:
            pass  # it has ended

    def starve_compiler(self):
        """One CPU for everything, and the compiler has it only when nobody else wants it."""
        for task in map(int, os.listdir(f"/proc/{self.pid}/task")):
            os.sched_setaffinity(task, [min(os.sched_getaffinity(0))])
            with open(f"/proc/{self.pid}/task/{task}/comm") as f:
                if f.read() == "tier 2\n":
                    os.sched_setscheduler(task, os.SCHED_IDLE, os.sched_param(0))
                    self.starved = True


def soak(name, seconds, seed, *options, starve=False):
    """The checksums that the guest found, and the machine's counters."""
    file = os.path.join(guest.work, "stats.json")
    watches = []
    result = debian.run(["/soak", str(seconds), str(seed)], limit=seconds * 3 + 120,
                        options=[*options, "-m", f"{RAM // MIB}M", "--stats-json", file],
                        started=lambda pid: watches.append(Watch(pid, starve)))
    text = result.text.replace("\r", "")
    found = re.search(r"rounds (\d+) wrong (\d+)\n", text)
    if result.status != 0 or not found or found.group(2) != "0" or int(found.group(1)) == 0:
        failures.add(f"{name}: {result}")
        return None, {}
    # A compiler that fails is told of when it is given up, which it must not be here.
    failures.check(not result.error, f"{name}: {result.error.decode(errors='replace')}")
    with open(file) as f:
        stats = json.load(f)
    watch = watches[0]
    looks = watch.looks
    print(f"{name}: {result.seconds:.0f} s, {found.group(1)} rounds, {stats['peak_memory_bytes'] // MIB} MiB at most, "
          f"own memory {[size // MIB for size in looks[::max(1, len(looks) // 12)]]} MiB, "
          f"{ {k: v for k, v in stats.get('tier2', {}).items() if k != 'cache'} }", flush=True)
    if len(looks) >= ENOUGH_LOOKS:
        first, second = looks[len(looks) // 10:len(looks) // 2], looks[len(looks) // 2:]
        failures.check(max(second) < max(first) + GROWTH, f"{name}: memory grows from {max(first) // MIB} MiB to {max(second) // MIB}")
    failures.check(watch.starved == starve, f"{name}: the compiler's thread was not found")
    return [line for line in text.splitlines() if re.match(r"\w+ [0-9a-f]{16}$", line)], stats


expected, plain = soak("tier 1", 2, 1, "--jit", "tier1")
if expected is None:
    failures.end()
cases = [("tight", ["--jit-cache", "off"], 2),
         ("tight, with failures", ["--jit-cache", cache, "--jit-faults", "3"], 3),
         ("tight, two CPUs, with a cache", ["--jit-cache", cache, "--smp", "2"], 4),
         ("tight, a starved compiler", ["--jit-cache", "off", "--smp", "2"], 5)]
evicted = 0
for name, options, seed in cases:
    starve = "starved" in name
    sums, stats = soak(name, SECONDS / len(cases), seed, *TIGHT, *options, starve=starve)
    if sums is None:
        continue
    failures.check(sums == expected, f"{name}: other checksums than tier 1's: {sums}")
    tier2 = stats["tier2"]
    failures.check(stats["peak_memory_bytes"] < plain["peak_memory_bytes"] + ROOM,
                   f"{name}: {stats['peak_memory_bytes'] // MIB} MiB of memory, tier 1 {plain['peak_memory_bytes'] // MIB}")
    made = tier2["compiled"] + tier2["cache"]["hits"]
    failures.check(made > (0 if starve else 20) and not tier2["stopped"], f"{name}: {tier2}")
    failures.check(tier2["live_bytes"] <= 65536, f"{name}: {tier2['live_bytes']} bytes of code")
    failures.check(stats["translation"]["flushes"] > 0, f"{name}: the code cache was never full")
    evicted += tier2["evicted"]
    if not starve:
        failures.check(tier2["dropped"] > 0, f"{name}: no region was dropped: {tier2}")
    if "--jit-faults" in options:
        failures.check(tier2["failed"] > 0, f"{name}: nothing failed")
# Where the code cache is emptied before regions have filled theirs, none has to go in that case.
failures.check(evicted > 0, "no region was evicted")
failures.end()
