"""The result as one self-contained page: no script, no font, no picture from elsewhere."""
from . import captive, charts, table
from .charts import esc
from .programs import GROUPS
from .results import mips, spread

STYLE = """
:root{--bg:#fbfbf9;--card:#fff;--ink:#1d2129;--soft:#646b78;--line:#e3e4e0;--grid:#eceded;--one:#8b919c;--int:#2f6fb3;--fp:#c0662c;
--system:#4b8b5a;--bad:#b3363e;--plain:#7386a3;--ours:#2f6fb3;--theirs:#b9bec8;--translate:#d39a3c;--mark:#1d2129;
--v0:#3c5a99;--v1:#8fa8d6;--v2:#7a4f9e;--v3:#bb9ad2;--v4:#2f8a86;--v5:#8fc7c3}
@media (prefers-color-scheme:dark){:root{--bg:#15181d;--card:#1c2027;--ink:#e6e8ec;--soft:#98a0ad;--line:#2d323b;--grid:#262b33;--one:#7b8494;
--int:#5b9bdd;--fp:#e08b52;--system:#6cb57e;--bad:#e0646c;--plain:#7f93b3;--ours:#5b9bdd;--theirs:#6a7280;--translate:#d9a650;--mark:#e6e8ec;
--v0:#6d8cd0;--v1:#a9bde6;--v2:#a67fc9;--v3:#cdb4e0;--v4:#57b3ae;--v5:#a5d8d4}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.5 system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
main{max-width:1160px;margin:0 auto;padding:36px 24px 60px}h1{font-size:27px;margin:0 0 4px;letter-spacing:-.01em}h2{font-size:18px;margin:44px 0 4px}
p{margin:4px 0 12px;max-width:78ch}.soft,.note{color:var(--soft)}.note{font-size:13.5px}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:22px 0 8px}
.card{background:var(--card);border:1px solid var(--line);border-radius:9px;padding:13px 16px}.card b{display:block;font-size:29px;line-height:1.15;font-weight:650;letter-spacing:-.02em}
.card span{color:var(--soft);font-size:13px}.card.int b{color:var(--int)}.card.fp b{color:var(--fp)}.card.system b{color:var(--system)}
.box{background:var(--card);border:1px solid var(--line);border-radius:9px;padding:16px 18px;margin:10px 0;overflow-x:auto}
.bad{border-color:var(--bad)}.bad h2{margin-top:0;color:var(--bad)}.bad ul{margin:6px 0 0;padding-left:20px}
svg{display:block;width:100%;min-width:620px;height:auto;font-size:12px;font-family:inherit}svg text{fill:var(--ink)}svg .tick{fill:var(--soft);font-size:11px}svg .group{font-weight:650;font-size:13px}
svg .value{font-size:11.5px;font-variant-numeric:tabular-nums}svg .inside{fill:#fff;font-size:11.5px}.grid{stroke:var(--grid)}.grid.one{stroke:var(--one);stroke-width:1.4}.reference{stroke:var(--system);stroke-width:1.2;stroke-dasharray:5 4}
.bar.int{fill:var(--int)}.bar.fp{fill:var(--fp)}.bar.system{fill:var(--system)}.bar.slow{fill:var(--bad)}.bar.plain,.bar.run{fill:var(--plain)}.bar.translate{fill:var(--translate)}
.bar.v0{fill:var(--v0)}.bar.v1{fill:var(--v1)}.bar.v2{fill:var(--v2)}.bar.v3{fill:var(--v3)}.bar.v4{fill:var(--v4)}.bar.v5{fill:var(--v5)}
.mark{fill:var(--card);stroke:var(--mark);stroke-width:1.4}.ours{fill:var(--ours)}.theirs{fill:var(--theirs)}.link{stroke:var(--theirs);stroke-width:2.5}
.key{display:flex;flex-wrap:wrap;gap:6px 18px;font-size:13px;color:var(--soft);margin:2px 0 10px}.key i{display:inline-block;width:11px;height:11px;border-radius:3px;margin-right:6px}
table{border-collapse:collapse;width:100%;font-size:13px;font-variant-numeric:tabular-nums}th,td{padding:4px 8px;text-align:right;border-bottom:1px solid var(--grid);white-space:nowrap}
th{color:var(--soft);font-weight:550;border-bottom-color:var(--line);position:sticky;top:0;background:var(--card)}td:first-child,th:first-child,td.text,th.text{text-align:left}td.text{color:var(--soft);white-space:normal}
.about{display:block;color:var(--soft);font-size:11.5px;line-height:1.25;white-space:normal;max-width:210px}tr.group td{font-weight:650;padding-top:14px}td.slow{color:var(--bad)}dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 18px;margin:0;font-size:13.5px}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
code{font:12.5px/1.45 ui-monospace,"DejaVu Sans Mono",monospace}
"""


