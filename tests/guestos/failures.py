#!/usr/bin/env python3
"""The program when something is wrong around it: a thread that runs out of memory, throws or crashes; closed standard streams; JSON and gzip
made to exhaust it; another user at the control socket. One line, a status, the terminal as it was; the environment names the program,
a guest that waits (GUEST) and the library that makes threads fail (PRELOAD)."""
import atexit, itertools, json, os, pty, re, resource, select, shutil, signal, socket, subprocess, sys, tempfile, termios, threading, time, zlib

ARCLIGHT, GUEST, PRELOAD = (os.environ[name] for name in ("ARCLIGHT", "GUEST", "PRELOAD"))
LIMIT = 120  # seconds, of a busy machine
work = tempfile.mkdtemp(prefix="arclight-failures-")
inside = lambda name: os.path.join(work, name)
failures = 0
KVM = re.search(r"^kvm +usable", subprocess.run([ARCLIGHT, "probe"], stdout=subprocess.PIPE, text=True).stdout, re.M)


def check(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAIL:", text, flush=True)
    return condition


def write(name, text):
    with open(inside(name), "wb") as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    return inside(name)


def ask(path, line):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(LIMIT)
        s.connect(path)
        s.sendall(line.encode() + b"\n")
        return json.loads(s.makefile().readline())


def start(*words, **how):
    """A run that does not outlive this test."""
    process = subprocess.Popen(*words, **how)
    atexit.register(process.kill)
    return process


def wait_for(condition, process):
    until = time.monotonic() + LIMIT
    while not condition() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)


# ---- A thread that fails

POLICY = write("policy", json.dumps({"attach": [{"name": "x", "module": "churn", "pages": {"physical": 0x47000000, "bytes": 65536}, "with": {"interval_ms": 1}}]}))


class OnTerminal:
    """A run whose console is a terminal and in which one thread fails."""

    def __init__(self, thread, how, *options, after=0, wait=False):
        self.leader, follower = pty.openpty()
        self.before = termios.tcgetattr(follower)
        self.follower = follower
        environment = dict(os.environ, LD_PRELOAD=PRELOAD, FAIL_THREAD=thread, FAIL_HOW=how, FAIL_AFTER=str(after))
        if wait:  # until the console is there, and the run goes on
            environment["FAIL_WHEN"] = inside("now")
            if os.path.exists(inside("now")):
                os.unlink(inside("now"))
        os.set_blocking(self.leader, False)
        self.process = start([ARCLIGHT, "run", "-m", "128", "--kernel", GUEST, *options], env=environment, stdin=follower, stdout=follower,
                                        stderr=subprocess.PIPE, text=True, errors="replace", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)))
        threading.Thread(target=self.drain, daemon=True).start()
        self.is_raw = False

    def drain(self):
        try:
            while True:
                select.select([self.leader], [], [])
                os.read(self.leader, 65536)
        except OSError:
            pass

    def raw(self):
        """Whether the terminal was changed by the run; remembered."""
        self.is_raw = self.is_raw or termios.tcgetattr(self.follower) != self.before
        return self.is_raw

    def nudge(self, how):
        """Gives the thread something to do until it fails."""
        write("now", "")
        until = time.monotonic() + LIMIT
        while how is not None and self.process.poll() is None and time.monotonic() < until:
            try:
                if how == "type":
                    os.write(self.leader, b"x" * 200)
                else:
                    ask(inside("control"), '{"do": "list"}')
            except (OSError, ValueError):
                pass  # it ended before it answered
            time.sleep(0.01)

    def end(self):
        try:
            _, errors = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, errors = self.process.communicate()
        same = termios.tcgetattr(self.follower) == self.before
        return self.process.returncode, errors, same


AFTER = {"main": 3000, "cpu 0": 400}  # allocations that go well
CONTROL = ("--control", inside("control"))
TIERED = ("--accel", "process", "--jit", "tier2")
THREADS = [("cpu 0", ("--accel", "process", "--jit", "tier1"), None), ("cpu 0", TIERED, None), ("events", (), "type"),
           ("lightv", CONTROL, "ask"), ("lightv ticks", ("--lightv", POLICY), None), ("main", (), None),
           ("virtio-blk", ("--drive", f"file={write('image', bytes(1 << 20))}"), None)]
