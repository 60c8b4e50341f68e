#!/usr/bin/env python3
"""Plays arclight or qemu-system-aarch64 for the sweep: prints the guest's markers, burns a little time, and misbehaves as told.

The name it is called by says which it plays. FAKE holds words: hang=PROGRAM, fail=PROGRAM, wrong=PROGRAM (as arclight),
die=PROGRAM, noboot, babble, kill-job, slow (0.3 s more a program), once=FILE:WORD (WORD applies while FILE is not there; it is made then).
"""
import hashlib, json, os, sys, time

name = os.path.basename(sys.argv[0])
words = os.environ.get("FAKE", "").split()
def told(kind, program):
    return f"{kind}={program}" in words or f"{kind}=*" in words


def say(text):
    print(text, flush=True)


if "--version" in sys.argv:
    say("QEMU emulator version 7.2.0 (a fake)")
    sys.exit()
if sys.argv[1:] == ["version"]:
    say("arclight 0.0.0\n  process  yes\n  kvm      no (no /dev/kvm)")
    sys.exit()
if sys.argv[1:] == ["run", "--help"]:
    say("Options:\n  --smp N      virtual CPUs\n  --accel NAME   where code runs: auto, kvm or process [auto]\n"
        "  --jit TIER    tier1, or tiered (both\n                tiers) [tiered]\n  --jit-cache DIR|off  what is kept\n  --stats  counters")
    sys.exit()
if "-plugin" in sys.argv:  # counts are of the real QEMU only
    sys.exit(1)
append = sys.argv[sys.argv.index("--append" if name == "arclight" else "-append") + 1]
settings = dict(word.split("=", 1) for word in append.split() if "=" in word)
for word in list(words):
    if word.startswith("once=") and settings["programs"]:  # not for the warm-up
        path, inner = word[5:].split(":", 1)
        if not os.path.exists(path):
            open(path, "w").close()
            words.append(inner)
if "noboot" in words:
    say("no such accelerator")
    sys.exit(3)
say("some noise of the kernel")
if "babble" in words:  # what only a mad guest says
    for line in ("@@", "@@RESULT", "@@RESULT a b c", "@@END", "@@WHY", "@@START", "@@START nosuch", "@@RESULT nosuch 0 0", "\0\xff" * 50, "x" * 3000000):
        say(line)
say("@@UP")
cache = sys.argv[sys.argv.index("--jit-cache") + 1] if name == "arclight" and "--jit-cache" in sys.argv else "off"
if cache != "off" and settings["programs"]:
    os.makedirs(cache, exist_ok=True)
    with open(os.path.join(cache, "ran"), "a") as f:
        f.write(settings["programs"] + "\n")
for program in filter(None, settings["programs"].split(",")):
    say(f"@@START {program}")
    if "kill-job" in words:  # the job that runs the sweep's cell dies without a word
        os.kill(os.getppid(), 9)
        sys.exit(1)
    if told("hang", program):
        time.sleep(1000)
    if told("die", program):
        say("Kernel panic - not syncing")
        sys.exit(1)
    end = time.process_time() + (0.02 if name == "arclight" else 0.05)
    while time.process_time() < end:
        pass
    time.sleep(0.3 if "slow" in words else 0)
    say(f"@@END {program}")
    wrong = told("wrong", program) and name == "arclight"
    status = 1 if told("fail", program) else 0
    say(f"@@RESULT {program} {status} {hashlib.md5((program + ' wrong' * wrong).encode()).hexdigest()}")
    if status:
        say("@@WHY it said no")
say("@@DONE")
if "--jit-cache-blocks" in sys.argv:
    cache = sys.argv[sys.argv.index("--jit-cache") + 1]
    os.makedirs(cache, exist_ok=True)
    if sys.argv[sys.argv.index("--jit-cache-blocks") + 1] == "on":
        with open(os.path.join(cache, "some.blocks"), "wb") as f:
            f.write(bytes(3 << 20))
if "--stats-json" in sys.argv:
    with open(sys.argv[sys.argv.index("--stats-json") + 1], "w") as f:
        json.dump({"cpu_seconds": 1.0, "translation": {"nanoseconds": 2e8, "guest_instructions": 200, "disk": {"guest_instructions": 180}}, "cpus": [{"exits": {"lookup": 5, "svc": 70}, "tlb_fills": 9, "windows": {"faults": 3}}],
                   "world_exits": {"io_port": 44}}, f)
