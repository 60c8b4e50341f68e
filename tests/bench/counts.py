#!/usr/bin/env python3
"""Guest instruction counts: Arclight's --count-instructions against QEMU's, taken by the comparison's own plugin.

Bare-metal programs run the same instructions on both: within 0.1 % (they agree to the instruction). ARCLIGHT_NIGHTLY adds three
programs of the comparison under Linux within 0.1 %. There the number of timer ticks goes with the time a program takes, which is
not the same in both, and a tick takes thousands of instructions: so ticks are counted and their cost, which two speeds of QEMU's
clock show, is taken off. The boot is taken off as what a boot without a program counts."""
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
        stats = json.load(open(f.name))
        return stats["guest_instructions"], stats["cpu"]["interrupts"], done.stdout


programs = sys.argv[1:]
if not programs:
    harness.skip("no guest programs were built (no aarch64-linux-gnu-gcc)")
for elf in programs:
    ours, _, text = arclight_count([harness.ARCLIGHT, "run", "-m", "128", "--gic", "3", "--kernel", elf])
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
        TICKS = 250  # a second: CONFIG_HZ of Debian's kernel
        SLOW = 3     # 8 ns an instruction
        fast = counts.measure(guest, settings, ["none", *names], work, 300)
        slow = counts.measure(guest, settings, ["none", *names], work, 600, shift=SLOW)

        def boot(name):
            """(instructions, interrupts) of a boot with this program; medians, since a boot's own count varies by some hundred thousand."""
            runs = [arclight_count(ours.command(guest, settings, [name], "short"))[:2] for _ in range(3)]
            return [statistics.median(column) for column in zip(*runs)]

        nothing = boot("none")
        for name in names:
            # By the guest's clock QEMU's runs last instructions * 2^shift ns.
            ticks = [TICKS * count * 2**shift / 1e9 for count, shift in ((fast[name], 0), (slow[name], SLOW))]
            tick = (slow[name] - fast[name]) / (ticks[1] - ticks[0])
            right = fast[name] - ticks[0] * tick - (fast["none"] - TICKS * fast["none"] / 1e9 * tick)
            instructions, interrupts = (a - b for a, b in zip(boot(name), nothing))
            mine = instructions - interrupts * tick
            print(f"{name} under Linux, without its ticks of {tick:.0f} instructions: Arclight {mine:.0f}, QEMU {right:.0f}: {100 * abs(mine - right) / right:.3f} % "
                  f"(with them {instructions:.0f} and {fast[name] - fast['none']})", flush=True)
            check(500 < tick < 50000, f"{name}: a tick of {tick:.0f} instructions")
            check(abs(mine - right) / right < 0.001, f"{name}: more than 0.1 %")
harness.end()
