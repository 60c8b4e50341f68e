#!/usr/bin/env python3
"""A guest that computes on four CPUs, writes to a disk and loads from the network is saved and goes on from the file, many times:
what it prints continues where it stopped. A monitor's savevm and loadvm do the same with its disk. Files that are damaged or of another machine are refused in one line."""
import hashlib, http.server, json, os, random, re, shutil, socket, struct, subprocess, threading, time
import guest
from guest import ARCLIGHT, Failures, Guest, work

CONTENT = random.Random(3).randbytes(1 << 20)
SUM = hashlib.md5(CONTENT).hexdigest()
SCRIPT = r"""
chain() { h=$1; i=0; while :; do h=$(echo $h $i | md5sum | cut -c1-32); i=$((i + 1)); echo "$1 $i $h"; done; }
block() { dd if=/dev/vda bs=64k skip=$1 count=1 2> /dev/null | md5sum | cut -c1-32; }
disk() {
    n=0
    while :; do
        k=$((n %% 8))
        head -c 65536 /dev/urandom > /tmp/w; dd if=/tmp/w of=/dev/vda bs=64k seek=$k conv=notrunc 2> /dev/null; sync
        md5sum < /tmp/w | cut -c1-32 > /tmp/sum$k
        echo 3 > /proc/sys/vm/drop_caches
        for j in 0 1 2 3 4 5 6 7; do [ ! -e /tmp/sum$j ] || [ "$(block $j)" = "$(cat /tmp/sum$j)" ] || echo "BAD block $j"; done
        n=$((n + 1)); echo "disk $n"
    done
}
net() {
    n=0
    while :; do
        timeout 5 wget -q -O /tmp/file http://10.0.2.2:%d/file 2> /dev/null || continue
        [ "$(md5sum < /tmp/file | cut -c1-32)" = %s ] || echo "BAD file"
        n=$((n + 1)); echo "net $n"
    done
}
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up
chain a & chain b & disk & net &
wait
"""
failures = Failures()
debian = Guest()
image = os.path.join(work, "disk.img")
with open(image, "wb") as f:
    f.truncate(8 << 20)


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        try:
            self.wfile.write(CONTENT)
        except OSError:
            pass  # the guest has gone


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
DEVICES = ["--drive", f"file={image},format=raw,snapshot=on", "--net", "user"]


class Run:
    """A run whose output is read in the background."""

    def __init__(self, command):
        self.output = b""
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for piece in iter(lambda: self.process.stdout.read1(65536), b""):
            self.output += piece

    def wait_for(self, what, limit=90):
        """Whether `what` becomes true of the output."""
        end = time.monotonic() + limit
        while not what(self.output) and time.monotonic() < end and self.process.poll() is None:
            time.sleep(0.02)
        return what(self.output)

    def end(self):
        self.process.kill()
        self.process.wait()
        self.thread.join()
        return self.process.stderr.read().decode()


def counts(output):
    """How far each of the guest's loops has come."""
    far = {}
    for word, number in re.findall(rb"^(a|b|disk|qcow|net) (\d+)(?= |\r?\n)", output, re.M):
        far[word.decode()] = int(number)
    return far


def beyond(start, steps):
    return lambda output: all(counts(output).get(word, 0) >= start.get(word, 0) + n for word, n in steps.items())


def check_lines(what, output, part=False):
    """All whole lines are right. `part`: the output begins anywhere, at last in the second line."""
    lines = output.decode(errors="replace").replace("\r", "").split("\n")[1 if part else 0:-1]
    expected, last = {}, {}
    for line in lines:
        word, *rest = line.split(" ")
        if word in ("a", "b") and len(rest) == 2:
            index = int(rest[0])
            while len(expected.setdefault(word, [word])) <= index:
                expected[word].append(hashlib.md5(f"{expected[word][-1]} {len(expected[word]) - 1}\n".encode()).hexdigest())
            right = expected[word][index] == rest[1]
        else:
            right = word in ("disk", "qcow", "net") and len(rest) == 1
            index = int(rest[0]) if right else 0
        right = right and index == last.get(word, index - 1) + 1
        last[word] = index
        if not failures.check(right, f"{what}: the guest printed '{line}'"):
            return


def save(control, file, *more):
    return subprocess.run([ARCLIGHT, "snapshot", "save", "--control", control, *more, file], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=120)


