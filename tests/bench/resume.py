#!/usr/bin/env python3
"""An interrupted sweep goes on where it was: nothing measured is measured again, nothing is lost."""
import json, os, signal, subprocess, time
import harness
from harness import check, command, environment, lines, no_traceback, sweep, work


def samples(out):
    return [r for r in map(json.loads, lines(out)) if r["type"] == "sample" and r["program"] != "boot"]


# Ctrl-C after the first few programs, twice; then to the end.
path = os.path.join(work, "a", "state.jsonl")
for wanted in 2, 7:
    process = subprocess.Popen(command("a", "--batch", "2"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment("slow"))
    deadline = time.monotonic() + 60
    while not (os.path.exists(path) and len(samples("a")) >= wanted) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    text = process.communicate(timeout=30)[0]
    check(process.returncode == 130 and "nothing is lost" in text, f"Ctrl-C: status {process.returncode}:\n{text}")
    no_traceback(text, "Ctrl-C")
before = samples("a")
check(len(before) >= 7, f"only {len(before)} samples were kept")
status, text, result = sweep("a", "--batch", "2")
check(status == 0 and f"resuming: " in text, f"resuming: status {status}:\n{text}")
after = samples("a")
check(after[:len(before)] == before, "earlier measurements were changed")
seen = [(s["program"], s["variant"], s["rep"]) for s in after]
check(len(seen) == len(set(seen)), "something was measured twice")
# 4 programs, 2 repetitions, Arclight's two tiers and one QEMU model each.
check(len(seen) == 4 * 2 * 3, f"{len(seen)} measurements instead of 24")
check(result and result["programs"]["perl"]["seconds"]["qemu cortex-a76"]["n"] == 2, "two repetitions of QEMU in the result")
check(all(v.startswith(("arclight process/", "qemu")) for v in result["variants"]), f"kvm is not offered: {result['variants']}")

# The line that a crash cut short is dropped, and its program is measured again.
sweep("b")
header, *rest = lines("b")
with open(os.path.join(work, "b", "state.jsonl"), "w") as f:
    f.write(header + "\n" + "\n".join(rest[:5]) + "\n" + rest[5][:20])
status, text, result = sweep("b")
check(status == 0 and "resuming" in text and result["programs"]["fft"]["seconds"], f"a cut line: status {status}:\n{text}")
check(all(json.loads(l) for l in lines("b")), "the state is whole again")

# A state of another version, of another sweep, and no state at all: set aside, never mixed.
for change, words in (({"format": 99}, "another version"), ({"inputs": "long"}, "another inputs")):
    first = {**json.loads(lines("b")[0]), **change}
    with open(os.path.join(work, "b", "state.jsonl"), "w") as f:
        f.write(json.dumps(first) + "\n")
    status, text, result = sweep("b")
    check(status == 0 and words in text and "starting afresh" in text, f"{words}: status {status}:\n{text}")
with open(os.path.join(work, "b", "state.jsonl"), "w") as f:
    f.write("this is\nno state\nat all\n")
status, text, result = sweep("b")
check(status == 0 and "not a line of a sweep's state" in text, f"garbage: status {status}:\n{text}")

# The full form: every CPU model once, then only those near the fastest; and --budget, which always leaves a whole table.
arguments = [a for a in command("full", "--reps", "2", only="perl,fft") if a != "--quick"]
done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), timeout=120)
check(done.returncode == 0, f"full: status {done.returncode}:\n{done.stdout}")
with open(os.path.join(work, "full", "result.json")) as f:
    result = json.load(f)
for name in "perl", "fft":
    seconds = {v: s["n"] for v, s in result["programs"][name]["seconds"].items()}
    models = {v: n for v, n in seconds.items() if v.startswith("qemu")}
    check(len(models) == 10 and 2 in models.values(), f"full: {name}: {models}")
    check(all(n == 2 for v, n in seconds.items() if v.startswith("arclight")), f"full: {name}: {seconds}")
    first = {s["variant"]: s["cpu"] for s in samples("full") if s["program"] == name and s["rep"] == 0}
    near = {v for v, s in first.items() if v.startswith("qemu") and s <= 1.1 * min(t for u, t in first.items() if u.startswith("qemu"))}
    check({v for v, n in models.items() if n == 2} == near, f"full: {name}: repeated {models}, near {near}")
status, text, result = sweep("budget", "--reps", "50", "--budget", "0.001")
check(status == 0 and "1 of 50 repetitions" in text and len(result["programs"]["getpid"]["seconds"]) == 3, f"budget: status {status}:\n{text}")
harness.end()
