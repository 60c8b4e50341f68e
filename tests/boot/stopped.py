#!/usr/bin/env python3
"""A stop of the process while the guest's CPUs are busy: Linux's uptime does not include it and its watchdog finds no soft
lockup. With --host-suspend pass it does, and may find one."""
import re, signal, subprocess, time
from guest import KERNEL_TROUBLE, Failures, Guest

STOPPED = 6  # seconds; the watchdog reports CPUs that are stuck for 4
GUEST = """
echo 2 > /proc/sys/kernel/watchdog_thresh
up() { cut -d. -f1 /proc/uptime; }
start=$(up)
while :; do :; done &
while [ $(up) -lt $((start + 1)) ]; do :; done
echo "began $(up)"
while [ $(up) -lt $((start + 3)) ]; do :; done
echo "ended $(up)"
dmesg
"""

failures = Failures()
debian = Guest()


def uptime(word, text):
    match = re.search(rf"^{word} (\d+)", text, re.M)
    return int(match.group(1)) if match else -1


for what in "pause", "pass":
    process = subprocess.Popen(debian.arclight(["sh", "-c", GUEST], append="loglevel=1",
                                               options=["--smp", "2", "--host-suspend", what]),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    first = process.stdout.readline()
    began = time.monotonic()
    process.send_signal(signal.SIGSTOP)
    time.sleep(STOPPED)
    process.send_signal(signal.SIGCONT)
    rest = process.stdout.read()
    took = time.monotonic() - began
    process.wait()
    passed = uptime("ended", rest) - uptime("began", first)
    trouble = [line for line in rest.splitlines() if KERNEL_TROUBLE.search(line)]
    print(f"{what}: {passed} s in the guest, {took:.1f} s here, {len(trouble)} lines of trouble")
    failures.check(process.returncode == 0 and passed >= 0, f"{what}: {process.returncode} {first} {rest[-500:]}")
    if what == "pause":
        failures.check(passed < STOPPED - 1, f"the guest saw the stop: {passed} s")
        failures.check(not trouble, "\n".join(trouble[:10]))
    else:
        failures.check(passed >= STOPPED, f"the guest did not see the stop: {passed} s")
failures.end()
