#!/usr/bin/env python3
"""Both Debian kernels with every kind of machine: each boot must reach a command, power off in time, and say nothing at
warning level or above that the same kernel does not say under QEMU.

The quick form boots a subset in which every pair of choices occurs; ARCLIGHT_NIGHTLY=1 boots all of them ten times.
  matrix.py [--repeat N] [--all] [--only TEXT] [--no-qemu]
"""
import argparse, itertools, os, time
import guest
from guest import Failures, Guest, KERNEL_TROUBLE, kernel_messages

CHOICES = {"flavour": ["cloud", "generic"], "gic": [3, 2], "kaslr": [True, False], "memory": ["256M", "4G"],
           "smp": [4, 2, 1]}
BOOT_LIMIT = 90  # seconds; one takes about two on an idle machine


def covering(machines):
    """A small subset in which every pair of values occurs: greedily, always the one with most new pairs."""
    pairs = lambda machine: set(itertools.combinations(machine.items(), 2))
    missing, chosen = set().union(*map(pairs, machines)), []
    while missing:
        best = max(machines, key=lambda machine: len(pairs(machine) & missing))
        chosen.append(best)
        missing -= pairs(best)
    return chosen


def describe(machine):
    return (f"{machine['flavour']} gic{machine['gic']} {'kaslr' if machine['kaslr'] else 'nokaslr'} "
            f"{machine['memory']} smp{machine['smp']}")


COMMAND = ["sh", "-c", "uname -r; nproc; grep MemTotal /proc/meminfo; sleep 0.3"]
APPEND = "loglevel=5"  # warnings and worse reach the console


# How long the host let a virtual CPU wait in the middle of a timer interrupt: where more want to run than there are
# host CPUs, this says nothing about us.
HOST_IS_BUSY = "hrtimer: interrupt took # ns"


def host_is_busy(machine):
    return os.getloadavg()[0] > os.cpu_count() or machine["smp"] > os.cpu_count()


class Reference:
    """What QEMU's boots say; one for each machine, asked for once."""

    def __init__(self, wanted):
        self.wanted = wanted and guest.QEMU
        self.known = {}

    def messages(self, debian, machine):
        if not self.wanted:
            return {}
        key = describe(machine)
        if key not in self.known:
            result = debian.run_qemu(COMMAND, append=APPEND, memory=machine["memory"], smp=machine["smp"],
                                     gic=machine["gic"], kaslr=machine["kaslr"])
            self.known[key] = kernel_messages(result.text)
        return self.known[key]


def boot(debian, machine, reference, failures):
    options = ["-m", machine["memory"], "--smp", str(machine["smp"]), "--gic", str(machine["gic"])]
    if not machine["kaslr"]:
        options.append("--no-kaslr-seed")
    result = debian.run(COMMAND, limit=BOOT_LIMIT, append=APPEND, options=options)
    name = describe(machine)
    if not failures.check(result.status == 0 and not result.timed_out, f"{name}: {result}"):
        return result
    failures.check(not result.error, f"{name}: on stderr: {result}")
    lines = [line for line in result.text.splitlines() if not line.startswith("[")]
    failures.check(lines[:2] == [debian.version, str(machine["smp"])], f"{name}: printed {lines}")
    ours = kernel_messages(result.text)
    suspicious = [text for key, text in ours.items() if KERNEL_TROUBLE.search(text)]
    failures.check(not suspicious, f"{name}: the kernel complains: {result}")
    failures.check("reboot: Power down" in ours.values(), f"{name}: no orderly power off: {result}")
    if reference.wanted and len(ours) > 1:  # more than the power-off
        known = reference.messages(debian, machine)
        extra = [text for key, text in ours.items() if key not in known]
        busy = ours.get(HOST_IS_BUSY)
        if busy in extra and host_is_busy(machine):
            print(f"{name}: on a busy host: {busy}")
            extra.remove(busy)
        failures.check(not extra, f"{name}: kernel messages that QEMU's boot does not show: {extra}")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=10 if guest.NIGHTLY else 1)
    parser.add_argument("--all", action="store_true", default=guest.NIGHTLY, help="all machines, not the covering subset")
    parser.add_argument("--only", default="", help="machines whose description holds all these words")
    parser.add_argument("--no-qemu", action="store_true", help="do not look at QEMU's messages")
    options = parser.parse_args()
    failures = Failures()
    machines = [dict(zip(CHOICES, values)) for values in itertools.product(*CHOICES.values())]
    if not options.all:
        machines = covering(machines)
    machines = [m for m in machines if all(word in describe(m).split() for word in options.only.split())]
    guests = {flavour: Guest(flavour) for flavour in {m["flavour"] for m in machines}}
    reference = Reference(not options.no_qemu)
    if not guest.QEMU:
        print("no qemu-system-aarch64: kernel messages are only searched for known trouble")
    boots = 0
    for _ in range(options.repeat):
        for machine in machines:
            result = boot(guests[machine["flavour"]], machine, reference, failures)
            boots += 1
            print(f"{time.strftime('%H:%M:%S')} {describe(machine)}: {result.seconds:.1f} s, "
                  f"{result.cpu_seconds:.1f} CPU s", flush=True)
    print(f"{boots} boots of {len(machines)} machines, {failures.count} failures")
    failures.end()


main()