CAPTIVE_RATIOS = [(captive.RATIO_MEAN, f"{captive.SOURCE}: {captive.RATIO_MEAN:g} on average"), (captive.RATIO_MOST, f"{captive.SOURCE}: {captive.RATIO_MOST:g} at most")]
CAPTIVE_MIPS = [(captive.MIPS_MEAN, f"{captive.SOURCE}: {captive.MIPS_MEAN:g} on average"), (captive.MIPS_MOST, f"{captive.SOURCE}: {captive.MIPS_MOST:g} at most")]


def mean(values):
    return sum(values) / len(values)


def captive_note(what, ours=None):
    """What the dashed lines are, and that they are of other programs, another guest and another QEMU."""
    figures = f"{captive.RATIO_MEAN:g} and {captive.RATIO_MOST:g} times faster than the QEMU of 2016" if what == "ratio" else \
        f"{captive.MIPS_MEAN:g} and {captive.MIPS_MOST:g} MIPS (our arithmetic mean here: {ours:.0f})"
    return (f'<p class="note">Dashed: what {captive.SOURCE} reports, average and most: {figures}. Its guest is ARMv7, its programs are SPEC CPU2006\'s integer ones.</p>')


def times(value):
    return f"{charts.number(value)}&times;" if value else "&ndash;"


def key(items):
    return '<div class="key">' + "".join(f'<span><i style="background:var(--{color})"></i>{esc(text)}</span>' for color, text in items) + "</div>"


def names_of(result, group):
    return [n for n, e in result["programs"].items() if e["group"] == group and e["seconds"]]


def cards(result):
    head = result["headline"]
    means = result["means"].get(head, {})
    cells = "".join(f'<div class="card {g}"><b>{times(means.get(g))}</b><span>{title}, geometric mean</span></div>' for g, title in GROUPS.items())
    return (f'<div class="cards"><div class="card"><b>{times(means.get("all"))}</b><span>all {means.get("n", 0)} programs</span></div>{cells}'
            f'<div class="card"><b>{times(means.get("worst"))}</b><span>the slowest program</span></div></div>')


def ratio_rows(result):
    """Rows by group for the chart of ratios, and the other configurations' marks."""
    head = result["headline"]
    groups, others = [], {}
    for group, title in GROUPS.items():
        rows = []
        for n in names_of(result, group):
            e = result["programs"][n]
            if head not in e["ratios"]:
                continue
            own = e["seconds"][head]
            rows.append((n, e["ratios"][head], f"{n}: {e['about']}. {own['median']:.2f} s, QEMU {e['qemu']['seconds']:.2f} s ({e['qemu']['variant']}), spread {100 * spread(own):.0f} %"))
            others[n] = [(v, r) for v, r in e["ratios"].items() if v != head]
        if rows:
            rows.sort(key=lambda r: -r[1])
            groups.append((title, group, rows))
    return groups, others


