"""The terminal's table."""
from . import captive
from .results import kind_of, mips, spread
from .programs import GROUPS


def short_name(variant):
    return variant.split(" ", 1)[1] if " " in variant else variant


def noise_text(seconds):
    """The largest spread of the emulators' repetitions; one repetition has none."""
    spreads = [spread(s) for v, s in seconds.items() if kind_of(v) != "native" and s["n"] > 1]
    return f"{100 * max(spreads):.0f} %" if spreads else "-"


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
    text += f" {noise_text(seconds):>6}  "
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


def markdown(result):
    """The whole table for a README or an issue, with what made it."""
    head, m = result["headline"], result["machine"]
    lines = [f"`{result['command']}`, {result['started']}, on {m['cpu']}, {m['cores']} cores, Linux {m['kernel']}; {result['qemu']}; "
             f"Arclight {short_name(head) if head else '-'}; medians of {result['metric']} seconds.", "",
             "| program | what it is | Arclight s | QEMU s | QEMU's CPU | times faster | MIPS | spread | native s |", "|---|---|---|---|---|---|---|---|---|"]
    counted = []
    for group in GROUPS:
        for name, e in result["programs"].items():
            s = e["seconds"]
            if e["group"] != group or head not in s:
                continue
            qemu = f"{e['qemu']['seconds']:.2f} | {short_name(e['qemu']['variant'])} | {e['ratios'][head]:.2f}" if e["qemu"] else " | | "
            million = mips(result, name, head)
            counted += [million] if million else []
            lines.append(f"| {name} | {e['about']} | {s[head]['median']:.2f} | {qemu} | {f'{million:.0f}' if million else '-'} | {noise_text(s)} | " +
                         (f"{s['native']['median']:.2f} |" if "native" in s else "|"))
    for v, means in result["means"].items():
        if means["all"]:
            lines.append(f"| **mean, {short_name(v)}** | {means['n']} programs; INT {means['int'] or 0:.2f}, FP {means['fp'] or 0:.2f}, "
                         f"system {means['system'] or 0:.2f} | | | | **{means['all']:.2f}** | | | |")
    if counted:
        lines.append(f"| **MIPS** | {len(counted)} programs, arithmetic mean, and the most | | | | | **{sum(counted) / len(counted):.0f}**, {max(counted):.0f} | | |")
    lines.append(f"| {captive.SOURCE} | its own programs (SPEC CPU2006 integer), an ARMv7 guest, QEMU of 2016: average, and the most | | | | {captive.RATIO_MEAN:g}, "
                 f"{captive.RATIO_MOST:g} | {captive.MIPS_MEAN:g}, {captive.MIPS_MOST:g} | | |")
    return "\n".join(lines) + "\n"
