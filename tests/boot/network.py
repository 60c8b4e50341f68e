#!/usr/bin/env python3
"""The guest's network: ping, TCP in both directions and from both sides, 20 connections at once, UDP, DNS, DHCP, TFTP, IPv6; with one CPU and GICv3, and with
four and GICv2. What a restricted guest reaches. All on the host's loopback."""
import hashlib, http.server, os, random, shutil, socket, struct, subprocess, sys, threading, time
import guest
from guest import Failures, Guest, build_program, run, work
from packages import iperf_files

BIG = random.Random(1).randbytes(1 << 20) * 64
SMALL = BIG[:100_000]
SUMS = {name: hashlib.md5(data).hexdigest() for name, data in (("big", BIG), ("small", SMALL))}
failures = Failures()


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def fetch(port, path, limit=20):
    """An HTTP body through a forwarded port, tried again until the guest listens."""
    end = time.monotonic() + limit
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
                s.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                data = b"".join(iter(lambda: s.recv(65536), b""))
                if data.startswith(b"HTTP/1.") and b" 200 " in data.split(b"\r\n")[0]:
                    return data.partition(b"\r\n\r\n")[2]
        except OSError:
            pass
        if time.monotonic() > end:
            return None
        time.sleep(0.05)


class Host:
    """What the host offers to one guest."""

    def __init__(self):
        self.http_forward, self.udp_forward = free_port(), free_port(socket.SOCK_DGRAM)
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                body = {"/big": BIG, "/small": SMALL, "/forwarded": None}[self.path]
                if body is None:
                    body = host.use_forwards()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    pass  # the guest wanted only a part

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.servers = [self.server]
        try:
            class Six(http.server.ThreadingHTTPServer):
                address_family = socket.AF_INET6

            self.six = Six(("::1", 0), Handler)
            self.servers.append(self.six)
        except OSError:
            self.six = None
        self.port = self.server.server_address[1]
        for server in self.servers:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        self.sink = socket.create_server(("127.0.0.1", 0))
        self.received = None
        self.iperf, self.iperf_port = None, free_port()
        if has_iperf:
            self.iperf = subprocess.Popen(["iperf3", "-s", "-p", str(self.iperf_port)], stdout=subprocess.DEVNULL)
        self.echo = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self.send_back, daemon=True).start()
        threading.Thread(target=self.drain, daemon=True).start()

    def drain(self):
        connection, _ = self.sink.accept()
        md5 = hashlib.md5()
        while data := connection.recv(1 << 20):
            md5.update(data)
        self.received = md5.hexdigest()

    def send_back(self):
        connection, _ = self.echo.accept()
        while data := connection.recv(65536):
            connection.sendall(data[::-1])

    def use_forwards(self):
        """From the host to the guest: its web server by TCP, its echo by UDP."""
        got = fetch(self.http_forward, "/small")
        if got is None or hashlib.md5(got).hexdigest() != SUMS["small"]:
            return f"TCP brought {None if got is None else len(got)} bytes\n".encode()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(1)
            for payload in (b"x", bytes(range(256)) * 4, b"end"):
                for _ in range(10):
                    s.sendto(payload, ("127.0.0.1", self.udp_forward))
                    try:
                        if s.recv(65536) == payload:
                            break
                    except OSError:
                        pass
                else:
                    return f"no UDP echo of {len(payload)} bytes\n".encode()
        return b"both\n"

    def close(self):
        if self.iperf:
            self.iperf.terminate()
            self.iperf.wait()
        for server in self.servers:
            server.shutdown()
        self.sink.close()
        self.echo.close()


