#!/usr/bin/env python3
"""Devices that other processes carry out: a directory by virtiofsd and a disk by qemu-storage-daemon, behind virtio-mmio in plain words and behind PCI
in QEMU's; a daemon that dies; a pause. Sockets between host and guest in both directions."""
import hashlib, json, os, random, re, shutil, signal, socket, subprocess, threading, time
import guest
from guest import Failures, Guest, build_program, run, skip, work

failures = Failures()
VIRTIOFSD = next((p for p in ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd") if os.access(p, os.X_OK)), None)
STORAGE = shutil.which("qemu-storage-daemon")
if os.geteuid() != 0 or VIRTIOFSD is None or STORAGE is None:
    skip("no virtiofsd and qemu-storage-daemon, or not root, as whom virtiofsd starts")
NOISE = random.Random(3)
shared, image = os.path.join(work, "shared"), os.path.join(work, "image")
daemons = []


def make_tree(where):
    for i in range(60):
        directory = os.path.join(where, "in", f"d{i % 5}")
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, f"file {i}"), "wb") as f:
            f.write(NOISE.randbytes(NOISE.choice([0, 1, 4096, 70000, 300000])))


def sums(where):
    found = {}
    for directory, _, files in os.walk(where):
        for name in files:
            with open(os.path.join(directory, name), "rb") as f:
                found[os.path.relpath(os.path.join(directory, name), where)] = hashlib.md5(f.read()).hexdigest()
    return found


def wait_for(path, process):
    end = time.monotonic() + 60
    while not os.path.exists(path):
        if process.poll() is not None or time.monotonic() > end:
            skip(f"{process.args[0]} does not start")
        time.sleep(0.02)


def daemon(path, *command):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    daemons.append(process)
    wait_for(path, process)
    return process


def storage_daemon(path):
    return daemon(path, STORAGE, "--blockdev", f"driver=file,node-name=disk,filename={image}", "--export",
                  f"type=vhost-user-blk,id=e,node-name=disk,writable=on,addr.type=unix,addr.path={path}")


class Listener:
    """A program of the host's at a Unix socket: sends everything back, turned round, when the guest has sent all."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(16)
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            client, _ = self.socket.accept()
            threading.Thread(target=self.answer, args=(client,), daemon=True).start()

    @staticmethod
    def answer(client):
        data = b"".join(iter(lambda: client.recv(1 << 16), b""))
        client.sendall(data[::-1])
        client.close()


def call_guest(path, port, data, got):
    """As Firecracker's clients do; tried again until the guest listens."""
    end = time.monotonic() + 100
    while time.monotonic() < end:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(60)
            try:
                s.connect(path)
                s.sendall(f"CONNECT {port}\n".encode())
                line = b""
                while not line.endswith(b"\n"):
                    byte = s.recv(1)
                    if not byte:
                        raise OSError("closed")
                    line += byte
                if not re.fullmatch(rb"OK \d+\n", line):
                    got.append(line)
                    return
                sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
                sender.start()
                got.append(b"".join(iter(lambda: s.recv(1 << 16), b"")))
                sender.join()
                return
            except OSError:
                time.sleep(0.1)
    got.append(b"nobody listened")


SCRIPT = r"""
check() { echo "$1=$2"; }
cd $SHARE && cp -a in out && (cd out && find . -type f -exec md5sum {} + | sort | md5sum) | { read s x; check tree $s; }
(cd in && find . -type f -exec md5sum {} + | sort | md5sum) | { read s x; check source $s; }
echo text > made; mv made renamed; ln -s renamed link; check link "$(cat link)"; cd /
dd if=$DISK bs=64k 2> /dev/null | md5sum | { read s x; check disk $s; }
dd if=/dev/zero of=$DISK bs=64k count=4 seek=2 conv=fsync 2> /dev/null; check written $?
"""
SOCKETS = r"""
vsock echo 1000 5 > /tmp/listening & echo=$!
until [ -s /tmp/listening ]; do sleep 0.05; done
dd if=/dev/urandom of=/tmp/data bs=64k count=64 2> /dev/null
vsock call 77 < /tmp/data > /tmp/back; check call $?
check length "$(wc -c < /tmp/back)"; vsock call 77 < /tmp/back | cmp - /tmp/data; check turned $?
vsock call 78 < /dev/null 2> /tmp/error; check refused "$? $(cat /tmp/error)"
wait $echo; check echo $?
"""


