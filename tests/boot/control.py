#!/usr/bin/env python3
"""What a monitor does to a guest: QMP beside QEMU's, pause, reset and end; the keys of a shared console; a port's bytes, name and
comings and goings; a monitor that is sent garbage; two serial ports; balloon and watchdog."""
import fcntl, json, os, pty, random, re, select, shutil, signal, socket, struct, subprocess, termios, time
import guest
from guest import ARCLIGHT, QEMU, Failures, Guest, work

PATIENCE = 90  # seconds for anything to happen on a busy machine
failures = Failures()
machine = Guest()


def until(condition, limit=PATIENCE):
    end = time.monotonic() + limit
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    return None


class Wire:
    """The other end of a Unix socket, or of anything with a descriptor."""

    def __init__(self, path=None, descriptor=None):
        self.got = b""
        self.descriptor = descriptor
        if path:
            def connected():
                self.socket = socket.socket(socket.AF_UNIX)
                try:
                    self.socket.connect(path)
                    return True
                except OSError:
                    self.socket.close()

            if not until(connected):
                raise RuntimeError(f"nobody listens at {path}")
            self.descriptor = self.socket.fileno()

    def read(self, seconds=0.0):
        """What comes within so many seconds, or at once."""
        while select.select([self.descriptor], [], [], seconds)[0]:
            try:
                piece = os.read(self.descriptor, 65536)
            except OSError:
                piece = b""
            if not piece:
                break
            self.got += piece
            seconds = 0
        return self.got

    def expect(self, pattern, what, limit=PATIENCE):
        """Waits for a regular expression; what came before it and itself are taken away."""
        end = time.monotonic() + limit
        while True:
            found = re.search(pattern, self.got, re.S)
            if found:
                self.got = self.got[found.end():]
                return found
            left = end - time.monotonic()
            if left <= 0:
                failures.add(f"{what}: no {pattern} in {self.got[-2000:]}")
                return None
            self.read(min(left, 1))

    def send(self, data):
        os.write(self.descriptor, data)

    def close(self):
        self.socket.close()


class Qmp(Wire):
    def __init__(self, path, negotiate=True):
        super().__init__(path)
        self.events = []
        self.greeting = self.message()
        if negotiate:
            self.ask("qmp_capabilities")

    def message(self, limit=PATIENCE):
        end = time.monotonic() + limit
        while b"\n" not in self.got and time.monotonic() < end:
            self.read(0.5)
        line, _, self.got = self.got.partition(b"\n")
        return json.loads(line) if line.strip() else None

    def raw(self, data):
        """The answer to bytes; events are put aside."""
        self.send(data)
        while True:
            reply = self.message()
            if reply is None or "event" not in reply:
                return reply
            self.events.append(reply)

    def ask(self, command, **arguments):
        return self.raw(json.dumps({"execute": command, "arguments": arguments} if arguments else {"execute": command}).encode())

    def human(self, line):
        return self.ask("human-monitor-command", **{"command-line": line})["return"]

    def status(self):
        return self.ask("query-status")["return"]["status"]

    def event(self, name):
        """Waits for it."""
        def come():
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    return event
            if select.select([self.descriptor], [], [], 0)[0] or b"\n" in self.got:
                message = self.message(1)
                if message and "event" in message:
                    self.events.append(message)
        return until(come)


def path(name):
    return os.path.join(work, name)


def start(options, command=None, **more):
    words = [w for w in machine.arclight(command, options=options) if w != "--no-reboot"]
    return subprocess.Popen(words, stdin=more.pop("stdin", subprocess.DEVNULL), stderr=subprocess.PIPE,
                            stdout=more.pop("stdout", subprocess.DEVNULL), **more)


def end(process, status, what):
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        print(guest.where_it_hangs(process.pid).decode(errors="replace"))
        process.kill()
        process.wait()
        failures.add(f"{what}: does not end")
    error = process.stderr.read().decode(errors="replace")
    failures.check(process.returncode == status, f"{what}: status {process.returncode}, not {status}: {error}")
    return error


def server(name):
    return f"unix:{path(name)},server=on,wait=off"


