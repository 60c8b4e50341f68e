#!/usr/bin/env python3
"""A program that hammers its own mappings (guest/mappings.c) under each shadow policy: every page must hold what it wrote.
In the process world with one CPU and several, also while LightV moves all of the guest's memory about at random; nightly in the
KVM world through windows, and on the rig. The counters must show that the policy and the moves were at work."""
import json, os, re, sys
import guest
from guest import Failures, Guest, KERNEL_TROUBLE, build_program

seconds = 20 if guest.NIGHTLY else 1.5
failures = Failures()
debian = Guest(add={build_program("mappings"): "/bin/mappings", build_program("threads"): "/bin/threads"})
# Several at once, for switches between address spaces.
SCRIPT = "for s in {seeds}; do mappings {seconds} $s & done; wait; echo waited"
POLICIES = {"ssp": ["--mmu", "ssp"], "two roots": ["--mmu", "ssp", "--mmu-roots", "2"], "ssp-nocache": ["--mmu", "ssp-nocache"],
            "tsp": ["--mmu", "tsp"], "tsp-unsync": ["--mmu", "tsp-unsync"]}
NUMBER = 3
CHURN = os.path.join(guest.work, "churn")
with open(CHURN, "w") as f:
    json.dump({"attach": [{"name": "churn", "module": "churn", "with": {"interval_ms": 2, "pages": 512},
                           "pages": {"physical": "0x40000000", "bytes": "128M"}}]}, f)
MOVED = ["-m", "128M", "--lightv", CHURN]


def counters_make_sense(name, stats, what):
    counts = stats["cpu"]["shadow"]
    switches = counts["root_hits"] + counts["root_misses"]
    failures.check(counts["fills"] > 1000 and counts["synchronisations"] > 1000 and switches > 20, f"{what}: counters {counts}")
    if name == "tsp-unsync":
        failures.check(counts["table_writes"] > 100 and counts["rewritten"] > 100 and counts["tlbi_ignored"] == 0, f"{what}: counters {counts}")
    elif name == "tsp":
        failures.check(counts["table_writes"] > 1000 and counts["tables_protected"] > 10 and counts["tlbi_ignored"] > 1000, f"{what}: counters {counts}")
    else:
        failures.check(counts["table_writes"] == counts["tables_protected"] == counts["tlbi_ignored"] == 0, f"{what}: counters {counts}")
    if name == "ssp-nocache":
        failures.check(counts["root_hits"] == 0, f"{what}: {counts['root_hits']} hits without a cache")
    # Pages that LightV owns are walked for at each access.
    if name.startswith("ssp") and "moves" not in what:
        failures.check(counts["rewritten"] > 100, f"{what}: no leaf was rewritten: {counts}")
    if name == "ssp":
        failures.check(counts["root_hits"] > 10, f"{what}: no hits: {counts}")


def hammer(name, options, what, extra=""):
    stats = os.path.join(guest.work, "stats.json")
    seeds = " ".join(str(n + 1 + 10 * list(POLICIES).index(name)) for n in range(NUMBER))
    result = debian.run(["sh", "-c", SCRIPT.format(seeds=seeds, seconds=seconds) + extra], limit=seconds * 20 + 200,
                        options=[*POLICIES[name], *options, "--stats-json", stats])
    what = f"{name}, {what}"
    print(f"{what}: {result.seconds:.1f} s: {'; '.join(re.findall('[0-9]+ steps[^,]*, [0-9]+ pages', result.text))}", flush=True)
    clean = result.status == 0 and result.text.count("\nok") >= NUMBER and "FAIL" not in result.text
    if failures.check(clean and not KERNEL_TROUBLE.search(result.text), f"{what}: {result}"):
        with open(stats) as f:
            stats = json.load(f)
        counters_make_sense(name, stats, what)
        if "--lightv" in options:
            moved = stats["lightv"]["churn"]["moved"]
            print(f"{what}: {moved} pages moved", flush=True)
            failures.check(moved > 1000, f"{what}: {moved} pages moved")


for policy in POLICIES:
    if guest.NIGHTLY or policy in ("ssp", "tsp"):
        hammer(policy, ["--accel", "process"], "one CPU")
    threads = "".join(f"; threads {t} {seconds / 3}" for t in ("map", "protect", "fork"))
    hammer(policy, ["--accel", "process", "--smp", "3"], "3 CPUs", threads)
    if policy == "tsp-unsync" and not guest.NIGHTLY:
        continue
    if guest.NIGHTLY or policy in ("ssp-nocache", "tsp"):
        hammer(policy, ["--accel", "process", *MOVED], "one CPU, under moves")
    hammer(policy, ["--accel", "process", "--smp", "3", *MOVED], "3 CPUs, under moves")
    # A window fault can take a fifth of a millisecond on a paravirtual /dev/kvm.
    if guest.HAS_KVM and guest.NIGHTLY:
        hammer(policy, ["--accel", "kvm", "--windows", "on"], "windows")
        hammer(policy, ["--accel", "kvm", "--windows", "on", "--smp", "3"], "windows, 3 CPUs", threads)
        hammer(policy, ["--accel", "kvm", "--windows", "on", *MOVED], "windows, under moves")

if guest.NIGHTLY or "--rig" in sys.argv:
    sys.path.insert(0, os.path.join(guest.SOURCE, "tests/kvm"))
    import rig
    names = [n for n in POLICIES if n != "two roots"]
    common = ["--accel", "kvm", "-m", "512", "--kernel", "/t/kernel", "--initrd", "/t/initrd", "--no-reboot", "--append", "console=ttyAMA0 panic=-1 quiet"]
    command = ["--", "sh", "-c", SCRIPT.format(seeds="1 2", seconds=2)]
    results = rig.run_each([[*common, *POLICIES[n]] for n in names], limit=900, memory=2048,
                           files=[debian.kernel + ":/t/kernel", debian.initrd + ":/t/initrd"], last=command)
    for name, result in zip(names, results):
        print(f"{name}, on the rig: {'; '.join(re.findall('[0-9]+ steps[^,]*, [0-9]+ pages', result.output))} {result.counters and result.counters['cpu']['shadow']}")
        failures.check(result.status == 0 and result.output.count("\nok") == 2 and "FAIL" not in result.output, f"{name}, on the rig: {result}")
failures.end()
