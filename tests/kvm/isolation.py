#!/usr/bin/env python3
"""A guest with fastmem reaches its own memory and nothing else, wherever it reads and writes (everywhere.c), and goes on
when the host slots and page tables that stand for its addresses are used up: here, and on the rig where a fault is cheap
enough for many more."""
import os, re, subprocess, sys
import rig

HERE, RIG = "everywhere_few", "everywhere"
FASTMEM = ["-m", "128", "--accel", "kvm", "--fastmem", "on"]
PROCESS = ["-m", "128", "--accel", "process"]
failures = 0


def local(name, options):
    counters = os.path.join(rig.work, "counters")
    done = subprocess.run([rig.ARCLIGHT, "run", "--stats-json", counters, "--kernel", rig.elf(name), *options],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=150)
    result = rig.Result(done.returncode, done.stdout.replace("\r", ""), 0)
    if done.returncode == 0:
        result.counters = rig.json.load(open(counters))
    return result


kEvictions = 40


def check(where, result, right, evictions):
    global failures
    wrong = re.search(r"right \d+, wrong 0\ndone", result.output) is None or result.status != 0
    if wrong or result.output.strip() != right.output.strip():
        failures += 1
        print(f"FAIL: {where}: {result}\n  the process accelerator gives: {right.output[-1000:]}")
        return
    fastmem = result.counters["cpus"][0]["windows"]
    print(f"{where}: {fastmem['faults']} faults, {fastmem['host_slots']} host slots taken, {fastmem['evictions']} times a soft TLB "
          f"made room")
    if fastmem["evictions"] < evictions:
        failures += 1
        print(f"FAIL: {where}: nothing was used up: {fastmem}")


usable = subprocess.run([rig.ARCLIGHT, "probe"], stdout=subprocess.PIPE, text=True).stdout
if re.search(r"^kvm +usable", usable, re.M):
    check("here", local(HERE, FASTMEM), local(HERE, PROCESS), kEvictions)
else:
    print("here:", usable.splitlines()[0])
few, many = rig.run_each([["--kernel", f"/t/{name}.elf", *FASTMEM] for name in (HERE, RIG)], [rig.elf(HERE), rig.elf(RIG)], limit=300)
check("on the rig", few, local(HERE, PROCESS), kEvictions)
# How many tables are taken depends on where the process's own pages lie, which is random.
check("on the rig, tables too", many, local(RIG, PROCESS), kEvictions)
sys.exit(failures != 0)