TICKS = ["sh", "-c", "i=0; while :; do echo tick$i; i=$((i+1)); sleep 0.05; done"]


def pause_and_reset():
    """A guest that ticks on its serial port stands still, goes on, begins anew, and ends."""
    out = open(path("ticks"), "w+b")
    cores = sorted(os.sched_getaffinity(0))
    process = start(["--qmp", server("q1"), "--smp", "2", "--paused", "--place", f"vcpus={cores[0]}"], TICKS, stdout=out)
    ticks = lambda: os.path.getsize(path("ticks"))
    qmp = Qmp(path("q1"))
    failures.check(qmp.status() == "prelaunch", "a guest that waits says so")
    time.sleep(0.5)
    failures.check(ticks() == 0, "a guest that waits has begun")
    qmp.ask("cont")
    failures.check(qmp.event("RESUME"), "no RESUME")
    failures.check(until(lambda: ticks() > 30), "the guest does not tick")
    for _ in range(3):
        qmp.ask("stop")
        failures.check(qmp.events and qmp.events[-1]["event"] == "STOP", f"STOP comes before the answer: {qmp.events}")
        failures.check(qmp.ask("stop") == {"return": {}} and qmp.status() == "paused", "stop, twice")
        time.sleep(0.05)  # what the console has collected
        before = ticks()
        time.sleep(0.4)
        failures.check(ticks() == before, f"a stopped guest ticks: {before}, {ticks()}")
        registers = qmp.human("info registers")
        failures.check(registers == qmp.human("info registers") and re.search(r"PC=[0-9a-f]{16} ", registers), f"registers: {registers}")
        words = qmp.human("x/2xw $pc")
        failures.check(re.match(r"[0-9a-f]{16}: 0x[0-9a-f]{8} 0x[0-9a-f]{8}\r\n$", words), f"x at the PC: {words}")
        qmp.ask("cont")
        failures.check(until(lambda: ticks() > before + 10), "the guest does not go on")
    # Whatever is asked of a running guest leaves it running.
    for line in ("info registers -a", "info mtree", "info qtree", "info jit", "info cpus", "info block", "info network"):
        failures.check("unknown" not in qmp.human(line), line)
    before = ticks()
    failures.check(until(lambda: ticks() > before), "the guest ticks no more after questions")
    # Its CPUs' threads are where they were put, and go where they are told; others are not there.
    cpus = [cpu["thread-id"] for cpu in qmp.ask("query-cpus-fast")["return"]]
    where = lambda: [os.sched_getaffinity(thread) for thread in cpus]
    failures.check(where() == [{cores[0]}] * 2 and qmp.human("place") == f"vcpus: {cores[0]}\r\n", f"placed: {where()}")
    failures.check(qmp.human(f"place {cores[-1]}") == "" and where() == [{cores[-1]}] * 2, f"moved: {where()}")
    failures.check(os.sched_getaffinity(process.pid) == {cores[-1]}, "the other threads were not moved")
    failures.check("Error: core 1000 is none" in qmp.human("place vcpus=1000"), "a core that is not there")
    # A reset: the guest begins anew, and stands if it stood.
    qmp.ask("stop")
    failures.check(qmp.ask("system_reset") == {"return": {}}, "system_reset")
    reset = qmp.event("RESET")
    failures.check(reset and reset["data"] == {"guest": False, "reason": "host-qmp-system-reset"}, f"{reset}")
    failures.check(qmp.status() == "prelaunch", "after a reset while it stood")
    before = ticks()
    qmp.ask("cont")
    out.seek(before)
    failures.check(until(lambda: b"tick0\n" in open(path("ticks"), "rb").read()[before:]), "the guest does not begin anew")
    qmp.raw(b'{"execute": "system_powerdown"}')
    failures.check(qmp.event("POWERDOWN"), "no POWERDOWN")
    failures.check(qmp.raw(b'{"execute": "quit", "id": "last"}') == {"return": {}, "id": "last"}, "quit")
    shutdown = qmp.event("SHUTDOWN")
    failures.check(shutdown and shutdown["data"] == {"guest": False, "reason": "host-qmp-quit"}, f"{shutdown}")
    # A command that was not over.
    end(process, 1, "quit")
    failures.check(not os.path.exists(path("q1")), "the socket is left behind")


