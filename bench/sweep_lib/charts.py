"""Charts as inline SVG. Colours are the page's CSS variables, so they follow its light and dark form."""
import html, math

LEFT, WIDTH = 118, 980


def esc(text):
    return html.escape(str(text), quote=True)


def room(labels, least=LEFT, character=6.6):
    """Pixels that labels of 12 px at the left need, so that none is cut."""
    return max([least, *(10 + character * len(str(label)) for label in labels)])


def reference_lines(x, low, high, lines, height):
    """Dashed lines of other work: [(value, text)], at a logarithmic scale's places."""
    return [f'<line class="reference" x1="{x(v):.1f}" x2="{x(v):.1f}" y1="20" y2="{height}"><title>{esc(text)}</title></line>'
            for v, text in lines if low <= v <= high]


def svg(height, body, label):
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{esc(label)}">{body}</svg>'


def ticks(low, high):
    return [t for t in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64, 128) if low <= t <= high]


def log_scale(low, high, left, right):
    a, b = math.log(low), math.log(high)
    return lambda v: left + (math.log(min(max(v, low), high)) - a) / (b - a) * (right - left)


def number(v):
    return f"{v:.1f}" if v >= 9.95 else f"{v:.2f}"


def ratio_bars(groups, others, caption, references=()):
    """groups: [(title, css class, [(name, ratio, text)])]; others: {name: [(variant, ratio)]} as small marks; references: [(ratio, text)]."""
    left = room(name for _, _, rows in groups for name, _, _ in rows)
    values = [r for _, _, rows in groups for _, r, _ in rows] + [r for marks in others.values() for _, r in marks]
    low, high = min(0.5, min(values) * 0.9), max(4, max(values) * 1.15)
    right = WIDTH - 70
    x = log_scale(low, high, left, right)
    y, body = 26, []
    rows_height = sum(30 + 19 * len(rows) for _, _, rows in groups)
    for t in ticks(low, high):
        strong = " one" if t == 1 else ""
        body.append(f'<line class="grid{strong}" x1="{x(t):.1f}" x2="{x(t):.1f}" y1="20" y2="{22 + rows_height}"/>'
                    f'<text class="tick" x="{x(t):.1f}" y="13" text-anchor="middle">{"QEMU" if t == 1 else f"{t:g}x"}</text>')
    body += reference_lines(x, low, high, references, 22 + rows_height)
    for title, css, rows in groups:
        body.append(f'<text class="group" x="0" y="{y + 15}">{esc(title)}</text>')
        y += 24
        for name, ratio, text in rows:
            x0, x1 = sorted((x(1), x(ratio)))
            body.append(f'<g><title>{esc(text)}</title><text class="name" x="{left - 10}" y="{y + 12}" text-anchor="end">{esc(name)}</text>'
                        f'<rect class="bar {css}{" slow" if ratio < 1 else ""}" x="{x0:.1f}" y="{y + 2}" width="{max(x1 - x0, 1):.1f}" height="13" rx="2"/>'
                        f'<text class="value" x="{max(x1, max([x(r) for _, r in others.get(name, [])], default=0)) + 7:.1f}" y="{y + 12.5}">{number(ratio)}</text>')
            for variant, other in others.get(name, []):
                body.append(f'<circle class="mark" cx="{x(other):.1f}" cy="{y + 8.5}" r="3.2"><title>{esc(variant)}: {number(other)}x</title></circle>')
            body.append("</g>")
            y += 19
        y += 6
    return svg(y + 6, "".join(body), caption)


def grouped_bars(labels, series, caption, unit="x", baseline=None):
    """labels: the groups; series: [(name, css class, [value or None])]."""
    top = max([v for _, _, values in series for v in values if v] + [1]) * 1.12
    height, bottom, left = 230, 200, 40
    step = (WIDTH - left) / len(labels)
    width = min(46, step * 0.8 / max(len(series), 1))
    y = lambda v: bottom - v / top * (bottom - 24)
    body = []
    tick = 10 ** math.floor(math.log10(top)) / (5 if top / 10 ** math.floor(math.log10(top)) < 2 else 2 if top / 10 ** math.floor(math.log10(top)) < 5 else 1)
    for n in range(int(top / tick) + 1):
        body.append(f'<line class="grid" x1="{left}" x2="{WIDTH}" y1="{y(n * tick):.1f}" y2="{y(n * tick):.1f}"/>'
                    f'<text class="tick" x="{left - 6}" y="{y(n * tick) + 4:.1f}" text-anchor="end">{n * tick:g}</text>')
    if baseline:
        body.append(f'<line class="grid one" x1="{left}" x2="{WIDTH}" y1="{y(baseline):.1f}" y2="{y(baseline):.1f}"/>')
    for n, label in enumerate(labels):
        middle = left + step * (n + 0.5)
        x = middle - width * len(series) / 2
        for name, css, values in series:
            if values[n]:
                body.append(f'<g><title>{esc(name)}: {number(values[n])}{unit}</title><rect class="bar {css}" x="{x + 2:.1f}" y="{y(values[n]):.1f}" width="{width - 4:.1f}" '
                            f'height="{bottom - y(values[n]):.1f}" rx="2"/><text class="value" x="{x + width / 2:.1f}" y="{y(values[n]) - 5:.1f}" text-anchor="middle">{number(values[n])}</text></g>')
            x += width
        body.append(f'<text class="name" x="{middle:.1f}" y="{bottom + 18}" text-anchor="middle">{esc(label)}</text>')
    return svg(height, "".join(body), caption)


