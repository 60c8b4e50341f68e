#!/usr/bin/env python3
"""A user's SPEC installation: a stand-in tree of the same layout (CPU2006 and CPU2017), run by Arclight and QEMU."""
import json, os, shutil, subprocess
import harness
from harness import check, no_traceback, tool, work

cc = shutil.which("aarch64-linux-gnu-gcc")
if not cc:
    harness.skip("no aarch64-linux-gnu-gcc")
mke2fs = shutil.which("mke2fs", path=os.environ["PATH"] + ":/usr/sbin:/sbin")
if not mke2fs:
    harness.skip("no mke2fs")
tree = os.path.join(work, "spec")
source = os.path.join(work, "p.c")
with open(source, "w") as f:
    f.write(r"""#include <stdio.h>
#include <stdlib.h>
#include <string.h>
int main(int argc, char** argv) {   /* sums stdin; "-v" reads the environment; "-f FILE" sums a file */
    FILE* in = stdin; unsigned long s = 0; int c;
    if (argc > 2 && !strcmp(argv[1], "-f")) in = fopen(argv[2], "r");
    if (!in) return 3;
    while ((c = getc(in)) != EOF) s = s * 31 + c;
    for (int i = 0; i < 3000000; i++) s = s * 6364136223846793005ul + 1;
    printf("%lu %s %s\n", s, argc > 1 ? argv[argc - 1] : "-", getenv("SPEC_THING") ? getenv("SPEC_THING") : "none");
}
""")


def benchmark(suite, name, run, binary, commands, static=True, compiler=cc):
    path = os.path.join(tree, "benchspec", suite, name, "run", run)
    os.makedirs(path)
    subprocess.run([compiler, "-O2", *(["-static"] if static else []), source, "-o", os.path.join(path, binary)], check=True)
    with open(os.path.join(path, "speccmds.cmd"), "w") as f:
        f.write(commands)
    with open(os.path.join(path, "input.dat"), "w") as f:
        f.write(name * 1000)
    return path


benchmark("CPU2006", "401.bzip2", "run_base_ref_arm64.0000", "bzip2_base.arm64",
          "-C /somewhere/else/benchspec/CPU2006/401.bzip2/run/run_base_ref_arm64.0000\n"
          "-i input.dat -o input.out -e input.err ../run_base_ref_arm64.0000/bzip2_base.arm64\n"
          "-o second.out -e second.err ../run_base_ref_arm64.0000/bzip2_base.arm64 -f input.dat\n")
benchmark("CPU2006", "470.lbm", "run_base_test_arm64.0000", "lbm_base.arm64", "-o lbm.out ../run_base_test_arm64.0000/lbm_base.arm64 -f input.dat\n")
benchmark("CPU", "505.mcf_r", "run_base_refrate_arm64.0000", "mcf_r_base.arm64",
          "# made by runcpu\n-E SPEC_THING 'with blanks'\n-r\n-N C\n-C /gone\n"
          "-o mcf.out -e mcf.err ../run_base_refrate_arm64.0000/mcf_r_base.arm64 -f input.dat > mcf.out 2>> mcf.err\n", static=False)
benchmark("CPU", "519.lbm_r", "run_base_refrate_arm64.0000", "lbm_r_base.arm64", "-o l.out ../run_base_refrate_arm64.0000/lbm_r_base.arm64 -f nosuchfile\n")

# What SPEC's comparison is to find: by compare.cmd with tolerances, from an installation that was elsewhere; without one, exactly.
OUTPUT = {"401.bzip2": "input.out", "505.mcf_r": "mcf.out"}


def expect(suite, name, run, text, compare=""):
    base = os.path.join(tree, "benchspec", suite, name)
    output = os.path.join(base, "data", "ref" if suite == "CPU2006" else "refrate", "output")
    os.makedirs(output, exist_ok=True)
    with open(os.path.join(output, OUTPUT[name]), "w") as f:
        f.write(text)
    if compare:
        with open(os.path.join(base, "run", run, "compare.cmd"), "w") as f:
            f.write(f"-C /gone\n-k -o {OUTPUT[name]}.cmp /elsewhere/bin/specperl /elsewhere/bin/harness/specdiff -m -l 10 {compare} "
                    f"/elsewhere/benchspec/{suite}/{name}/data/ref/output/{OUTPUT[name]} {OUTPUT[name]} > {OUTPUT[name]}.cmp\n")


def total(data):
    s = 0
    for c in data:
        s = (s * 31 + c) % 2 ** 64
    for _ in range(3000000):
        s = (s * 6364136223846793005 + 1) % 2 ** 64
    return s


sums = {n: total(n.encode() * 1000) for n in OUTPUT}
expect("CPU2006", "401.bzip2", "run_base_ref_arm64.0000", f"{sums['401.bzip2'] * 1.0001:.0f}  - none\n", "--reltol 0.001 --cw")
expect("CPU", "505.mcf_r", "run_base_refrate_arm64.0000", f"{sums['505.mcf_r']} input.dat with blanks\n")

