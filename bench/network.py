#!/usr/bin/env python3
"""User networking (libslirp) under Arclight and under QEMU in turn: the same guest, the same transfers with servers on the host's
loopback. Prints a table of throughput, of CPU seconds of the emulator's process per GiB, and of both as ratios, the medians over the
rounds; a round has both. Arguments: --rounds N, --seconds N (of each iperf3 transfer), --http MIB, --smp N, --bus pci|mmio, --only ROW,...,
--verbose, --options '...' (of arclight run)."""
import argparse, hashlib, json, os, re, shutil, socket, statistics, subprocess, sys, threading, time

here = os.path.dirname(os.path.abspath(__file__))
source = os.path.dirname(here)
os.environ.setdefault("ARCLIGHT", os.path.join(source, "build/release/arclight"))
os.environ.setdefault("ARCLIGHT_SOURCE", source)
sys.path.insert(0, os.path.join(source, "tests/boot"))
import guest
from packages import iperf_files

parser = argparse.ArgumentParser()
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--seconds", type=int, default=5)
parser.add_argument("--http", type=int, default=1024)
parser.add_argument("--smp", type=int, default=1)
parser.add_argument("--bus", choices=("pci", "mmio"), default="pci")
parser.add_argument("--only", default="")
parser.add_argument("--options", default="")
parser.add_argument("--verbose", action="store_true")
args = parser.parse_args()

NAME_SERVER = "127.0.0.77"
# Of each row: what the guest does. iperf3's transfers of more than one stream end in a line for the sum.
IPERF = "iperf3 -f k -p $PORT -t $SECONDS"
ROWS = {
    "TCP out": f"{IPERF} -c 10.0.2.2",
    "TCP in": f"{IPERF} -c 10.0.2.2 -R",
    "TCP out, 20 connections": f"{IPERF} -c 10.0.2.2 -P 20",
    "TCP in, 20 connections": f"{IPERF} -c 10.0.2.2 -P 20 -R",
    "TCP out, IPv6": f"{IPERF} -6 -c fec0::2",
    "TCP in, IPv6": f"{IPERF} -6 -c fec0::2 -R",
    "UDP out": f"{IPERF} -c 10.0.2.2 -u -b 0 -l 1400",
    "UDP in": f"{IPERF} -c 10.0.2.2 -u -b 0 -l 1400 -R",
    "HTTP in, MD5": "wget -q -O - http://10.0.2.2:$HTTP/ | md5sum",
    "round trip, TCP": "round_trip tcp 10.0.2.2 $ECHO 5000",
    "round trip, UDP": "round_trip udp 10.0.2.2 $ECHO 5000",
    "round trip, DNS": "round_trip dns 10.0.2.3 53 2000",
    "ping": "ping -q -A -c 2000 10.0.2.2",
}
chosen = {name: command for name, command in ROWS.items() if not args.only or any(w in name for w in args.only.split(","))}
SETUP = """
export LD_LIBRARY_PATH=/lib/aarch64-linux-gnu PATH=/bin:/sbin
modprobe -q virtio_pci; modprobe -q virtio_net
ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0 2> /dev/null; ip route add default via 10.0.2.2 2> /dev/null
n=0; until ip -6 addr show dev eth0 | grep fec0 | grep -vq tentative || [ $n -ge 100 ]; do n=$((n + 1)); sleep 0.1; done
"""


def echo_servers():
    """Sends back what comes, by TCP and UDP at one port."""
    while True:
        tcp = socket.create_server(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            udp.bind(("127.0.0.1", port))
            break
        except OSError:
            pass

    def serve_tcp():
        while True:
            connection, _ = tcp.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while data := connection.recv(4096):
                connection.sendall(data)
            connection.close()

    def serve_udp():
        while True:
            data, client = udp.recvfrom(4096)
            udp.sendto(data, client)

    for serve in serve_tcp, serve_udp:
        threading.Thread(target=serve, daemon=True).start()
    return port


def name_server():
    """None: port 53 cannot be had."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.bind((NAME_SERVER, 53))
    except OSError:
        return None

    def serve():
        while True:
            query, client = s.recvfrom(512)
            s.sendto(query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:] + b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\xc0\0\2\7", client)

    threading.Thread(target=serve, daemon=True).start()
    return s


def http_server(path):
    """One file for all requests, from the page cache to the socket without a copy: it must not be what is measured."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            connection, _ = listener.accept()
            with connection, open(path, "rb") as f:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % os.path.getsize(path))
                try:
                    connection.sendfile(f)
                except OSError:
                    pass

    threading.Thread(target=serve, daemon=True).start()
    return listener.getsockname()[1]


def cpu_seconds(pid):
    """Of a process, from the kernel's nanosecond clock of it."""
    return time.clock_gettime(~pid << 3 | 2)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Row:
    def __init__(self):
        self.text, self.seconds, self.cpu = "", 0.0, 0.0


