#!/usr/bin/env python3
"""Every LightV module under a guest that tells what it finds and what is taken (lightv_guest.c): from a policy at the start, and
changed while the guest reads them: with the process accelerator, with KVM on this host with fastmem and without, and on the rig. All
must say the same, and count the same accesses."""
import json, os, re, socket, subprocess, sys, threading, time
import rig

PAGE, END = 4096, 0xe0e0e0e0
failures = 0
if not os.path.isdir(rig.guests()):
    rig.skip("no bare-metal guests: no aarch64-linux-gnu-gcc")
GUEST = rig.elf("lightv_guest")
inside = lambda name: os.path.join(rig.work, name)


def check(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAIL:", text, flush=True)
    return condition


def target(n):
    return {"physical": 0x47000000 + n * 0x11000, "bytes": PAGE}


CHANGED = 12
MODULES = [("observed", "observe", 1, {}), ("denied", "protect", 2, {}), ("reads", "protect", 3, {"deny": "write", "abort": "permission"}),
           ("code", "protect", 4, {"deny": "execute"}), ("faulty", "fault_inject", 5, {"every": 10}),
           ("faulty writes", "fault_inject", 6, {"every": 7, "on": "write"}), ("file", "remap", 7, {"to": "file:{}/file"}),
           ("moved", "migrate", 8, {"to": "anonymous"}), ("shared", "share", 9, {"backings": ["own", "file:{}/shared"], "select": 1}),
           ("alias", "remap", 10, {"to": f"page:{target(11)['physical']}"})]
FINISH = ("end", "remap", CHANGED, {"to": "file:{}/end"})
# A line of the guest's, by its beginning and what is taken; the rest is compared between accelerators.
EXPECTED = [("observed", 0, 0), ("denied", 10, 0x10), ("writes denied, permission", 3, 0xe), ("a file", 0, 0), ("moved", 0, 0), ("shared", 0, 0)]


def page_of(word):
    return word.to_bytes(8, "little") * 512


def write_files():
    for name, word in ("file", 0x4242424242424242), ("shared", 0x4343434343434343), ("there", 0x4242424242424242), ("other", 0x4545454545454545), ("end", END):
        with open(inside(name), "wb") as f:
            f.write(page_of(word))


def policy(modules, directory):
    attach = [{"name": n, "module": m, "pages": target(p), "with": w} for n, m, p, w in modules]
    with open(inside("policy"), "w") as f:
        f.write(json.dumps({"attach": attach}).replace("{}/", directory + "/"))
    return inside("policy")


def words(elf, *options):
    return ["-m", "128", *options, "--kernel", elf]


def examine(what, output, counters):
    """What the guest says against what the policy is, independent of other runs."""
    parts = re.split(r"^(\w[^\n=]*)\n(?=  )", output, flags=re.M)
    found = dict(zip(parts[1::2], parts[2::2]))
    for name, times, code in EXPECTED:
        taken = re.findall(r"\[\d+ esr \w+?(\w\w) ", found.get(name, "nothing [200 esr 00 "))
        check(len(taken) == times and all(int(c, 16) & 0x3f == code for c in taken), f"{what}: {name}: {taken}")
    check("saw" not in output and re.search(r"often: observed 0 0\noften: faulty 70 30\noften: faulty writes 0 42\n", output), f"{what}: {output[-500:]}")
    check("alias 77 77\nalias 78 78\n" in output and output.endswith("done"), f"{what}: {output[-500:]}")
    check(re.search(r"a file\n  ldr x2, \[x3\] = 4242424242424242\n", output) and re.search(r"shared\n  ldr x2, \[x3\] = 4343434343434343\n", output),
          f"{what}: other content")
    stats = counters["lightv"]
    observed = stats["observed"]
    # 1000 reads and 500 writes, and some before; those across two pages count for this one too.
    check(observed["reads"] >= 1000 + 8 and observed["writes"] >= 500 + 4 and observed["fetches"] >= 1, f"{what}: {observed}")
    check(stats["faulty"] == {"accesses": 1000, "faults": 100} and stats["faulty writes"] == {"accesses": 300, "faults": 42}, f"{what}: {stats}")


def at_start(*options):
    write_files()
    path = inside("stats")
    done = subprocess.run([rig.ARCLIGHT, "run", *words(GUEST, *options), "--lightv", policy([*MODULES, FINISH], rig.work), "--stats-json", path],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=120)
    output = done.stdout.replace("\r", "").strip()
    if not check(done.returncode == 0, f"{options}: status {done.returncode}: {output[-1000:]}"):
        return output, {}
    with open(path) as f:
        counters = json.load(f)
    with open(inside("file"), "rb") as f:
        check(f.read(24)[8:] == (8).to_bytes(8, "little") + page_of(0x4242424242424242)[:8], f"{options}: what the guest wrote is not in the file")
    examine(" ".join(options), output, counters)
    return output, counted(counters)


def counted(counters):
    """What must be the same wherever it runs: not times, nor fetches, which depend on how code is divided into blocks."""
    return {name: {k: v for k, v in stats.items() if k in ("reads", "writes", "accesses", "faults", "moved", "selected")}
            for name, stats in counters["lightv"].items()}


# ---- Steered while the guest looks on

class Steered:
    def __init__(self, *options, socket_name="control"):
        self.what, self.path = " ".join(options), inside(socket_name)
        self.process = subprocess.Popen([rig.ARCLIGHT, "run", *words(GUEST, *options), "--lightv", policy(MODULES, rig.work), "--control", self.path, "--lightv-files", rig.work],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
        self.timer = threading.Timer(100, self.process.kill)
        self.timer.start()
        self.said = []

    def line(self, pattern):
        for raw in self.process.stdout:
            self.said.append(raw.strip())
            if re.fullmatch(pattern, self.said[-1]):
                return True
        raise RuntimeError(f"{self.what}: no '{pattern}' in {self.said[-10:]}")

    def ask(self, well=True, **request):
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.path)
            s.sendall((json.dumps(request) + "\n").encode())
            answer = json.loads(s.makefile().readline())
        check(answer["ok"] == well, f"{self.what}: {request}: {answer}")
        return answer.get("result" if well else "error", {})

    def attach(self, module, controller="default", **with_):
        self.ask(do="attach", name="x", module=module, controller=controller, pages=target(CHANGED), **{"with": with_})

    def tell(self, **with_):
        return self.ask(do="command", name="x", **{"with": with_})

    def detach(self):
        self.ask(do="detach", name="x")


def while_it_looks(*options):
    write_files()
    m = Steered(*options)
    try:
        m.line("looking")
        # It runs nothing at EL0, and has no processes' numbers.
        refused = m.ask(False, do="attach", name="y", module="observe", pages={"virtual": "0x40200000", "pid": 1, "wait_ms": 100})
        check("did not say which process runs" in refused, f"{m.what}: pid: {refused}")
        m.attach("observe")
        until = time.monotonic() + 60
        while m.ask(do="stats", name="x")["x"]["reads"] < 1000 and check(time.monotonic() < until, f"{m.what}: not observed"):
            time.sleep(0.01)
        m.detach()
        m.attach("remap", to=f"file:{inside('there')}")
        m.line("saw 4242424242424242")
        with open(inside("there"), "r+b") as f:
            f.write(page_of(0x44))
        m.line("saw 44")
        m.tell(to="own")
        m.line("saw 0")
        m.tell(to=f"file:{inside('there')}", content="copy")  # the bytes go along: nothing to see
        m.tell(to="anonymous")
        m.tell(to=f"file:{inside('other')}")
        m.line("saw 4545454545454545")
        m.detach()
        m.line("saw 0")
        for to in "anonymous", f"file:{inside('there')}", "own", "anonymous":
            m.attach("migrate", to=to)
            m.tell(to="anonymous")
            m.detach()
        # Samples: what is read and written is found so each time.
        m.attach("observe", mode="sampled", interval_ms=5)
        until = time.monotonic() + 60
        while m.ask(do="stats", name="x")["x"]["written"] < 5 and check(time.monotonic() < until, f"{m.what}: not sampled"):
            time.sleep(0.01)
        m.detach()
        m.attach("share", backings=["own", f"file:{inside('other')}"])
        for select, word in (1, "4545454545454545"), (0, "0"), (1, "4545454545454545"):
            m.tell(select=select)
            m.line(f"saw {word}")
        m.detach()
        m.line("saw 0")
        for module, with_, esr in (("protect", {}, "96000050"), ("protect", {"deny": "write"}, "96000050"), ("fault_inject", {"every": 100}, "960000[15]0"),
                                   ("fault_inject", {"every": 7, "on": "write"}, "96000050")):
            m.attach(module, **with_)
            m.line(f"taken esr {esr}")
            m.detach()
            # The guest has printed any number of faults meanwhile: read up to a value that only comes now.
            m.attach("remap", to=f"file:{inside('other')}")
            m.line("saw 4545454545454545")
            m.detach()
            m.line("saw 0")
        # The device: what is said meanwhile goes to the file.
        m.ask(do="attach", name="uart", module="share", device="pl011", controller="another",
              **{"with": {"backings": ["own", f"file:{inside('uart')}"], "select": 1}})
        m.attach("remap", to=f"file:{inside('other')}")
        until = time.monotonic() + 60
        while open(inside("uart"), "rb").read() != b"saw 4545454545454545\n" and check(time.monotonic() < until, f"{m.what}: nothing from the other UART"):
            time.sleep(0.01)
        m.ask(do="detach", name="uart", controller="another")
        try:
            m.tell(to=f"file:{inside('end')}")
        except (OSError, ValueError):
            pass  # it ended before it answered
        m.line("saw e0e0e0e0")
        m.line("done")
        check(m.process.wait(60) == 0, f"{m.what}: status {m.process.returncode}")
        check(not any(line.startswith("saw 424242424242424a") for line in m.said), f"{m.what}: {m.said}")
    except (RuntimeError, OSError, KeyError) as trouble:
        check(False, f"{m.what}: {trouble}")
    m.process.kill()
    m.timer.cancel()
    print(f"{m.what}: changed while it runs", flush=True)


def two_guests(*options):
    """A page of two guests at once: what one writes the other reads."""
    write_files()
    shared = f"file:{inside('there')}"
    with open(inside("there"), "wb") as f:
        f.write(page_of(0x5501))
    machines = [Steered(*options, socket_name=name) for name in ("control", "control2")]
    try:
        for m in machines:
            m.line("looking")
        machines[0].attach("remap", to=shared)
        machines[0].line("saw 5501")
        machines[0].line("saw 5601")  # its own answer
        machines[1].attach("remap", to=shared)
        machines[1].line("saw 5601")
        with open(inside("there"), "r+b") as f:
            f.write((0x57).to_bytes(8, "little"))
        for m in machines:
            m.line("saw 57")
            m.detach()
            m.line("saw 0")
        # Two controllers with one name, in two processes.
        with socket.socket(socket.AF_UNIX) as mine:
            mine.connect(machines[0].path)
            mine.sendall((json.dumps({"do": "attach", "name": "x", "module": "observe", "pages": target(CHANGED)}) + "\n").encode())
            check(json.loads(mine.makefile().readline())["ok"], "two controllers: attach")
            told = elsewhere(machines[0], "detach")
            check(told.returncode == 1 and f"'x' belongs to process {os.getpid()}, which is connected" in told.stderr, f"detached by another process: {told}")
            check(elsewhere(machines[0], "stats").returncode == 0, "another process reads the counters")
        until = time.monotonic() + 60
        while (told := elsewhere(machines[0], "detach")).returncode != 0 and check(time.monotonic() < until, f"not detached after the owner left: {told}"):
            time.sleep(0.05)
    except (RuntimeError, OSError, KeyError) as trouble:
        check(False, f"two guests: {trouble}")
    for m in machines:
        m.process.kill()
        m.timer.cancel()
    print("one page of two guests, two controllers", flush=True)


def elsewhere(machine, what):
    return subprocess.run([rig.ARCLIGHT, "lightv", what, "--control", machine.path, "--name", "x"], capture_output=True, text=True)


right, right_counts = at_start("--accel", "process")
usable = subprocess.run([rig.ARCLIGHT, "probe"], stdout=subprocess.PIPE, text=True).stdout
FILL = ("--lightv-stage", "fill")
PLACES = [("--accel", "process", "--jit", "tier2"), ("--accel", "process", "--mmu", "tsp"), ("--accel", "process", *FILL),
          ("--accel", "process", "--jit", "tier2", *FILL)]
if re.search(r"^kvm +usable", usable, re.M):
    PLACES += [("--accel", "kvm", "--fastmem", fastmem, "--mmu", mmu) for fastmem in ("off", "on") for mmu in ("ssp", "tsp")]
    PLACES += [("--accel", "kvm", "--fastmem", "on", *FILL), ("--accel", "kvm", "--fastmem", "off", "--jit", "tier2")]
else:
    print("here:", usable.splitlines()[0])
for options in PLACES:
    output, counts = at_start(*options)
    check(output == right and counts == right_counts, f"{options}: differs from the process accelerator: {output}\n{counts}\n{right}\n{right_counts}")
    print(f"{' '.join(options)}: as with the process accelerator", flush=True)
for options in [("--accel", "process"), *PLACES]:
    while_it_looks(*options)
two_guests("--accel", "process")

write_files()
files = [GUEST, policy([*MODULES, FINISH], "/tmp"), *(inside(n) for n in ("file", "shared", "end"))]
MMUS = ("ssp", "ssp-nocache", "tsp")
# Each run finds the files as they were.
results = rig.run_each([words("/t/lightv_guest.elf", "--accel", "kvm", "--fastmem", "on", "--mmu", mmu, "--lightv", "/t/policy") for mmu in MMUS], files,
                       limit=250, before="for f in file shared end; do /bin/busybox cp /t/$f /tmp/$f; done")
for mmu, result in zip(MMUS, results):
    what = f"on the rig, {mmu}"
    if check(result.status == 0 and result.counters and result.output.strip() == right, f"{what}: {result}\nright: {right}"):
        examine(what, result.output.strip(), result.counters)
        check(counted(result.counters) == right_counts, f"{what}: {counted(result.counters)} instead of {right_counts}")
print(f"on the rig: {results[0].seconds:.1f} s")
sys.exit(failures != 0)