SCRIPT = r"""
check() { echo "$1=$2"; }
ping -c 3 -W 5 10.0.2.2 > /dev/null; check ping $?
check big $(wget -q -O - http://10.0.2.2:$HTTP/big | md5sum)
wget -q -O - http://10.0.2.2:$HTTP/big 2> /dev/null | head -c $((SENT << 20)) > /tmp/big; nc 10.0.2.2 $SINK < /tmp/big; check sent $?
rm /tmp/big; mkdir /tmp/www
for i in $(seq 20); do wget -q -O /tmp/part$i http://10.0.2.2:$HTTP/small & done; wait
for i in $(seq 20); do md5sum < /tmp/part$i; done | uniq | { read sum rest; check parallel $sum; read more && check parallel more; }
mv /tmp/part1 /tmp/www/small
httpd -p 80 -h /tmp/www; udp_echo & 
check forwarded $(wget -q -O - http://10.0.2.2:$HTTP/forwarded)
wait
# Of each of the streams, and of their sum, there is a report. Not all have had a turn: the first ones may send the whole amount.
[ -z "$IPERF" ] || for way in "" -R; do
    iperf3 -c 10.0.2.2 -p $IPERF -P 20 -n 4M $way > /tmp/iperf; status=$?
    check iperf$way "$status $(grep -c receiver /tmp/iperf) $(grep -c 'SUM.* [1-9][0-9.]* *[KMG]*Bytes.*receiver' /tmp/iperf)"
done
check queues $(ls -d /sys/class/net/eth0/queues/rx-* | wc -l)
tftp -g -r small -l /tmp/tftp 10.0.2.2; check tftp $(md5sum < /tmp/tftp)
printf '#!/bin/sh\n[ "$1" != bound ] || echo "dhcp=$ip $router $dns $hostname"\n' > /tmp/lease; chmod +x /tmp/lease
udhcpc -f -n -q -t 5 -i eth0 -s /tmp/lease 2> /dev/null
[ -z "$DNS" ] || check dns $(nslookup -type=a host.test | awk '/^Address/ { a = $2 } END { print a }')
if [ -n "$HTTP6" ]; then
    n=0; until ip -6 addr show dev eth0 | grep fec0 | grep -vq tentative || [ $n -ge 100 ]; do n=$((n + 1)); sleep 0.1; done
    ping -6 -c 2 -W 5 fec0::2 > /dev/null; check ping6 $?
    check http6 $(wget -q -O - "http://[fec0::2]:$HTTP6/small" | md5sum)
fi
for i in 1 2 3; do (echo $i; sleep 0.2) | nc 10.0.2.100 80 > /tmp/command$i & done; wait; check command "$(cat /tmp/command? | tr "\n" " ")"
check chardev $( (echo turned; sleep 1) | timeout 4 nc 10.0.2.101 81)
check csum $(awk '/^Tcp: [0-9]/ { print $NF }' /proc/net/snmp)
"""


def resolver(address):
    """A name server that knows host.test. None: that port cannot be had."""
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        s.bind((address, 53))
    except OSError:
        return None

    def serve():
        while True:
            query, client = s.recvfrom(512)
            end = query.index(b"\0", 12) + 5
            kind, = struct.unpack(">H", query[end - 4:end - 2])
            answer = kind == 1 and query[12:23] == b"\x04host\x04test\0"
            reply = query[:2] + struct.pack(">HHHHH", 0x8180, 1, int(answer), 0, 0) + query[12:end]
            if answer:
                reply += b"\xc0\x0c" + struct.pack(">HHIH4B", 1, 1, 60, 4, 192, 0, 2, 7)
            s.sendto(reply, client)

    threading.Thread(target=serve, daemon=True).start()
    return s


def with_name_server(command):
    """The command line in a mount name space whose /etc/resolv.conf names the test's server; None: that cannot be done here."""
    conf = os.path.join(work, "resolv.conf")
    with open(conf, "w") as f:
        f.write("nameserver 127.0.0.77\n")
    prefix = ["unshare", "--mount", "sh", "-c", f'mount --bind {conf} /etc/resolv.conf && exec "$@"', "sh"]
    able = shutil.which("unshare") and subprocess.run(prefix + ["true"], stderr=subprocess.DEVNULL).returncode == 0
    return prefix + command if able else None


def expect(words, host, result, what):
    lines = dict(line.split("=", 1) for line in result.text.replace("\r", "").splitlines() if "=" in line)
    for name, value in words.items():
        failures.check(lines.get(name, "").split()[:len(value.split())] == value.split(), f"{what}: {name}: '{lines.get(name)}', not '{value}'")
    failures.check(result.status == 0, f"{what}: {result}")