def measure(command):
    """Rows by name, from the lines of a guest that says when each begins and ends."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               errors="replace")
    timer = threading.Timer(600 + 40 * args.seconds * len(chosen), process.kill)
    timer.start()
    # The namespace's shell has become the emulator: the same process.
    rows, current, everything = {}, None, []
    for line in process.stdout:
        line = line.strip()
        everything.append(line)
        if args.verbose:
            print("   ", line, flush=True)
        if line.startswith("begin: "):
            current = rows[line[7:]] = Row()
            current.seconds, current.cpu = -time.monotonic(), -cpu_seconds(process.pid)
        elif line.startswith("end: ") and current:
            current.seconds += time.monotonic()
            current.cpu += cpu_seconds(process.pid)
            current = None
        elif current:
            current.text += line + "\n"
    process.wait()
    timer.cancel()
    if len(rows) != len(chosen):
        sys.exit("\n".join(everything[-40:]) + process.stderr.read() + "\nthe guest did not get to the end")
    return rows


def figures(name, row):
    """MiB a second and CPU seconds a GiB, or microseconds and CPU microseconds an exchange; None: it failed."""
    if name.startswith("round trip"):
        found = re.search(r"^([\d.]+)$", row.text, re.M)
        count = 2000 if "DNS" in name else 5000
        return found and (float(found[1]), row.cpu / count * 1e6)
    if name == "ping":
        found = re.search(r"min/avg/max = [\d.]+/([\d.]+)/", row.text)
        return found and (float(found[1]) * 1000, row.cpu / 2000 * 1e6)
    if name.startswith("HTTP"):
        if checksum not in row.text:
            return None
        return args.http / row.seconds, row.cpu / (args.http / 1024)
    lines = [line for line in row.text.splitlines() if line.endswith("receiver")]
    lines = [line for line in lines if line.startswith("[SUM]")] or lines
    found = lines and re.search(r"([\d.]+)-\s*([\d.]+)\s+sec.*?([\d.]+) Kbits/sec", lines[-1])
    if not found or float(found[3]) == 0:
        return None
    bytes_a_second = float(found[3]) * 125
    return bytes_a_second / 2**20, row.cpu / (bytes_a_second * (float(found[2]) - float(found[1])) / 2**30)


files = iperf_files()
if not files:
    guest.skip("the packages are not in the cache and cannot be fetched")
add = {guest.build_program("round_trip"): "/bin/round_trip"} | files
machine = guest.Guest("generic", add=add, modules=("virtio_net", "virtio_pci"))

content = os.path.join(guest.work, "content")
block, digest = os.urandom(1 << 20), hashlib.md5()
with open(content, "wb") as f:
    for _ in range(args.http):
        f.write(block)
        digest.update(block)
checksum = digest.hexdigest()
iperf = subprocess.Popen(["iperf3", "-s", "-p", str(port := free_port())], stdout=subprocess.DEVNULL)
values = {"PORT": port, "SECONDS": args.seconds, "HTTP": http_server(content), "ECHO": echo_servers()}
prefix = []
if name_server() is not None:
    conf = os.path.join(guest.work, "resolv.conf")
    with open(conf, "w") as f:
        f.write(f"nameserver {NAME_SERVER}\n")
    prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {conf} /etc/resolv.conf && exec "$@"', "sh"]
if not prefix or subprocess.run(prefix + ["true"], stderr=subprocess.DEVNULL).returncode != 0:
    prefix = []
    chosen.pop("round trip, DNS", None)

script = "".join(f"{name}={value}\n" for name, value in values.items()) + SETUP
for name, command in chosen.items():
    script += f'echo "begin: {name}"\n{command} 2>&1\necho "end: {name}"\nsleep 0.3\n'
shell = ["sh", "-c", script]
memory = ["-m", "1G"]
ours = machine.arclight(shell, options=[*memory, "--smp", str(args.smp), "--gic", "3", "--virtio", "pci" if args.bus == "pci" else "modern",
                                        "--net", "user", *args.options.split()])
board = f"virt,gic-version=3,dtb-randomness=off"
theirs = [guest.QEMU, "-M", board, "-cpu", guest.QEMU_CPU, "-accel", f"tcg,thread={'multi' if args.smp > 1 else 'single'}",
          *memory, "-smp", str(args.smp), "-nodefaults", "-display", "none", "-chardev", "stdio,id=c,signal=off", "-serial", "chardev:c",
          "-no-reboot", "-kernel", machine.kernel, "-initrd", machine.initramfs(shell), "-append",
          "console=ttyAMA0 panic=-1 quiet loglevel=0", "-netdev", "user,id=n", "-device",
          "virtio-net-pci,netdev=n,romfile=" if args.bus == "pci" else "virtio-net-device,netdev=n",
          *(["-global", "virtio-mmio.force-legacy=off"] if args.bus == "mmio" else [])]
collected = {name: [] for name in chosen}
try:
    for number in range(args.rounds):
        rows = [measure(prefix + command) for command in (ours, theirs)]
        for name in chosen:
            both = [figures(name, one[name]) for one in rows]
            if None in both:
                sys.exit(f"{name}: no figure from {'QEMU' if both[0] else 'Arclight'}:\n{rows[0 if both[0] is None else 1][name].text}")
            collected[name].append(both)
            if args.verbose:
                print(number, name, both, flush=True)
finally:
    iperf.terminate()

print(f"user networking over {args.bus}, {args.smp} virtual CPU(s); {args.seconds} s a transfer, HTTP {args.http} MiB; medians of {args.rounds} "
      "rounds, ratios of the same round\n")
print("| | Arclight | QEMU | times faster | CPU, Arclight | CPU, QEMU | times less |\n|---|---|---|---|---|---|---|")
for name, rounds in collected.items():
    exchange = name.startswith("round") or name == "ping"
    ratio = statistics.median(b[0] / a[0] if exchange else a[0] / b[0] for a, b in rounds)
    saved = statistics.median(b[1] / a[1] for a, b in rounds)
    cells = [statistics.median(r[i][j] for r in rounds) for j in (0, 1) for i in (0, 1)]
    if exchange:
        words = [f"{cells[0]:.0f} µs", f"{cells[1]:.0f} µs", f"{ratio:.1f}", f"{cells[2]:.0f} µs", f"{cells[3]:.0f} µs"]
    else:
        words = [f"{cells[0]:.0f} MiB/s", f"{cells[1]:.0f} MiB/s", f"{ratio:.1f}", f"{cells[2]:.1f} s/GiB", f"{cells[3]:.1f} s/GiB"]
    print(f"| {name} | {' | '.join(words)} | {saved:.1f} |")