HELD = 128 << 20  # bytes of the guest's memory


def share_of(process, colours):
    """How much of guest memory has pages of these colours, out of 32."""
    for line in open(f"/proc/{process.pid}/maps"):
        first, last = (int(at, 16) for at in line.split()[0].split("-"))
        if last - first == HELD and " rw-p " in line and "[heap]" not in line:
            with open(f"/proc/{process.pid}/pagemap", "rb") as pagemap:
                pagemap.seek(first // 4096 * 8)
                frames = struct.unpack(f"<{HELD // 4096}Q", pagemap.read(HELD // 512))
            return sum(frame >> 63 and (frame & ((1 << 55) - 1)) % 32 in colours for frame in frames) / len(frames)
    return 0


def colours():
    """Guest memory has pages of the colours that were asked for, and gets others while the guest works in it."""
    script = "head -c 16M /dev/urandom > r; md5sum < r > m; while md5sum < r | cmp -s - m; do echo whole; done; echo damaged"
    process = start(["--qmp", server("colours"), "-m", str(HELD >> 20), "--place", "colours=0-15/32"], ["sh", "-c", script], stdout=open(path("whole"), "w+b"))
    if os.geteuid() != 0:
        refused = end(process, 1, "colours without the right to see pages")
        failures.check("arclight: --place colours: which pages of the host's memory a process has is told to root" in refused, refused)
        return
    said = lambda: open(path("whole")).read()
    qmp = Qmp(path("colours"))
    for chosen, asked in (("0-15", None), ("16-31", "place colours=16-31"), ("4-7", "place colours=4-7/32")):
        first, last = (int(number) for number in chosen.split("-"))
        failures.check(not asked or qmp.human(asked) == "", f"{asked}: it is not done")
        failures.check(qmp.human("place") == f"colours: {chosen}/32\r\n", f"place after {asked}")
        # The host may have moved some since.
        failures.check(share_of(process, range(first, last + 1)) > 0.9, f"{asked}: pages of other colours")
        seen = said().count("whole")
        failures.check(until(lambda: said().count("whole") > seen + 2 or "damaged" in said()), f"{asked}: the guest does not go on")
    failures.check("damaged" not in said(), "the guest finds its memory changed")
    for line, error in (("place colours=32", "of 32 colours none is number 32"), ("place 0", "only threads of a run with --place can be moved")):
        failures.check(qmp.human(line) == f"Error: {error}\r\n", f"{line}: {qmp.human(line)}")
    qmp.ask("quit")
    end(process, 1, "quit")
    # Other processes are to reach memory, or it is too much.
    for words, error in ((["--place", "colours=0/4", "--lightv-stage", "host"], "--lightv-stage host has a file's pages in their place"),
                         (["--place", "colours=0/1024", "-m", "64G"], "65536 MiB in 1 of 1024 colours are chosen from 67108864 MiB, and the host has")):
        refused = end(start(words, ["true"]), 1, error)
        failures.check(f"arclight: --place colours: {error}" in refused, f"{words}: {refused}")


def guest_events():
    """A guest that resets and powers off by itself."""
    process = start(["--qmp", server("q2"), "--paused", "--append", "sysrq_always_enabled"],
                    ["sh", "-c", "echo b > /proc/sysrq-trigger"])
    qmp = Qmp(path("q2"))
    qmp.ask("cont")
    reset = qmp.event("RESET")
    failures.check(reset and reset["data"] == {"guest": True, "reason": "guest-reset"}, f"a guest's reset: {reset}")
    process.send_signal(signal.SIGTERM)
    shutdown = qmp.event("SHUTDOWN")
    failures.check(shutdown and shutdown["data"] == {"guest": False, "reason": "host-signal"}, f"a signal: {shutdown}")
    end(process, 128 + signal.SIGTERM, "SIGTERM")
    process = start(["--qmp", server("q3"), "--paused"], ["true"])
    qmp = Qmp(path("q3"))
    qmp.ask("cont")
    shutdown = qmp.event("SHUTDOWN")
    failures.check(shutdown and shutdown["data"] == {"guest": True, "reason": "guest-shutdown"}, f"power off: {shutdown}")
    end(process, 0, "power off")
    # Paused instead, until it is reset or the run ends.
    process = start(["--qmp", server("q4"), "--paused", "--no-shutdown"], ["true"])
    qmp = Qmp(path("q4"))
    qmp.ask("cont")
    shutdown = qmp.event("SHUTDOWN")
    failures.check(shutdown and shutdown["data"] == {"guest": True, "reason": "guest-shutdown"}, f"paused: {shutdown}")
    failures.check(qmp.event("STOP"), "no STOP behind SHUTDOWN")
    failures.check(qmp.status() == "shutdown", "query-status of a machine that has powered off")
    refused = qmp.ask("cont")
    failures.check(refused.get("error", {}).get("desc") == "Resetting the Virtual Machine is required", f"{refused}")
    process.send_signal(signal.SIGCONT)
    failures.check(qmp.ask("system_reset") == {"return": {}} and qmp.event("RESET"), "a reset of it")
    failures.check(qmp.status() == "prelaunch", "it does not wait after the reset")
    qmp.ask("quit")
    process.wait(60)


def shape(value):
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    return type(value).__name__


# The same session for both. What is compared is all of an error's answer, and of others the names and kinds of what they hold.
SESSION = [
    b'{"execute":"query-status"}', b'{"execute":"qmp_capabilities"}', b'{"execute":"qmp_capabilities"}',
    b'{"execute":"query-status","id":7}', b'{"execute":"nosuch","id":{"a":[1,"x"]}}', b'{"execute":5}', b"[]", b'"x"',
    b'garbage', b'{"execute":"query-status","foo":1}', b'{"execute":"query-status","arguments":{"x":1}}',
    b'{"execute":"query-status","arguments":5}', b'{"exec-oob":"query-status"}', b'{"execute":"human-monitor-command"}',
    b'{"execute":"human-monitor-command","arguments":{"command-line":5}}', b"{'execute':'query-status'}",
    b'{"execute":"query-version"}', b'{"execute":"query-name"}', b'{"execute":"query-uuid"}', b'{"execute":"query-kvm"}',
    b'{"execute":"query-target"}', b'{"execute":"query-cpus-fast"}', b'{"execute":"query-memory-size-summary"}', b'{"execute":"cont"}',
    b'{"execute":"cont"}', b'{"execute":"stop"}', b'{"execute":"query-status"}', b'{"execute":"system_powerdown"}',
    b'{"execute":"query-iothreads"}', b'{"execute":"query-block-jobs"}',
]
# At 0x50000000 is neither a loader's work nor a guest's: zeros.
HUMAN = ["nosuch foo", "info status", "info nosuch", "xp/4xw 0x50000000", "xp/4xb 0x50000000", "xp/2dg 0x50000000", "xp/4c 0x50000000",
         "xp/20xh 0x50000000", "xp", "xp/2s 0x50000000", "x/3xb 0x4000000000", "info uuid", "help xp", ""]


def beside_qemu():
    if not QEMU:
        print("no QEMU to compare with")
        return
    answers = []
    for program in ("arclight", "qemu"):
        sock = path(f"beside-{program}")
        listen = f"unix:{sock},server=on,wait=off"
        if program == "qemu":
            words = [QEMU, "-M", "virt", "-cpu", "cortex-a57", "-smp", "2", "-m", "512M", "-nodefaults", "-display", "none", "-S", "-qmp",
                     listen]
        else:
            words = [ARCLIGHT, "run", "--kernel", machine.kernel, "-m", "512M", "--smp", "2", "--paused", "--serial", "null", "--qmp", listen]
        process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        qmp = Qmp(sock, negotiate=False)
        got = [("greeting", shape(qmp.greeting["QMP"]["version"]))]
        for line in SESSION:
            reply = qmp.raw(line + b"\n")
            kept = reply if "error" in reply or reply.get("return") == {} else shape(reply)
            got.append((line, kept, sorted(event["event"] for event in qmp.events)))
            qmp.events.clear()
        for line in HUMAN:
            reply = qmp.human(line)
            got.append((line, reply))
        got.append(("quit", qmp.raw(b'{"execute":"quit"}'), [event["data"] for event in qmp.events if event["event"] == "SHUTDOWN"]))
        end(process, 0, program)
        answers.append(got)
    for ours, theirs in zip(*answers):
        failures.check(ours == theirs, f"not as QEMU's:\n  {ours}\n  {theirs}")


def garbage():
    """Whatever a client sends, the monitor answers the next one and the guest goes on."""
    out = open(path("ticks2"), "w+b")
    process = start(["--qmp", server("q4")], TICKS, stdout=out)
    source = random.Random(7)
    words = [b'{"execute":', b'"query-status"', b"}", b"{", b"[" * 200, b"\xff", b"\0", b"'", b'"', b"\\", b"\n", b"1e999", b":", b",",
             b'"arguments":{"command-line":"x/99999999xg $sp"}', source.randbytes(64), b"A" * 70000]
    for client in range(30):
        wire = Wire(path("q4"))
        wire.socket.setblocking(False)  # a monitor that waits for its client to read reads nothing
        try:
            for _ in range(source.randrange(1, 60)):
                wire.send(source.choice(words))
                if source.random() < 0.3:
                    wire.read()
        except OSError:
            pass
        wire.close()
    qmp = Qmp(path("q4"))
    failures.check(qmp.status() == "running", "after garbage")
    before = os.path.getsize(path("ticks2"))
    failures.check(until(lambda: os.path.getsize(path("ticks2")) > before), "the guest does not tick after garbage")
    # One who asks and does not read does not keep the machine from ending.
    qmp.close()
    deaf = Wire(path("q4"))
    deaf.socket.setblocking(False)
    try:
        deaf.send(b'{"execute":"qmp_capabilities"}')
        while select.select([], [deaf.descriptor], [], 1)[1]:
            deaf.send(b'{"execute":"query-commands"}' * 100)
    except OSError:
        pass
    process.send_signal(signal.SIGTERM)
    end(process, 128 + signal.SIGTERM, "with a client that does not read")


def keys():
    """Ctrl-A on a terminal: the monitor and back, a break, help, the end; the terminal is as before."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    before = termios.tcgetattr(slave)
    process = start(["--shell"], stdin=slave, stdout=slave)
    screen = Wire(descriptor=master)
    screen.expect(rb"# ", "a prompt of the guest's")
    screen.send(b"\x01c")
    screen.expect(rb"Arclight .* monitor - type 'help' for more information\r\n\(qemu\) ", "the monitor")
    screen.send(b"info stat\x7fstatus\x15info status\r")
    screen.expect(rb"VM status: running\r\n\(qemu\) ", "info status")
    screen.send(b"stop\r")
    screen.expect(rb"\(qemu\) ", "stop")
    screen.send(b"info status\r")
    screen.expect(rb"VM status: paused\r\n\(qemu\) ", "info status of one that stands")
    screen.send(b"nosuch\r")
    screen.expect(rb"unknown command: 'nosuch'\r\n\(qemu\) ", "an unknown command")
    screen.send(b"c\r")
    screen.expect(rb"\(qemu\) ", "cont")
    screen.send(b"\x01c" b"echo back $((40+2))\r")
    screen.expect(rb"back 42\r", "the guest again")
    screen.send(b"\x01h")
    screen.expect(rb"Ctrl-A X.*Ctrl-A C.*Ctrl-A B", "help")
    # A break, then a letter: Magic SysRq.
    screen.send(b"echo 1 > /proc/sys/kernel/sysrq; echo 8 > /proc/sys/kernel/printk; echo set $((1+1))\r")
    screen.expect(rb"set 2\r", "sysrq is on")
    screen.send(b"\x01b" b"h")
    screen.expect(rb"sysrq: HELP", "a break")
    screen.send(b"\x01x")
    end(process, 0, "Ctrl-A X")
    failures.check(termios.tcgetattr(slave) == before, "the terminal is not as it was")
    os.close(master)
    os.close(slave)


PORTS = r"""
# The driver makes them some time after it is loaded.
until [ -c /dev/hvc0 ] && grep -qs org.qemu.guest_agent.0 /sys/class/virtio-ports/*/name; do sleep 0.1; done
cd /sys/class/virtio-ports
for p in *; do [ ! -s $p/name ] || echo "port $p $(cat $p/name)"; done
p=/dev/$(grep -l org.qemu.guest_agent.0 */name | cut -d/ -f1)
size() { stty size < /dev/hvc0; }
echo "size $(size)"
echo "ready for the host"
exec 3<> $p
while :; do
    # Without anybody at the other end a read finds the end.
    read -r line <&3 || { sleep 0.05; continue; }
    case "$line" in
        bye) break ;;
        size) size >&3 ;;
        big) head -c 300000 /dev/zero | tr '\0' x >&3; echo >&3 ;;
        *) echo "got ${#line} $line" >&3 ;;
    esac
