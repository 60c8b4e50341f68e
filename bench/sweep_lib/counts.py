"""Exact guest instruction counts, by a small QEMU plugin that counts every instruction executed between the guest's marks.

The counts belong to the guest's programs, not to an emulator: Arclight's own --count-instructions agrees
(tests/bench/counts.py). They are kept beside the guest, and made again when the guest changes.
"""
import json, os, subprocess
from . import variants


def cache_path(guest, inputs):
    return os.path.join(guest, f"counts-{inputs}.json")


def published_path(inputs):
    return os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "results", f"counts-{inputs}.json")


def cached(guest, inputs):
    """What was counted for this very guest: here, or for the published tables."""
    found = {}
    for path in (published_path(inputs), cache_path(guest, inputs)):
        try:
            with open(path) as f:
                counts = json.load(f)
            with open(os.path.join(guest, "stamp")) as f:
                found |= counts["programs"] if counts["stamp"] == f.read().strip() else {}
        except (OSError, ValueError, KeyError):
            pass
    return found


def build_plugin(directory):
    source = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs", "count.c")
    plugin = os.path.join(directory, "count.so")
    subprocess.run(["gcc", "-O2", "-shared", "-fPIC", "-o", plugin, source], check=True)
    return plugin


def measure(guest, settings, names, directory, timeout, shift=0):
    """Counts these programs in one boot: {name: instructions}. Raises OSError and the like. An instruction takes 2^shift ns."""
    out = os.path.join(directory, "counts.txt")
    # A CPU for which libc chooses the same functions as for Arclight's. Guest time follows the instructions, so the
    # number of timer ticks, and with it the kernel's share, does not depend on how fast the host counts.
    variant = variants.qemu_variant("cortex-a76")
    command = variant.command(guest, settings, names, settings.inputs)
    command += ["-icount", f"shift={shift},sleep=off", "-plugin", f"{build_plugin(directory)},out={out}"]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=timeout, check=True)
    counts, open_mark = {}, None
    with open(out) as f:
        for line in f:
            mark, instructions = map(int, line.split())
            if mark == 0 and open_mark:
                counts[names[open_mark[0] - 1]] = instructions - open_mark[1]
            open_mark = (mark, instructions) if mark > 0 else None
    return counts


def count(guest, settings, names, directory, timeout):
    """The same, kept beside the guest with what is there already."""
    counts = {**cached(guest, settings.inputs), **measure(guest, settings, names, directory, timeout)}
    with open(os.path.join(guest, "stamp")) as f:
        stamp = f.read().strip()
    with open(cache_path(guest, settings.inputs), "w") as f:
        json.dump({"stamp": stamp, "programs": counts}, f)
    return counts