def stacked_groups(groups, caption, unit=" %", limit=200):
    """groups: [(label, [(bar's name, [(part, css class, value)])])]: bars side by side, each a stack, cut off at the limit."""
    top = min(max([sum(v for _, _, v in parts) for _, bars in groups for _, parts in bars] + [1]), limit) * 1.1
    height, bottom, left = 270, 226, 40
    step = (WIDTH - left) / len(groups)
    y = lambda v: bottom - v / top * (bottom - 20)
    body = []
    for t in range(0, int(top) + 1, 50):
        body.append(f'<line class="grid{" one" if t == 100 else ""}" x1="{left}" x2="{WIDTH}" y1="{y(t):.1f}" y2="{y(t):.1f}"/>'
                    f'<text class="tick" x="{left - 6}" y="{y(t) + 4:.1f}" text-anchor="end">{t}</text>')
    for n, (label, bars) in enumerate(groups):
        width = min(34, step * 0.84 / len(bars))
        x = left + step * (n + 0.5) - width * len(bars) / 2
        for name, parts in bars:
            base, total = 0, sum(v for _, _, v in parts)
            for part, css, value in parts:
                body.append(f'<rect class="bar {css}" x="{x + 2:.1f}" y="{y(min(base + value, limit)):.1f}" width="{width - 4:.1f}" height="{y(base) - y(min(base + value, limit)):.1f}">'
                            f'<title>{esc(label)}, {esc(name)}: {esc(part)} {value:.1f}{unit} of {total:.1f}{unit}</title></rect>')
                base = min(base + value, limit)
            body.append(f'<text class="value" x="{x + width / 2:.1f}" y="{y(base) - 4:.1f}" text-anchor="middle">{total:.0f}{"&#8593;" if total > limit else ""}</text>'
                        f'<text class="tick" x="{x + width / 2:.1f}" y="{bottom + 13}" text-anchor="middle">{esc(name)}</text>')
            x += width
        body.append(f'<text class="name" x="{left + step * (n + 0.5):.1f}" y="{bottom + 32}" text-anchor="middle">{esc(label)}</text>')
    return svg(height, "".join(body), caption)


def error_bars(rows, caption, unit=" %"):
    """rows: [(name, value, error)]: bars from zero, each with its error on both sides."""
    left = room([name for name, _, _ in rows], LEFT + 40)
    low = min([v - e for _, v, e in rows] + [-1]) * 1.05
    high = max([v + e for _, v, e in rows] + [1]) * 1.05
    x = lambda v: left + (v - low) / (high - low) * (WIDTH - left - 70)
    step = next(s for s in (0.5, 1, 2, 5, 10, 20, 50, 100, 1000) if (high - low) / s <= 12)
    body, y = [], 24
    for n in range(math.ceil(low / step), math.floor(high / step) + 1):
        body.append(f'<line class="grid{"" if n else " one"}" x1="{x(n * step):.1f}" x2="{x(n * step):.1f}" y1="18" y2="{26 + 24 * len(rows)}"/>'
                    f'<text class="tick" x="{x(n * step):.1f}" y="12" text-anchor="middle">{f"{n * step:+g}" if n else 0}{unit}</text>')
    for name, value, error in rows:
        x0, x1 = sorted((x(0), x(value)))
        body.append(f'<g><title>{esc(name)}: {value:+.2f} &#177; {error:.2f}{unit}</title><text class="name" x="{left - 10}" y="{y + 14}" text-anchor="end">{esc(name)}</text>'
                    f'<rect class="bar plain" x="{x0:.1f}" y="{y + 3}" width="{max(x1 - x0, 1):.1f}" height="15" rx="2"/>'
                    f'<path d="M{x(value - error):.1f} {y + 10.5}H{x(value + error):.1f}M{x(value - error):.1f} {y + 6}v9M{x(value + error):.1f} {y + 6}v9" stroke="var(--mark)" fill="none"/>'
                    f'<text class="value" x="{max(x(value + error), x(0)) + 7:.1f}" y="{y + 14.5}">{value:+.1f}</text></g>')
        y += 24
    return svg(y + 8, "".join(body), caption)