def expect(words, result, what):
    lines = dict(line.split("=", 1) for line in result.text.replace("\r", "").splitlines() if "=" in line)
    for name, value in words.items():
        failures.check(lines.get(name) == value, f"{what}: {name}: '{lines.get(name)}', not '{value}'")
    failures.check(lines.get("tree") == lines.get("source") != None, f"{what}: the copy is another one: {lines}")
    failures.check(result.status == 0, f"{what}: {result}")


def check_host(result, what):
    got = sums(os.path.join(shared, "out"))
    failures.check(got == sums(os.path.join(shared, "in")) and got, f"{what}: the host sees another copy: {result}")
    failures.check(os.path.exists(os.path.join(shared, "renamed")), f"{what}: no file of the guest's")
    with open(image, "rb") as f:
        now = f.read()
    failures.check(now == content[:2 << 16] + bytes(4 << 16) + content[6 << 16:], f"{what}: the disk has other content")


def renew():
    shutil.rmtree(shared, ignore_errors=True)
    os.makedirs(shared)
    make_tree(shared)
    with open(image, "wb") as f:
        f.write(content)


content = NOISE.randbytes(4 << 20)
disk_sum = hashlib.md5(content).hexdigest()
machine = Guest("cloud", add={build_program("vsock"): "/bin/vsock"})
has_vsock = os.path.isdir(os.path.join(machine.kernel_directory, "modules/kernel/net/vmw_vsock"))

# ---- Plain words, virtio-mmio, and sockets
renew()
blk, vsock = os.path.join(work, "blk"), os.path.join(work, "v")
storage_daemon(blk)
Listener(vsock + "_77")
options = ["--share", f"{shared}:/mnt/s,protocol=virtiofs", "--device", f"vhost-user-blk,socket={blk}",
           "--device", f"virtio-vsock,path={vsock}"]
piece, answers = NOISE.randbytes(1 << 20), []
callers = [threading.Thread(target=call_guest, args=(vsock, 1000, piece, answers)) for _ in range(5)] if has_vsock else []
for caller in callers:
    caller.start()
# The second machine of the run has the same daemons.
again = "[ -e /mnt/s/again ] || { touch /mnt/s/again; dd if=/dev/vda of=/dev/null bs=64k count=1 2> /dev/null; reboot -f; sleep 100; }\n"
command = machine.arclight(["sh", "-c", again + "SHARE=/mnt/s DISK=/dev/vda\n" + SCRIPT + (SOCKETS if has_vsock else "")],
                           options=options)
command.remove("--no-reboot")
result = run(command, 200)
failures.check(os.path.exists(os.path.join(shared, "again")), "the guest has not begun again")
for caller in callers:
    caller.join()
words = {"link": "text", "disk": disk_sum, "written": "0"}
if has_vsock:
    words |= {"call": "0", "length": str(4 << 20), "turned": "0", "echo": "0", "refused": "1 connect: Connection reset by peer"}
expect(words, result, "virtio-mmio")
failures.check(all(a == piece for a in answers), f"the guest sends back {[len(a) for a in answers]} bytes of {len(piece)}")
check_host(result, "virtio-mmio")
failures.check(not os.path.exists(vsock), "the socket is left")
print(f"virtio-mmio: {result.seconds:.1f} s, {'with' if has_vsock else 'without'} sockets")