def ratio_chart(result):
    head = result["headline"]
    groups, others = ratio_rows(result)
    if not groups:
        return '<p class="note">There is no ratio to show: Arclight or QEMU did not run.</p>'
    legend = [("int", "integer"), ("fp", "floating point"), ("system", "system")]
    if any(r[1] < 1 for _, _, rows in groups for r in rows):
        legend.append(("bad", "slower than QEMU"))
    marks = f'<p class="note">Circles: Arclight\'s other configurations ({esc(", ".join(table.short_name(v) for v in result["means"] if v != head))}).</p>' if len(result["means"]) > 1 else ""
    return f'{key(legend)}<div class="box">{charts.ratio_bars(groups, others, "times faster than QEMU, by program", CAPTIVE_RATIOS)}</div>{marks}{captive_note("ratio")}'


def mips_chart(result):
    rows = []
    for n in result["programs"]:
        ours = mips(result, n, result["headline"]) if result["headline"] else None
        qemu = result["programs"][n]["qemu"]
        if ours:
            rows.append((n, ours, mips(result, n, qemu["variant"]) if qemu else None))
    if not rows:
        return '<p class="note">No instruction counts were taken (run the sweep with --count).</p>'
    rows.sort(key=lambda r: -r[1])
    return key([("ours", "Arclight"), ("theirs", "QEMU, its fastest")]) + f'<div class="box">{charts.dumbbells(rows, "million guest instructions a second", CAPTIVE_MIPS)}</div>{captive_note("mips", mean([ours for _, ours, _ in rows]))}'


def add_counts(sums, counts, prefix=""):
    for name, value in counts.items():
        if isinstance(value, dict):
            add_counts(sums, value, f"{prefix}{name} ")
        elif isinstance(value, int):
            sums[prefix + name] = sums.get(prefix + name, 0) + value


def totals(result, variant):
    """Counters of all boots of a variant, added up: CPU seconds, translation seconds by section, exits of translated code by
    cause, exits of the world (a virtual machine's) by cause, other events."""
    cpu, translation, exits, world, other = 0.0, {}, {}, {}, {}
    for record in result["stats"]:
        if record["variant"] != variant:
            continue
        stats = record["stats"]
        cpu += stats.get("cpu_seconds", 0)
        for section, values in stats.items():
            if isinstance(values, dict):
                for name in ("nanoseconds", "compile_nanoseconds"):
                    if name in values:
                        translation[section] = translation.get(section, 0) + values[name] / 1e9
        add_counts(world, stats.get("world_exits", {}))
        for vcpu in stats.get("cpus", []):
            add_counts(exits, vcpu.get("exits", {}))
            add_counts(other, {k: v for k, v in vcpu.items() if k != "exits"})
    return cpu, translation, exits, world, other


def tiers_chart(result):
    variants = list(result["means"])
    if not any(result["means"][v]["all"] for v in variants):
        return ""
    labels = [*GROUPS.values(), "all"]
    series = [(table.short_name(v), f"v{n % 6}", [result["means"][v][g] for g in (*GROUPS, "all")]) for n, v in enumerate(variants)]
    return key([(f"v{n % 6}", name) for n, (name, _, _) in enumerate(series)]) + \
        f'<div class="box">{charts.grouped_bars(labels, series, "geometric means by configuration", baseline=1)}</div>'


def time_chart(result):
    rows = []
    for v in result["means"]:
        cpu, translation, *_ = totals(result, v)
        if cpu:
            parts = [(f"{'translating' if s == 'translation' else s}", "translate", t) for s, t in translation.items()]
            rows.append((table.short_name(v), [("running", "run", max(cpu - sum(t for _, _, t in parts), 0)), *parts]))
    return f'<div class="box">{charts.shares(rows, "CPU seconds running and translating")}</div>' if rows else '<p class="note">No statistics.</p>'


def exits_chart(result):
    """The headline's exits and events, then what virtual machines were left for."""
    def box(counts, title):
        rows = sorted(((k.replace("_", " "), n) for k, n in counts.items() if n), key=lambda r: -r[1])
        return f'<p class="note">{esc(title)}</p><div class="box">{charts.count_bars(rows, title)}</div>' if rows else ""

    if not result["headline"]:
        return ""
    _, _, exits, _, other = totals(result, result["headline"])
    parts = [box(exits, f"Exits of translated code, {table.short_name(result['headline'])}:"), box(other, "Other events, same runs:")]
    for v in result["means"]:
        parts.append(box(totals(result, v)[3], f"Exits of the virtual machine, {table.short_name(v)}:"))
    return "".join(parts) or '<p class="note">No statistics.</p>'


