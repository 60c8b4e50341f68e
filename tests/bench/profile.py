#!/usr/bin/env python3
"""The profile of host instructions (--profile-host): its guest instructions are those that --count-instructions counts, its marks
part the programs, and each loop's instructions are of the classes that its guest instructions need, as often as it runs, with guest registers in memory and
in vector registers."""
import json, os, subprocess, sys, tempfile
import harness
from harness import check

PASSES = 1000000  # CMakeLists.txt
guests = sys.argv[1:]
if not guests:
    harness.skip("no guest programs were built (no aarch64-linux-gnu-gcc)")


def run(elf, *options):
    """(profile, statistics)."""
    with tempfile.NamedTemporaryFile() as profile, tempfile.NamedTemporaryFile() as stats:
        done = subprocess.run([harness.ARCLIGHT, "run", "-m", "128", "--accel", "process", "--kernel", elf, "--profile-host", profile.name,
                               "--stats-json", stats.name, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=150)
        check(done.returncode == 0, f"arclight: {done.stdout[-300:]}")
        return json.load(profile), json.load(stats)


for elf in guests[:-1]:
    profile, stats = run(elf, "--jit", "tier1", "--count-instructions")
    ours, counted = profile["all"]["guest_instructions"], stats["guest_instructions"]
    print(f"{os.path.basename(elf)}: profile {ours}, counted {counted}")
    check(abs(ours - counted) <= 1e-4 * counted, "the profile's guest instructions are those that were counted")
    check(sum(profile["all"]["classes"].values()) == profile["all"]["host_instructions"], "the classes make the whole")
    check(profile["programs"] == [], "no marks, no programs")

# What is between the marks but the loop: the guest prints some dozens of characters.
OTHER = 20000
profile, _ = run(guests[-1], "--jit", "tier1")
adds, loads = profile["programs"]
check([adds["name"], loads["name"]] == ["adds", "loads"], "each program that ended, and no other")
for program in (adds, loads):
    check(0 <= program["guest_instructions"] - 3 * PASSES < OTHER, f"{program['name']}: {program['guest_instructions']} guest instructions")


def each(program, name):
    return program["classes"][name] / PASSES


MOST = OTHER / PASSES
check(each(adds, "soft_tlb") < MOST and each(adds, "access") < MOST, "additions look nothing up")
check(1 <= each(loads, "access") < 1 + MOST, "a load is one access")
check(5 <= each(loads, "soft_tlb") < 10, "and a look at the soft TLB")
for program in (adds, loads):
    check(1 <= each(program, "branch") + each(program, "jump") < 4, f"{program['name']}: a branch a pass")
    check(1 <= each(program, "poll") <= 2 + MOST, f"{program['name']}: a poll a pass")
    check(each(program, "counter") == 0, f"{program['name']}: tier 1 alone counts no runs")
    check(each(program, "flags") + each(program, "register_store") >= 1, f"{program['name']}: registers go to memory each pass")

# Guest registers: each pass loads and stores some, unless they live in vector registers.
def registers(program):
    return {name: program["registers"][name] / PASSES for name in ("loads", "stores", "vector_reads", "vector_writes", "shared")}


for program in (adds, loads):
    found = registers(program)
    check(found["loads"] >= 1 and found["stores"] >= 1, f"{program['name']}: registers are loaded and stored: {found}")
    check(found["vector_reads"] + found["vector_writes"] + found["shared"] == 0, f"{program['name']}: none is in a vector: {found}")
    by = program["registers"]["by_register"]
    check(sum(by["loads"]) == program["registers"]["loads"] and sum(by["stores"]) == program["registers"]["stores"], f"the registers make the whole: {by}")
with open("/proc/cpuinfo") as f:
    flags = set(next((line.split() for line in f if line.startswith("flags")), []))
if {"avx512f", "avx512vl"} <= flags:
    profile, _ = run(guests[-1], "--jit", "tier1", "--registers", "simd")
    for before, program in zip((adds, loads), profile["programs"]):
        found, old = registers(program), registers(before)
        check(found["loads"] + found["stores"] - found["shared"] < MOST, f"{program['name']}: blocks use none in memory: {found}")
        check(found["vector_reads"] >= 1 and found["vector_writes"] >= 1, f"{program['name']}: but in vectors: {found}")
        check(abs(found["vector_writes"] - old["stores"]) < MOST, f"{program['name']}: as often as they stored them: {found}, {old}")
        check(0 < found["shared"] < found["vector_reads"], f"{program['name']}: seldom all at once: {found}")

# With tier 2 the block counts its runs where that is asked for, until a region executes the loop; else it is looked at by samples.
profile, _ = run(guests[-1], "--jit", "tiered", "--jit-cache", "off")
check(each(profile["programs"][0], "counter") < MOST, "a block that is sampled counts nothing")
profile, _ = run(guests[-1], "--jit", "tiered", "--jit-threshold", "20000", "--jit-cache", "off")
check(0 < each(profile["programs"][0], "counter") <= 2 + MOST, "a counter is two instructions a run")
harness.end()
