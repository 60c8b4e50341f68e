#!/usr/bin/env python3
"""Fuzzes for hours: all targets in turn, on all cores, and random loops against QEMU.

    hunt.py HOURS --fuzz PROGRAM --work DIR [--loops ELF]

PROGRAM is arclight_fuzz with instrumentation. What reaches new code stays in DIR, for the next hunt. Inputs that fail are kept
in regressions/TARGET beside this file, where ./test runs them ever after; random loops likewise, as their seed. The environment
names ARCLIGHT and QEMU for the loops (tests/differential/loops/compare.py).
"""
import argparse, os, pathlib, queue, random, subprocess, sys, threading, time

HERE = pathlib.Path(__file__).resolve().parent
SLICE = 300  # seconds at most that one target has a core before the next one's turn


def main():
    words = argparse.ArgumentParser()
    words.add_argument("hours", type=float)
    words.add_argument("--fuzz", required=True)
    words.add_argument("--work", type=pathlib.Path, required=True)
    words.add_argument("--loops")
    options = words.parse_args()
    targets = subprocess.run([options.fuzz, "--list"], capture_output=True, text=True, check=True).stdout.split()
    cores = len(os.sched_getaffinity(0))
    end = time.monotonic() + options.hours * 3600
    share = options.hours * 3600 * cores / (len(targets) + 1)
    slice_ = max(1, min(SLICE, int(share)))
    grown = options.work / "corpus"
    grown.mkdir(parents=True, exist_ok=True)
    regressions = HERE / "regressions"
    seeds = random.SystemRandom()

    def command(target):
        seed = seeds.randrange(1, 1 << 48)
        if target == "loops":
            return [sys.executable, str(HERE.parent / "differential/loops/compare.py"), options.loops, "--first", str(seed), "--seeds", "1",
                    "--loops", "200", "--seconds", str(slice_), "--keep", str(regressions / "loops")]
        return [options.fuzz, target, "--seconds", str(slice_), "--seed", str(seed), "--inputs", str(HERE / "corpus"), "--inputs",
                str(grown), "--grow", str(grown), "--keep", str(regressions)]

    turns, failed, lock = queue.Queue(), {}, threading.Lock()
    for target in targets + (["loops"] if options.loops else []):
        turns.put(target)

    def core():
        while time.monotonic() < end:
            target = turns.get()
            done = subprocess.run(command(target), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
            with lock:
                lines = (done.stdout + done.stderr).strip().splitlines()
                if done.returncode != 0:
                    failed[target] = failed.get(target, 0) + 1
                    print(f"{target}: FAILED\n  " + "\n  ".join(line[:400] for line in lines[-25:]), flush=True)
                else:
                    print(lines[-1] if lines else target, flush=True)
            turns.put(target)

    threads = [threading.Thread(target=core) for _ in range(cores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for target, times in sorted(failed.items()):
        print(f"{target} failed {times} times: see {regressions / target}")
    print(f"{len(targets) + bool(options.loops)} targets, {len(failed)} failed")
    return 1 if failed else 0


sys.exit(main())
