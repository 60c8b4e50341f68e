#!/usr/bin/env python3
"""What the guest sees of a stop of this process (SIGSTOP, SIGCONT): nothing, or all of it with --host-suspend pass. The
RTC goes on in any case. The environment: ARCLIGHT, GUEST (uptime.elf)."""
import os, re, signal, subprocess, sys, time

STOPPED = 3  # seconds
failures = 0


class Run:
    def __init__(self, name, *options):
        self.name = name
        self.process = subprocess.Popen([os.environ["ARCLIGHT"], "run", "-m", "128", "--kernel", os.environ["GUEST"], *options],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)

    def lines(self, n):
        """The next n times: of the counter in ms, of the RTC in s."""
        found = []
        while len(found) < n:
            line = self.process.stdout.readline()
            if not line:
                sys.exit(f"FAIL: {self.name}: ended early")
            if match := re.match(r"t (\d+) rtc (\d+)", line):
                found.append(tuple(map(int, match.groups())))
        return found


def check(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAIL:", text)


worlds = ["process"]
if re.search(r"^kvm +usable", subprocess.run([os.environ["ARCLIGHT"], "probe"], stdout=subprocess.PIPE, text=True).stdout, re.M):
    worlds.append("kvm")
runs = [Run(f"{world}, {what}", "--accel", world, "--host-suspend", what) for world in worlds for what in ("pause", "pass")]
before = [run.lines(10)[-1] for run in runs]
for run in runs:
    run.process.send_signal(signal.SIGSTOP)
time.sleep(STOPPED)
for run in runs:
    run.process.send_signal(signal.SIGCONT)
for run, first in zip(runs, before):
    # What was in the pipe is among them; between two lines there are 30 ms of guest time.
    times = [first] + run.lines(60)
    run.process.send_signal(signal.SIGTERM)
    run.process.wait()
    steps = [b[0] - a[0] for a, b in zip(times, times[1:])]
    clock = times[-1][1] - times[0][1]
    print(f"{run.name}: the longest step {max(steps)} ms, {times[-1][0] - times[0][0]} ms in all, by the RTC {clock} s")
    check(min(steps) > 0, f"{run.name}: time goes back")
    check(clock >= STOPPED, f"{run.name}: the RTC stood: {clock} s")
    if run.name.endswith("pass"):
        total = sum(steps)
        check(total >= 30 * len(steps) + 1000 * STOPPED - 300, f"{run.name}: the counter stood: {total} ms in all")
    else:
        check(max(steps) < 1000, f"{run.name}: the guest saw the stop: {max(steps)} ms")
sys.exit(failures != 0)
