#!/usr/bin/env python3
"""The exit budget: where ring 0 is native, what a kernel does all day leaves the virtual machine only for real I/O and
timers. Two runs that differ in the number of system calls, page faults, address space switches, reads of a device, interrupts or
waits for events alone; the difference of their exits, by cause, is what those cost. KVM's own count stands beside ours."""
import re, sys
import rig

WHAT = {"system_calls": "system calls", "faults": "page faults", "switches": "address space switches",
        "no_asids": "address space switches without ASIDs", "device_reads": "reads of a device", "tagged_reads": "reads by tagged addresses",
        "interrupts": "interrupts",
        "waits": "WFE and YIELD", "ticks": "timer ticks"}
# What differs between the runs, where it is not MORE. A tick may arm the host's timer, and the host's own makes exits meanwhile.
TICKS = 240
SHORT, LONG = 3200, 32000  # tests/kvm/CMakeLists.txt
MORE = LONG - SHORT
# Output, the event loop, timers and a CPU that waits.
REAL = {"futex", "read", "write", "timerfd_settime", "pread", "pwrite", "fdatasync"}
# The heap of a longer run may grow once more, into a GiB not touched before: that is no part of the steady state.
GROWTH, ONCE = ("first_touches", "brk", "mmap", "munmap"), 3
failures = 0


def fail(text):
    global failures
    failures += 1
    print("FAIL:", text)


names = ["base", *WHAT, "contiguous"]
results = rig.run_each([["--accel", "kvm", "--fastmem", "on", "-m", "128", "--kernel", f"/t/budget_{n}.elf"] for n in names],
                       [rig.elf(f"budget_{n}") for n in names], limit=200)
exits, faults, kvm = {}, {}, {}
for name, result in zip(names, results):
    said = re.search(r"device reads \d+, interrupts \d+\nsystem calls (\d+), faults (\d+), increments (\d+), wrong reads 0\ndone", result.output)
    if result.status != 0 or not said or not result.counters:
        print("the guest did not do its work:", name, result)
        sys.exit(1)
    counts = dict(zip(("system_calls", "faults"), map(int, said.groups())))
    for what in counts:
        if counts[what] != (LONG if what == name else SHORT) or said.group(2) != said.group(3):
            fail(f"{name}: {counts[what]} {what}: {said.group(0)}")
    exits[name] = result.counters["world_exits"]
    kvm[name] = result.counters["kvm"]["exits"]
    fastmem = result.counters["cpus"][0]["windows"]
    print(f"{name}: {exits[name]['total']} exits, {fastmem['faults']} fastmem faults, {fastmem['fills']} fills, "
          f"{fastmem['invalidations']} invalidations, {result.counters['seconds']:.2f} s")
    # Without the work that is to be free, nothing would be shown.
    if fastmem["faults"] < 1000 or fastmem["invalidations"] < 100:
        fail(f"{name}: fastmem was hardly used")
    # A switch, with ASIDs or without, costs no fault either: what was mapped is still, or again. A device's site costs one, then
    # the device is called there; likewise one of an address with a tag, then the tag is taken off.
    faults[name] = fastmem["faults"]
    if name in ("switches", "no_asids", "device_reads", "tagged_reads", "interrupts") and faults[name] > faults["base"] + MORE / 100:
        fail(f"{faults[name] - faults['base']} more fastmem faults for {MORE} more {WHAT[name]}")

# 512 pages in groups of 16.
if faults["contiguous"] > faults["base"] + 512 / 16 + 10:
    fail(f"{faults['contiguous'] - faults['base']} more fastmem faults for 512 contiguous pages")

for name, words in WHAT.items():
    causes = sorted(set(exits["base"]) | set(exits[name]))
    cost = {c: exits[name].get(c, 0) - exits["base"].get(c, 0) for c in causes}
    number = TICKS if name == "ticks" else MORE
    shown = ", ".join(f"{c} {n * 1000 / number:.2f}" for c, n in cost.items() if n != 0 and c != "total")
    print(f"exits per thousand {words}: {cost['total'] * 1000 / number:.2f}" + (f" ({shown})" if shown else "") +
          f"; as KVM counts: {(kvm[name] - kvm['base']) * 1000 / number:.2f}")
    # The host's timer interrupts the machine as well, and KVM counts that.
    if kvm[name] < exits[name]["total"]:
        fail(f"{name}: KVM counts {kvm[name]} exits, we {exits[name]['total']}")
    for cause, n in cost.items():
        if cause not in REAL and cause != "total" and n > (ONCE if cause in GROWTH else 0):
            fail(f"{n} more exits by {cause} for {number} more {words}")
    if cost["total"] > (2 * TICKS if name == "ticks" else MORE / 1000):
        fail(f"{cost['total']} more exits for {number} more {words}")
print(f"rig: {results[0].seconds:.1f} s")
sys.exit(failures != 0)
