#!/usr/bin/env python3
"""Linux with tier 2 forced: regions are made of blocks at their first run, while the guest waits, in both worlds.

All blocks of a boot would take LLVM many minutes. So each boot takes one block in SHARE, and the next boot others; the
long form takes all of them in the end.
"""
import hashlib, json, os, re
import guest
from guest import Failures, Guest, build_program

SHARE = 20 if guest.NIGHTLY else 100  # one block of this number
WORLDS = [["--accel", "process"], ["--accel", "process", "--smp", "2"]]
if guest.HAS_KVM:
    WORLDS += [["--accel", "kvm"], ["--accel", "kvm", "--windows", "off"]]
BOOTS = 3 * SHARE if guest.NIGHTLY else len(WORLDS) - 1
COMMAND = ["sh", "-c", "uname -r; seq 1 4000 | sort -n | md5sum; seq 1 9 | awk '{ s += $1 / 7 } END { print s }'; "
           "dd if=/bin/busybox bs=64k 2> /dev/null | gzip -c | gunzip -c | sha256sum"]

failures = Failures()
debian = Guest(add={build_program("phases"): "/phases"})
expected = debian.run(COMMAND, options=["--jit", "tier1"])
failures.check(expected.status == 0, f"tier 1: {expected}")
for seed in range(BOOTS):
    world = WORLDS[seed % len(WORLDS)]
    result = debian.run(COMMAND, limit=300, append="loglevel=4", options=[
        *world, "--jit", "tier2", "--jit-region", "60", "--jit-sample", str(SHARE), "--jit-sample-seed", str(seed), "--stats"])
    name = f"seed {seed} {' '.join(world)}"
    output = "".join(line for line in result.text.splitlines(True) if not line.startswith("["))
    failures.check(result.status == 0 and output == expected.text, f"{name}: {result}")
    troubles = guest.KERNEL_TROUBLE.findall(result.text)
    failures.check(not troubles, f"{name}: the kernel complains: {result}")
    regions = [line for line in result.error.decode().splitlines() if line.startswith("tier 2:")]
    failures.check(regions and "stopped" not in regions[0], f"{name}: {regions}")
    print(f"{name}: {result.seconds:.1f} s, {regions[0] if regions else ''}", flush=True)

# The usual threshold, but none waits for others to have paid first.
SOON = ["--jit-threshold", "20000"]

# A program that changes its ways: what was compiled for the old ones is given up.
expected = debian.run(["sh", "-c", "/phases 40000000 2> /dev/null"], options=["--jit", "tier1"])
file = os.path.join(guest.work, "stats.json")
# On a busy host the compiler may get its turn only when the program has changed already: then once more.
for attempt in range(3):
    cache = os.path.join(guest.work, f"regions{attempt}")
    result = debian.run(["sh", "-c", "/phases 40000000 2> /dev/null"], options=[
        "--jit", "tiered", *SOON, "--jit-cache", cache, "--stats-json", file, "--stats"])
    failures.check(result.status == 0 and result.text == expected.text, f"phases: {result}, but with tier 1 {expected}")
    with open(file) as f:
        tier2 = json.load(f)["tier2"]
    if tier2["deoptimised"] > 0:
        break
print(f"phases: {expected.cpu_seconds:.1f} CPU s with tier 1, {result.cpu_seconds:.1f} tiered: {tier2}")
failures.check(tier2["deoptimised"] > 0 and tier2["compiled"] > 0, f"phases: {tier2}")
# What was given up is of no use to another run.
failures.check(tier2["cache"]["withdrawn"] > 0, f"phases: {tier2}")
regions = sum(name.endswith(".region") for name in os.listdir(cache))
failures.check(regions == tier2["cache"]["saved"] - tier2["cache"]["withdrawn"], f"phases: {regions} files: {tier2}")
steady = tier2["steady_speed"]
failures.check(steady and 0.2 < steady["seconds_to_90_percent"] < result.seconds and 0.1 < steady["region_share"] <= 1,
               f"phases: {steady} in {result.seconds:.1f} s")
failures.check(re.search(rb"90 % of the steady speed after \d", result.error), f"phases: {result.error}")

# One that does the same all the time is soon in regions most of the time. In the virtual machine, where the CPUs' threads
# are is found out in another way.
zeros = hashlib.sha256(bytes(65536 * 3000)).hexdigest()
for world in "process", "kvm":
    if not any(world in w for w in WORLDS):
        continue
    result = debian.run(["sh", "-c", "dd if=/dev/zero bs=64k count=3000 2> /dev/null | sha256sum"], options=[
        "--accel", world, "--windows", "off", "--jit", "tiered", *SOON, "--jit-cache", "off", "--stats-json", file])
    with open(file) as f:
        steady = json.load(f)["tier2"]["steady_speed"]
    print(f"the same all the time, {world}: {result.seconds:.1f} s, {steady}", flush=True)
    failures.check(result.status == 0 and result.text.startswith(zeros), f"{world}: {result}")
    failures.check(steady and 0.2 < steady["seconds_to_90_percent"] < result.seconds and 0.4 < steady["region_share"] <= 1,
                   f"{world}: {steady} in {result.seconds:.1f} s")
failures.end()