# ---- QEMU's words, PCI; a pause, and a daemon that dies
renew()
os.unlink(blk) if os.path.exists(blk) else None
disk = storage_daemon(blk)
fs, qmp = os.path.join(work, "fs"), os.path.join(work, "qmp")
daemon(fs, VIRTIOFSD, f"--socket-path={fs}", "-o", f"source={shared}")
program = os.path.join(work, "arclight-qemu")
os.symlink(guest.ARCLIGHT, program)
script = ("modprobe virtio_pci; modprobe virtio_blk; modprobe virtiofs; mkdir /mnt/s; mount -t virtiofs home /mnt/s\nSHARE=/mnt/s DISK=/dev/vda\n"
          + SCRIPT + "touch $SHARE/ready; until [ -e $SHARE/killed ]; do sleep 0.1; done; dd if=$DISK of=/dev/null bs=64k iflag=direct 2> /dev/null & sleep 1\n"
          "ls $SHARE/in > /dev/null; check alive $?\n")
command = [program, *(["-accel", "kvm"] if "kvm" in guest.OPTIONS else []), "-M", "virt,gic-version=3", "-cpu", "max", "-m", "512M", "-object",
           "memory-backend-memfd,id=mem,size=512M,share=on", "-numa", "node,memdev=mem", "-nodefaults", "-display", "none",
           "-serial", "stdio", "-no-reboot", "-kernel", machine.kernel, "-initrd", machine.initramfs(["sh", "-c", script]), "-append",
           "console=ttyAMA0 panic=-1 quiet loglevel=0", "-chardev", f"socket,id=f,path={fs}", "-device",
           "vhost-user-fs-pci,chardev=f,tag=home", "-chardev", f"socket,id=b,path={blk}", "-device", "vhost-user-blk-pci,chardev=b",
           "-qmp", f"unix:{qmp},server=on,wait=off"]
state = {}


def disturb():
    """Pauses the machine a while, asks for what cannot be, and kills the disk's daemon when the guest is done with it."""
    end = time.monotonic() + 100
    while not os.path.exists(qmp) and time.monotonic() < end:
        time.sleep(0.05)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(qmp)
        stream = s.makefile("rw")

        def ask(name, **arguments):
            stream.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
            stream.flush()
            while True:
                answer = json.loads(stream.readline())
                if "return" in answer or "error" in answer:
                    return answer

        stream.readline()
        ask("qmp_capabilities")
        while not os.path.exists(os.path.join(shared, "out")) and time.monotonic() < end:
            time.sleep(0.02)
        ask("stop")
        time.sleep(0.3)
        state["paused"] = ask("query-status").get("return", {}).get("status")
        ask("cont")
        while not os.path.exists(os.path.join(shared, "ready")) and time.monotonic() < end:
            time.sleep(0.05)
        disk.send_signal(signal.SIGKILL)
        disk.wait()
        open(os.path.join(shared, "killed"), "w").close()
        state["killed"] = True


disturber = threading.Thread(target=disturb, daemon=True)
disturber.start()
result = run(command, 200)
disturber.join(10)
report = re.search(r"guest-exit-status: (\d+)", result.text)
result.status = int(report[1]) if report else result.status
expect({"link": "text", "disk": disk_sum, "written": "0", "alive": "0"}, result, "PCI")
check_host(result, "PCI")
failures.check(state.get("paused") == "paused" and state.get("killed"), f"what was done to the run: {state}")
said = result.error.decode(errors="replace")
failures.check(said.count("its daemon has ended; the device works no more") == 1, f"a daemon that dies: {said}")
print(f"PCI: {result.seconds:.1f} s")

# ---- What is wrong is said
nowhere = os.path.join(work, "nowhere")
for options, text in (
        (["--device", f"vhost-user-blk,socket={nowhere}"], f"vhost-user-blk '{nowhere}': cannot connect: No such file or directory"),
        (["--device", f"vhost-user-fs,tag=t,directory={nowhere}"], f"vhost-user-fs '{nowhere}': No such file or directory"),
        (["--device", f"vhost-user-rng,socket={nowhere}", "--mmu", "tsp"],
         f"vhost-user-rng '{nowhere}': --mmu tsp cannot see what its daemon writes")):
    wrong = machine.run(["true"], options=options, limit=60)
    failures.check(wrong.status == 1 and wrong.error.decode() == f"arclight: {text}\n", f"{options}: {wrong}")

for process in daemons:
    process.kill()
    process.wait()
failures.end()
