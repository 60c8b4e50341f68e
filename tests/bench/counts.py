#!/usr/bin/env python3
"""Guest instruction counts: Arclight's --count-instructions against QEMU's, taken by the comparison's own plugin.

Bare-metal programs run the same instructions on both: within 0.1 % (they agree to the instruction). ARCLIGHT_NIGHTLY adds three
programs of the comparison under Linux, where the boot that is subtracted and the timer ticks vary: within 0.5 %."""
import json, os, shutil, statistics, subprocess, sys, tempfile
from types import SimpleNamespace
import harness
from harness import check, work

qemu, cc = shutil.which("qemu-system-aarch64"), shutil.which("gcc")
if not qemu or not cc:
    harness.skip("no qemu-system-aarch64 or no gcc for its plugin")
from sweep_lib import counts, variants  # noqa: E402

plugin = counts.build_plugin(work)
probe = subprocess.run([qemu, "-M", "none", "-plugin", f"{plugin},out={work}/probe", "-display", "none", "-monitor", "stdio"], input="quit\n",
                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
if "plugin" in probe.stdout and probe.returncode != 0:
    harness.skip(f"this QEMU has no plugins: {probe.stdout.strip()}")


def arclight_count(command):
    with tempfile.NamedTemporaryFile() as f:
        done = subprocess.run([*command, "--count-instructions", "--stats-json", f.name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=200)
        check(done.returncode == 0, f"arclight: {done.stdout[-300:]}")
        return json.load(open(f.name))["guest_instructions"], done.stdout


programs = sys.argv[1:]
if not programs:
    harness.skip("no guest programs were built (no aarch64-linux-gnu-gcc)")
for elf in programs:
    ours, text = arclight_count([harness.ARCLIGHT, "run", "-m", "128", "--kernel", elf])
    out = os.path.join(work, "counts.txt")
    done = subprocess.run([qemu, "-M", "virt,gic-version=3", "-cpu", "cortex-a76", "-m", "128", "-display", "none", "-monitor", "none", "-serial", "stdio",
                           "-kernel", elf, "-plugin", f"{plugin},out={out}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=200)
    mark, theirs = map(int, open(out).read().split()[-2:])
    difference = abs(ours - theirs) / theirs
    print(f"{os.path.basename(elf)}: Arclight {ours}, QEMU {theirs}: {100 * difference:.5f} %")
    check(mark == -1 and theirs > 1000000, "the plugin counted to the end")
    check(text.split()[:1] == done.stdout.split()[:1], f"the answers differ: {text} {done.stdout}")
    check(difference < 0.001, "more than 0.1 %")

if os.environ.get("ARCLIGHT_NIGHTLY", "") not in ("", "0"):
    prepared = subprocess.run([os.path.join(harness.SOURCE, "bench/programs/prepare")], stdout=subprocess.PIPE, text=True)
    if prepared.returncode == 0:
        guest = prepared.stdout.strip().splitlines()[-1]
        settings = SimpleNamespace(arclight=harness.ARCLIGHT, qemu=qemu, memory=1024, arclight_options=[], qemu_options=[], inputs="short", bare=None)
        ours = variants.Variant("arclight", "arclight", [])
        names = ["alu", "crc", "sort"]
        theirs = counts.measure(guest, settings, ["none", *names], work, 300)

        def boot(name):
            """What one boot with this program takes; the median, since a boot's own count varies by some hundred thousand."""
            return statistics.median(arclight_count(ours.command(guest, settings, [name], "short"))[0] for _ in range(3))

        nothing = boot("none")
        for name in names:
            mine, right = boot(name) - nothing, theirs[name] - theirs["none"]
            print(f"{name} under Linux: Arclight {mine:.0f}, QEMU {right}: {100 * abs(mine - right) / right:.3f} %")
            check(abs(mine - right) / right < 0.005, f"{name}: more than 0.5 %")
harness.end()
