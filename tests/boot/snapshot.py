#!/usr/bin/env python3
"""A guest that computes on four CPUs, writes to a disk and loads from the network is saved and goes on from the file, many times:
what it prints continues where it stopped. Files that are damaged or of another machine are refused in one line."""
import hashlib, http.server, os, random, re, shutil, subprocess, threading, time
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
    for word, number in re.findall(rb"^(a|b|disk|net) (\d+)(?= |\r?\n)", output, re.M):
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
            right = word in ("disk", "net") and len(rest) == 1
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
failures.end()
