"""Boots Debian's guest under Arclight and under QEMU, for the tests of this folder.

The environment says where things are: ARCLIGHT (the program), ARCLIGHT_SOURCE (the tree), ARCLIGHT_NIGHTLY (do
everything), ARCLIGHT_OPTIONS (further ones for 'arclight run'). A test that cannot run here calls skip(), which ctest
shows as skipped; one that fails calls Failures.end().
"""
import atexit, itertools, os, re, shutil, signal, subprocess, sys, tempfile, threading, time

ARCLIGHT = os.environ["ARCLIGHT"]
SOURCE = os.environ["ARCLIGHT_SOURCE"]
OPTIONS = os.environ.get("ARCLIGHT_OPTIONS", "").split()  # for every 'arclight run', such as --accel kvm
NIGHTLY = os.environ.get("ARCLIGHT_NIGHTLY", "") not in ("", "0")
QEMU = shutil.which("qemu-system-aarch64")
QEMU_CPU = "neoverse-n1"
CROSS_CC = shutil.which("aarch64-linux-gnu-gcc")
FETCH = os.path.join(SOURCE, "guestos/fetch/fetch-guest")
SKIPPED = 77  # tests/boot/CMakeLists.txt

# What runs before left in the user's cache is not to decide how a test, or a measurement, goes.
os.environ.setdefault("ARCLIGHT_JIT_CACHE", "off")
work = tempfile.mkdtemp(prefix="arclight-boot-")
atexit.register(shutil.rmtree, work, ignore_errors=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # with all clean-up


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIPPED)


_probe = subprocess.run([ARCLIGHT, "probe"], stdout=subprocess.PIPE, text=True).stdout
HAS_KVM = re.search(r"^kvm +usable", _probe, re.M) is not None
if "kvm" in OPTIONS and not HAS_KVM:
    skip(_probe.splitlines()[0] if _probe else "arclight probe says nothing")


class Failures:
    """Collects what went wrong, so that one run shows all of it."""

    def __init__(self):
        self.count = 0

    def add(self, text):
        self.count += 1
        print("FAIL:", text, flush=True)

    def check(self, condition, text):
        if not condition:
            self.add(text)
        return condition

    def end(self):
        print("all as expected" if self.count == 0 else f"{self.count} failures")
        sys.exit(1 if self.count else 0)


