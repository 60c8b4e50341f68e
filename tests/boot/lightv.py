#!/usr/bin/env python3
"""LightV on a running Debian: pages are watched, steered, moved, shared and protected while programs use them
(guest/lightv.c, guest/mappings.c), by two controllers at once; what makes no sense is refused and changes nothing."""
import hashlib, json, os, random, re, socket, struct, subprocess, sys, threading, time
import guest
from guest import ARCLIGHT, Failures, Guest, KERNEL_TROUBLE, build_program

failures = Failures()
debian = Guest(add={build_program("lightv"): "/bin/lightv", build_program("mappings"): "/bin/mappings"})
SOCKET = os.path.join(guest.work, "control")
seconds = 20 if guest.NIGHTLY else 4


# What waits for something waits as long as a busy machine may need; guests run until they are told or killed.
LIMIT = 150
LONG = 1000


class Machine:
    """A guest that runs a command, with its control socket; killed when it takes too long."""

    def __init__(self, command, options=()):
        words = debian.arclight(["sh", "-c", command], options=["--control", SOCKET, "--lightv-files", os.path.dirname(SOCKET), *options])
        # Nobody else may use the socket, whatever the user's mask is.
        self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, umask=0)
        Machine.last, self.lines = self, []
        self.timer = threading.Timer(LIMIT + seconds * 4, self.process.kill)
        self.timer.start()

    def line(self, pattern):
        """Reads on to a line that matches."""
        for raw in self.process.stdout:
            self.lines.append(raw.decode(errors="replace").strip())
            if match := re.search(pattern, self.lines[-1]):
                return match
        raise RuntimeError(f"no '{pattern}' in {self.lines[-20:]}: {self.process.stderr.read().decode(errors='replace')}")

    def pages(self, count=1):
        """Physical and virtual address and process by what they do."""
        found = (self.line(r"(\w+) page pa=(0x[0-9a-f]+) va=(0x[0-9a-f]+) pid=(\d+)") for _ in range(count))
        return {m[1]: (m[2], m[3], int(m[4])) for m in found}

    def page(self):
        return next(iter(self.pages().values()))

    def end(self):
        """Everything it printed, when it has ended by itself."""
        output, error = self.process.communicate(timeout=LIMIT + seconds * 4)
        self.timer.cancel()
        self.lines += output.decode(errors="replace").splitlines()
        return failures.check(self.process.returncode == 0, f"status {self.process.returncode}: {self.lines[-5:]} {error}")

    def kill(self):
        self.timer.cancel()
        self.process.kill()
        self.process.communicate()


def ask(**request):
    with socket.socket(socket.AF_UNIX) as s:
        stop = time.monotonic() + 60  # it starts just now
        while Machine.last.process.poll() is None and time.monotonic() < stop:
            try:
                s.connect(SOCKET)
                break
            except OSError:
                time.sleep(0.05)
        try:
            s.sendall((json.dumps(request) + "\n").encode())
            return json.loads(s.makefile().readline())
        except (OSError, ValueError) as trouble:
            return {"ok": False, "error": f"no answer: {trouble}"}


def good(what, **request):
    answer = ask(**request)
    failures.check(answer.get("ok"), f"{what}: {answer}")
    return answer.get("result", {})


def refused(what, fragment, **request):
    answer = ask(**request)
    failures.check(not answer["ok"] and fragment in answer["error"] and "\n" not in answer["error"],
                   f"{what}: expected '{fragment}', got {answer}")


def attach(name, module, pages, controller="default", **with_):
    return {"do": "attach", "name": name, "module": module, "controller": controller, "pages": pages, "with": with_}


def at(pa, size=1):
    return {"physical": pa, "bytes": size}