def everything(machine, options, name_server, sent, queues=1):
    """`sent`: MiB that the guest sends. With more CPUs than the host's, a guest's locks make that slow."""
    host = Host()
    tftp = os.path.join(work, "tftp")
    os.makedirs(tftp, exist_ok=True)
    with open(os.path.join(tftp, "small"), "wb") as f:
        f.write(SMALL)
    net = (f"user,queues={queues},hostname=visitor,tftp={tftp},hostfwd=tcp:127.0.0.1:{host.http_forward}-:80,"
           f"hostfwd=udp:127.0.0.1:{host.udp_forward}-10.0.2.15:7,guestfwd=tcp:10.0.2.100:80-cmd:sed -u s/$/$/,"
           f"guestfwd=tcp:10.0.2.101:81-tcp:127.0.0.1:{host.echo.getsockname()[1]}")
    values = {"HTTP": host.port, "SINK": host.sink.getsockname()[1], "DNS": "", "SENT": sent,
              "IPERF": host.iperf_port if host.iperf else "",
              "HTTP6": host.six.server_address[1] if host.six else ""}
    words = {"ping": "0", "big": SUMS["big"], "sent": "0", "parallel": SUMS["small"], "forwarded": "both", "tftp": SUMS["small"],
             "dhcp": "10.0.2.15 10.0.2.2 10.0.2.3 visitor", "csum": "0", "command": "1$ 2$ 3$", "chardev": "denrut"}
    words["queues"] = str(queues)
    if host.iperf:
        words |= {"iperf": "0 21 1", "iperf-R": "0 21 1"}
    if host.six:
        words |= {"ping6": "0", "http6": SUMS["small"]}
    named = with_name_server([]) if name_server else None
    if named:
        values["DNS"] = "yes"
        words["dns"] = "192.0.2.7"
    script = "".join(f"{name}={value}\n" for name, value in values.items()) + SCRIPT
    command = machine.arclight(["sh", "-c", script], options=["-m", "512M", "--net", net, *options])
    what = " ".join(options)
    result = run((named or []) + command, 200)
    expect(words, host, result, what)
    failures.check(host.received == hashlib.md5(BIG[:sent << 20]).hexdigest(), f"{what}: the host received {host.received}")
    host.close()
    print(f"{what}: {result.seconds:.1f} s, {'with' if named else 'without'} DNS, {'with' if host.six else 'without'} IPv6")


RESTRICTED = r"""
mkdir /tmp/www; echo inside > /tmp/www/small; httpd -p 80 -h /tmp/www
timeout 3 wget -q -O - http://10.0.2.2:$HTTP/small > /dev/null 2>&1 && echo reached=1 || echo reached=0
ping -c 1 -W 5 10.0.2.2 > /dev/null; echo ping=$?
echo bye | nc -l -p 81
"""


def restricted(machine):
    host = Host()
    leave = free_port()
    net = f"user,restrict=on,ipv6=off,hostfwd=tcp:127.0.0.1:{host.http_forward}-:80,hostfwd=tcp:127.0.0.1:{leave}-:81"
    command = machine.arclight(["sh", "-c", f"HTTP={host.port}\n{RESTRICTED}"], options=["--net", net])
    got = {}

    def use():
        got["small"] = fetch(host.http_forward, "/small", 60)
        end = time.monotonic() + 60
        while got.get("bye") != b"bye\n" and time.monotonic() < end:
            try:
                with socket.create_connection(("127.0.0.1", leave), timeout=5) as s:
                    got["bye"] = s.recv(100)
            except OSError:
                pass
            time.sleep(0.05)

    user = threading.Thread(target=use)
    user.start()
    result = run(command, 120)
    user.join()
    expect({"reached": "0"}, host, result, "restrict=on")
    failures.check(got == {"small": b"inside\n", "bye": b"bye\n"}, f"restrict=on: the host got {got}")
    host.close()
    print(f"restrict=on: {result.seconds:.1f} s")


def taken_port(machine):
    with socket.create_server(("127.0.0.1", 0)) as s:
        port = s.getsockname()[1]
        result = run(machine.arclight(["true"], options=["--net", f"user,hostfwd=tcp:127.0.0.1:{port}-:80"]), 60)
    wanted = f"arclight: --net user: cannot forward TCP port {port} of the host: Address already in use\n"
    failures.check(result.status == 1 and result.error.decode() == wanted, f"a port that is taken: {result}")


files = iperf_files()
has_iperf = bool(files) and shutil.which("iperf3") is not None
machine = Guest(add={build_program("udp_echo"): "/bin/udp_echo"} | files)
name_server = resolver("127.0.0.77")
everything(machine, ["--gic", "3", "--smp", "1"], name_server, 64)
everything(machine, ["--gic", "2", "--smp", "4"], name_server, 8, queues=4)
if not guest.OPTIONS:
    restricted(machine)
    taken_port(machine)
failures.end()
