#!/usr/bin/env python3
"""The bare-metal programs with the KVM accelerator print what they print with the process accelerator: on the rig, all in one
boot, and on this host where /dev/kvm works, with fastmem and without, and with every block a region that uses fastmem."""
import os, re, subprocess, sys
import rig

PROGRAMS = [(n, 1) for n in ("mmu", "mmio", "exceptions", "tlbi", "gic", "timer", "debug")] + [(n, 4) for n in ("smp", "psci")]
CPUS = dict(PROGRAMS)
ONE_CPU = [name for name, cpus in PROGRAMS if cpus == 1]
# Four virtual CPUs on the rig's one core.
FOUR_CPUS = [name for name, cpus in PROGRAMS if cpus == 4 and (rig.NIGHTLY or name == "psci")]
failures = 0

if not os.path.isdir(rig.guests()):
    rig.skip("no bare-metal guests: no aarch64-linux-gnu-gcc")


def elf(name):
    return os.path.join(rig.guests(), name + ".elf")


def arguments(path, cpus, *accel):
    return ["--kernel", path, "-m", "128", "--gic", "3", "--smp", str(cpus), *accel]


def here(name, cpus, *accel):
    try:
        done = subprocess.run([rig.ARCLIGHT, "run", *arguments(elf(name), cpus, *accel)], stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=60)
        return rig.Result(done.returncode, done.stdout.replace("\r", ""), 0)
    except subprocess.TimeoutExpired as e:
        return rig.Result(124, (e.stdout or b"").decode(errors="replace"), 60)


def compare(where, name, got, right, on_time=True):
    """By run.sh's rules: the program's own verdict, and the log line by line; without what it says of time if it may be late."""
    global failures
    got_lines, right_lines = ([line for line in r.output.strip().splitlines() if on_time or "woke in time" not in line]
                              for r in (got, right))
    if got.status == 0 and got_lines == right_lines and "WRONG" not in got.output and got_lines[-1:] == ["done"]:
        return
    failures += 1
    print(f"FAIL: {name} {where}: {len(got_lines)} lines for {len(right_lines)}, status {got.status}")
    for a, b in [(a, b) for a, b in zip(got_lines, right_lines) if a != b][:5]:
        print(f"  has   {a}\n  wants {b}")
    print("  ends with:", got_lines[-3:])


right = {name: here(name, cpus, "--accel", "process") for name, cpus in PROGRAMS}

usable = subprocess.run([rig.ARCLIGHT, "probe"], stdout=subprocess.PIPE, text=True).stdout
if re.search(r"^kvm +usable", usable, re.M):
    for name, cpus in PROGRAMS:
        for fastmem in ("on", "off"):
            compare(f"here, --fastmem {fastmem}", name, here(name, cpus, "--accel", "kvm", "--fastmem", fastmem), right[name])
        if rig.NIGHTLY or name in ("mmio", "exceptions"):
            compare("here, tier 2 and fastmem", name, here(name, cpus, "--accel", "kvm", "--fastmem", "on", "--jit", "tier2"), right[name])
    print(f"here: {len(PROGRAMS)} programs")
else:
    print("here:", usable.splitlines()[0])

# The other shadow policies, by what they may get wrong.
POLICIES = [(name, policy) for name in ("mmu", "tlbi") for policy in ("tsp", "ssp-nocache")]

for nested in (1, 0) if rig.NIGHTLY else (1,):
    runs = [(name, fastmem) for name in ONE_CPU for fastmem in ("on", "off")] + [(name, "on") for name in FOUR_CPUS]
    results = rig.run_each([arguments(f"/t/{name}.elf", CPUS[name], "--accel", "kvm", "--fastmem", fastmem) for name, fastmem in runs] +
                           [arguments(f"/t/{name}.elf", 1, "--accel", "kvm", "--fastmem", "on", "--mmu", policy) for name, policy in POLICIES],
                           [elf(name) for name in ONE_CPU + FOUR_CPUS], limit=600 if rig.NIGHTLY else 500, nested=nested)
    for (name, fastmem), got in zip(runs, results):
        compare(f"on the rig, npt={nested}, --fastmem {fastmem}", name, got, right[name])
    for (name, policy), got in zip(POLICIES, results[len(runs):]):
        compare(f"on the rig, npt={nested}, --fastmem on --mmu {policy}", name, got, right[name])
    print(f"on the rig, npt={nested}: {len(results)} runs in {results[0].seconds:.1f} s")

# On VT-x, as `auto` chooses: the KVM accelerator, with fastmem.
names = ONE_CPU + FOUR_CPUS if rig.NIGHTLY else ["mmu"]
results = rig.run_each([arguments(f"/t/{name}.elf", CPUS[name]) for name in names], [elf(name) for name in names], limit=900, processor="intel")
for name, got in zip(names, results):
    chosen, _, got.output = got.output.lstrip().partition("\n")
    compare("on VT-x", name, got, right[name])
    # What it says it has chosen, and what ran.
    world = got.counters["accel"]["world"] if got.counters else "none"
    if not chosen.startswith("arclight: --accel auto chose kvm") or world != "kvm":
        failures += 1
        print(f"FAIL: on VT-x: the world is {world}; {chosen}")
print(f"on VT-x: {len(names)} runs in {results[0].seconds:.1f} s")

# Every block a region: LLVM takes its time there.
if rig.NIGHTLY:
    for name in ONE_CPU:
        got, = rig.run_each([arguments(f"/t/{name}.elf", 1, "--accel", "kvm", "--fastmem", "on", "--jit", "tier2")], [elf(name)],
                            limit=500, memory=2048, tier2=True)
        compare("on the rig, tier 2 and fastmem", name, got, right[name], on_time=False)  # what wakes is compiled first
        print(f"on the rig, tier 2 and fastmem: {name} in {got.seconds:.1f} s")
sys.exit(failures != 0)
