"""Runs programs in one boot of one emulator (or natively), and takes the times as the guest's markers arrive.

What is timed: CPU seconds, user and system, of the whole emulator process with all its threads, by the kernel's own
nanosecond clock of that process; and wall seconds. Both between the lines @@START and @@END, so the boot is not in them.
"""
import hashlib, json, os, selectors, signal, subprocess, tempfile, time
from . import machine

BOOT_LIMIT = 120


def process_clock(pid):
    """Linux's clock id for the CPU time of another process (CPUCLOCK_SCHED)."""
    return (~pid << 3) | 2


def cpu_seconds(pid):
    try:
        return time.clock_gettime(process_clock(pid))
    except OSError:
        return None


class Lines:
    """Lines of a pipe, with a deadline."""

    def __init__(self, pipe):
        self.pipe, self.rest = pipe, b""
        os.set_blocking(pipe.fileno(), False)
        self.selector = selectors.DefaultSelector()
        self.selector.register(pipe, selectors.EVENT_READ)

    def next(self, deadline):
        """A line, None at the end, or TimeoutError."""
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not self.selector.select(left):
                raise TimeoutError
            chunk = self.pipe.read(65536)
            if chunk is None:
                continue
            if not chunk:
                line, self.rest = self.rest, b""
                return line.decode(errors="replace").strip() if line else None
            if len(self.rest) > 1 << 20:  # a guest that never ends its line
                self.rest = b""
            self.rest += chunk
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode(errors="replace").strip()


def run_boot(variant, guest, settings, programs, inputs, spec, emit):
    """One boot. Emits a sample or a failure for each program it got to; returns the programs it did not get to."""
    waiting, current, start, finished, tail = list(programs), None, None, False, []
    with tempfile.NamedTemporaryFile(prefix="sweep-stats-") as stats_file:
        # Statistics of tier 2 cost time: the CPUs are interrupted to be sampled.
        stats = stats_file.name if getattr(settings, "stats", True) else None
        command = variant.command(guest, settings, programs, inputs, stats, spec)
        try:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                       start_new_session=True)
        except OSError as error:
            for name in waiting:
                emit("failure", program=name, why=f"cannot start {command[0]}: {error.strerror}")
            return []
        try:
            lines = Lines(process.stdout)
            began = time.monotonic()
            deadline, end = began + BOOT_LIMIT, None
            while True:
                try:
                    line = lines.next(deadline)
                except TimeoutError:
                    limit = settings.limit if current else BOOT_LIMIT
                    what = "no end" if current else ("did not boot" if len(waiting) == len(programs) else "stopped between programs")
                    name = current or (waiting + ["boot"])[0]
                    emit("failure", program=name, why=f"{what} within {limit:.0f} s (time limit)")
                    return waiting[waiting.index(name) + 1:] if current or 0 < len(waiting) < len(programs) else []
                if line is None:
                    break
                now, cpu = time.monotonic(), cpu_seconds(process.pid)
                at = line.find("@@")
                words = line[at:].split() if at >= 0 else [""]
                if words[0] == "@@UP" and cpu is not None:
                    emit("sample", program="boot", cpu=cpu, wall=now - began, status=0, sum="", load=machine.load(), others=0)
                elif words[0] == "@@START" and len(words) == 2 and words[1] in waiting:
                    sample, current, start = None, words[1], (cpu, now, machine.busy_seconds())
                    deadline = now + settings.limit
                elif words[0] == "@@END" and current:
                    end, busy = (cpu, now), machine.busy_seconds()
                    deadline = now + 60
                elif words[0] == "@@RESULT" and len(words) == 4 and words[1] == current and words[2].isdigit() and end and None not in (end[0], start[0]):
                    wall, used = end[1] - start[1], end[0] - start[0]
                    sample = {"program": current, "cpu": used, "wall": wall, "status": int(words[2]), "sum": words[3],
                              "load": round(machine.load(), 2),
                              "others": round(max(0.0, (busy - start[2] - used) / max(wall, 0.01)), 2)}
                    if sample["status"] == 0:
                        emit("sample", **sample)
                        waiting.remove(current)
                        current, end = None, None
                    deadline = now + 60
                elif words[0] == "@@WHY" and current and sample:
                    emit("failure", program=current, why=f"exit status {sample['status']} in the guest: {' '.join(words[1:])}")
                    waiting.remove(current)
                    current, end = None, None
                elif words[0] == "@@WHY":
                    tail.append(" ".join(words[1:]))
                elif words[0] == "@@DONE":
                    finished = True
                    deadline = now + 60
                else:
                    tail = (tail + [line])[-4:]
            try:
                status = process.wait(60)
            except subprocess.TimeoutExpired:
                status = "unknown (it closed its output and stays)"
            if waiting or not finished:
                name = current or (waiting + ["boot"])[0]
                text = " | ".join(t for t in tail if t)[-300:]
                emit("failure", program=name, why=f"the emulator ended early with status {status}: {text}")
                if current is None and len(waiting) in (0, len(programs)):
                    for other in waiting[1:]:
                        emit("failure", program=other, why=f"the emulator ended early with status {status}")
                if name not in waiting or (current is None and len(waiting) == len(programs)):
                    return []
                return waiting[waiting.index(name) + 1:]
            if variant.kind == "arclight" and stats:
                try:
                    emit("stats", programs=list(programs), stats=json.load(stats_file))
                except ValueError:
                    pass
            return []
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()


