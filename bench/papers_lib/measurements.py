"""What is measured beside the papers: each measurement is one command of this tree, the file it leaves, and the figures taken from it."""
import math, statistics
from dataclasses import dataclass
from typing import Callable


@dataclass
class Measurement:
    command: list      # words; OUT is the directory for its files
    result: str        # the file in OUT with its figures, as JSON
    figures: Callable  # of that file's contents: {name: number}
    minutes: float     # about, on two cores
    counted: tuple = ()  # words behind the command, with which it leaves its exact counts alone, which no other load of the host changes
    kept: str = ""  # instead of `result`: a file of this tree with all rows, to which the command adds; so it can be repeated for some of them


def sweep(result):
    head = result["headline"]
    means = result["means"][head]
    figures = {f"times faster, {group}": means[group] for group in ("all", "int", "fp", "system") if means[group]}
    figures["times faster, least"] = means["worst"]
    figures["times faster, most"] = max(e["ratios"][head] for e in result["programs"].values() if head in e["ratios"])
    million = [result["instructions"][n] / 1e6 / e["seconds"][head]["median"] for n, e in result["programs"].items()
               if n in result.get("instructions", {}) and head in e["seconds"]]
    if million:
        figures |= {"MIPS, mean": sum(million) / len(million), "MIPS, most": max(million)}
    return figures | {"programs": means["n"]}


def shadow(result):
    figures = {}
    for world, rows in result["worlds"].items():
        for name, row in rows.items():
            for policy in ("ssp", "asp"):
                for other in ("tsp", "tsp-unsync"):
                    if row.get(other, {}).get("exits") and policy in row:
                        figures[f"{world}: {name}: {policy} against {other}, %"] = 100 * row[policy]["exits"] / row[other]["exits"] - 100
                        if row[other].get("real"):
                            figures[f"{world}: {name}: {policy} against {other} as KVM counts, %"] = 100 * row[policy].get("real", 0) / row[other]["real"] - 100
    return figures


def share(result):
    return {"share of time, %": 100 * result["share"]}


def lightv(result):
    figures = {}
    for name, counts in result.get("instructions", {}).items():
        figures |= {f"{name}: {what}, % of instructions": 100 * n / counts["off"] - 100 for what, n in counts.items()
                    if what not in ("off", "off again", "seconds")}
    for name, row in result.items():
        if name.startswith("latency, "):
            for what in ("done", "seen"):
                for part, label in ((0.5, "p50"), (0.99, "p99")):
                    figures[f"{name}: {what} {label}, us"] = row[what][min(len(row[what]) - 1, int(len(row[what]) * part))]
        elif name.startswith("migration, "):
            figures[f"{name}: MiB/s"] = row["pages"] / 256 / row["seconds"]
    return figures


def prepare(result):
    figures = {"sites found": sum(n for n, _ in result["sites"].values()), "sites met": sum(met for _, met in result["sites"].values())}
    for name, row in result.items():
        if name != "sites":
            figures[f"{name}: ratio of CPU time"] = row["ratio"]
    fastmem = result.get("KVM with fastmem")
    if fastmem:
        what = "blocks translated twice for a device"
        figures["retranslations, before"], figures["retranslations, prepared"] = (c[what] for c in fastmem["counts"])
    return figures


def mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def svio(result):
    better = result["times better"]
    streams = [v for k, v in better.items() if "stream" in k and "CPU" not in k]
    trips = [v for k, v in better.items() if "round trip" in k and "CPU" not in k]
    cpu = [v for k, v in better.items() if "stream" in k and "CPU" in k]
    return {"throughput, %": 100 * mean(streams) - 100, "throughput, least %": 100 * min(streams) - 100, "throughput, most %": 100 * max(streams) - 100,
            "latency, %": 100 / mean(trips) - 100, "CPU a message, %": 100 / mean(cpu) - 100,
            "beside a greedy one": max(v[0] for v in result["beside a greedy one"].values()),
            "beside a greedy one, ordinary": max(v[1] for v in result["beside a greedy one"].values())}


