#!/usr/bin/env python3
"""Networks between machines: a guest of Arclight's and one of QEMU's on five of them at once (TCP and Unix connections in both roles,
UDP, Unix datagrams, multicast), each fetching a file from the other over each; a guest with a tap interface and its host; passt."""
import hashlib, os, shutil, socket, subprocess, threading, time
import guest
from guest import Failures, Guest, run, skip, work

CONTENT = "".join(f"{i}\n" for i in range(1, 200001)).encode()
SUM = hashlib.md5(CONTENT).hexdigest()
failures = Failures()


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def mac(network, side):
    return f"52:54:00:77:0{network}:0{side}"


# A network's interface is known by its address: drivers may find the adapters in another order.
SCRIPT = r"""
modprobe -q virtio_mmio; modprobe -q virtio_net
mkdir /tmp/www; seq 1 200000 > /tmp/www/file; httpd -p 80 -h /tmp/www
for i in $NETS; do for d in /sys/class/net/*; do
    [ "$(cat $d/address)" != 52:54:00:77:0$i:0$SIDE ] || ifconfig ${d##*/} 10.77.$i.$SIDE netmask 255.255.255.0 up
done; done
fetch() { timeout 10 wget -q -O - http://10.77.$1.$OTHER/$2 2> /dev/null; }
for i in $NETS; do
    n=0; until [ "$(fetch $i file | md5sum)" = "$SUM  -" ] || [ $n -ge 40 ]; do n=$((n + 1)); sleep 0.5; done
    [ $n -lt 40 ] && echo "net$i=good" || echo "net$i=bad"
    ping -c 1 -W 5 -s 1400 10.77.$i.$OTHER > /dev/null; echo "ping$i=$?"
done
echo yes > /tmp/www/done
n=0; until [ "$(fetch 0 done)" = yes ] || [ $n -ge 60 ]; do n=$((n + 1)); sleep 0.5; done
sleep 2
"""


def expect(what, result, words):
    lines = result.text.replace("\r", "").splitlines()
    for word in words:
        failures.check(word in lines, f"{what}: no '{word}'")
    failures.check(result.status == 0, f"{what}: {result}")


def with_qemu(machine):
    """What one side listens at the other connects to; QEMU's names for both."""
    path = {name: os.path.join(work, name) for name in ("stream", "back", "a", "b")}
    port, udp, udp_back, group = free_port(), free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_DGRAM)
    ours = [f"socket,listen=127.0.0.1:{port}",
            f"stream,addr.type=unix,addr.path={path['back']},reconnect=1",
            f"stream,server=on,addr.type=unix,addr.path={path['stream']}",
            f"dgram,local.type=unix,local.path={path['a']},remote.type=unix,remote.path={path['b']}",
            f"socket,udp=127.0.0.1:{udp_back},localaddr=127.0.0.1:{udp}",
            f"socket,mcast=239.192.0.77:{group},localaddr=127.0.0.1"]
    theirs = [f"socket,connect=127.0.0.1:{port}",
              f"stream,server=on,addr.type=unix,addr.path={path['back']}",
              f"stream,server=off,addr.type=unix,addr.path={path['stream']}",
              f"dgram,local.type=unix,local.path={path['b']},remote.type=unix,remote.path={path['a']}",
              f"dgram,local.type=inet,local.host=127.0.0.1,local.port={udp_back},remote.type=inet,remote.host=127.0.0.1,remote.port={udp}",
              f"dgram,remote.type=inet,remote.host=239.192.0.77,remote.port={group},local.type=inet,local.host=127.0.0.1,local.port=0"]
    nets = " ".join(str(i) for i in range(len(ours)))
    words = [f"net{i}=good" for i in range(len(ours))] + [f"ping{i}=0" for i in range(len(ours))]

    def script(side):
        return ["sh", "-c", f'SIDE={side} OTHER={3 - side} SUM={SUM} NETS="{nets}"\n{SCRIPT}']

    options = [w for i, net in enumerate(ours) for w in ("--net", f"{net},mac={mac(i, 1)}")]
    results = {}
    first = threading.Thread(target=lambda: results.update(ours=machine.run(script(1), 250, options=options)))
    first.start()
    end = time.monotonic() + 60
    while not os.path.exists(path["stream"]) and time.monotonic() < end and "ours" not in results:
        time.sleep(0.05)
    if "ours" not in results:
        options = [w for i, net in enumerate(theirs) for w in
                   ("-netdev", f"{net},id=n{i}", "-device", f"virtio-net-device,netdev=n{i},mac={mac(i, 2)}")]
        expect("QEMU's guest", machine.run_qemu(script(2), 250, options=options), words)
    first.join()
    expect("Arclight's guest", results["ours"], words)
    failures.check(not os.path.exists(path["stream"]) and not os.path.exists(path["a"]), "sockets are left behind")
    print(f"with QEMU: {results['ours'].seconds:.1f} s")


