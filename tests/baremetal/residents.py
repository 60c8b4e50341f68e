#!/usr/bin/env python3
"""In LightV's fill stage a change of one page makes the CPUs forget that page and no other: with 1 to 8 virtual CPUs that have 64 pages
each in their soft TLBs (residents.c), 40 changes of another one. The environment: ARCLIGHT, GUEST (residents.elf)."""
import json, os, socket, subprocess, sys, tempfile, threading

TARGET, PAGE, CHANGES = 0x47000000, 4096, 40
work = tempfile.TemporaryDirectory(prefix="arclight-residents-")
path = lambda name: os.path.join(work.name, name)
for name, word in ("there", 0), ("end", 0xe0e0e0e0):
    with open(path(name), "wb") as f:
        f.write(word.to_bytes(8, "little") * (PAGE // 8))


def ask(control, **request):
    control.sendall((json.dumps(request) + "\n").encode())
    answer = b""
    while not answer.endswith(b"\n"):
        piece = control.recv(65536)
        if not piece:
            sys.exit(f"FAIL: {request}: no answer")
        answer += piece
    if not json.loads(answer)["ok"]:
        sys.exit(f"FAIL: {request}: {answer.decode()}")


def fills(cpus):
    socket_name, stats = path(f"control{cpus}"), path("stats")
    process = subprocess.Popen([os.environ["ARCLIGHT"], "run", "-m", "128", "--gic", "3", "--smp", str(cpus), "--accel", "process", "--jit", "tier1", "--lightv-stage", "fill",
                                "--control", socket_name, "--lightv-files", work.name, "--stats-json", stats, "--kernel", os.environ["GUEST"]],
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    timer = threading.Timer(200, process.kill)
    timer.start()
    for line in process.stdout:
        if line.strip() == f"{cpus} look":
            break
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(socket_name)
        ask(control, do="attach", name="r", module="remap", pages={"physical": TARGET, "bytes": PAGE}, **{"with": {"to": "own"}})
        for n in range(CHANGES):
            ask(control, do="command", name="r", **{"with": {"to": "own" if n % 2 else f"file:{path('there')}"}})
        ask(control, do="command", name="r", **{"with": {"to": f"file:{path('end')}"}})
    output = process.stdout.read()
    timer.cancel()
    if process.wait() != 0 or not output.rstrip().endswith("done"):
        sys.exit(f"FAIL: {cpus} CPUs: status {process.returncode}: {output}")
    with open(stats) as f:
        return json.load(f)["cpu"]["tlb_fills"]


failures = 0
for cpus in (1, 2, 4, 8):
    found = fills(cpus)
    # Each CPU's 64 pages, its code, stack and variables once, and the page that changes each time it does. Were all forgotten,
    # 64 pages a change.
    most = cpus * (64 + 40 + 2 * (CHANGES + 3))
    print(f"{cpus} CPUs: {found} fills, at most {most}")
    failures += found > most
print("FAIL" if failures else "all as expected")
sys.exit(failures != 0)
