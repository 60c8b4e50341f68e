"""From samples to medians, ratios and means; and the result file."""
import json, math, statistics
from .programs import BY_NAME, GROUPS

FORMAT = 1
KIND = "arclight-sweep-result"
SECOND_RUN = "+second-run"  # behind a configuration's name: with what a first run has kept
DEFAULT_TIER = "/tiered"  # in a configuration's name: what `arclight run` does if nothing is said of --jit


class ResultError(Exception):
    pass


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def summarise(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "n": len(values)}


def spread(entry):
    return (entry["max"] - entry["min"]) / entry["median"] if entry["median"] else 0.0


def kind_of(variant):
    return variant.split()[0]


def build(state, info):
    """The result: info (machine, versions, options), per program and variant the summary, and what went wrong."""
    metric = info["metric"]
    table, sums, failures = {}, {}, []
    for r in state.samples():
        table.setdefault(r["program"], {}).setdefault(r["variant"], []).append(r)
    for r in state.failures():
        failures.append({k: r.get(k) for k in ("program", "variant", "rep", "why")})
    programs = {}
    for name in info["programs"] + (["boot"] if "boot" in table else []):
        runs = table.get(name, {})
        known = BY_NAME.get(name)
        entry = {"group": info["groups"].get(name) or (known.group if known else "int"),
                 "about": known.about if known else info["about"].get(name, ""), "seconds": {}, "samples": {}}
        for variant, records in runs.items():
            entry["seconds"][variant] = summarise([max(r[metric], 1e-4) for r in records])
            entry["samples"][variant] = [{k: r[k] for k in ("cpu", "wall", "load", "others", "rep")} for r in records]
        failures += wrong_answers(name, runs, sums, known)
        programs[name] = entry
    wrong = {(f["program"], f["variant"]) for f in failures}
    for name, entry in programs.items():
        # A wrong answer has no time.
        entry["seconds"] = {v: s for v, s in entry["seconds"].items() if (name, v) not in wrong}
    result = {"kind": KIND, "format": FORMAT, **info, "programs": programs, "checksums": sums, "failures": failures,
              "stats": [r for r in state.records if r["type"] == "stats"]}
    result["noisy_samples"] = sum(r["others"] > 0.5 for r in state.samples())
    evaluate(result)
    return result


def wrong_answers(name, runs, sums, known):
    """Every run must print the same. Natively some may differ (see Program); that is noted in the table, not here."""
    if name == "boot":
        return []
    found, reference = [], None
    # QEMU is the reference where it ran: it is not ours.
    for variant in sorted(runs, key=lambda v: ("qemu", "native", "arclight").index(kind_of(v)) if kind_of(v) != "native" else 3):
        for record in runs[variant]:
            if reference is None and kind_of(variant) != "native":
                reference = (record["sum"], variant)
                sums[name] = record["sum"]
            if kind_of(variant) == "native" and (reference is None or (known and known.native_differs)):
                continue
            if record["sum"] != reference[0]:
                found.append({"program": name, "variant": variant, "rep": record["rep"],
                              "why": f"WRONG ANSWER: its output ({record['sum'][:12]}) differs from {reference[1]}'s ({reference[0][:12]})"})
                break
    return found


def evaluate(result):
    """Adds per program the best QEMU, each Arclight variant's ratio, and the means by group; chooses the headline variant."""
    variants = sorted({v for e in result["programs"].values() for v in e["seconds"]})
    ours = [v for v in variants if kind_of(v) == "arclight"]
    for entry in result["programs"].values():
        seconds = entry["seconds"]
        theirs = {v: s["median"] for v, s in seconds.items() if kind_of(v) == "qemu"}
        best = min(theirs, key=theirs.get) if theirs else None
        entry["qemu"] = {"variant": best, "seconds": theirs[best]} if best else None
        entry["ratios"] = {v: theirs[best] / seconds[v]["median"] for v in ours if v in seconds} if best else {}
    result["means"] = {}
    for v in ours:
        rows = [(e["group"], e["ratios"][v]) for e in result["programs"].values() if v in e["ratios"]]
        means = {g: geometric_mean([r for group, r in rows if group == g]) for g in GROUPS}
        means["all"] = geometric_mean([r for _, r in rows])
        means["worst"] = min((r for _, r in rows), default=None)
        means["n"] = len(rows)
        result["means"][v] = means
    # One configuration for the whole table, never the best of several per program: of those with the most programs done,
    # no second run, one in the tier that is the default of `arclight run`, then the best mean.
    result["headline"] = max(ours, key=lambda v: (not v.endswith(SECOND_RUN), result["means"][v]["n"], DEFAULT_TIER in v, result["means"][v]["all"] or 0,
                                                  -sum(e["seconds"][v]["median"] for e in result["programs"].values() if v in e["seconds"])),
                             default=None)


def mips(result, name, variant):
    """Million guest instructions a second, or None: counts are of a separate, exact run."""
    count = result.get("instructions", {}).get(name)
    entry = result["programs"][name]["seconds"].get(variant)
    return count / 1e6 / entry["median"] if count and entry else None


def save(result, path):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)
        f.write("\n")


def load(path):
    try:
        with open(path, encoding="utf-8") as f:
            result = json.load(f)
    except OSError as error:
        raise ResultError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, UnicodeDecodeError):
        raise ResultError(f"{path} is not a sweep's result (no JSON)") from None
    if not isinstance(result, dict) or result.get("kind") != KIND:
        raise ResultError(f"{path} is not a sweep's result")
    if result.get("format") != FORMAT:
        raise ResultError(f"{path} is a result of another version (format {result.get('format')}, this is {FORMAT}): sweep again")
    return result