def refused(what, command, text):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120)
    failures.check(done.returncode in (1, 2) and done.stderr.count("\n") == 1 and text in done.stderr,
                   f"{what}: status {done.returncode}, {done.stderr}{done.stdout[:200]}")


def restore(file, *options):
    return [ARCLIGHT, "snapshot", "restore", file, *options, *guest.OPTIONS]


control, first, second = (os.path.join(work, name) for name in ("control", "first.snap", "second.snap"))
boot = Run(debian.arclight(["sh", "-c", SCRIPT % (server.server_address[1], SUM)],
                           options=DEVICES + ["-m", "256", "--smp", "4", "--control", control]))
if not failures.check(boot.wait_for(beyond({}, {"a": 3, "b": 3, "disk": 3, "net": 2})), f"not under way: {boot.output}"):
    print(boot.end())
    failures.end()

# The guest goes on after it was saved, and does not see it.
done = save(control, first)
failures.check(done.returncode == 0 and done.stdout == "" and done.stderr == "", f"save: {done}")
at = counts(boot.output)
failures.check(boot.wait_for(beyond(at, {"a": 3, "b": 3, "disk": 2, "net": 2})), "the guest does not go on after a save")

# With a module attached, nothing is saved.
lightv = [ARCLIGHT, "lightv"]
subprocess.run([*lightv, "attach", "--control", control, "--name", "hot", "--module", "observe", "--physical", "0x48000000"],
               stdout=subprocess.DEVNULL, check=True)
refused("with LightV", [ARCLIGHT, "snapshot", "save", "--control", control, os.path.join(work, "none")], "'hot' (module 'observe')")
failures.check(not os.path.exists(os.path.join(work, "none")), "a save that was refused has left a file")
subprocess.run([*lightv, "detach", "--control", control, "--name", "hot"], stdout=subprocess.DEVNULL, check=True)

done = save(control, second, "--stop")
failures.check(done.returncode == 0 and done.stderr == "", f"save --stop: {done}")
failures.check(boot.process.wait(60) == 0, f"a run that was saved and stopped ends with {boot.process.returncode}")
boot.thread.join()
stopped = boot.output
check_lines("before", stopped)
failures.check(oct(os.stat(second).st_mode & 0o777) == "0o600", "a snapshot can be read by others")
for file in first, second:
    os.chmod(file, 0o400)
kept = hashlib.md5(open(second, "rb").read()).hexdigest()

# From one file, two at a time, many times; what it had printed and what it prints are one text.
steps = {"a": 3, "b": 3, "disk": 2}
for turn in range(10 if guest.NIGHTLY else 3):
    runs = [Run(restore(second, *DEVICES)) for _ in range(2)]
    for number, one in enumerate(runs):
        wanted = {**steps, "net": 1} if turn == 0 else steps
        ahead = lambda output: beyond(counts(stopped), wanted)(stopped + output)
        good = one.wait_for(ahead)
        said = one.end()
        failures.check(good, f"restored, {turn}.{number}: {counts(stopped)} to {counts(stopped + one.output)}: {said}")
        failures.check(said.count("\n") == 1 and "network connections" in said, f"restored: {said}")
        check_lines(f"restored, {turn}.{number}", stopped + one.output)
failures.check(hashlib.md5(open(second, "rb").read()).hexdigest() == kept, "a snapshot has changed")

# The earlier one, and from it another snapshot.
third, again = os.path.join(work, "third.snap"), os.path.join(work, "again")
one = Run(restore(first, *DEVICES, "--control", again))
at = {}
failures.check(one.wait_for(lambda output: len(counts(output)) == 4), f"restored from the first: {one.output}")
failures.check(save(again, third, "--stop").returncode == 0, "a restored guest cannot be saved")
one.process.wait(60)
one.thread.join()
check_lines("restored from the first", one.output, part=True)
other = Run(restore(third, *DEVICES))
failures.check(other.wait_for(lambda output: beyond(counts(one.output), steps)(one.output + output)), "restored from the third")
other.end()
check_lines("restored from the third", one.output + other.output, part=True)

