#!/usr/bin/env python3
"""bench/side-by-side, with emulators that are played: its table, a program that fails, and words that make no sense."""
import os, re, subprocess, sys
from harness import SOURCE, check, end, environment, guest, work

PLAYED = os.path.join(work, "arclight")


def run(*words, fake=""):
    done = subprocess.run([sys.executable, os.path.join(SOURCE, "bench/side-by-side"), "--guest", guest, "--arclight", PLAYED, "--rounds", "2", *words],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(fake), timeout=120)
    return done.returncode, done.stdout, done.stderr


status, out, errors = run("perl", "fft")
rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()[1:]}
check(status == 0, f"two programs: status {status}, {errors}")
check(list(rows) == ["perl", "fft", "mean"], f"rows: {out}")
check(all(re.fullmatch(r"\d+\.\d\d\d", s) and float(s) >= 0.015 for name in ("perl", "fft") for s in rows[name][:2]), f"seconds: {out}")
check(all(0 < float(r) < 100 for r in rows["perl"][2:]) and len(rows["perl"]) == 5, f"ratios: {out}")

status, out, _ = run("--config", "a=", "--config", f"b={PLAYED}:--jit tier1", "--config", "c=--smp 2", "perl")
check(status == 0 and out.splitlines()[0].split() == ["a", "b", "ratio", "least", "most", "c", "ratio", "least", "most"], f"three: {status} {out}")

status, out, _ = run("perl", "fft", fake="fail=fft")
check(status == 1 and re.search("^fft +failed: .*exit status", out, re.M) and "perl" in out, f"a failure: {status} {out}")

for words, text in [(["nosuch"], "no program named 'nosuch'"), (["--config", "a=", "perl"], "two or more"), (["--rounds", "0"], "--rounds must be"),
                    (["--cpu", "100000"], "there is no CPU 100000"), (["--config", "a=", "--config", "b=/nowhere/arclight:"], "no program /nowhere/arclight")]:
    status, _, errors = run(*words)
    check(status == 2 and text in errors, f"{words}: {status} {errors}")
end()
