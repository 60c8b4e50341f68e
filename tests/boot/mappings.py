#!/usr/bin/env python3
"""The process's memory while a guest runs, with both accelerators and with tier 2: nothing can be written to where it can be
executed, code is at random places, and what the guest reaches lies between guards."""
import json, os, re, threading, time
import guest
from guest import Failures, Guest

GUARD = 2 << 20
RAM = 512 << 20
BACKING = 8 * 4096

failures = Failures()
debian = Guest()
policy = os.path.join(guest.work, "policy.json")
with open(policy, "w") as f:
    json.dump({"attach": [{"name": "moved", "module": "remap", "pages": {"physical": "0x5f000000", "bytes": BACKING},
                           "with": {"to": "anonymous"}}]}, f)


def maps(pid):
    """(start, end, rights, name) of each mapping."""
    with open(f"/proc/{pid}/maps") as f:
        lines = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \S+ *(.*)$", f.read(), re.M)
    return [(int(a, 16), int(b, 16), rights, name) for a, b, rights, name in lines]


def joined(now):
    """Guest memory is one, also where something of LightV's lies in RAM's place."""
    out = []
    for start, end, rights, name in now:
        memory = "memfd:guest-memory" in name or "memfd:lightv" in name
        if memory and out and out[-1][1:] == (start, rights, "guest memory"):
            start = out.pop()[0]
        out.append((start, end, rights, "guest memory" if memory else name))
    return out


def check(name, options, tier2):
    seen = []

    def look(pid):
        # All along: what is mapped for a moment counts too.
        end = time.monotonic() + 100
        while time.monotonic() < end:
            try:
                now = maps(pid)
            except OSError:
                return
            if not now:
                return
            seen.append(now)
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return
            time.sleep(0.05)

    thread = []

    def start(pid):
        thread.append(threading.Thread(target=look, args=(pid,)))
        thread[0].start()

    result = debian.run(["sh", "-c", "seq 1 20000 | sort -n | md5sum"], options=options + ["--lightv", policy], started=start)
    thread[0].join()
    failures.check(result.status == 0, f"{name}: {result}")
    if tier2:
        failures.check(re.search(rb"tier 2:.*[1-9]", result.error), f"{name}: no region was made: {result.error}")
    writable_code = {m for now in seen for m in now if "w" in m[2] and "x" in m[2]}
    failures.check(not writable_code, f"{name}: writable and executable: {writable_code}")
    with_code = [now for now in seen if any("arclight-code" in m[3] and "x" in m[2] for m in now)]
    if not failures.check(with_code, f"{name}: no code cache was seen in {len(seen)} looks"):
        return None
    now = joined(with_code[len(with_code) // 2])
    code = [m for m in now if "arclight-code" in m[3]]
    for what, bytes_ in ("RAM", RAM), ("LightV's page", BACKING):
        found = [k for k, m in enumerate(now) if m[1] - m[0] == bytes_ and m[2].startswith("rw-") and m[0] % GUARD == 0
                 and m[3] in ("", "guest memory")]
        failures.check(found, f"{name}: {what} is not there: {now}")
        for k in found:
            for side, neighbour in ("before", now[k - 1]), ("behind", now[k + 1]):
                adjacent = neighbour[1] == now[k][0] if side == "before" else neighbour[0] == now[k][1]
                failures.check(adjacent and neighbour[2] == "---p" and neighbour[1] - neighbour[0] >= GUARD,
                               f"{name}: no guard {side} {what}: {neighbour}")
    print(f"{name}: {result.seconds:.1f} s, {len(seen)} looks", flush=True)
    # The counters are a small part of the executable view.
    writable = max((m for m in code if "x" not in m[2]), key=lambda m: m[1] - m[0])
    return (min(m[0] for m in code if "x" in m[2]), writable[0])


tiered = ["--jit", "tiered", "--jit-threshold", "200", "--jit-cache", "off", "--stats"]
worlds = ["process"] + (["kvm"] if guest.HAS_KVM else [])
places = [check(f"{world}, {tier}", ["--accel", world, *options], tier == "tier 2")
          for world in worlds for tier, options in (("tier 1", ["--jit", "tier1"]), ("tier 2", tiered))]
places = [place for place in places if place]
failures.check(len({p[0] for p in places}) == len(places) and len({p[1] - p[0] for p in places}) == len(places),
               f"code is at the same place in every run: {places}")
failures.end()