def fetch(*words):
    """What fetch-guest prints, or None: not in the cache and no network."""
    done = subprocess.run([FETCH, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode != 0:
        print(done.stderr.strip())
        return None
    return done.stdout.strip()


class Guest:
    """Debian's kernel of one flavour with the default initramfs and further files: {host path: guest path}."""

    _numbers = itertools.count(1)

    def __init__(self, flavour="cloud", add=None, modules=()):
        self.kernel_directory = fetch("kernel", "--flavour", flavour)
        self.busybox = fetch("busybox")
        if self.kernel_directory is None or self.busybox is None:
            skip("the guest is not in the cache and cannot be fetched")
        self.kernel = os.path.join(self.kernel_directory, "vmlinuz")
        with open(os.path.join(self.kernel_directory, "version")) as f:
            self.version = f.read().strip()
        self.options = [w for host, inside in (add or {}).items() for w in ("--add", f"{host}:{inside}")]
        self.options += [w for module in modules for w in ("--module", module)]
        self.initrd = self.initramfs([])

    def initramfs(self, command):
        output = os.path.join(work, f"guest{next(Guest._numbers)}.cpio")
        words = [ARCLIGHT, "initramfs", "--busybox", self.busybox, "--modules",
                 os.path.join(self.kernel_directory, "modules"), "--kernel-version", self.version, "--output", output]
        subprocess.run(words + self.options + (["--"] + command if command else []), check=True)
        return output

    def arclight(self, command=None, append="quiet loglevel=0", options=()):
        """The command line that runs `command` in this guest."""
        return [ARCLIGHT, "run", *OPTIONS, "--kernel", self.kernel, "--initrd", self.initrd, "--no-reboot", "--append",
                f"console=ttyAMA0 panic=-1 {append}", *options] + (["--", *command] if command else [])

    def run(self, command, limit=120, append="quiet loglevel=0", options=(), stdin=None, started=None):
        return run(self.arclight(command, append, options), limit, stdin, started)

    def run_qemu(self, command, limit=300, append="quiet loglevel=0", memory="512M", smp=1, gic=3, kaslr=True,
                 options=()):
        """The same under QEMU; its Result has the command's status, as the guest reports it on the console."""
        board = f"virt,gic-version={gic}" + ("" if kaslr else ",dtb-randomness=off")
        thread = [] if smp > 1 else ["-accel", "tcg,thread=single"]
        result = run([QEMU, "-M", board, "-cpu", QEMU_CPU, *thread, "-m", memory, "-smp", str(smp), "-nodefaults",
                      "-display", "none", "-chardev", "stdio,id=c,signal=off", "-serial", "chardev:c", "-no-reboot",
                      "-kernel", self.kernel, "-initrd", self.initramfs(command), "-append",
                      f"console=ttyAMA0 panic=-1 {append}", *options], limit)
        report = re.search(rb"\r?\nguest-exit-status: (\d+)\r?\n", result.output)
        if report:
            result.status = int(report.group(1))
            result.output = result.output[:report.start()] + result.output[report.end():]
        return result


class Result:
    def __init__(self, status, output, error, seconds, cpu_seconds, timed_out):
        self.status, self.output, self.error = status, output, error
        self.seconds, self.cpu_seconds, self.timed_out = seconds, cpu_seconds, timed_out

    @property
    def text(self):
        return self.output.decode(errors="replace")

    def __str__(self):
        state = "ran into its time limit" if self.timed_out else f"ended with status {self.status}"
        return f"{state} after {self.seconds:.1f} s: {self.text[-2000:]}{self.error.decode(errors='replace')[-3000:]}"


def where_it_hangs(pid):
    """Every thread's stack, if gdb is there: a hang that cannot be repeated must not be lost."""
    if not shutil.which("gdb"):
        return b""
    try:
        return subprocess.run(["gdb", "-p", str(pid), "-batch", "-nx", "-ex", "set pagination off", "-ex",
                               "thread apply all backtrace 12"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=60).stdout
    except subprocess.TimeoutExpired:
        return b""


def run(command, limit, stdin=None, started=None):
    """Runs a program to its end or to the time limit. `stdin`: bytes through a pipe, or an open file. `started` is called
    with the process's number."""
    start = time.monotonic()
    piped = isinstance(stdin, bytes)
    process = subprocess.Popen(command, stdin=subprocess.PIPE if piped else stdin or subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    state = {"stuck": None}
    if started:
        started(process.pid)

    def too_long():
        state["stuck"] = where_it_hangs(process.pid) if command[0] == ARCLIGHT else b""
        process.kill()

    timer = threading.Timer(limit, too_long)
    timer.start()
    collected = [b"", b""]

    def drain(index, stream):
        collected[index] = stream.read()

    readers = [threading.Thread(target=drain, args=(i, s)) for i, s in enumerate((process.stdout, process.stderr))]
    for reader in readers:
        reader.start()
    if piped:
        try:
            process.stdin.write(stdin)
            process.stdin.close()
        except BrokenPipeError:
            pass  # the guest need not read all of it
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    timer.cancel()
    for reader in readers:
        reader.join()
    timed_out = state["stuck"] is not None
    return Result(process.returncode, collected[0], collected[1] + (state["stuck"] or b""), time.monotonic() - start,
                  usage.ru_utime + usage.ru_stime, timed_out)


def build_program(name, *options):
    """Cross-compiles tests/boot/guest/NAME.c statically and returns its path."""
    if CROSS_CC is None:
        skip("no aarch64-linux-gnu-gcc")
    output = os.path.join(work, name)
    subprocess.run([CROSS_CC, "-O2", "-Wall", "-Werror", "-static", "-pthread", "-o", output,
                    os.path.join(SOURCE, "tests/boot/guest", name + ".c"), *options], check=True)
    return output


KERNEL_TROUBLE = re.compile(
    r"WARNING:|BUG:|Oops|Internal error|Unable to handle|soft lockup|hard LOCKUP|rcu: INFO|rcu.*stall|blocked for more than"
    r"|Call trace|Kernel panic|segfault|unhandled|undefined instruction|Bad mode|clocksource.*unstable|nobody cared", re.I)


def kernel_messages(text):
    """The kernel's lines on a console, without what differs from boot to boot: times, addresses, numbers."""
    found = {}
    for line in text.splitlines():
        match = re.match(r"\[ *\d+\.\d+\] (.*)", line.strip())
        if match:
            normal = re.sub(r"0x[0-9a-f]+|\b[0-9a-f]{8,}\b|\d+", "#", match.group(1).strip())
            found.setdefault(normal, match.group(1).strip())
    return found
