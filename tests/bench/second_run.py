#!/usr/bin/env python3
"""bench/second-run, with an emulator that is played: its rows, a workload that fails or dies, words that make no sense; and the class file that it makes."""
import os, re, subprocess, sys
from harness import SOURCE, check, end, environment, guest, work


def run(*words, fake=""):
    done = subprocess.run([sys.executable, os.path.join(SOURCE, "bench/second-run"), "--arclight", os.path.join(work, "arclight"), "--guest", guest, "--rounds", "2", *words],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(fake), timeout=60)
    return done.returncode, done.stdout, done.stderr


status, out, errors = run("boot", "java", "perl")
rows = out.splitlines()
check(status == 0 and [row.split()[0] for row in rows[1:]] == ["boot", "java", "perl"], f"rows: {status} {out} {errors}")
check(all(re.search(r"90 % of 200 guest instructions; 3 MiB$", row) for row in rows[1:]), f"what was from the disk: {out}")
check([len(re.findall(r"\d\.\d\d", row)) for row in rows[1:]] == [10, 11, 11], f"figures: {out}")

status, _, errors = run("node", fake="fail=node")
check(status == 1 and "node failed in the guest: it said no" in errors, f"a failure: {status} {errors}")
status, _, errors = run("java", fake="die=java")
check(status == 1 and "java ended with 1: " in errors and "Kernel panic" in errors, f"an emulator that ends: {status} {errors}")
status, _, errors = run("nosuch")
check(status == 2 and "no program named 'nosuch'" in errors, f"no such workload: {status} {errors}")
status, _, errors = run("--rounds", "0")
check(status == 2 and "--rounds must be" in errors, f"no rounds: {status} {errors}")

sys.path.insert(0, os.path.join(SOURCE, "bench"))
from sweep_lib import runtimes  # noqa: E402

code = runtimes.hello_class()
check(code[:8] == bytes.fromhex("cafebabe00000034") and b"hello" in code and len(code) == 273, f"Hello.class: {len(code)} bytes")
end()