# What is no snapshot of this machine.
refused("another number of CPUs", restore(second, *DEVICES, "--smp", "2"), "is of a machine with 4 CPUs, this one has 2")
refused("another memory", restore(second, *DEVICES, "-m", "1G"), "of RAM")
refused("no disk", restore(second), "other devices")
refused("a command", [*restore(second, *DEVICES), "--", "true"], "without -- COMMAND")
refused("no file", restore(os.path.join(work, "none")), "No such file")
refused("a program", restore(ARCLIGHT), "is not a snapshot")
with open(second, "rb") as f:
    head = f.read(1 << 20)
damaged = os.path.join(work, "damaged.snap")


def damage(what, text, change):
    os.path.exists(damaged) and os.remove(damaged)
    subprocess.run(["cp", "--sparse=always", second, damaged], check=True)
    os.chmod(damaged, 0o600)
    with open(damaged, "r+b") as f:
        change(f)
    refused(what, restore(damaged, *DEVICES), text)


def flip(at):
    def change(f):
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ 0x10]))
    return change


damage("cut off", "is cut off", lambda f: f.truncate(os.path.getsize(second) - 4096))
damage("a wrong header", "is damaged: its header", flip(33))
damage("a wrong description", "its description", flip(4100))
damage("wrong parts", damaged, flip(4096 + head[4096:].index(b"ARCSTATE") + 2000))

# A guest that went on has changed its disk.
shutil.copyfile(image, image + ".own")
plain = ["--drive", f"file={image}.own,format=raw"]
writer = Run(debian.arclight(["sh", "-c", "echo up; while :; do dd if=/dev/urandom of=/dev/vda bs=4k count=1 conv=notrunc,fsync 2> /dev/null; "
                              "echo wrote; done"], options=plain + ["--control", again]))
failures.check(writer.wait_for(lambda output: b"wrote" in output), "no guest that writes")
failures.check(save(again, third).returncode == 0, "a guest that writes cannot be saved")
at = writer.output.count(b"wrote")
writer.wait_for(lambda output: output.count(b"wrote") > at + 2)

stale = third + ".stale"  # the next save of this name may succeed
shutil.copyfile(third, stale)

# Killed while it writes: the old snapshot stays, and nothing else.
before = sorted(os.listdir(work))
client = subprocess.Popen([ARCLIGHT, "snapshot", "save", "--control", again, third], stderr=subprocess.DEVNULL)
time.sleep(random.Random(5).uniform(0, 0.1))
(client if random.random() < 0.5 else writer.process).kill()
client.wait(60)
writer.end()
refused("a disk that was changed", restore(stale, *plain), "was changed after the snapshot was made")
failures.check(os.path.getsize(third) > 0 and subprocess.run([ARCLIGHT, "snapshot", "info", third], stdout=subprocess.DEVNULL).returncode == 0,
               "a save that was killed has left no whole snapshot")
failures.check(set(os.listdir(work)) <= set(before), f"a save that was killed leaves {sorted(os.listdir(work))}, not {before}")


class Qmp:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + 60
        while True:
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)
        self.file = self.socket.makefile("rw")
        self.file.readline()
        self.ask("qmp_capabilities")

    def ask(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}))
        self.file.flush()
        while True:
            reply = json.loads(self.file.readline())
            if "event" not in reply:
                return reply.get("return", reply)

    def human(self, line):
        return self.ask("human-monitor-command", **{"command-line": line})


def wait(what, limit=90):
    end = time.monotonic() + limit
    while not what() and time.monotonic() < end:
        time.sleep(0.02)
    return what()