def test_remap():
    """A page of a running process is steered to a file and back; two controllers; what overlaps is refused."""
    shown = os.path.join(guest.work, "shown")
    with open(shown, "wb") as f:
        f.write(b"\x42" * 4096)
    m = Machine(f"lightv watch {LONG} & lightv code {LONG} & wait", options=["--smp", "2"])
    found = m.pages(2)
    pa, code_pa = found["watch"][0], found["code"][0]
    good("remap", **attach("seen", "remap", at(pa), "red", to=f"file:{shown}"))
    m.line("saw 0x4242424242424242")
    refused("overlap", "belongs to 'seen' of controller 'red'", **attach("other", "observe", at(pa), "blue"))
    refused("foreign detach", "belongs to controller 'red'", do="detach", controller="blue", name="seen")
    good("disjoint", **attach("counted", "observe", at(int(pa, 16) ^ 4096), "blue"))
    names = {one["name"]: one["controller"] for one in good("list", do="list")}
    failures.check(names == {"seen": "red", "counted": "blue"}, f"list: {names}")
    with open(shown, "r+b") as f:  # the guest's memory is the file
        f.write(struct.pack("<Q", 0x77))
    m.line("saw 0x77$|saw 0x77 ")
    good("steered home", do="command", controller="red", name="seen", **{"with": {"to": "own"}})
    m.line("saw 0x1 ")
    good("detach", do="detach", controller="red", name="seen")
    good("detach", do="detach", controller="blue", name="counted")
    # Other code behind the same address.
    with open(shown, "wb") as f:
        f.write(struct.pack("<II", 0xd28000a0, 0xd65f03c0).ljust(4096, b"\0"))  # mov x0, 5; ret
    good("code", **attach("code", "remap", at(code_pa), to=f"file:{shown}"))
    m.line("returned 5")
    good("code back", do="detach", name="code")
    m.line("returned 1")
    # A page shared by memories in turn.
    good("share", **attach("turns", "share", at(pa), backings=["own", f"file:{shown}"], select=0))
    good("switch", do="command", name="turns", **{"with": {"select": 1}})
    m.line("saw 0xd65f03c0d28000a0")
    good("switch", do="command", name="turns", **{"with": {"select": 0}})
    m.line("saw 0x1 ")
    refused("switch", "below 2", do="command", name="turns", **{"with": {"select": 2}})
    good("detach", do="detach", name="turns")
    m.kill()


def test_observe():
    m = Machine(f"lightv watch {LONG}", options=["--symbols", symbols])
    pa, va, _ = m.page()
    good("observe", **attach("exact", "observe", {"virtual": va, "cpu": 0}, trace=5))
    good("sample", **attach("sampled", "observe", {"symbol": "update_process_times", "bytes": 8}, mode="sampled", interval_ms=20))
    stop = time.monotonic() + LIMIT
    while True:
        stats = good("stats", do="stats")
        one = stats.get("exact", {})
        if one.get("reads", 0) > 1000 and stats.get("sampled", {}).get("used_only_for_reading", 0) >= 5 or time.monotonic() > stop:
            break
        time.sleep(0.05)
    failures.check(one.get("reads", 0) > 1000 and one.get("writes") == 0 and len(one.get("trace", [])) == 5
                   and one["trace"][0]["va"] == va and one["hottest"][0]["page"] == pa, f"observe: {one}")
    failures.check(stats.get("sampled", {}).get("used_only_for_reading", 0) >= 5, f"sampled: {stats}")
    good("detach", do="detach", name="exact")
    refused("no such symbol", "no symbol", **attach("x", "observe", {"symbol": "no_such_thing"}))
    refused("not mapped", "nothing is mapped", **attach("x", "observe", {"virtual": "0x1000"}))
    m.kill()


def test_process():
    """Pages by an address of one of several processes, by the process's number."""
    m = Machine(f"lightv watch {LONG} & lightv touch {LONG} & wait")
    for what, (pa, va, pid) in m.pages(2).items():
        good(what, **attach(what, "observe", {"virtual": va, "pid": pid}))
        one = [a for a in good("list", do="list") if a["name"] == what]
        failures.check(one and one[0]["first"] == pa, f"process {pid}: {va} is {pa}, not {one}")
        refused("not mapped", f"nothing is mapped at 0x10000 in process {pid}", **attach("x", "observe", {"virtual": "0x10000", "pid": pid}))
    refused("no process", "no process 54321 has run in 300 ms", **attach("x", "observe", {"virtual": va, "pid": 54321, "wait_ms": 300}))
    refused("kernel's", "leave 'pid' out", **attach("x", "observe", {"virtual": "0xffff800008000000", "pid": 1}))
    refused("process 0", "must be a number of a process", **attach("x", "observe", {"virtual": va, "pid": 0}))
    refused("both", "'cpu' means nothing", **attach("x", "observe", {"virtual": va, "pid": 1, "cpu": 0}))
    mode = os.stat(SOCKET).st_mode & 0o777
    failures.check(mode == 0o600, f"the control socket's mode is {mode:o}")
    done = subprocess.run([ARCLIGHT, "lightv", "attach", "--control", SOCKET, "--name", "y", "--module", "observe", "--virtual", va, "--pid", str(pid)],
                          capture_output=True, text=True)
    failures.check(done.returncode == 1 and f"belongs to '{what}'" in done.stderr, f"--pid: {done}")
    m.kill()


