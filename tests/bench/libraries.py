#!/usr/bin/env python3
"""bench/libraries, with emulators that are played: its list and table, a workload that fails, answers that differ, and words that make no sense."""
import os, re, subprocess, sys
from harness import SOURCE, check, end, environment, guest, work

PLAYED = ["--arclight", os.path.join(work, "arclight"), "--qemu", os.path.join(work, "qemu-fake"), "--guest", guest, "--rounds", "2"]


def run(*words, fake=""):
    done = subprocess.run([sys.executable, os.path.join(SOURCE, "bench/libraries"), *PLAYED, *words], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(fake), timeout=120)
    return done.returncode, done.stdout, done.stderr


status, out, errors = run("--list", "openssl")
check(status == 0 and "openssl-sha2-512" in out and "numpy" not in out, f"--list: {status} {out} {errors}")

status, out, errors = run("x265", "openssl-sm3")
rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in out.splitlines()]
check(status == 0, f"two workloads: status {status}, {errors}")
check(rows[0] == ["workload", "narrow, s", "wide", "sve", "q-narrow, s", "q-wide", "q-sve", "wide over q-wide"], f"titles: {out}")
check([row[0] for row in rows[2:]] == ["openssl-sm3", "x265"], f"rows: {out}")
check(all(re.fullmatch(r"\d+\.\d+", cell) for row in rows[2:] for cell in row[1:]), f"cells: {out}")

status, out, errors = run("--without", "sve,q-narrow,q-wide,q-sve", "--config", "v1=--cpu neoverse-v1", "x265")
check(status == 0 and out.splitlines()[0] == "| workload | narrow, s | wide | v1 |", f"other configurations: {status} {out} {errors}")

status, out, errors = run("--together", str(min(os.sched_getaffinity(0))), "x265")
check(status == 0 and out.splitlines()[2].startswith("| x265 |") and "failed" not in out, f"at the same time: {status} {out} {errors}")

status, out, _ = run("x265", "dav1d", fake="fail=dav1d")
check(status == 1 and re.search("^failed: dav1d: narrow: .*exit status", out, re.M) and "| x265 |" in out, f"a failure: {status} {out}")

status, out, _ = run("x265", "dav1d", fake="wrong=x265")
check(status == 1 and "x265: DIFFERENT ANSWERS" in out and "dav1d: DIFF" not in out, f"other answers: {status} {out}")

for words, text in [(["nosuch"], "no workload or library named 'nosuch'"), (["--rounds", "0"], "--rounds must be"), (["--config", "wide=--smp 2"], "a new name"),
                    (["--together", "100000"], "there is no CPU 100000"), (["--without", "x"], "no configuration 'x'"), (["--without", "narrow,wide,sve,q-narrow,q-wide,q-sve"], "leaves no configuration"),
                    (["--arclight", "/nowhere/arclight", "x265"], "no program /nowhere/arclight")]:
    status, _, errors = run(*words)
    check(status == 2 and text in errors, f"{words}: {status} {errors}")
end()