TAP = r"""
ifconfig eth0 10.9.0.2 netmask 255.255.255.0 up
n=0; until wget -q -O /tmp/file http://10.9.0.1:8000/content 2> /dev/null || [ $n -ge 40 ]; do n=$((n + 1)); sleep 0.3; done
echo "file=$(md5sum < /tmp/file)"
nc 10.9.0.1 8001 < /tmp/file; ping -c 1 -W 5 10.9.0.1 > /dev/null; echo "ping=$?"
echo "csum=$(awk '/^Tcp: [0-9]/ { print $NF }' /proc/net/snmp)"
"""
TAP_HOST = r"""
ip link set lo up
cd "$1"; shift
python3 -m http.server -b 0.0.0.0 8000 > /dev/null 2>&1 & python=$!
python3 -c 'import hashlib, socket
s = socket.create_server(("0.0.0.0", 8001)); c, _ = s.accept(); print("host=" + hashlib.md5(b"".join(iter(lambda: c.recv(65536), b""))).hexdigest())' &
sink=$!
"$@"; status=$?
kill $python; [ $status != 0 ] || wait $sink; kill $sink 2> /dev/null
exit $status
"""


def tap(machine):
    """In a network namespace of its own, where even a common user may make interfaces."""
    script = os.path.join(work, "up")
    with open(script, "w") as f:
        f.write("#!/bin/sh\nip addr add 10.9.0.1/24 dev $1 && ip link set $1 up\n")
    os.chmod(script, 0o755)
    os.makedirs(os.path.join(work, "tap"))
    with open(os.path.join(work, "tap/content"), "wb") as f:
        f.write(CONTENT * 8)
    total = hashlib.md5(CONTENT * 8).hexdigest()
    prefix = ["unshare", "--user", "--map-root-user", "--net"]
    probe = "import fcntl, os, struct; fcntl.ioctl(os.open('/dev/net/tun', os.O_RDWR), 0x400454ca, struct.pack('16sH22x', b'tap0', 0x1002))"
    if subprocess.run([*prefix, "python3", "-c", probe], stderr=subprocess.DEVNULL).returncode != 0:
        print("tap: no interface can be made here")
        return
    # Where the host has no vhost-net, vhost=on is a line.
    for words in ("vnet_hdr=on,vhost=on", "vnet_hdr=on", "vnet_hdr=off,vhost=on", "vnet_hdr=off") if guest.NIGHTLY else ("vnet_hdr=on,vhost=on",):
        command = machine.arclight(["sh", "-c", TAP], options=["--net", f"tap,ifname=arc0,script={script},{words}"])
        result = run([*prefix, "sh", "-c", TAP_HOST, "sh", os.path.join(work, "tap"), *command], 120)
        expect(f"tap, {words}", result, [f"file={total}  -", f"host={total}", "ping=0", "csum=0"])
        if "vhost=on" in words and not os.path.exists("/dev/vhost-net"):
            line = "arclight: network 'net0': no vhost: /dev/vhost-net: No such file or directory; frames pass through this process"
            failures.check(line in result.error.decode(), f"tap, {words}: no '{line}' in {result.error}")
        print(f"tap, {words}: {result.seconds:.1f} s")


PASST = r"""
printf '#!/bin/sh\n[ "$1" != bound ] || { ifconfig $interface $ip netmask $subnet; route add default gw $router; echo "router=$router"; }\n' > /tmp/lease
chmod +x /tmp/lease; ifconfig eth0 up; udhcpc -f -n -q -t 10 -i eth0 -s /tmp/lease 2> /dev/null > /tmp/said
. /tmp/said; echo "file=$(wget -q -O - http://$router:$PORT/content | md5sum)"
"""


def passt(machine):
    """It leads the gateway's address to the host's loopback; its DHCP gives the host's own address."""
    if not shutil.which("passt"):
        print("passt: not installed")
        return
    if b"default" not in subprocess.run(["ip", "-4", "route"], stdout=subprocess.PIPE).stdout:
        print("passt: the host has no default route, without which it does not start")
        return
    server = socket.create_server(("127.0.0.1", 0))

    def serve():
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % len(CONTENT) + CONTENT)
                connection.recv(4096)  # the guest ends it: passt of 2023 may spin when its host's end does first

    threading.Thread(target=serve, daemon=True).start()
    script = f"PORT={server.getsockname()[1]}\n{PASST}"
    # Started for the guest, and one that is there.
    # It becomes another user before it makes its socket.
    path = os.path.join(work, "public/passt")
    os.chmod(work, 0o711)
    os.mkdir(os.path.dirname(path))
    os.chmod(os.path.dirname(path), 0o777)
    there = subprocess.Popen(["passt", "-f", "-q", "-1", "-s", path], stderr=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while not os.path.exists(path) and time.monotonic() < end:
        time.sleep(0.05)
    for net in "passt", f"stream,addr.type=unix,addr.path={path}":
        result = machine.run(["sh", "-c", script], options=["--net", net])
        expect(net.split(",")[0], result, [f"file={SUM}  -"])
        print(f"passt by {net.split(',')[0]}: {result.seconds:.1f} s")
    there.terminate()


machine = Guest()
tap(machine)
if guest.NIGHTLY:  # of Debian 12 it may spin for good, on the side of its own sockets
    passt(machine)
if not guest.QEMU:
    failures.check(failures.count == 0, "without QEMU")
    skip("no qemu-system-aarch64 to talk with")
with_qemu(machine)
failures.end()