SHADOW_CAUSES = [("translations", "plain", "translations that are not there"), ("TLBI", "v0", "TLB invalidations"),
                 ("table stores", "slow", "stores to tables"), ("switches", "translate", "switches of address spaces")]


def shadow_section(result):
    """What bench/shadow measured: exits by cause under each policy."""
    parts = ["<h2>Shadow policies</h2><p class='soft'>Exits of bench/shadow's workloads, in percent of traditional shadow paging's (T; U: "
             "with last-level tables out of step until a flush, as KVM has it); S: Swift Shadow Paging with its cache of roots, N: without, A: with faults that lack the "
             "last level alone resolved inside. The paper has 23 to 56 % fewer exits for S than for T. In brackets: what KVM counted.</p>",
             key([(c if c != "slow" else "bad", text) for _, c, text in SHADOW_CAUSES])]
    letters = {"ssp": "S", "ssp-nocache": "N", "asp": "A", "tsp": "T", "tsp-unsync": "U"}
    titles = {"process": "Process world, soft TLB", "svm": "KVM world, SVM with nested paging, emulated by QEMU", "vtx": "KVM world, VT-x with EPT, emulated by Bochs"}
    for world, rows in result["worlds"].items():
        names = {p: letter for p, letter in letters.items() if all(p in row for row in rows.values())}
        groups = []
        for name, row in rows.items():
            whole = max(row["tsp"]["exits"], 1)
            groups.append((name, [(short, [(cause, css, 100 * row[policy]["causes"][cause] / whole) for cause, css, _ in SHADOW_CAUSES])
                                  for policy, short in names.items()]))
        title = titles.get(world, world)
        timed = {p: short for p, short in names.items() if all("seconds" in row[p] for row in rows.values())}
        lines = "".join(f"<tr><td>{esc(name)}<span class='about'>{esc(result['about'].get(name, ''))}</span></td>" + "".join(f"<td>{row[p]['exits']:.0f}" + (f" ({row[p]['real']:.0f})" if row[p].get("real") else "") + "</td>" for p in names) +
                        "".join(f"<td>{row[p]['synchronisations']:.0f}</td>" for p in names) +
                        "".join(f"<td>{100 * row[p]['wasted fills'] / max(row[p]['fills'], 1):.0f} %</td>" for p in names) +
                        "".join(f"<td>{row[p]['seconds']:.2f}</td>" for p in timed) + "</tr>" for name, row in rows.items())
        head = "".join(f"<th>{esc(what)} {short}</th>" for what in ("exits", "syncs", "wasted") for short in names.values()) + "".join(f"<th>s {short}</th>" for short in timed.values())
        parts.append(f"<p class='note'>{title}:</p><div class='box'>{charts.stacked_groups(groups, 'exits in percent of traditional shadow paging')}</div>"
                     f"<div class='box'><table><thead><tr><th>workload</th>{head}</tr></thead><tbody>{lines}</tbody></table></div>")
    return "".join(parts)


def overhead_section(result):
    """What bench/overhead measured: LightV and the shadow policies over the whole set."""
    rows = [(name, *row["all"]) for name, row in result["rows"].items() if name != "off"]
    system = [(name, *row["system"]) for name, row in result["rows"].items() if name != "off"]
    return ("<h2>What LightV and the shadow policies cost</h2><p class='soft'>CPU seconds of bench/overhead's runs over those without the option: geometric mean and its "
            f"standard error over {len(result['samples'])} programs; 'again' is the same once more, the noise. Pages are steered to other memory. The papers: LightV well under 1 % "
            "with no page targeted and about 1 % with one hot page; Swift Shadow Paging under 5.5 %.</p>"
            f"<p class='note'>All programs:</p><div class='box'>{charts.error_bars(rows, 'overhead, all programs')}</div>"
            f"<p class='note'>Those that live on system calls, faults, processes; and the boot:</p><div class='box'>{charts.error_bars(system, 'overhead, system programs')}</div>")


