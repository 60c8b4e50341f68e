#!/usr/bin/env python3
"""bench/parallel, with an emulator that is played: its table is of jobs without the boot, a job that fails, and words that make no sense."""
import json, os, stat, subprocess, sys
from harness import SKIPPED, SOURCE, check, end, skip, work

PLAYED = os.path.join(work, "played")
os.mkdir(PLAYED)
PLAYED = os.path.join(PLAYED, "arclight")
# Takes 0.1 s of CPU to boot, and 0.2 s for a job with one CPU; for each further one half as much again.
with open(PLAYED, "w") as f:
    f.write(f"""#!{sys.executable} -S
import os, sys, time
if sys.argv[1] == "initramfs":
    open(sys.argv[sys.argv.index("--output") + 1], "w").close()
    sys.exit()
command = sys.argv[sys.argv.index("--") + 1:]
smp = int(sys.argv[sys.argv.index("--smp") + 1])
if os.environ.get("FAIL") and "seq" in command[-1] and smp == int(os.environ["FAIL"]):
    sys.exit("it said no")
end = time.process_time() + 0.1 + (0 if command == ["true"] else 0.1 + 0.1 * smp)
while time.process_time() < end:
    pass
""")
os.chmod(PLAYED, stat.S_IRWXU)


def run(*words, fail="", arclight=PLAYED):
    done = subprocess.run([sys.executable, os.path.join(SOURCE, "bench/parallel"), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, env={**os.environ, "ARCLIGHT": arclight, "FAIL": fail}, timeout=120)
    if done.returncode == SKIPPED:
        skip(done.stdout.strip())
    return done.returncode, done.stdout, done.stderr


figures = os.path.join(work, "figures.json")
status, out, errors = run("--rounds", "3", "--json", figures, "compute", "pipes", "--smp", "1,3")
rows = {tuple(line.split()[:3]): [float(w) for w in line.split()[3:]] for line in out.splitlines()[1:]}
check(status == 0, f"two jobs: status {status}, {errors}")
check(list(rows) == [("Arclight", job, smp) for job in ("compute", "pipes") for smp in "13"], f"rows: {out}")
for (_, job, smp), (cpu, ratio, clock, clock_ratio) in rows.items():
    wanted = 0.2 if smp == "1" else 0.4
    check(abs(cpu - wanted) < 0.08 and clock > cpu - 0.1, f"{job}, {smp} CPUs: the boot's 0.1 s are off, so {wanted} s are left: {out}")
    check(ratio == clock_ratio == 1 if smp == "1" else 1.3 < ratio < 3, f"{job}, {smp} CPUs: a ratio to one CPU: {out}")
with open(figures) as f:
    kept = json.load(f)
check([(c["job"], c["cpus"]) for c in kept] == [(job, smp) for job in ("boot", "compute", "pipes") for smp in (1, 3)], f"kept: {kept}")
check(all(len(c["cpu_and_clock_seconds"]) == 3 for c in kept), f"a figure a round: {kept}")

status, out, errors = run("--rounds", "1", "--smp", "1,2", "pipes", fail="2")
check(status == 1 and "Arclight pipes 2: ended with status 1" in errors and "it said no" in errors and out == "", f"a failure: {status} {out} {errors}")

for words, text in [(["nosuch"], "no job nosuch"), (["--smp", "1"], "two or more"), (["--smp", "1,9"], "of 1 to 8"), (["--smp", "1,x"], "lists of numbers"),
                    (["--rounds", "0"], "--rounds: 1 or more"), (["--cores", "0,100000"], "--cores: this process has")]:
    status, _, errors = run(*words)
    check(status == 2 and text in errors, f"{words}: {status} {errors}")
status, _, errors = run(arclight="/nowhere/arclight")
check(status == 2 and "no program /nowhere/arclight" in errors, f"no program: {status} {errors}")
end()
