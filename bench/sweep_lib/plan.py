"""Which runs make up a sweep, in which order.

A cell is what one job does: a few programs, under each variant in turn on the same machine (A B B A over cells and repetitions),
so cells may run anywhere and in any order and every comparison is still between neighbours.
"""
from .results import kind_of

NEAR = 1.10  # after the first repetition only QEMU variants within this factor of the fastest are repeated


def chunks(items, size):
    return [items[i:i + size] for i in range(0, len(items), size)]


def cells(programs, variants, rep, batch, quick, samples, metric):
    """programs: list of (name, quick CPU). Returns the cells of one repetition."""
    if quick:
        batches = [chunk for cpu in dict.fromkeys(cpu for _, cpu in programs)
                   for chunk in chunks([n for n, c in programs if c == cpu], batch)]
    else:
        batches = chunks([n for n, _ in programs], batch)
    quick_cpu = dict(programs)
    first = first_repetition(samples, metric) if rep > 0 and not quick else None
    result = []
    for names in batches:
        runs = []
        for v in variants:
            mine = names
            if quick and v.kind == "qemu":
                mine = [n for n in names if quick_cpu[n] == v.labels["cpu"]]
            elif first is not None and v.kind == "qemu":
                mine = [n for n in names if is_near(first, n, v.name)]
            if mine:
                runs.append((v.name, mine))
        # Who runs first pays for memory that the host has taken back meanwhile, so that falls to the others in the next cell.
        result.append({"rep": rep, "runs": runs[::-1] if (rep + len(result)) % 2 else runs})
    return result


def first_repetition(samples, metric):
    first = {}
    for s in samples:
        if s["rep"] == 0 and kind_of(s["variant"]) == "qemu":
            first.setdefault(s["program"], {})[s["variant"]] = s[metric]
    return first


def is_near(first, name, variant):
    known = first.get(name, {})
    return variant in known and known[variant] <= NEAR * min(known.values())


class TimeLeft:
    """An estimate from what has been measured: the same program under the same variant, else under a variant of the
    same kind, else the mean."""
    BOOT = 2.5

    def __init__(self, samples):
        self.samples = samples

    def seconds(self, todo):
        """todo: list of (variant, names)."""
        exact, by_kind, total, n = {}, {}, 0.0, 0
        for s in self.samples:
            if s["program"] == "boot":
                continue
            exact[s["variant"], s["program"]] = s["wall"]
            by_kind[kind_of(s["variant"]), s["program"]] = s["wall"]
            total, n = total + s["wall"], n + 1
        mean = total / n if n else 1.5
        return sum(self.BOOT + sum(exact.get((v, p), by_kind.get((kind_of(v), p), mean)) for p in names)
                   for v, names in todo if names)