def windows_section(result, rig=False):
    """What bench/windows counted: guest memory by the host's page tables, beside the soft TLB; on this host or with --on svm."""
    rows = result["programs"]
    where = ("The KVM world is on SVM with nested paging, emulated (tests/kvm/rig): ring 0 is the processor's own there, as on hardware. Tiny inputs." if rig else
             "The code is the same under any KVM: on SVM with nested paging, emulated, programs cost the same to the instruction.")
    lines = "".join(f"<tr><td>{esc(name)}</td><td>{r['soft TLB']:.2f}</td><td>{r['windows']:.2f}</td><td>{100 * r['windows'] / r['soft TLB'] - 100:+.0f} %</td>"
                    f"<td>{r['soft TLB, of it accesses']:.2f}</td><td>{r['windows, of it accesses']:.2f}</td><td>{r['faults per million']:.1f}</td></tr>" for name, r in rows.items())
    return (f"<h2>Windows in the KVM world{', as on hardware' if rig else ''}</h2><p class='soft'>Host instructions of tier 1's blocks for each guest instruction, counted exactly (bench/windows): soft TLB in the process "
            f"world, and guest memory by page tables in the KVM world. {where} "
            "Faults are those on pages that were not mapped yet.</p><div class='box'><table><thead><tr><th>program</th><th>soft TLB</th><th>windows</th><th>change</th>"
            f"<th>accesses, soft TLB</th><th>windows</th><th>faults a million</th></tr></thead><tbody>{lines}</tbody></table></div>")


def full_table(result):
    ours = sorted(result["means"], key=lambda v: v != result["headline"])
    native, counted = any("native" in e["seconds"] for e in result["programs"].values()), bool(result.get("instructions"))
    head = "<th>program</th><th>QEMU s</th>" + "".join(f"<th>{esc(table.short_name(v))} s</th><th>ratio</th>" for v in ours)
    head += ("<th>MIPS</th>" if counted else "") + ("<th>native s</th><th>to native</th>" if native else "") + '<th>spread</th><th class="text">QEMU\'s fastest</th>'
    body = []
    for group, title in GROUPS.items():
        names = names_of(result, group)
        if names:
            body.append(f'<tr class="group"><td colspan="20">{title}</td></tr>')
        for n in names:
            e = result["programs"][n]
            s = e["seconds"]
            cells = [f'<td>{esc(n)}<span class="about">{esc(e["about"])}</span></td>', f"<td>{e['qemu']['seconds']:.2f}</td>" if e["qemu"] else "<td>&ndash;</td>"]
            for v in ours:
                cells.append(f"<td>{s[v]['median']:.2f}</td>" if v in s else "<td>&ndash;</td>")
                r = e["ratios"].get(v)
                cells.append(f'<td class="{"slow" if r < 1 else ""}">{charts.number(r)}</td>' if r else "<td>&ndash;</td>")
            if counted:
                m = mips(result, n, result["headline"]) if result["headline"] else None
                cells.append(f"<td>{m:.0f}</td>" if m else "<td>&ndash;</td>")
            if native:
                mine = s.get(result["headline"])
                cells.append(f"<td>{s['native']['median']:.2f}</td>" if "native" in s else "<td>&ndash;</td>")
                cells.append(f"<td>{mine['median'] / s['native']['median']:.1f}&times;</td>" if mine and "native" in s else "<td>&ndash;</td>")
            cells.append(f"<td>{table.noise_text(s)}</td><td class=\"text\">{esc(table.short_name(e['qemu']['variant'])) if e['qemu'] else ''}</td>")
            body.append("<tr>" + "".join(cells) + "</tr>")
    return f'<div class="box"><table><thead><tr>{head}</tr></thead><tbody>{"".join(body)}</tbody></table></div>'


