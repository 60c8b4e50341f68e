#!/usr/bin/env python3
"""The kernel's own unit tests by the kernel's own runner, kunit.py, which finds Arclight as qemu-system-aarch64 in PATH: the same
results, test by test, as under QEMU, and how long both take. The kernel is built from Debian's source, which takes a quarter of an
hour once; KUNIT_SOURCE and KUNIT_BUILD name a tree and a build directory that are there already."""
import json, os, re, resource, subprocess, sys, time
from guest import ARCLIGHT, CROSS_CC, Failures, OPTIONS, QEMU, skip, work
from packages import CACHE, kernel_source

# What gives many tests for little to build.
CONFIG = "".join(f"CONFIG_{name}=y\n" for name in (
    "KUNIT", "KUNIT_EXAMPLE_TEST", "KUNIT_ALL_TESTS", "EXT4_FS", "MSDOS_FS", "VFAT_FS", "PCI", "IIO", "DAMON", "DAMON_VADDR",
    "DAMON_PADDR", "DEBUG_FS"))
ROUNDS = 3
if CROSS_CC is None or QEMU is None or OPTIONS:
    skip("no cross compiler, no QEMU, or further options, for which kunit.py has no place")

SOURCE = os.environ.get("KUNIT_SOURCE") or kernel_source()
if SOURCE is None:
    skip("the package linux-source-6.1 is not to be had")
BUILD = os.environ.get("KUNIT_BUILD") or os.path.join(CACHE, "kunit-build")
os.makedirs(BUILD, exist_ok=True)
config = os.path.join(work, "kunitconfig")
with open(config, "w") as f:
    f.write(CONFIG)
links = os.path.join(work, "bin")
os.mkdir(links)
os.symlink(ARCLIGHT, os.path.join(links, "qemu-system-aarch64"))
failures = Failures()


def kunit(command, arclight, *options):
    """What kunit.py prints, {test: status}, and the seconds and CPU seconds of it all."""
    results = os.path.join(work, "results.json")
    path = os.environ["PATH"]
    environment = os.environ | {"PATH": f"{links}:{path}" if arclight else path}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "tools/testing/kunit/kunit.py", command, "--arch=arm64", "--cross_compile=aarch64-linux-gnu-",
         f"--build_dir={BUILD}", f"--json={results}", *options], cwd=SOURCE, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    statuses = {}

    def collect(group, prefix):
        for case in group.get("test_cases", []):
            statuses[f"{prefix}{case['name']}"] = case["status"]
        for below in group.get("sub_groups", []):
            collect(below, f"{prefix}{below['name']}.")
    if os.path.exists(results):
        with open(results) as f:
            collect(json.load(f), "")
        os.unlink(results)
    failures.check(statuses, f"kunit.py {command}: no results, status {done.returncode}: {done.stdout[-3000:]}")
    return done.stdout, statuses, seconds, cpu


# As one types it. The kernel is built by this if it has to be.
output, first, _, _ = kunit("run", True, f"--kunitconfig={config}", f"--jobs={os.cpu_count()}", "--make_options=KCFLAGS=-g0")
print(re.findall(r"Testing complete.*", output))
with open(os.path.join(BUILD, "test.log"), errors="replace") as f:
    failures.check("the guest's CPU lacks" in f.read(), "it was not Arclight that ran")
measured = {True: [], False: []}
for _ in range(ROUNDS):
    for arclight in (True, False):
        _, statuses, seconds, cpu = kunit("exec", arclight)
        measured[arclight].append((seconds, cpu))
        name = "Arclight" if arclight else "QEMU"
        for test in sorted(first.keys() | statuses.keys()):
            failures.check(first.get(test) == statuses.get(test),
                           f"{test}: {first.get(test)} at first, {statuses.get(test)} under {name}")
counts = {status: list(first.values()).count(status) for status in sorted(set(first.values()))}
print(f"{len(first)} tests: {counts}")
failures.check(len(first) >= 100, f"only {len(first)} tests")
print("kunit.py exec, least of", ROUNDS, "      seconds  CPU seconds")
for arclight, runs in measured.items():
    print(f"{'Arclight' if arclight else 'QEMU':30} {min(r[0] for r in runs):8.1f} {min(r[1] for r in runs):12.1f}")
failures.end()