def monitor_snapshots():
    """savevm and loadvm: the guest and its disks, raw and qcow2, are as they were, and afterwards many go on from there."""
    own, store, sock = (os.path.join(work, name) for name in ("own.img", "store", "qmp"))
    with open(own, "wb") as f:
        f.truncate(8 << 20)
    qcow = os.path.join(work, "own.qcow2")
    fresh = lambda: subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", qcow, "8M"], check=True)
    fresh()
    loops = SCRIPT[SCRIPT.index("chain()"):SCRIPT.index("net()")].replace("%%", "%")
    second = SCRIPT[SCRIPT.index("block()"):SCRIPT.index("net()")].replace("%%", "%")
    for old, new in (("block", "qblock"), ("disk", "qcow"), ("vda", "vdb"), ("/tmp/", "/tmp/q")):
        second = second.replace(old, new)
    script = loops + second + "chain a & disk & qcow & wait\n"
    disks = lambda more="": ["--drive", f"file={own},format=raw{more}", "--drive", f"file={qcow},format=qcow2{more}"]
    drive = [*disks(), "--snapshots", store]
    run = Run(debian.arclight(["sh", "-c", script], options=[*drive, "-m", "256", "--qmp", f"unix:{sock},server=on,wait=off"]))
    qmp = Qmp(sock)
    steps = {"a": 2, "disk": 2, "qcow": 2}
    failures.check(run.wait_for(beyond({}, {"a": 2, "disk": 10, "qcow": 10})), f"no guest to save: {run.output}")
    failures.check(qmp.human("info snapshots") == "There is no snapshot available.\r\n", "info snapshots")
    failures.check(qmp.human("loadvm one").startswith("Error: Snapshot 'one' does not exist"), "loadvm of none")
    failures.check(qmp.human("savevm ../one").startswith("Error: '../one' is no name"), "a name that leads elsewhere")
    for _ in range(2):  # in place of the older one, too
        qmp.ask("stop")
        said = qmp.human("savevm one")
        failures.check(said == "", f"savevm: {said}")
        time.sleep(0.2)  # what the console has collected
        saved = run.output
        qmp.ask("cont")
        failures.check(run.wait_for(beyond(counts(saved), steps)), "the guest does not go on after savevm")
    failures.check(re.search(r"\r\none +\d+ MiB +20", qmp.human("info snapshots")), qmp.human("info snapshots"))
    failures.check(sorted(os.listdir(store)) == ["one"], f"left behind: {os.listdir(store)}")
    for _ in range(2):
        failures.check(run.wait_for(beyond(counts(saved), steps)), "the guest does not go on after loadvm")
        qmp.ask("stop")
        time.sleep(0.2)
        before = len(run.output)
        said = qmp.human("loadvm one")
        failures.check(said == "", f"loadvm: {said}")
        failures.check(qmp.ask("query-status")["status"] in ("prelaunch", "paused"), "it stands as the one before it did")
        time.sleep(0.2)
        failures.check(len(run.output) == before, "a guest that stands prints")
        qmp.ask("cont")
        failures.check(wait(lambda: beyond(counts(saved), steps)(saved + run.output[before:])), "after loadvm")
        check_lines("after loadvm", saved + run.output[before:])
    qmp.ask("savevm")  # no command of QMP's
    qmp.ask("quit")
    run.process.wait(60)
    run.thread.join()

    # The image is somebody else's meanwhile.
    with open(own, "r+b") as f:
        f.write(random.Random(9).randbytes(1 << 20))
    fresh()
    base = ["--restore", "one", *disks(",snapshot=on"), "--snapshots", store]
    many = [Run([ARCLIGHT, "run", *base, *guest.OPTIONS]) for _ in range(3)]
    for number, one in enumerate(many):
        good = one.wait_for(lambda output: beyond(counts(saved), steps)(saved + output))
        said = one.end()
        failures.check(good and said == "", f"of three from one, {number}: {one.output} {said}")
        check_lines(f"of three from one, {number}", saved + one.output)
    # And it is as it was for the one that writes to it.
    sock2 = os.path.join(work, "qmp2")
    one = Run([ARCLIGHT, "run", "--restore", "one", *drive, "--qmp", f"unix:{sock2},server=on,wait=off", *guest.OPTIONS])
    failures.check(one.wait_for(lambda output: beyond(counts(saved), steps)(saved + output)), f"with its image: {one.output}")
    qmp = Qmp(sock2)
    failures.check(qmp.human("delvm two").startswith("Error: Snapshot 'two' does not exist"), "delvm of none")
    failures.check(qmp.human("delvm one") == "" and os.listdir(store) == [], f"delvm: {os.listdir(store)}")
    said = one.end()
    check_lines("with its image", saved + one.output)
    failures.check(said == "", f"with its image: {said}")


# Letters in turn at both serial ports, from flash.
FIRMWARE = struct.pack("<13I", 0xd2a12000, 0xd2a12083, 0x52800821, 0x39000001, 0x39000061, 0x11000421, 0x71016c3f, 0x54000041, 0x52800821,
                       0xd2a00042, 0xd1000442, 0xb5ffffe2, 0x17fffff7)