# The comparing program alone.
differ = os.path.join(work, "specdiff")
subprocess.run(["gcc", "-O2", "-o", differ, os.path.join(harness.SOURCE, "bench/programs/specdiff.c"), "-lm"], check=True)
for options, one, other, same in (
        ("", "a 1 b\n", "a 1 b\n", True), ("", "a 1\n", "a 2\n", False), ("", "a 1\n\n", "  a   1\r\n", True), ("", "a\n", "a\nb\n", False),
        ("", "a\nb\n", "a\n", False), ("--abstol 0.01", "x 1.000\n", "x 1.009\n", True), ("--abstol 0.01", "x 1.000\n", "x 1.011\n", False),
        ("--abstol 1e-5 --reltol 1e-3", "1e6\n", "1000900\n", True), ("--reltol 1e-3", "1e6\n", "1001100\n", False), ("--reltol 0.5", "nan\n", "1\n", False),
        ("--reltol 0.1", "abc\n", "abd\n", False), ("--ignorecase", "ABC\n", "abc\n", True), ("", "ABC\n", "abc\n", False), ("--obiwan", "7 9\n", "8 8\n", True),
        ("--obiwan", "7\n", "9\n", False), ("--skiptol 1", "1 2 3\n", "1 5 3\n", True), ("--skiptol=1", "1 2 3\n", "1 5 4\n", False), ("--skiptol 9", "a\n", "b\n", False),
        ("--nonansi --reltol 1e-6", "1.0D+02\n", "100.0\n", True), ("--nonansi --reltol 1e-6", "1.0-100\n", "1e-100\n", True), ("--reltol 1", "1.0D+02\n", "100.0\n", False),
        ("--binary", "a 1\n", "a  1\n", False), ("--binary --obiwan", "abc", "bbb", True), ("--binary --obiwan", "abc", "cbc", False)):
    for name, text in (("one", one), ("other", other)):
        with open(os.path.join(work, name), "w", newline="") as f:
            f.write(text)
    status = subprocess.run([differ, *options.split(), os.path.join(work, "one"), os.path.join(work, "other")], stdout=subprocess.DEVNULL).returncode
    check((status == 0) == same and status in (0, 1), f"specdiff {options}: {one!r} and {other!r}: status {status}")

from sweep_lib import spec  # noqa: E402

found = {b.name: b for b in spec.find(tree, "ref", "")}
check(sorted(found) == ["401.bzip2", "505.mcf_r", "519.lbm_r"], f"found {sorted(found)}")
check([b.group for b in found.values()] == ["int", "int", "fp"], "groups")
check(found["505.mcf_r"].commands[0].environment == {"SPEC_THING": "with blanks"} and found["505.mcf_r"].commands[0].words[1:] == ["-f", "input.dat"], "the command of 505.mcf_r")
check([b.name for b in spec.find(tree, "test", "")] == ["470.lbm"] and [b.name for b in spec.find(tree, "ref", "bzip2")] == ["401.bzip2"], "by size and by name")

for arguments, words in (([work], "no SPEC installation"), ([tree, "--spec-size", "train"], "has no run directory of size train")):
    status, text = tool("--arclight", harness.ARCLIGHT, "--no-qemu", "--guest", harness.guest, "--out", os.path.join(work, "bad"), "--spec", *arguments)
    check(status == 2 and words in text, f"{words}: status {status}:\n{text}")
host = shutil.which("gcc")
if host:
    benchmark("CPU2006", "999.host", "run_base_ref_x.0000", "host", "-o x ../run_base_ref_x.0000/host\n", compiler=host)
    status, text = tool("--arclight", harness.ARCLIGHT, "--no-qemu", "--guest", harness.guest, "--out", os.path.join(work, "bad"), "--spec", tree)
    check(status == 2 and "is not an arm64 program" in text, f"x86 binary: status {status}:\n{text}")
    shutil.rmtree(os.path.join(tree, "benchspec/CPU2006/999.host"))

prepared = subprocess.run([os.path.join(harness.SOURCE, "bench/programs/prepare")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
if prepared.returncode != 0:
    print(prepared.stderr)
    if harness.failures:
        harness.end()
    harness.skip("the guest is not in the cache and cannot be fetched; the rest is as expected")
qemu = shutil.which("qemu-system-aarch64")
status, text = tool("--spec", tree, "--quick", "--reps", "1", "--variants", "process/tier1", "--arclight", harness.ARCLIGHT, "--out", os.path.join(work, "real"),
                    "--guest", prepared.stdout.strip().splitlines()[-1], *([] if qemu else ["--no-qemu"]))
no_traceback(text, "SPEC")
check(status == 1 and "519.lbm_r" in text and "exit status 3 in the guest" in text, f"one that fails: status {status}:\n{text}")
with open(os.path.join(work, "real", "result.json")) as f:
    result = json.load(f)
for name in "401.bzip2", "505.mcf_r":
    seconds = result["programs"][name]["seconds"]
    check(len(seconds) == (2 if qemu else 1) and name in result["checksums"], f"{name}: {seconds}")
    check(not qemu or result["programs"][name]["ratios"], f"{name} has no ratio")
check(len(set(result["checksums"].values())) >= 2, "different benchmarks, different outputs")

# Expected outputs that are not what came out.
expect("CPU2006", "401.bzip2", "run_base_ref_arm64.0000", f"{sums['401.bzip2'] * 1.002:.0f}  - none\n", "--reltol 0.001 --cw")
expect("CPU", "505.mcf_r", "run_base_refrate_arm64.0000", f"{sums['505.mcf_r']} input.dat with_blanks\n")
status, text = tool("--spec", tree, "--quick", "--reps", "1", "--variants", "process/tier1", "--arclight", harness.ARCLIGHT, "--out", os.path.join(work, "wrong"), "--only",
                    "bzip2,mcf_r", "--guest", prepared.stdout.strip().splitlines()[-1], "--no-qemu")
check(status == 1 and text.count("exit status 98 in the guest: specdiff: ") >= 2 and "mcf.out: " in text, f"wrong outputs: status {status}:\n{text}")
harness.end()