def migrations(m, ranges):
    """Moves the ranges about for a while, then has the programs end; how many pages were moved."""
    numbers = random.Random(4)
    file = os.path.join(guest.work, "moved")
    moved, stop = 0, time.monotonic() + seconds
    while time.monotonic() < stop:
        base, size = numbers.choice(ranges)
        # On a busy machine each batch may wait for a CPU's turn: not too many of them.
        batch = numbers.choice([1, 7, 64, 1024])
        size = min(size, batch * 64 * 4096)
        good("migrate", **attach("moving", "migrate", at(base, size), to=numbers.choice(["anonymous", f"file:{file}", "node:0"]), batch=batch))
        if numbers.random() < 0.5:
            good("again", do="command", name="moving", **{"with": {"to": "anonymous"}})
        moved += good("stats", do="stats", name="moving").get("moving", {}).get("moved", 0)
        good("home", do="detach", name="moving")
    m.process.stdin.write(b"stop\n")
    m.process.stdin.flush()
    return moved


# Programs that are told when to stop: a slow machine moves few pages in any number of seconds.
UNTIL_TOLD = "{}echo started; read told; touch /stop; wait; echo ended"


def test_migrate():
    """All of a guest's memory moves about while programs check every word of theirs."""
    whole = (0x40000000, 256 << 20)
    parts = [(0x40000000 + (i << 23), 8 << 20) for i in range(32)]
    m = Machine(UNTIL_TOLD.format(f"lightv checksum {LONG} 48 & "), options=["--smp", "2", "-m", "256M"])
    m.page()
    moved = migrations(m, [whole] + parts)
    m.end()
    failures.check("ok" in m.lines, f"checksum under migrations: {m.lines}")
    print(f"{moved} pages moved under a checksum")
    m = Machine(UNTIL_TOLD.format(f"mappings {LONG} 11 & mappings {LONG} 12 & "), options=["--smp", "2", "-m", "256M"])
    m.line("started")
    moved = migrations(m, parts * 4 + [whole])
    m.end()
    failures.check(m.lines.count("ok") == 2, f"mappings under migrations: {m.lines}")
    failures.check(not KERNEL_TROUBLE.search("\n".join(m.lines)), f"the kernel complains: {m.lines}")
    print(f"{moved} pages moved under mappings")


def test_devices():
    """What disks read and write by themselves, while all memory moves about."""
    size = 16 << 20
    data = random.Random(5).randbytes(size)
    disks = [os.path.join(guest.work, name) for name in ("from", "to")]
    for path, content in zip(disks, (data, bytes(size + (1 << 20)))):  # told apart by their sizes
        with open(path, "wb") as f:
            f.write(content)
    policy, stats = os.path.join(guest.work, "churn"), os.path.join(guest.work, "stats")
    with open(policy, "w") as f:
        json.dump({"attach": [{"name": "c", "module": "churn", "pages": at(0x40000000, 128 << 20), "with": {"interval_ms": 1, "pages": 256}}]}, f)
    copy = (f"for d in /dev/vda /dev/vdb; do [ $(cat /sys/block/${{d#/dev/}}/size) = {size // 512} ] && from=$d || to=$d; done; i=0; "
            "while [ $i -lt 4 ]; do dd if=$from of=$to bs=256k 2>/dev/null; sync; echo 3 > /proc/sys/vm/drop_caches; "
            f"head -c {size} $to | md5sum; i=$((i+1)); done")
    drives = [w for path in disks for w in ("--drive", f"file={path},format=raw")]
    result = debian.run(["sh", "-c", copy], limit=LIMIT, options=["-m", "128M", "--smp", "2", "--lightv", policy, "--stats-json", stats, *drives])
    right = hashlib.md5(data).hexdigest()
    failures.check(result.status == 0 and re.findall(r"[0-9a-f]{32}", result.text) == [right] * 4, f"disks under moves: {result}, not {right}")
    with open(disks[1], "rb") as f:
        failures.check(f.read(size) == data, "disks under moves: the copy differs")
    with open(stats) as f:
        moved = json.load(f)["lightv"]["c"]["moved"]
    print(f"{moved} pages moved under disks")
    failures.check(moved > 1000, f"{moved} pages moved under disks")


