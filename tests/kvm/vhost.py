#!/usr/bin/env python3
"""A tap device's frames by the host's kernel (/dev/vhost-net), on the rig: a bare-metal guest (vhost_guest.c) and its host ping each other
and ask for names, before and after a reset of the machine among frames, in both worlds; what cannot be is refused, or a line."""
import os, re, sys
import rig

failures = 0


def fail(text):
    global failures
    failures += 1
    print("FAIL:", text)


UP = "#!/bin/busybox sh\nb=/bin/busybox\n$b ip addr add 10.9.0.1/24 dev $1 && $b ip link set $1 up\n"
# What it says stands among what the guest does, in brackets.
HOST = r"""#!/bin/busybox sh
b=/bin/busybox
answered() { $b nslookup -type=a -timeout=100 -retry=1 $1 10.9.0.2 2>&1 | $b grep -c NXDOMAIN; }
until $b ip addr show dev t0 2> /dev/null | $b grep -q 10.9.0.1; do $b sleep 0.1; done
until $b ping -c 1 -W 5 -q 10.9.0.2 > /dev/null; do $b test -e /sys/class/net/t0 || exit; done
say() { echo "[[$1]]"; }
pings() { say "$($b ping -c 20 -A -s 1400 -q 10.9.0.2 | $b grep received)"; }
say "threads: $($b cat /proc/[0-9]*/task/*/comm 2> /dev/null | $b grep -c '^vhost-[0-9]')"
pings
say "answers: $(answered name.x)"
$b ping -A -q 10.9.0.2 > /dev/null & flood=$!
say "answers: $(answered reset.x)"
until $b ping -c 1 -W 5 -q 10.9.0.2 > /dev/null; do $b test -e /sys/class/net/t0 || exit; done
$b kill $flood
pings
say "answers: $(answered more.x)"
answered quit.x > /dev/null
"""
files = [rig.elf("vhost_guest")]
for name, text in (("up", UP), ("host", HOST)):
    path = os.path.join(rig.work, name)
    with open(path, "w") as f:
        f.write(text)
    os.chmod(path, 0o755)
    files.append(path)

BARE = ["--kernel", "/t/vhost_guest.elf", "--gic", "2", "-m", "64", "--virtio", "modern"]
TAP = "tap,ifname=t0,script=/t/up"
BOOT = "features 8023\nthe host answers\npings came, names came, unfinished checksums came, bad ones 0\n"
PEER = ["20 packets transmitted, 20 packets received, 0% packet loss", "answers: 1"]
GOOD = ["threads: 1", *PEER, "answers: 1", *PEER]
THROUGH = ["threads: 0", *GOOD[1:]]
runs = [
    ("process", [*BARE, "--accel", "process", "--sandbox", "require", "--net", TAP + ",vhost=on"], GOOD, None, 0),
    ("kvm", [*BARE, "--accel", "kvm", "--sandbox", "require", "--net", TAP + ",vhostforce=on"], GOOD, None, 0),
    # The same without, which shows what the thread is a sign of.
    ("off", [*BARE, "--accel", "process", "--net", TAP + ",vhost=off"], THROUGH, None, 0),
    ("LightV", [*BARE, "--accel", "process", "--control", "/tmp/c", "--net", TAP + ",vhost=on"], THROUGH,
     "network 'net0': no vhost: the host's kernel does not see what LightV puts behind pages; frames pass through this process", 0),
    ("LightV, forced", [*BARE, "--accel", "process", "--control", "/tmp/c", "--net", TAP + ",vhostforce=on"], [],
     "network 'net0': vhost: the host's kernel does not see what LightV puts behind pages", 1),
]
image = os.path.join(rig.work, "disk")
with open(image, "wb") as f:
    f.truncate(1 << 20)
results = rig.run_each([words for _, words, _, _, _ in runs], files, limit=560, before="{ /t/host & }; /bin/busybox rm -f /tmp/c", disk=image)
for (name, words, lines, said, status), result in zip(runs, results):
    print(f"{name}: status {result.status}")
    if result.status != status or (said and said not in result.output):
        fail(f"{name}: status {result.status}: {result.output[-3000:]}")
    bracketed = r"\[\[(.*)\]\]\n"
    host, guest = re.findall(bracketed, result.output), re.sub(bracketed, "", result.output)
    if host != lines or (lines and BOOT * 2 + "done" not in guest):
        fail(f"{name}: {host} and {result.output[-3000:]}")
    if not said and "arclight:" in guest:
        fail(f"{name}: {result.output[-3000:]}")
print("ok" if failures == 0 else "failed")
sys.exit(failures != 0)
