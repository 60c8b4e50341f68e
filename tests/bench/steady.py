#!/usr/bin/env python3
"""bench/steady: a short run of two loops gives a table and the samples; what cannot be run is said in one line."""
import json, os, re, shutil, subprocess, sys, tempfile

STEADY = os.path.join(os.environ["ARCLIGHT_SOURCE"], "bench/steady")
if shutil.which("aarch64-linux-gnu-gcc") is None:
    print("no aarch64-linux-gnu-gcc")
    sys.exit(77)


def run(*words):
    return subprocess.run([STEADY, "--arclight", os.environ["ARCLIGHT"], "--rounds", "1", "--percent", "2", "--passes", "10", *words],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


with tempfile.TemporaryDirectory() as work:
    samples = os.path.join(work, "samples.json")
    done = run("--json", samples, "crc", "sha256")
    assert done.returncode == 0, done.stderr
    assert "answer is" not in done.stderr, done.stderr
    rows = {line.split()[0]: [float(word) for word in line.split()[1:]] for line in done.stdout.splitlines()[1:]}
    assert list(rows) == ["crc", "sha256"] and all(ratio > 0.2 for _, _, ratio, _ in rows.values()), done.stdout
    with open(samples) as f:
        kept = json.load(f)
    assert all(len(kept[loop][where]) == 1 and kept[loop][where][0] > 0 for loop in rows for where in ("native", "guest")), kept

unknown = run("no-such-loop")
assert unknown.returncode == 2 and re.search("^steady: error: no loop 'no-such-loop'", unknown.stderr, re.M), unknown.stderr
missing = run("--arclight", "/nowhere/arclight", "crc")
assert missing.returncode == 2 and "error: no program /nowhere/arclight" in missing.stderr, missing.stderr