def test_protect():
    for module, with_ in (("protect", {}), ("protect", {"deny": "write"}), ("fault_inject", {"every": 1000}),
                          ("fault_inject", {"probability": 0.001, "seed": 3, "on": "write"})):
        m = Machine(f"lightv touch {LONG}")
        pa = m.page()[0]
        good(module, **attach("p", module, at(pa), **with_))
        m.line("signal 7 code")  # SIGBUS
        if module == "fault_inject":
            failures.check(good("stats", do="stats")["p"]["faults"] == 1, "fault_inject counts")
        good("detach", do="detach", name="p")
        m.process.stdin.close()
        m.process.stdin = None
        m.end()
    m = Machine(f"lightv code {LONG}")
    pa = m.page()[0]
    good("no execute", **attach("p", "protect", at(pa), deny="execute"))
    m.process.wait(timeout=LIMIT)  # SIGBUS without a handler
    failures.check(m.process.returncode == 128 + 7, f"no execute: status {m.process.returncode}")
    m.kill()


def test_uart():
    """Lines go to two back ends in turn: together they have every byte once, in order."""
    other = os.path.join(guest.work, "uart")
    m = Machine("exec 3<&0; read go; (read enough <&3; touch /stop) & i=0; while [ ! -e /stop ]; do echo line $i; i=$((i+1)); done; echo $i lines")
    good("share", do="attach", name="uart", module="share", device="pl011",
         **{"with": {"backings": ["own", f"file:{other}"], "select": 0}})
    refused("twice", "belongs to 'uart'", do="attach", name="uart2", module="protect", device="pl011")

    def tell(text):
        m.process.stdin.write(text)
        m.process.stdin.flush()

    tell(b"go\n")
    parts = [m.process.stdout.readline()]  # it prints
    drain = threading.Thread(target=lambda: parts.append(m.process.stdout.read()))
    drain.start()
    for turn in range(40):
        there = os.path.getsize(other)
        if m.process.poll() is not None:
            break
        good("switch", do="command", name="uart", **{"with": {"select": 1}})
        stop = time.monotonic() + LIMIT
        while os.path.getsize(other) < there + 20 and time.monotonic() < stop:  # it goes on there
            time.sleep(0.002)
        good("switch", do="command", name="uart", **{"with": {"select": 0}})
        time.sleep(0.005)
    good("detach", do="detach", name="uart")
    tell(b"enough\n")
    m.process.wait(timeout=LIMIT)
    m.timer.cancel()
    drain.join()
    own = b"".join(parts).replace(b"\r", b"")
    with open(other, "rb") as f:
        there = f.read().replace(b"\r", b"")
    total = re.search(rb"(\d+) lines\n$", own)
    count = int(total[1]) if total else 0
    expected = b"".join(b"line %d\n" % i for i in range(count)) + (total[0] if total else b"")
    # Each switch falls between two bytes: both are subsequences, and together as long.
    def within(part):
        position = iter(expected)
        return all(byte in position for byte in part)
    print(f"uart: {len(own)} bytes here, {len(there)} there")
    failures.check(len(own) + len(there) == len(expected) and within(own) and within(there) and len(there) > 500,
                   f"uart: {len(own)} + {len(there)} bytes instead of {len(expected)}: {own[:60]} {own[-60:]} {there[:60]}")


def test_disk():
    """A disk whose requests go to one image, to another, to nobody, and home."""
    images = [os.path.join(guest.work, name) for name in ("one", "two", "short")]
    for path, word, size in zip(images, (b"ONE!", b"TWO!", b"SHRT"), (1 << 20, 1 << 20, 1 << 19)):
        with open(path, "wb") as f:
            f.write(word.ljust(size, b"\0"))
    m = Machine("while :; do echo 3 > /proc/sys/vm/drop_caches; echo got $(head -c 4 /dev/vda) end; done", options=["--drive", f"file={images[0]},format=raw"])
    m.line("got ONE! end")
    backings = ["own", f"file:{images[1]}"]
    refused("another size", "cannot stand in for", do="attach", name="d", module="share", device="disk0", **{"with": {"backings": ["own", f"file:{images[2]}"]}})
    refused("no such disk", "no device 'disk1'", do="attach", name="d", module="share", device="disk1", **{"with": {"backings": backings}})
    good("disk", do="attach", name="d", module="share", device="disk0", **{"with": {"backings": backings}})
    for select, word in (1, "TWO!"), (0, "ONE!"), (1, "TWO!"):
        good("switch", do="command", name="d", **{"with": {"select": select}})
        m.line(f"got {word} end")
    good("home", do="detach", name="d")
    m.line("got ONE! end")
    good("refused", do="attach", name="d", module="protect", device="disk0")
    m.line("got end")
    good("home", do="detach", name="d")
    m.line("got ONE! end")
    m.kill()