def dumbbells(rows, caption, references=()):
    """rows: [(name, ours, theirs or None)], MIPS on a logarithmic axis; references: [(MIPS, text)]."""
    left = room(name for name, _, _ in rows)
    values = [v for _, a, b in rows for v in (a, b) if v]
    low, high = 10 ** math.floor(math.log10(min(values))), max(values) * 1.3
    x = log_scale(low, high, left, WIDTH - 60)
    body, y = reference_lines(x, low, high, references, 26 + 17 * len(rows)), 24
    tick = low
    while tick <= high:
        for factor in (1, 2, 5):
            if tick * factor <= high:
                body.append(f'<line class="grid" x1="{x(tick * factor):.1f}" x2="{x(tick * factor):.1f}" y1="20" y2="{26 + 17 * len(rows)}"/>'
                            f'<text class="tick" x="{x(tick * factor):.1f}" y="13" text-anchor="middle">{tick * factor:g}</text>')
        tick *= 10
    for name, ours, theirs in rows:
        body.append(f'<g><title>{esc(name)}: Arclight {ours:.0f} MIPS{f", QEMU {theirs:.0f} MIPS" if theirs else ""}</title>'
                    f'<text class="name" x="{left - 10}" y="{y + 12}" text-anchor="end">{esc(name)}</text>')
        if theirs:
            body.append(f'<line class="link" x1="{x(theirs):.1f}" x2="{x(ours):.1f}" y1="{y + 8}" y2="{y + 8}"/><circle class="theirs" cx="{x(theirs):.1f}" cy="{y + 8}" r="4.5"/>')
        body.append(f'<circle class="ours" cx="{x(ours):.1f}" cy="{y + 8}" r="5"/><text class="value" x="{x(max(ours, theirs or 0)) + 9:.1f}" y="{y + 12}">{ours:.0f}</text></g>')
        y += 17
    return svg(y + 10, "".join(body), caption)


def shares(rows, caption):
    """rows: [(label, [(part, css class, value)])] as stacked bars of the same length scale."""
    top = max(sum(v for _, _, v in parts) for _, parts in rows) or 1
    left, y, body = room((label for label, _ in rows), 190), 6, []
    for label, parts in rows:
        x, total = left, sum(v for _, _, v in parts)
        body.append(f'<text class="name" x="{left - 10}" y="{y + 15}" text-anchor="end">{esc(label)}</text>')
        for part, css, value in parts:
            width = value / top * (WIDTH - left - 80)
            body.append(f'<rect class="bar {css}" x="{x:.1f}" y="{y + 2}" width="{max(width, 0.5):.1f}" height="18"><title>{esc(part)}: {value:.2f} s ({100 * value / total if total else 0:.0f} %)</title></rect>')
            if width > 90:
                body.append(f'<text class="inside" x="{x + 7:.1f}" y="{y + 15}">{esc(part)} {100 * value / total:.0f} %</text>')
            x += width
        body.append(f'<text class="value" x="{x + 7:.1f}" y="{y + 15}">{total:.1f} s</text>')
        y += 27
    return svg(y + 4, "".join(body), caption)


def count_bars(rows, caption):
    """rows: [(label, count)] on a logarithmic axis, since causes differ by orders of magnitude."""
    top = max(v for _, v in rows)
    left = room((label for label, _ in rows), LEFT + 40)
    x = log_scale(1, max(top, 10) * 3, left, WIDTH - 90)
    y, body = 4, []
    for label, value in rows:
        body.append(f'<g><title>{esc(label)}: {value:,}</title><text class="name" x="{left - 10}" y="{y + 12}" text-anchor="end">{esc(label)}</text>'
                    f'<rect class="bar plain" x="{left}" y="{y + 2}" width="{max(x(max(value, 1)) - left, 1):.1f}" height="13" rx="2"/>'
                    f'<text class="value" x="{x(max(value, 1)) + 7:.1f}" y="{y + 12.5}">{value:,}</text></g>')
        y += 19
    return svg(y + 6, "".join(body), caption)