done
exec 3>&-
exec 5<> /dev/hvc0
echo hello-from-hvc0 >&5
read -r typed <&5; echo "typed $typed"
exec 5<&-
echo second > /dev/ttyAMA1 && echo "second written"
exec 4< /dev/ttyAMA1
until [ "$typed" = "to the second" ]; do read -r typed <&4; done
echo "second typed $typed"
"""


def ports():
    """A console of the virtio kind with its window, a port of a guest agent's, and a second serial port."""
    master, slave = pty.openpty()
    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 111, 0, 0))
    out = open(path("ports"), "w+b")
    said = lambda text: until(lambda: text in open(path("ports"), "rb").read())
    process = start(["--console", "stdio", "--port", f"org.qemu.guest_agent.0={server('agent')}", "--port", "other=null",
                     "--serial", f"file:{path('ports')}", "--serial", server("second"), "--qmp", server("q5")],
                    ["sh", "-c", PORTS], stdin=slave, stdout=slave)
    failures.check(said(b"ready for the host"), f"the ports are not there: {open(path('ports'), 'rb').read()}")
    text = open(path("ports"), "rb").read()
    failures.check(re.search(rb"port vport\d+p1 org.qemu.guest_agent.0", text) and re.search(rb"port vport\d+p2 other", text), f"names: {text}")
    failures.check(b"size 33 111" in text, f"the window's size: {text}")
    for client in range(2):
        agent = Wire(path("agent"))
        agent.send(b"hello %d\n" % client)
        agent.expect(b"got 7 hello %d\n" % client, "the port's echo")
        agent.send(b"x" * 20000 + b"\n")
        agent.expect(b"got 20000 x{20000}\n", "a long line")
        agent.send(b"big\n")
        agent.expect(b"^x{300000}\n", "much from the guest")
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", 20 + client, 99, 0, 0))
        process.send_signal(signal.SIGWINCH)

        def resized():
            agent.send(b"size\n")
            found = agent.expect(rb"(\d+) (\d+)\n", "a size")
            return found and (int(found[1]), int(found[2])) == (20 + client, 99)

        failures.check(until(resized), "the window's new size")
        # A guest that stands takes nothing, and loses nothing.
        qmp = Qmp(path("q5"))
        qmp.ask("stop")
        agent.send(b"while it stands\n")
        failures.check(agent.read(0.3) == b"", "a guest that stands answers")
        qmp.ask("cont")
        agent.expect(b"got 15 while it stands\n", "after it stood")
        qmp.close()
        if client == 1:
            agent.send(b"bye\n")
        agent.close()
    screen = Wire(descriptor=master)
    screen.expect(b"hello-from-hvc0", "output of the console")
    screen.send(b"typed at hvc0\r")
    failures.check(said(b"typed typed at hvc0"), "input of the console")
    failures.check(said(b"second written"), "the second serial port")
    second = Wire(path("second"))

    def typed():
        try:
            second.send(b"to the second\r")
        except OSError:
            pass  # the guest has read it and is over
        return b"second typed to the second" in open(path("ports"), "rb").read()

    failures.check(until(typed), "input of the second serial port")
    end(process, 0, "ports")
    os.close(master)
    os.close(slave)