def test_policies():
    """At the start: one that holds, and many that do not."""
    path = os.path.join(guest.work, "policy.json")

    def boot(text):
        with open(path, "w") as f:
            f.write(text)
        return debian.run(["true"], options=["--lightv", path])

    page = {"name": "a", "module": "observe", "pages": at("0x48000000", "64K")}
    result = boot(json.dumps({"attach": [page, dict(page, name="b", module="migrate", pages=at("0x50000000", "4M"),
                                                    **{"with": {"to": "anonymous"}})]}))
    failures.check(result.status == 0 and not result.error, f"policy: {result}")
    wrong = [("{", "not JSON"), ("[]", "must be"), ('{"attach": [{}]}', "'name' is missing"),
             (json.dumps({"attach": [page, page]}), "already"),
             (json.dumps({"attach": [page, dict(page, name="b")]}), "belongs to 'a'"),
             (json.dumps({"attach": [dict(page, module="steal")]}), "no module 'steal'"),
             (json.dumps({"attach": [dict(page, colour="red")]}), "'colour' means nothing"),
             (json.dumps({"attach": [dict(page, pages=at("0x1000"))]}), "no memory at 0x1000"),
             (json.dumps({"attach": [dict(page, pages=at("0x40000000", "1024G"))]}), "no memory"),
             (json.dumps({"attach": [dict(page, pages=at("0x4000000q"))]}), "not a number"),
             (json.dumps({"attach": [dict(page, pages=[])]}), "no pages"),
             (json.dumps({"attach": [dict(page, pages={"virtual": "0x1000"})]}), "has not turned its MMU on"),
             (json.dumps({"attach": [dict(page, pages={"virtual": "0x400000", "pid": 1})]}), "has not started"),
             (json.dumps({"attach": [dict(page, pages={"symbol": "jiffies"})]}), "--symbols"),
             (json.dumps({"attach": [{"name": "d", "module": "observe", "device": "pl011"}]}), "not for devices"),
             (json.dumps({"attach": [{"name": "d", "module": "protect", "device": "toaster"}]}), "no device 'toaster'"),
             (json.dumps({"attach": [dict(page, **{"with": {"mode": "fuzzy"}})]}), "not one of exact, sampled"),
             (json.dumps({"attach": [dict(page, module="remap", **{"with": {"to": "file:/no/such/place"}})]}), "cannot open"),
             (json.dumps({"attach": [dict(page, module="fault_inject", **{"with": {"probability": 2}})]}), "0 to 1")]
    for text, fragment in wrong:
        result = boot(text)
        lines = result.error.decode().strip().splitlines()
        failures.check(result.status == 1 and len(lines) == 1 and fragment in lines[0] and lines[0].startswith("arclight: "),
                       f"policy {text}: expected '{fragment}': {result}")
    # The command line's side of the socket.
    done = subprocess.run([ARCLIGHT, "lightv", "list", "--control", "/no/such/socket"], capture_output=True, text=True)
    failures.check(done.returncode == 1 and "no run of arclight" in done.stderr, f"list without a run: {done}")
    done = subprocess.run([ARCLIGHT, "lightv", "attach", "--control", "/x", "--name", "x", "--module", "y", "--with", "{"],
                          capture_output=True, text=True)
    failures.check(done.returncode == 2 and "not JSON" in done.stderr, f"attach without JSON: {done}")
    failures.check("observe" in subprocess.run([ARCLIGHT, "lightv", "--help"], capture_output=True, text=True).stdout, "--help")


symbols = os.path.join(guest.work, "kallsyms")
with open(symbols, "wb") as f:
    f.write(debian.run(["cat", "/proc/kallsyms"]).output)
for test in [globals()["test_" + n] for n in sys.argv[1:]] or (test_remap, test_observe, test_process, test_protect, test_uart, test_disk, test_migrate, test_devices, test_policies):
    start = time.monotonic()
    test()
    print(f"{test.__name__}: {time.monotonic() - start:.1f} s", flush=True)
failures.end()
