#!/usr/bin/env python3
"""A branch to another page is linked for the soft TLB of one CPU. Where two CPUs take it in turns (shared_code.c), the other one finds the
way by itself after its first times, instead of linking the branch anew each time. But it is counted where it is to be known how often it is taken:
a loop over two pages becomes a region in a soft TLB that is emptied all the time, too (fresh_epochs.c). The environment: ARCLIGHT, GUEST (shared_code.elf), LOOP
(fresh_epochs.elf)."""
import json, os, subprocess, sys, tempfile

TURNS, BRANCHES = 2000, 3
# Those of all other code, and some for each branch.
MOST = 300

failures = 0
for options in (["--accel", "process", "--jit", "tier1"], ["--accel", "process", "--jit", "tiered"], ["--accel", "kvm", "--fastmem", "off", "--jit", "tier1"]):
    if "kvm" in options and not os.access("/dev/kvm", os.R_OK | os.W_OK):
        print(f"{' '.join(options)}: no /dev/kvm, left out")
        continue
    with tempfile.TemporaryDirectory(prefix="arclight-shared-code-") as work:
        stats = os.path.join(work, "stats")
        done = subprocess.run([os.environ["ARCLIGHT"], "run", "-m", "128", "--gic", "3", "--smp", "2", *options, "--stats-json", stats, "--kernel", os.environ["GUEST"]],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=100)
        right = f"{TURNS} turns, sum {7 * TURNS}, wrong 0\ndone"
        if done.returncode != 0 or done.stdout.replace("\r", "").strip() != right:
            sys.exit(f"FAIL: {options}: status {done.returncode}: {done.stdout}")
        with open(stats) as f:
            links = json.load(f)["translation"]["links"]
    print(f"{' '.join(options)}: {links} links, at most {MOST}, for {TURNS * BRANCHES} branches to another page")
    failures += links > MOST
with tempfile.TemporaryDirectory(prefix="arclight-shared-code-") as work:
    stats = os.path.join(work, "stats")
    done = subprocess.run([os.environ["ARCLIGHT"], "run", "-m", "128", "--gic", "3", "--accel", "process", "--jit", "superblocks", "--jit-threshold", "4000", "--stats-json", stats, "--kernel", os.environ["LOOP"]],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=100)
    if done.returncode != 0 or not done.stdout.rstrip().endswith("done"):
        sys.exit(f"FAIL: the loop: status {done.returncode}: {done.stdout}")
    with open(stats) as f:
        made = json.load(f)["superblocks"]
    print(f"the loop: {made}")
    failures += made["made"] == 0 or made["blocks"] < 8 * made["made"]
print("FAIL" if failures else "all as expected")
sys.exit(failures != 0)