def resident(process):
    """MiB of memory that the host has given it for itself."""
    with open(f"/proc/{process.pid}/status") as f:
        return int(re.search(r"RssAnon:\s+(\d+) kB", f.read())[1]) >> 10


FILL = r"""
until grep -qs ctl /sys/class/virtio-ports/*/name; do sleep 0.1; done
exec 3<> /dev/$(basename $(dirname $(grep -l ctl /sys/class/virtio-ports/*/name)))
echo ready
while :; do
    read -r what much <&3 || { sleep 0.05; continue; }
    case $what in
        fill) head -c ${much}m /dev/zero | tr '\0' x > /tmp/big; much=$(md5sum < /tmp/big | cut -c1-32) ;;
        drop) rm /tmp/big ;;
    esac
    echo "done $what $much" >&3
done
"""


def balloon():
    """What the guest frees goes back to the host at once, more of it when it is asked for; and it is memory as any other again."""
    out = open(path("filled"), "w+b")
    process = start(["-m", "512", "--balloon", "--qmp", server("q6"), "--port", f"ctl={server('ctl')}"], ["sh", "-c", FILL], stdout=out)
    qmp = Qmp(path("q6"))
    if not failures.check(until(lambda: b"ready" in open(path("filled"), "rb").read()), "no guest with a balloon"):
        process.kill()
        return
    wire = Wire(path("ctl"))

    def tell(line):
        wire.send(line.encode() + b"\n")
        found = wire.expect(rb"done " + line.split()[0].encode() + rb" (\w*)\n", line)
        return found and found[1]

    sums = [tell("fill 150")]
    full = resident(process)
    failures.check(full > 150, f"a guest that has filled 150 MiB has {full}")
    tell("drop")
    failures.check(until(lambda: resident(process) < full - 120), f"memory that the guest has freed is the host's: {resident(process)} of {full} MiB")
    failures.check(qmp.ask("query-balloon") == {"return": {"actual": 512 << 20}}, "query-balloon")
    sums.append(tell("fill 150"))
    failures.check(sums[0] and sums[0] == sums[1], f"memory that came back: {sums}")
    tell("drop")
    before = resident(process)
    qmp.human("balloon 200")
    failures.check(until(lambda: qmp.ask("query-balloon")["return"]["actual"] == 200 << 20), f"{qmp.ask('query-balloon')}")
    failures.check(qmp.event("BALLOON_CHANGE"), "no BALLOON_CHANGE")
    failures.check(qmp.human("info balloon") == "balloon: actual=200\r\n", "info balloon")
    failures.check(until(lambda: resident(process) < 280), f"{before} MiB before the balloon, {resident(process)} after")
    qmp.ask("balloon", value=512 << 20)
    failures.check(until(lambda: qmp.ask("query-balloon")["return"]["actual"] == 512 << 20), "the guest takes no memory back")
    sums.append(tell("fill 150"))
    failures.check(sums[0] == sums[2], f"memory that came back: {sums}")
    qmp.ask("quit")
    end(process, 1, "balloon")