def run_native(tree, settings, programs, inputs, emit):
    """The same scripts in a chroot of x86-64 programs: one process tree each, its CPU time from wait4."""
    inside = (f"mount --bind /dev {tree}/dev && mount -t proc proc {tree}/proc && mount -t tmpfs tmp {tree}/tmp && "
              f"exec chroot {tree} /w/run-set.sh")
    flags = "-mpf" if os.geteuid() == 0 else "-rmpf"

    def once(names):
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "PROGRAMS": ",".join(names), "INPUTS": inputs}
        process = subprocess.Popen(["unshare", flags, "sh", "-c", inside], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, env=environment, start_new_session=True)
        begin, busy = time.monotonic(), machine.busy_seconds()
        lines, out = Lines(process.stdout), []
        try:
            while (line := lines.next(begin + settings.limit)) is not None:
                out.append(line)
        except TimeoutError:
            os.killpg(process.pid, signal.SIGKILL)
            os.wait4(process.pid, 0)
            process.stdout.close()
            return None, out, 0, 0
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        process.stdout.close()
        wall = time.monotonic() - begin
        return usage.ru_utime + usage.ru_stime, out, wall, max(0.0, machine.busy_seconds() - busy)

    nothing, out, wall_nothing, _ = once([])  # what the wrapping itself costs
    if nothing is None or "@@DONE" not in out:
        for name in programs:
            emit("failure", program=name, why="native programs cannot run here: " + (out[-1] if out else "no user namespaces?"))
        return []
    for name in programs:
        cpu, out, wall, busy = once([name])
        result = next((line.split() for line in out if line.startswith("@@RESULT")), None)
        if cpu is None:
            emit("failure", program=name, why=f"no end within {settings.limit:.0f} s (time limit)")
        elif result is None or result[2] != "0":
            why = next((line[6:] for line in out if line.startswith("@@WHY")), "no result")
            emit("failure", program=name, why=f"exit status {result[2] if result else '?'}: {why}")
        else:
            emit("sample", program=name, cpu=max(cpu - nothing, 0.0001), wall=max(wall - wall_nothing, 0.0001), status=0,
                 sum=result[3], load=round(machine.load(), 2), others=round(max(0.0, (busy - cpu) / max(wall, 0.01)), 2))
    return []


def run_programs(variant, guest, settings, programs, inputs, spec, emit):
    """All of them, with a fresh boot after one that fails or hangs."""
    if variant.kind == "native":
        run_native(os.path.join(guest, "native"), settings, programs, inputs, emit)
        return
    if getattr(variant, "kept", None):
        run_first(variant, guest, settings, programs, inputs, spec)
    left = list(programs)
    while left:
        left = run_boot(variant, guest, settings, left, inputs, spec, emit)


def run_first(variant, guest, settings, programs, inputs, spec):
    """The run before the second one, which nothing is measured of: once for these programs. Where one fails, it will again."""
    done = os.path.join(variant.kept, "ran " + hashlib.sha256(f"{inputs} {' '.join(programs)}".encode()).hexdigest()[:16])
    if os.path.exists(done):
        return
    os.makedirs(variant.kept, mode=0o700, exist_ok=True)
    left = list(programs)
    while left:
        left = run_boot(variant, guest, settings, left, inputs, spec, lambda kind, **what: None)
    with open(done, "w"):
        pass
