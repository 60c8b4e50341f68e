#!/usr/bin/env python3
"""Linux and busybox on a machine that is saved, in memory, and goes on as another one, again and again.

The same script runs in `arclight run` and in moving_machine (tests/guestos/machine), which moves its guest every 60 ms: in the
kernel's boot and between and within busybox's commands, with one CPU and with four. Both must print the same.
"""
import hashlib
import http.server
import os
import re
import subprocess
import sys
import threading

SCRIPT = r"""
i=0; while [ $i -lt 60 ]; do echo $i | md5sum; i=$((i + 1)); done | md5sum
seq 1 20000 | awk '{ n += $1 * 1.5 } END { printf "%.6f\n", n }'
seq 1 5000 | sort -r | sha256sum
(seq 1 3000 | gzip -c | gunzip -c | md5sum) & (seq 1 3000 | bzip2 -c | bunzip2 -c | md5sum); wait
head -c 300000 /bin/busybox | xxd | sha512sum
"""


# Connections end with each move, and are made again.
NETWORK = r"""
ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up; route add default gw 10.0.2.2 2> /dev/null
n=0; while [ $n -lt 15 ]; do ping -c 1 -W 1 10.0.2.2 > /dev/null && n=$((n + 1)); sleep 0.1; done; echo pinged
until timeout 5 wget -q -O /tmp/file http://10.0.2.2:%d/file 2> /dev/null && [ $(wc -c < /tmp/file) = %d ]; do :; done; md5sum < /tmp/file
"""


def run(program, kernel, initrd, cpus, script=SCRIPT, options=(), stay=60):
    command = [program, "run", "--kernel", kernel, "--initrd", initrd, "--append",
               "console=ttyAMA0 quiet loglevel=0 panic=-1", "-m", "256", "--smp", str(cpus), "--accel", "process",
               "--no-reboot", *options, "--", "sh", "-c", script]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "MOVING_STAY_MS": str(stay)}, timeout=300)
    # Without an exit-status page the guest's /init prints the status.
    lines = [line for line in done.stdout.replace("\r", "").split("\n") if line and "guest-exit-status" not in line]
    return done.returncode, lines, done.stderr


def main():
    cache = os.environ.get("ARCLIGHT_CACHE") or os.path.expanduser("~/.cache/arclight")
    kernel, initrd = f"{cache}/kernel-cloud/vmlinuz", f"{cache}/guest-cloud.cpio"
    if not os.path.exists(kernel) or not os.path.exists(initrd):
        print("skipped: no guest in the cache (./run --setup)")
        return 77
    for cpus in (1, 4):
        status, expected, _ = run(os.environ["ARCLIGHT"], kernel, initrd, cpus)
        if status != 0 or len(expected) < 6:
            print(f"arclight, {cpus} CPUs: status {status}, {expected}")
            return 1
        status, printed, said = run(os.environ["MOVING_MACHINE"], kernel, initrd, cpus)
        moves = re.search(r"moved (\d+) times", said)
        # Two pipelines of one line run side by side, in either order.
        if status != 0 or sorted(printed) != sorted(expected) or not moves or int(moves.group(1)) < 5:
            print(f"moving machine, {cpus} CPUs: status {status}, {printed}, not {expected}: {said}")
            return 1
        print(f"{cpus} CPUs: moved {moves.group(1)} times, the same output")
    return network(kernel, initrd)


def network(kernel, initrd):
    """A guest at work with the network is moved, and goes on with it."""
    content = os.urandom(1 << 20) * 16

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            try:
                self.wfile.write(content)
            except OSError:
                pass  # moved

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    script = NETWORK % (server.server_address[1], len(content))
    buses = [("a network on PCI, GICv3 and ITS", ["--virtio", "pci"])]
    if os.environ.get("ARCLIGHT_NIGHTLY"):
        buses += [("a network", []), ("a network on PCI, GICv2", ["--virtio", "pci", "--gic", "2"])]
    for what, options in buses:
        status, printed, said = run(os.environ["MOVING_MACHINE"], kernel, initrd, 2, script, ["--net", "user", *options], 400)
        moves = re.search(r"moved (\d+) times", said)
        if status != 0 or printed != ["pinged", hashlib.md5(content).hexdigest() + "  -"] or not moves or int(moves.group(1)) < 3:
            print(f"moving machine, with {what}: status {status}, {printed}: {said}")
            return 1
        print(f"with {what}: moved {moves.group(1)} times")
    server.shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
