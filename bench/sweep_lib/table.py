"""The terminal's table."""
from .results import kind_of, mips, spread
from .programs import GROUPS


def short_name(variant):
    return variant.split(" ", 1)[1] if " " in variant else variant


def columns(result):
    ours = sorted(result["means"], key=lambda v: v != result["headline"])
    native = any("native" in e["seconds"] for e in result["programs"].values())
    counted = bool(result.get("instructions"))
    return ours, native, counted


def header(result):
    ours, native, counted = columns(result)
    text = f"{'program':15} {'QEMU s':>7} "
    for v in ours:
        text += f"{short_name(v):>15} {'ratio':>6} "
    return text + (f"{'MIPS':>6} " if counted else "") + (f"{'native s':>8} {'x':>5} " if native else "") + " spread  QEMU's CPU"


def row(result, name):
    ours, native, counted = columns(result)
    entry = result["programs"][name]
    seconds = entry["seconds"]
    text = f"{name:15} " + (f"{entry['qemu']['seconds']:7.2f} " if entry["qemu"] else f"{'-':>7} ")
    for v in ours:
        text += f"{seconds[v]['median']:15.2f} " if v in seconds else f"{'-':>15} "
        text += f"{entry['ratios'][v]:6.2f} " if v in entry["ratios"] else f"{'-':>6} "
    if counted:
        m = mips(result, name, result["headline"])
        text += f"{m:6.0f} " if m else f"{'-':>6} "
    if native:
        head = seconds.get(result["headline"])
        text += f"{seconds['native']['median']:8.2f} " if "native" in seconds else f"{'-':>8} "
        text += f"{head['median'] / seconds['native']['median']:5.1f} " if head and "native" in seconds else f"{'-':>5} "
    noise = max((spread(s) for v, s in seconds.items() if kind_of(v) != "native"), default=0)
    text += f" {100 * noise:4.0f} %  "
    return text + (short_name(entry["qemu"]["variant"]) if entry["qemu"] else "")


def means(result):
    ours, *_ = columns(result)
    lines = []
    for group, title in list(GROUPS.items()) + [("all", "all")]:
        text = f"{'mean ' + title:15} {'':7} "
        for v in ours:
            m = result["means"][v][group]
            text += f"{'':15} " + (f"{m:6.2f} " if m else f"{'-':>6} ")
        lines.append(text)
    return lines


def whole(result):
    lines = [header(result)]
    for group, title in GROUPS.items():
        names = [n for n, e in result["programs"].items() if e["group"] == group and e["seconds"]]
        if names:
            lines.append(f"-- {title}")
            lines += [row(result, n) for n in names]
    lines += means(result) if any(m["all"] for m in result["means"].values()) else []
    return lines
