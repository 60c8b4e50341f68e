#!/usr/bin/env python3
"""The sweep's second runs: each after one that is not measured, with a directory of its own, and never the headline."""
import glob, os
import harness
from harness import check, sweep, work


def runs():
    """By directory of what is kept: the programs of each boot."""
    found = {}
    for path in glob.glob(os.path.join(work, "a", "kept", "*", "ran")):
        with open(path) as f:
            found[path] = f.read().split()
    return found


status, text, result = sweep("a", "--second-run", "--batch", "2", "--reps", "2")
check(status == 0 and result, f"status {status}:\n{text}")
names = {v for v in result["variants"] if v.startswith("arclight")}
both = {"arclight process/tier1", "arclight process/tiered"}
check(names == both | {n + "+second-run" for n in both}, f"variants: {names}")
check(result["headline"] == "arclight process/tiered", f"headline {result['headline']}")
for name, entry in result["programs"].items():
    check(name == "boot" or all(entry["seconds"][v]["n"] == 2 for v in names), f"{name}: {entry['seconds']}")
kept = runs()
check(len(kept) == 2, f"a directory for each configuration: {kept}")
# Of each batch a first run, and two that are measured.
for path, boots in kept.items():
    check("perl,bzip2" in boots and all(boots.count(b) == 3 for b in boots), f"{path}: {boots}")
measured = len(boots) - len(set(boots))

# What has been kept is used again, by the same binary alone.
sweep("a", "--second-run", "--batch", "2", "--reps", "2", "--fresh")
check(all(len(again) == len(boots) + measured for again in runs().values()), f"again: {runs()}")
player = os.path.join(work, "arclight")
target = os.path.realpath(player)
os.remove(player)
with open(target) as f, open(player, "w") as to:
    to.write(f.read() + "\n")
os.chmod(player, 0o755)
sweep("a", "--second-run", "--batch", "2", "--reps", "2", "--fresh")
check(len(runs()) == 4, f"another binary: {runs()}")

# Without the option nothing is kept.
status, text, result = sweep("b")
check(status == 0 and not any("second-run" in v for v in result["variants"]), text)
check(not os.path.exists(os.path.join(work, "b", "kept")), "a directory without the option")
harness.end()
