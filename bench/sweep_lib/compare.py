"""Two results side by side: what became slower or faster beyond noise.

Where both have QEMU, ratios to QEMU are compared: the same host's speed then cancels out. The noise of a figure is the
spread of its own repetitions, of both files, and never taken below a floor (larger when there was one repetition only).
"""
import math
from .results import spread

FLOOR, FLOOR_SINGLE = 0.05, 0.15


def noise(*entries):
    floor = FLOOR_SINGLE if min(e["n"] for e in entries) < 2 else FLOOR
    return max(floor, math.sqrt(sum(spread(e) ** 2 for e in entries)))


def figure(result, name, variant):
    """(figure of merit, larger is better; the entries its noise comes from; is it a ratio to QEMU) or None."""
    entry = result["programs"].get(name)
    if entry is None or variant not in entry["seconds"]:
        return None
    own = entry["seconds"][variant]
    if entry["qemu"]:
        return entry["ratios"][variant], [own, entry["seconds"][entry["qemu"]["variant"]]], True
    return 1 / own["median"], [own], False


def differences(old, new):
    """[(program, variant, new speed / old speed, noise)] for all that both have."""
    rows = []
    for name in old["programs"]:
        for variant in old["means"]:
            a, b = figure(old, name, variant), figure(new, name, variant)
            if a is None or b is None:
                continue
            if a[2] != b[2]:  # only one has QEMU: seconds then
                a, b = (1 / r["programs"][name]["seconds"][variant]["median"] for r in (old, new))
                entries = [r["programs"][name]["seconds"][variant] for r in (old, new)]
                rows.append((name, variant, b / a, noise(*entries)))
            else:
                rows.append((name, variant, b[0] / a[0], noise(*a[1], *b[1])))
    return rows


def show(old, new):
    for key, what in (("inputs", "inputs"), ("guest", "guest (other packages or programs)"), ("metric", "metric")):
        if old.get(key) != new.get(key):
            print(f"note: the two have another {what}: {old.get(key)} and {new.get(key)}")
    if old["machine"] != new["machine"]:
        print("note: the two are of different machines")
    rows = differences(old, new)
    if not rows:
        print("nothing to compare: no program and variant is in both")
        return 2
    # Slower by more than noise; the inverse counts as faster.
    worse = [r for r in rows if r[2] < 1 / (1 + r[3])]
    better = [r for r in rows if r[2] > 1 + r[3]]
    broken = [(f["program"], f["variant"], f["why"]) for f in new["failures"]
              if not any(g["program"] == f["program"] and g["variant"] == f["variant"] for g in old["failures"])]
    for title, found in (("SLOWER", worse), ("faster", better)):
        for name, variant, change, tolerance in sorted(found, key=lambda r: r[2]):
            print(f"{title} {name:12} {variant:24} {100 * (change - 1):+6.1f} %   (noise {100 * tolerance:.0f} %)")
    for name, variant, why in broken:
        print(f"BROKEN {name:12} {variant:24} {why}")
    for variant in old["means"]:
        common = [r for r in rows if r[1] == variant]
        if common:
            mean = math.exp(sum(math.log(r[2]) for r in common) / len(common))
            print(f"{variant}: {len(common)} programs, {100 * (mean - 1):+.1f} % in the mean")
    print(f"{len(worse)} slower, {len(better)} faster, {len(rows) - len(worse) - len(better)} unchanged within noise, {len(broken)} newly broken")
    return 1 if worse or broken else 0