if os.path.exists(os.path.join(os.path.dirname(ARCLIGHT), "libarclight_tier2.so")):
    THREADS.append(("tier 2", ("--accel", "process", "--jit", "tiered", "--jit-threshold", "20", "--jit-cache", "off"), None))
if KVM:
    THREADS.append(("cpu 0", ("--accel", "kvm", "--jit", "tier1"), None))
for (thread, options, nudge), (how, text) in itertools.product(THREADS, (("memory", "out of memory"), ("throw", "an exception of unknown type"))):
    if thread == "main" and how == "throw":
        continue
    what = f"{thread} {options}: {how}"
    run = OnTerminal(thread, how, *options, after=AFTER.get(thread, 0), wait=nudge is not None)
    if nudge is not None:
        wait_for(run.raw, run.process)
    run.nudge(nudge)
    status, errors, same = run.end()
    check(status == 1 and errors in (f"arclight: {text} (thread '{thread}')\n", f"arclight: {text}\n"), f"{what}: status {status}: {errors!r}")
    check(same, f"{what}: the terminal is not as it was")
    if nudge is not None:
        check(run.is_raw, f"{what}: the terminal was never raw")

for thread, options, nudge in (("cpu 0", ("--accel", "process", "--jit", "tier1"), None), ("events", (), "type"), ("main", (), None)):
    run = OnTerminal(thread, "crash", *options, after=AFTER.get(thread, 0), wait=nudge is not None)
    if nudge is not None:
        wait_for(run.raw, run.process)
    run.nudge(nudge)
    status, errors, same = run.end()
    check(status == -signal.SIGSEGV and same, f"crash of {thread}: status {status}, terminal {same}")
    version = subprocess.run([ARCLIGHT, "--version"], stdout=subprocess.PIPE, text=True).stdout.split()[1]
    for wanted in ("this is a fault of Arclight itself, not of the guest", f"arclight {version}", "command: ", GUEST[-100:], f"SIGSEGV (code 1) in thread '{thread}', address 0x0",
                   "  #1 0x"):
        check(wanted in errors, f"crash of {thread}: '{wanted}' is not in {errors!r}")
print("threads that fail", flush=True)

# ---- Closed standard streams

DTB = subprocess.run([ARCLIGHT, "run", "--kernel", GUEST, "-m", "128", "--dump-dtb", inside("dtb")]).returncode
check(DTB == 0, f"--dump-dtb: status {DTB}")
with open(inside("dtb"), "rb") as f:
    DTB = f.read()
COMMANDS = [["--version"], ["--help"], ["version"], ["probe"], ["nothing"], ["run", "--kernel", "/nowhere"], ["initramfs", "--output", inside("initramfs"), "/nowhere"],
            ["lightv", "list", "--control", inside("nobody")], ["run", "--kernel", GUEST, "-m", "128", "--dump-dtb", inside("again")]]
