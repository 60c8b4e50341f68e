"""What is measured beside the papers: each measurement is one command of this tree, the file it leaves, and the figures taken from it."""
from dataclasses import dataclass
from typing import Callable


@dataclass
class Measurement:
    command: list      # words; OUT is the directory for its files
    result: str        # the file in OUT with its figures, as JSON
    figures: Callable  # of that file's contents: {name: number}
    minutes: float     # about, on two cores


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


MEASUREMENTS = {
    "sweep": Measurement(["bench/sweep", "--quick", "--no-native", "--variants", "process", "--count", "--out", "OUT"], "result.json", sweep, 15),
    "shadow": Measurement(["bench/shadow", "--reps", "1", "--out", "OUT"], "shadow.json", shadow, 6),
    "shadow-svm": Measurement(["bench/shadow", "--worlds", "svm", "--scale", "0.1", "--out", "OUT"], "shadow.json", shadow, 15),
    "following": Measurement(["bench/overhead", "--share", "--out", "OUT"], "overhead-share.json", share, 8),
    "lightv": Measurement(["bench/lightv", "--stages", "host", "--only", "instructions,latency,migration", "--json", "OUT/lightv.json"], "lightv.json", lightv, 25),
    "prepare": Measurement(["bench/prepare", "--rounds", "3", "--json", "OUT/prepare.json"], "prepare.json", prepare, 6),
}