def failures_box(result):
    if not result["failures"]:
        return ""
    items = "".join(f"<li><b>{esc(f['program'])}</b>, {esc(f['variant'])}: {esc(f['why'])}</li>" for f in result["failures"])
    return f'<div class="box bad"><h2>What failed</h2><ul>{items}</ul></div>'


def how(result):
    m = result["machine"]
    rows = [("command", f"<code>{esc(result['command'])}</code>"), ("when", esc(result["started"])),
            ("machine", esc(f"{m['cpu']}, {m['cores']} cores, {m['memory_mib']} MiB, Linux {m['kernel']}" + (f", virtual ({m['virtual']})" if m["virtual"] not in ("none", "unknown") else ""))),
            ("Arclight", esc(result["arclight"]).replace("\n", "; ")), ("QEMU", esc(result["qemu"] or "not there")),
            ("inputs", esc(result["inputs"]) + (f" &middot; SPEC: {esc(result['spec'])}" if result["spec"] else "")), ("guest", esc(f"{result['memory']} MiB, programs {result['guest']}")),
            ("Arclight runs", f"<code>{esc(result['arclight_command'])}</code>"), ("QEMU runs", f"<code>{esc(result['qemu_command'])}</code>"),
            ("noise", esc(f"{result['noisy_samples']} measurements while others used more than half a core"))]
    if result.get("stopped"):
        rows.append(("cut short", esc(result["stopped"])))
    return '<div class="box"><dl>' + "".join(f"<dt>{a}</dt><dd>{b}</dd>" for a, b in rows if b) + "</dl></div>"


def render(result):
    head = result["headline"]
    what = "CPU seconds, user and system, of the whole emulator process" if result["metric"] == "cpu" else "wall seconds"
    intro = (f"The same guest, kernel and programs under both. Configuration: <b>{esc(table.short_name(head) if head else 'none')}</b>; for QEMU, its fastest CPU model for each program. "
             f"Times are medians of {what}, without the boot.")
    parts = [f"<h1>Arclight against QEMU TCG</h1><p class='soft'>{intro}</p>", failures_box(result), cards(result),
             "<h2>Times faster than QEMU</h2>", ratio_chart(result), "<h2>Guest instructions a second</h2><p class='soft'>Millions, exact counts (see bench/README.md), logarithmic.</p>", mips_chart(result),
             "<h2>Tiers and worlds</h2><p class='soft'>Geometric means over the programs, by configuration of Arclight; the line is QEMU.</p>", tiers_chart(result),
             "<p class='soft'>CPU seconds of all runs and boots, and the share that went into translating:</p>", time_chart(result),
             "<h2>Exits by cause</h2><p class='soft'>How often translated code was left, and why: all runs together. Logarithmic.</p>", exits_chart(result),
             shadow_section(result["shadow"]) if result.get("shadow") else "", overhead_section(result["overhead"]) if result.get("overhead") else "",
             windows_section(result["windows"]) if result.get("windows") else "",
             windows_section(result["windows-svm"], rig=True) if result.get("windows-svm") else "", "<h2>All figures</h2>", full_table(result), "<h2>How it was measured</h2>", how(result)]
    return document("Arclight against QEMU TCG", "".join(parts))


def document(title, body):
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{esc(title)}</title><style>{STYLE}</style></head><body><main>{body}</main></body></html>\n")


def chart(result):
    """The chart of ratios alone, as an SVG file."""
    drawing = charts.ratio_bars(*ratio_rows(result), "times faster than QEMU, by program", CAPTIVE_RATIOS)
    drawing = drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return drawing.replace(">", f"><style>{STYLE}svg{{background:var(--card);font-family:system-ui,sans-serif}}</style>", 1)


def save(result, path):
    """A page, or by the file's name only the chart (.svg) or the table (.md)."""
    name = path.removesuffix(".new")
    make = chart if name.endswith(".svg") else table.markdown if name.endswith(".md") else render
    text = make(result)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
