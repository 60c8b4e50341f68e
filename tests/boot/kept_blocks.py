#!/usr/bin/env python3
"""Blocks of tier 1 that an earlier run has left (--jit-cache-blocks): Linux and its programs print what they print without, and
most of what they execute comes from the disk, also for runs at the same time; what is damaged there is translated instead, and where
nothing can be kept one line says so."""
import json
import os
import threading

import guest
from guest import Failures, Guest

SCRIPT = r"""
cd /tmp
cat /bin/busybox | sha256sum; awk 'BEGIN { for (i = 0; i < 1500; i++) { s = (s * 1103515245 + 12345) % 2147483648; print s, i, s % 1000 } }' > table
sort -k3,3n -k1,1nr table | md5sum; gzip -c table | gunzip -c | cmp - table && echo same
i=0; while [ $i -lt 20 ]; do /bin/busybox true || echo bad; i=$((i + 1)); done; echo $i
awk 'BEGIN { for (x = 0.1; x < 20; x += 0.37) printf "%.12g %e\n", x * x, 1 / x }' | md5sum
(seq 1 3 9000 | md5sum) > one & (seq 1 7 9000 | md5sum) > two & wait; cat one two
exit 42
"""
failures = Failures()
debian = Guest()


def run(options, name="stats"):
    stats = os.path.join(guest.work, f"{name}.json")
    result = debian.run(["sh", "-c", SCRIPT], limit=200, options=[*options, "--stats-json", stats])
    with open(stats) as f:
        return result, json.load(f)["translation"]


expected = None
for off in (["--jit-cache", "off"], ["--jit-cache", os.path.join(guest.work, "none"), "--jit-cache-blocks", "off"]):
    expected, made = run(["--jit", "tier1", *off])
    failures.check(expected.status == 42 and "same" in expected.text, f"without: {expected}")
    failures.check(made["disk"]["blocks"] == made["disk"]["kept"] == 0, f"without: {made}")
worlds = [["--accel", "process", "--jit", "tier1"], ["--accel", "process", "--jit", "tiered", "--smp", "4"]]
if guest.HAS_KVM:
    worlds.append(["--accel", "kvm", "--windows", "off", "--jit", "tier1"])
for number, options in enumerate(worlds):
    name = " ".join(options)
    cache = os.path.join(guest.work, f"cache{number}")
    # Where they are by default, which ctest has switched off for other tests.
    os.environ["ARCLIGHT_JIT_CACHE"] = cache
    runs = []
    for _ in range(2):
        result, translation = run(options)
        failures.check(result.status == 42 and result.output == expected.output, f"{name}: {result}\nnot {expected.text}")
        runs.append(translation)
    os.environ["ARCLIGHT_JIT_CACHE"] = "off"
    first, second = runs
    failures.check(first["disk"]["files"] == 0 and second["disk"]["files"] == 1, f"{name}: {runs}")
    share = second["disk"]["guest_instructions"] / second["guest_instructions"]
    failures.check(share > 0.9, f"{name}: {share:.3f} of what was translated came from the disk: {second}")
    print(f"{name}: {share:.3f} of {second['guest_instructions']} guest instructions from the disk", flush=True)

# One byte in each of a hundred places.
cache = os.path.join(guest.work, "cache0")
for file in os.listdir(cache):
    path = os.path.join(cache, file)
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        for k in range(1, 100):
            f.seek(size // 100 * k)
            byte = f.read(1)
            f.seek(size // 100 * k)
            f.write(bytes([byte[0] ^ 1]))
result, translation = run([*worlds[0], "--jit-cache", cache])
failures.check(result.status == 42 and result.output == expected.output, f"damaged: {result}\nnot {expected.text}")
failures.check(translation["disk"]["rejected"] > 0, f"damaged: {translation}")

# Two at once find nothing, each writes what it had to translate, and the next one has a choice.
cache = os.path.join(guest.work, "shared")
together = [None, None]


def run_beside(number):
    together[number] = run([*worlds[0], "--jit-cache", cache], f"stats{number}")


threads = [threading.Thread(target=run_beside, args=(k,)) for k in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for result, translation in together:
    failures.check(result.status == 42 and result.output == expected.output, f"two at once: {result}\nnot {expected.text}")
result, translation = run([*worlds[0], "--jit-cache", cache])
failures.check(result.status == 42 and result.output == expected.output, f"after two: {result}\nnot {expected.text}")
share = translation["disk"]["guest_instructions"] / translation["guest_instructions"]
failures.check(translation["disk"]["files"] >= 1 and translation["disk"]["rejected"] == 0 and share > 0.9, f"after two: {share:.3f} {translation}")

# Little room.
small = os.path.join(guest.work, "small")
result, translation = run([*worlds[0], "--jit-cache", small, "--jit-cache-size", "2M"])
bytes_there = sum(os.path.getsize(os.path.join(small, file)) for file in os.listdir(small))
failures.check(result.status == 42 and result.output == expected.output, f"little room: {result}\nnot {expected.text}")
failures.check(0 < bytes_there < 2 << 20, f"little room: {bytes_there} bytes: {translation}")

# No place for them is no reason not to run.
unfit = os.path.join(guest.work, "open")
os.mkdir(unfit)
os.chmod(unfit, 0o777)
result, translation = run(["--accel", "process", "--jit", "tiered", "--jit-cache", unfit])
failures.check(result.status == 42 and b"others than this user may write" in result.error and len(result.error.splitlines()) == 1,
               f"a directory of others: {result}")
# A home that cannot be written to.
os.environ["XDG_STATE_HOME"] = os.path.join(guest.work, "nothing")
open(os.environ["XDG_STATE_HOME"], "w").close()
result, translation = run([*worlds[0], "--jit-cache", cache])
failures.check(result.status == 42 and result.output == expected.output, f"no place for a key: {result}")
failures.check(b"no compiled code is kept: cannot" in result.error and len(result.error.splitlines()) == 1, f"no place for a key: {result}")
failures.check(translation["disk"]["blocks"] == translation["disk"]["kept"] == 0, f"no place for a key: {translation}")
failures.end()
