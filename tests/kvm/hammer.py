#!/usr/bin/env python3
"""A kernel that hammers its mappings and compares every page (hammer.c), under each shadow policy, alone and while LightV moves
its memory about at random: with the process accelerator, with KVM on this host where /dev/kvm works, and on the rig. All print
what the process accelerator gives. The counters must show that policy and moves were at work."""
import json, os, re, subprocess, sys
import rig

POLICIES = {"ssp": ["--mmu", "ssp"], "two roots": ["--mmu", "ssp", "--mmu-roots", "2"], "ssp-nocache": ["--mmu", "ssp-nocache"],
            "tsp": ["--mmu", "tsp"], "tsp-unsync": ["--mmu", "tsp-unsync"]}
# The image with its stacks, and where runtime/bm.c takes tables and pages from.
CHURN = os.path.join(rig.work, "churn")
with open(CHURN, "w") as f:
    json.dump({"attach": [{"name": "churn", "module": "churn", "with": {"interval_ms": 1, "pages": 64},
                           "pages": [{"physical": "0x40200000", "bytes": "128K"}, {"physical": "0x41000000", "bytes": "5M"}]}]}, f)
FORMS = [(policy, churn) for policy in POLICIES for churn in (False, True)]
# In virtual machines, where time is dear: each policy under moves.
FEW = FORMS if rig.NIGHTLY else [("ssp", True), ("ssp-nocache", True), ("tsp", False), ("tsp", True), ("tsp-unsync", True)]
failures = 0


def arguments(elf, form, where, *options):
    policy, churn = form
    return ["-m", "128", *options, "--kernel", elf, *POLICIES[policy], *(["--lightv", where] if churn else [])]


def check(where, form, result, right):
    global failures
    policy, churn = form
    shadow, moved = {}, 0
    if result.counters:
        shadow, moved = result.counters["cpu"]["shadow"], result.counters.get("lightv", {}).get("churn", {}).get("moved", 0)
    at_work = (shadow.get("table_writes", 0) > (1000 if policy == "tsp" else 0)) == policy.startswith("tsp") and (shadow.get("root_hits", 0) == 0) == (policy == "ssp-nocache") \
        and shadow.get("root_misses", 0) > 10 and (moved > 100) == churn
    what = f"{where}, {policy}{', under moves' if churn else ''}"
    print(f"{what}: {moved} pages moved, {shadow.get('synchronisations')} synchronisations", flush=True)
    if result.status == 0 and result.output.strip() == right and right.endswith("wrong 0\ndone") and at_work:
        return
    failures += 1
    print(f"FAIL: {what}: {result}\n  {shadow}\n  right would be: {right}")


def here(name, form, *options):
    path = os.path.join(rig.work, "stats")
    if os.path.exists(path):
        os.unlink(path)
    try:
        done = subprocess.run([rig.ARCLIGHT, "run", *arguments(rig.elf(name), form, CHURN, *options), "--stats-json", path],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=200)
        result = rig.Result(done.returncode, done.stdout.replace("\r", ""), 0)
    except subprocess.TimeoutExpired as e:
        result = rig.Result(124, (e.stdout or b"").decode(errors="replace"), 200)
    if os.path.exists(path):
        with open(path) as f:
            result.counters = json.load(f)
    return result


long_right = here("hammer_long", ("ssp", False), "--accel", "process").output.strip()
right = here("hammer", ("ssp", False), "--accel", "process").output.strip()
for form in FORMS:
    # Regions know of moved pages what blocks know: one of both suffices by day.
    for tier in ("tier1", "tiered") if rig.NIGHTLY or form[1] else ("tier1",):
        check(f"process, {tier}", form, here("hammer_long", form, "--accel", "process", "--jit", tier, "--jit-cache", "off"), long_right)
usable = subprocess.run([rig.ARCLIGHT, "probe"], stdout=subprocess.PIPE, text=True).stdout
if re.search(r"^kvm +usable", usable, re.M):
    for form in FEW:
        check("here, soft TLB", form, here("hammer_long", form, "--accel", "kvm", "--fastmem", "off"), long_right)
        check("here, fastmem", form, here("hammer", form, "--accel", "kvm", "--fastmem", "on"), right)
else:
    print("here:", usable.splitlines()[0])
for nested in (1, 0) if rig.NIGHTLY else (1,):
    results = rig.run_each([arguments("/t/hammer.elf", form, "/t/churn", "--accel", "kvm", "--fastmem", "on") for form in FEW],
                           [rig.elf("hammer"), CHURN], limit=250, nested=nested)
    for form, result in zip(FEW, results):
        check(f"on the rig, npt={nested}", form, result, right)
    print(f"on the rig, npt={nested}: {results[0].seconds:.1f} s")
sys.exit(failures != 0)