def whole_board():
    """A machine with PCI devices, flash and two serial ports goes on, and one that lacks any of them is told so."""
    firmware, variables, snap, ctl = (os.path.join(work, name) for name in ("firmware", "variables", "board.snap", "board.ctl"))
    with open(firmware, "wb") as f:
        f.write(FIRMWARE)
    with open(variables, "wb") as f:
        f.write(b"v" * 4096)
    ports = lambda turn: [os.path.join(work, f"port{turn}.{n}") for n in range(2)]
    flash = ["--flash", f"{firmware},readonly=on", "--flash", variables]
    serial = lambda turn: [w for p in ports(turn) for w in ("--serial", f"file:{p}")]
    pci = ["--virtio", "pci", "--device", "pcie-root-port,bus=pci,id=rp", "--device", "virtio-rng,bus=rp", "--balloon", "--watchdog=none"]
    read = lambda turn: [open(p, "rb").read() if os.path.exists(p) else b"" for p in ports(turn)]
    run = Run([ARCLIGHT, "run", *flash, *serial(0), *pci, "-m", "64", "--control", ctl, *guest.OPTIONS])
    failures.check(wait(lambda: min(map(len, read(0))) > 30), "no letters from flash")
    done = save(ctl, snap, "--stop")
    failures.check(done.returncode == 0 and done.stderr == "", f"save of a whole board: {done}")
    run.process.wait(60)
    for turn in (1, 2):
        one = Run(restore(snap, *flash, *serial(turn), *pci))
        good = wait(lambda: min(map(len, read(turn))) > 60)
        said = one.end()
        failures.check(good and said == "", f"a whole board, restored: {read(turn)} {said}")
        for before, after in zip(read(0), read(turn)):
            text = (before + after).decode()
            failures.check(text == ("ABCDEFGHIJKLMNOPQRSTUVWXYZ" * (len(text) // 26 + 1))[:len(text)], f"not one text: {text}")
    # Which flash it has decides what boots: without any, another machine.
    refused("one serial port", restore(snap, *flash, *serial(3)[:2], *pci), "number of serial ports: 2; this one has: none")
    refused("no flash", restore(snap, *serial(3), *pci), "other flash banks: read-only, writable; this one has: none")
    refused("other flash", restore(snap, "--flash", firmware, *flash[2:], *serial(3), *pci), "other flash banks")
    refused("not behind the port", restore(snap, *flash, *serial(3), *pci[:4], "--device", "virtio-rng,bus=pci", *pci[6:]), "other devices")


def first_instruction():
    """From the program's start to the guest's first instruction: a fraction of a second, whatever RAM there is and is used."""
    # Wall time is the host's business; the least of many is this program's.
    sizes, turns = (((512, 256), (4096, 1024)), 20) if guest.NIGHTLY else (((4096, 64),), 3)
    for memory, used in sizes:
        control, snap, report = (os.path.join(work, f"{memory}.{name}") for name in ("control", "snap", "json"))
        script = f"dd if=/dev/urandom of=/tmp/f bs=1M count={used} 2> /dev/null; while :; do echo tick; sleep 0.1; done"
        run = Run(debian.arclight(["sh", "-c", script], options=["-m", str(memory), "--smp", "4", "--control", control]))
        failures.check(run.wait_for(lambda output: b"tick" in output), f"{memory} MiB: no guest to save")
        failures.check(save(control, snap, "--stop").returncode == 0, f"{memory} MiB: it cannot be saved")
        run.process.wait(60)
        times = []
        for _ in range(turns):
            one = Run(restore(snap, "--stats-json", report))
            good = one.wait_for(lambda output: b"tick" in output)
            one.process.terminate()
            one.process.wait(60)
            one.thread.join()
            if not failures.check(good and os.path.exists(report), f"{memory} MiB: it does not go on"):
                return
            with open(report) as f:
                first = json.load(f)["first_instruction"]
            os.remove(report)
            times.append((first["seconds"] * 1e3, first["cpu_seconds"] * 1e3))
        os.remove(snap)
        wall, cpu = (min(column) for column in zip(*times))
        print(f"first guest instruction after restore, {memory} MiB of RAM, {used} MiB of a file in it: {wall:.1f} ms, {cpu:.1f} ms of CPU time, "
              f"the least of {turns}; wall times {' '.join(f'{t[0]:.0f}' for t in times)}", flush=True)
        failures.check(0 < cpu and wall < (100 if guest.NIGHTLY else 1000), f"{memory} MiB: the first instruction comes after {wall} ms")


first_instruction()
monitor_snapshots()
whole_board()
failures.end()