def watchdog():
    """A guest that opens its watchdog and forgets it begins anew, or is stopped."""
    generic = Guest("generic")
    words = [w for w in generic.arclight(["sh", "-c", "modprobe -r i6300esb; modprobe i6300esb heartbeat=2; exec 3> /dev/watchdog; sleep 1000"],
                                         options=["--watchdog", "--qmp", server("q7")]) if w != "--no-reboot"]
    process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    qmp = Qmp(path("q7"))
    event = qmp.event("WATCHDOG")
    failures.check(event and event["data"] == {"action": "reset"}, f"WATCHDOG: {event}")
    event = qmp.event("RESET")
    failures.check(event and event["data"] == {"guest": True, "reason": "guest-reset"}, f"a watchdog's reset: {event}")
    failures.check(qmp.ask("watchdog-set-action", action="pause") == {"return": {}}, "watchdog-set-action")
    event = qmp.event("WATCHDOG")
    failures.check(event and event["data"] == {"action": "pause"}, f"WATCHDOG: {event}")
    failures.check(until(lambda: qmp.status() == "watchdog"), f"a watchdog's pause: {qmp.status()}")
    qmp.ask("quit")
    end(process, 1, "watchdog")


pause_and_reset()
colours()
guest_events()
beside_qemu()
garbage()
keys()
ports()
balloon()
watchdog()
failures.end()