for command in COMMANDS:
    usual = subprocess.run([ARCLIGHT, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode
    for closed in ([0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]):
        redirections = " ".join({0: "<&-", 1: ">&-", 2: "2>&-"}[fd] for fd in closed)
        shutil.rmtree(inside("again"), ignore_errors=True)
        try:
            status = subprocess.run(["sh", "-c", f'exec "$@" {redirections}', "sh", ARCLIGHT, *command], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                    stderr=subprocess.DEVNULL, timeout=LIMIT).returncode
        except subprocess.TimeoutExpired:
            status = "none in time"
        check(status == usual, f"{command[:2]} without {closed}: status {status} instead of {usual}")
    if command[0] == "run" and command[-1] == inside("again"):
        with open(inside("again"), "rb") as f:
            check(len(f.read()) == len(DTB), "another device tree where streams are closed")
# A whole run, whose console is one of them: what the guest says goes nowhere, least of all into a disk.
disk = write("disk", b"d" * (1 << 20))
for closed in ("<&-", ">&-", "<&- >&-", "<&- >&- 2>&-"):
    run = start(["sh", "-c", f'exec "$@" {closed}', "sh", ARCLIGHT, "run", "-m", "128", "--kernel", GUEST, "--drive", f"file={disk}", *CONTROL], stdin=subprocess.DEVNULL,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: os.path.exists(inside("control")), run)
    time.sleep(0.3)
    check(run.poll() is None, f"a run with {closed}: ended with {run.poll()}")
    run.send_signal(signal.SIGTERM)
    check(run.wait(LIMIT) == 128 + signal.SIGTERM, f"a run with {closed}: status {run.returncode}")
    with open(disk, "rb") as f:
        check(f.read() == b"d" * (1 << 20), f"a run with {closed} wrote to its disk")
print("closed streams", flush=True)

# ---- JSON

DEEP = {"arrays": "[" * 300000 + "]" * 300000, "objects": '{"a":' * 150000 + "1" + "}" * 150000}
REFUSED = "JSON with more than 64 levels"


def one_line(what, command, status, wanted):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
    check(done.returncode == status and done.stderr.count("\n") == 1 and wanted in done.stderr, f"{what}: status {done.returncode}: {done.stderr[:500]!r}")


for name, deep in DEEP.items():
    one_line(f"policy of {name}", [ARCLIGHT, "run", "-m", "128", "--kernel", GUEST, "--lightv", write("deep", deep)], 1, REFUSED)
    one_line(f"--json of {name}", [ARCLIGHT, "lightv", "command", "--control", inside("nobody"), "--name", "x", "--with", deep[:50000] + deep[-50000:]], 2, REFUSED)
run = start([ARCLIGHT, "run", "-m", "128", "--kernel", GUEST, *CONTROL], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
wait_for(lambda: os.path.exists(inside("control")), run)
for name, deep in DEEP.items():
    check(ask(inside("control"), deep).get("error") == REFUSED, f"socket: {name}")
    check(ask(inside("control"), '{"do": "list"}')["ok"], f"socket, after {name}")
try:
    check("more than" in ask(inside("control"), "[" + "1," * 1000000 + "1]").get("error", ""), "socket: a long line")
except (OSError, ValueError):
    pass  # it hung up before it had read all
check(ask(inside("control"), '{"do": "list"}')["ok"], "socket, after a long line")

# ---- Another user at the socket

if os.geteuid() == 0:
    os.chmod(work, 0o755)
    check(os.stat(inside("control")).st_mode & 0o777 == 0o600, "the socket's mode")
    os.chmod(inside("control"), 0o666)  # as on a file system without modes
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(inside("control"))
            os.write(writing, s.recv(4096))
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    stranger = os.read(reading, 4096).decode()
    check("commands of its own user and of root only" in stranger, f"another user: {stranger!r}")
    check(ask(inside("control"), '{"do": "list"}')["ok"], "the own user, after another one")
run.kill()
run.wait()

# ---- The client, to what is no run

for what, answer in [*DEEP.items(), ("nonsense", "[" * 10), ("text", '"text"'), ("no result", '{"ok": true}'), ("an error of another type", '{"ok": false, "error": [1]}')]:
    path = inside(f"server {what}")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()

        def serve():
            client, _ = server.accept()
            with client:
                client.recv(65536)
                client.sendall(answer.encode() + b"\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        done = subprocess.run([ARCLIGHT, "lightv", "list", "--control", path], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=LIMIT)
        thread.join(LIMIT)
    well = what == "no result"
    check(done.returncode == (0 if well else 1) and done.stderr.count("\n") == (0 if well else 1), f"client, {what}: status {done.returncode}: {done.stderr[:300]!r}")
print("JSON", flush=True)

# ---- A small gzip file that unpacks to 16 GiB

packer = zlib.compressobj(9, zlib.DEFLATED, -15)
head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
first = packer.compress(b"\0" * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
piece = packer.compress(b"\0" * (1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
bomb = write("bomb", head + first + piece * (16 << 10))
for memory, limit in ((64, 64), (4096, 1024)):
    errors = tempfile.TemporaryFile()
    child = subprocess.Popen([ARCLIGHT, "run", "--kernel", bomb, "-m", str(memory)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors)
    _, status, used = os.wait4(child.pid, 0)
    errors.seek(0)
    errors = errors.read().decode(errors="replace")
    check(os.waitstatus_to_exitcode(status) == 1 and errors == f"arclight: kernel '{bomb}' does not fit: it unpacks to more than {limit} MiB\n", f"gzip bomb: {status}: {errors!r}")
    if memory == 64:
        check(used.ru_maxrss < 300 << 10, f"gzip bomb: {used.ru_maxrss >> 10} MiB")
print("gzip", flush=True)

shutil.rmtree(work, ignore_errors=True)
sys.exit(failures != 0)