def spinning(result):
    """Of the rows with more virtual CPUs than cores."""
    rows = {k: v for k, v in result["figures"].items() if "hand-over" in v and "off" in v}
    over = {k: v for k, v in rows.items() if int(k.split(" x ")[0]) * int(k.split(" x ")[1].split(":")[0]) > result["cores"]}
    turns = {p: sum(sum(n for name, n in v.items() if name.startswith("spins ")) for k, v in result["figures"].items() if k.endswith(f": {p}") and "ns" in v)
             for p in ("off", "hand-over")}
    figures = {"times faster, mean": mean([v["off"] / v["hand-over"] for v in over.values()]), "times faster, least": min(v["off"] / v["hand-over"] for v in over.values()),
               "times faster, most": max(v["off"] / v["hand-over"] for v in over.values()),
               "rows": len(over), "rows that lose a tenth": sum(v["off"] / v["hand-over"] < 0.9 for v in over.values())}
    if turns["off"]:
        figures["turns of waiting loops, %"] = 100 * turns["hand-over"] / turns["off"] - 100
    qemu = [v["qemu"] / v["hand-over"] for v in over.values() if "qemu" in v]
    return figures | ({"times faster than QEMU, mean": mean(qemu)} if qemu else {})


def windows(result):
    """Host instructions in blocks, of page tables over those of the soft TLB."""
    over = [r["windows"] / r["soft TLB"] for r in result["programs"].values()]
    return {"programs": len(over), **{f"instructions, {what} %": 100 * value - 100 for what, value in (("mean", mean(over)), ("least", min(over)), ("most", max(over)))}}


def isolation(result):
    return {f"{row}: {name}": values[name] / values["alone"] for row, values in result.items() for name in values if name != "alone"}


def registers(result):
    """bench/registers keeps all counts; the time is that of pairs, if there are any."""
    ratios = [statistics.median(s / m for m, s in zip(sides["memory"], sides["simd"])) for sides in result["seconds"].values() if sides["memory"]]
    traffic = {}
    for side, programs in result["counts"].items():
        each = [(p["registers"]["loads"] + p["registers"]["stores"]) / max(p["guest_instructions"], 1) for p in programs.values()]
        traffic[f"state traffic, {side}"] = sum(each) / len(each)
        hosts = [p["host_instructions"] / max(p["guest_instructions"], 1) for p in programs.values()]
        traffic[f"host instructions, {side}"] = sum(hosts) / len(hosts)
    return traffic | ({"time, mean": mean(ratios), "time, least": min(ratios), "time, most": max(ratios)} if ratios else {})


MEASUREMENTS = {
    "sweep": Measurement(["bench/sweep", "--quick", "--no-native", "--variants", "process", "--count", "--out", "OUT"], "result.json", sweep, 15),
    "windows-svm": Measurement(["bench/windows", "--on", "svm", "--json", "OUT/windows.json"], "windows.json", windows, 20),
    "shadow": Measurement(["bench/shadow", "--reps", "1", "--out", "OUT"], "shadow.json", shadow, 6),
    "shadow-svm": Measurement(["bench/shadow", "--worlds", "svm", "--scale", "0.1", "--out", "OUT"], "shadow.json", shadow, 20),
    "following": Measurement(["bench/overhead", "--share", "--out", "OUT"], "overhead-share.json", share, 8),
    "lightv": Measurement(["bench/lightv", "--stages", "host", "--only", "instructions,latency,migration", "--json", "OUT/lightv.json"], "lightv.json", lightv, 25,
                          ("--only", "instructions", "--programs", "sort")),
    "prepare": Measurement(["bench/prepare", "--rounds", "3", "--json", "OUT/prepare.json"], "prepare.json", prepare, 6),
    "svio": Measurement(["bench/svio", "--rounds", "4", "--json", "OUT/svio.json"], "svio.json", svio, 15),
    "spinning": Measurement(["bench/spinning", "--rounds", "2", "--seconds", "0.4", "--into", "bench/results/spinning.json"], "", spinning, 8, kept="bench/results/spinning.json"),
    "isolation": Measurement(["bench/isolation", "--json", "OUT/isolation.json"], "isolation.json", isolation, 3),
    "registers": Measurement(["bench/registers", "--rounds", "2", "--json", "OUT/registers.json"], "registers.json", registers, 20, ("--rounds", "0")),
}
