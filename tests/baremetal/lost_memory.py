#!/usr/bin/env python3
"""lost_memory.c on memory behind a file that is truncated: the guest's log is as expected, in every tier, and the user reads one line.
Then a copy of what is lost is refused, and the guest goes on.    lost_memory.py ELF EXPECTED [--update]
A region of tier 2 may find out late, once: ARCLIGHT_LATE=1 lets three lines differ but in that they have an external abort or an
SError interrupt."""
import json, os, re, socket, subprocess, sys, tempfile, threading

elf, expected = sys.argv[1:3]
options = os.environ.get("ARCLIGHT_OPTIONS", "").split()
late = os.environ.get("ARCLIGHT_LATE", "") == "1"
PAGES, PAGE = 16, 4096
work = tempfile.TemporaryDirectory(prefix="arclight-lost-")
inside = lambda name: os.path.join(work.name, name)


def fail(text):
    print("FAIL:", text)
    sys.exit(1)


def ask(**request):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(inside("control"))
        s.sendall((json.dumps(request) + "\n").encode())
        return json.loads(s.makefile().readline())


with open(inside("policy"), "w") as f:
    json.dump({"attach": [{"name": "x", "module": "remap", "pages": {"physical": 0x47000000, "bytes": PAGES * PAGE},
                           "with": {"to": f"file:{inside('memory')}"}}]}, f)
run = subprocess.Popen([os.environ["ARCLIGHT"], "run", "-m", "128", "--semihosting", "on", *options, "--kernel", elf, "--lightv", inside("policy"),
                        "--control", inside("control")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=open(inside("errors"), "w"))
alarm = threading.Timer(100, run.kill)
alarm.daemon = True
alarm.start()
log = []
refused = None
for raw in run.stdout:
    log.append(raw.decode(errors="replace").rstrip("\r\n"))
    if log[-1] == "truncate":
        os.truncate(inside("memory"), PAGE)
        with open(inside("memory"), "r+b") as f:
            f.write((1).to_bytes(8, "little"))
    if log[-1] == "gone":
        refused = ask(do="command", name="x", **{"with": {"to": "own", "content": "copy"}})
        run.stdin.write(b"!")
        run.stdin.flush()
status = run.wait()
with open(inside("errors")) as f:
    errors = f.read()
if "this host has no AVX-512" in errors:
    print("skipped: no AVX-512")
    sys.exit(77)
if "accel kvm: /dev/kvm cannot be opened" in errors:
    print("skipped: no /dev/kvm that can be used")
    sys.exit(77)
if status != 0 or not log or log[-1] != "done":
    fail(f"status {status}: {log[-5:]} {errors}")
if any("WRONG" in line for line in log):
    fail([line for line in log if "WRONG" in line])
if not re.fullmatch(r"arclight: guest memory in 'file:\S+' is gone at offset 0x[0-9a-f]+ \(.*\); the guest gets external aborts there\n", errors):
    fail(f"the user reads: {errors!r}")
if refused is None or refused["ok"] or not re.search(r"of 16 pages cannot be moved: their memory is gone", refused["error"]):
    fail(f"a copy of what is lost: {refused}")
if "--update" in sys.argv:
    with open(expected, "w") as f:
        f.write("\n".join(log) + "\n")
with open(expected) as f:
    right = f.read().splitlines()
if late:
    # After one late abort every access is looked at before it is made.
    inexact = [f"{a}    instead of    {b}" for a, b in zip(log, right) if a != b]
    if len(inexact) > 3:
        fail("\n".join([f"{len(inexact)} lines are inexact", *inexact[:20]]))
    comparable = lambda line: re.sub(r" = \w+ \[\w+ esr (9[26]0000[15]0|be000000).*", " [external]", re.sub(r"^   (base|elr) .*", "", line))
    right, log = ([l for l in map(comparable, lines) if l] for lines in (right, log))
different = [f"{a}    instead of    {b}" for a, b in zip(log, right) if a != b]
if different or len(log) != len(right):
    fail("\n".join([f"{len(different)} lines of {len(log)} ({len(right)} expected) differ", *different[:20]]))
print(f"{len(log)} lines as expected")

