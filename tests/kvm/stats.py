#!/usr/bin/env python3
"""What --stats and --stats-json count: everything that QEMU's `info jit` does and what the KVM accelerator adds, in total and per
second, for a guest whose events are known."""
import json, os, re, subprocess, sys
import rig

if not os.path.isdir(rig.guests()):
    rig.skip("no bare-metal guests: no aarch64-linux-gnu-gcc")
failures = 0


def check(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAIL:", text)


def at(counters, path):
    for word in path.split("."):
        counters = counters[word]
    return counters


# QEMU's name: ours.
INFO_JIT = {"gen code size": "translation.host_bytes", "TB count": "translation.blocks",
            "TB avg target size": "translation.guest_instructions", "direct jump count": "translation.links",
            "TB flush count": "translation.flushes", "TB invalidate count": "translation.invalidated_blocks",
            "TLB full flushes": "cpu.tlbi_kinds.all", "TLB partial flushes": "cpu.tlbi_kinds.address"}
OURS = ["cpu.el_switches", "cpu.tlb_fills", "cpu.tlbi", "cpu.tlbi_kinds.asid", "cpu.tlbi_kinds.address_of_all_asids", "cpu.ic",
        "cpu.mmio", "cpu.data_aborts", "cpu.instruction_aborts", "cpu.exits.redirect", "mmio.pl011.reads", "mmio.pl011.writes"]
KVM = ["world_exits.total", "world_exits.first_touches", "world_exits.window_faults", "world_exits.invalidations"]
FASTMEM = ["cpu.windows." + n for n in ("faults", "fills", "large_fills", "host_slots", "evictions", "dropped_pages",
                                        "invalidations", "device_sites")]
MAY_BE_ZERO = {"translation.flushes", "world_exits.invalidations", "cpu.windows.large_fills", "cpu.windows.evictions"}


def run(name, *options):
    path = os.path.join(rig.work, "stats")
    done = subprocess.run([rig.ARCLIGHT, "run", "-m", "128", *options, "--stats", "--stats-json", path, "--kernel",
                           os.path.join(rig.guests(), name + ".elf")], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace", timeout=60)
    check(done.returncode == 0, f"{name} {options}: {done.stderr[-1000:]}")
    with open(path) as f:
        return json.load(f), done.stderr


def examine(what, counters, text, names):
    for name in names:
        try:
            total, rate = at(counters, name), at(counters["per_second"], name)
        except KeyError:
            check(False, f"{what}: {name} is not counted, or not per second")
            continue
        check(total > 0 or name in MAY_BE_ZERO, f"{what}: {name} is {total}")
        check(abs(rate * counters["seconds"] - total) <= 1e-6 * total + 1e-6, f"{what}: {name} is {total}, {rate} per second")
        shown = re.search(rf"^{re.escape(name)} +(\d+) +\d+$", text, re.M)
        check(total == 0 or shown, f"{what}: --stats does not show {name}")
    kinds = at(counters, "cpu.tlbi_kinds")
    check(sum(kinds.values()) == at(counters, "cpu.tlbi"), f"{what}: TLBIs by kind: {kinds}")
    check(sum(d["reads"] + d["writes"] for d in counters["mmio"].values()) == at(counters, "cpu.mmio"),
          f"{what}: accesses by device and in sum: {counters['mmio']}, {at(counters, 'cpu.mmio')}")


examine("process", *run("tlbi", "--accel", "process"), [*INFO_JIT.values(), *OURS])
usable = subprocess.run([rig.ARCLIGHT, "probe"], stdout=subprocess.PIPE, text=True).stdout
if re.search(r"^kvm +usable", usable, re.M):
    counters, text = run("tlbi", "--accel", "kvm", "--fastmem", "on")
    native = re.search(r"^ring 0 +native", usable, re.M)
    zero_where_native = {"world_exits.window_faults", "world_exits.invalidations"}
    examine("kvm", counters, text, [*INFO_JIT.values(), *OURS, *FASTMEM, *(n for n in KVM if not native or n not in zero_where_native)])
    total = at(counters, "world_exits.total")
    check(total == sum(n for cause, n in counters["world_exits"].items() if cause != "total"), f"exits by cause: {counters['world_exits']}")
else:
    print("kvm:", usable.splitlines()[0])
print(f"{len(INFO_JIT) + len(OURS) + len(KVM) + len(FASTMEM)} counters, {failures} failures")
sys.exit(failures != 0)
