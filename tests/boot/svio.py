#!/usr/bin/env python3
"""Self-virtualized I/O: machines, in the long form one of QEMU's, that talk through one 'arclight serve'; an interface made while they
run; a greedy machine beside a light one; parts of a disk; a network of the host's (tap); the servers' jail; what is refused."""
import hashlib, json, os, shutil, subprocess, tempfile, threading, time
import guest
from guest import ARCLIGHT, Failures, Guest, build_program, run, work

failures = Failures()
servers = []


def path(name):
    return os.path.join(work, name)


def serve(control, *words, prefix=()):
    """Returns once the control socket is there."""
    process = subprocess.Popen([*prefix, ARCLIGHT, "serve", *words, "--control", path(control)], stderr=subprocess.PIPE, text=True)
    servers.append(process)
    end = time.monotonic() + 60
    while not os.path.exists(path(control)) and process.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    return process


def interface(what, control, *words):
    return subprocess.run([ARCLIGHT, "interface", what, "--control", path(control), *words], capture_output=True, text=True)


def counts(control):
    return {one["name"]: one for one in json.loads(interface("list", control).stdout)["interfaces"]}


def until(control, holds, seconds=150):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if holds(counts(control)):
            return True
        time.sleep(0.1)
    return False


def nic(name, last):
    return ["--device", f"vhost-user-net,socket={path(name)},mac=52:54:00:66:00:{last:02x}"]


def mac(last):
    return f"52:54:00:66:00:{last:02x}"


CONTENT = "".join(f"{i}\n" for i in range(1, 100001)).encode()
SUM = hashlib.md5(CONTENT).hexdigest()
# Interfaces are known by their addresses: drivers may find the adapters in another order.
SETUP = r"""
modprobe -q virtio_mmio; modprobe -q virtio_net; modprobe -q virtio_blk
find_nic() { for d in /sys/class/net/*; do [ "$(cat $d/address)" != 52:54:00:66:00:$1 ] || echo ${d##*/}; done; }
ifconfig $(find_nic $OWN) 10.66.0.$SIDE netmask 255.255.255.0 up
get() { timeout 2 wget -q -O - http://10.66.0.$1/$2 2> /dev/null; }
fetch() { n=0; until [ "$(timeout 20 wget -q -O - http://10.66.0.$1/file 2> /dev/null | md5sum)" = "$SUM  -" ] || [ $n -ge 60 ]; do n=$((n + 1)); sleep 0.5; done; [ $n -lt 60 ] && echo "from$1=good" || echo "from$1=bad"; }
mkdir /tmp/www; seq 1 100000 > /tmp/www/file; httpd -p 80 -h /tmp/www
"""
# The first machine serves, and is greedy at another server until the others have gone.
FIRST = SETUP + r"""
greedy=$(find_nic 11); ifconfig $greedy up
svio flood $greedy 0 1000 < /tmp/never & flood=$!
until [ -e /tmp/www/over ]; do [ "$(get 2 over)$(get 3 over)" != yesyes ] || echo yes > /tmp/www/over; sleep 0.2; done
kill $flood; echo served
sleep 4
"""
OTHER = SETUP + r"""
fetch 1
light=$(find_nic 12); [ -z "$light" ] || { ifconfig $light up; svio round $light 200 64; echo "light=$?"; }
DISK
echo yes > /tmp/www/over
n=0; until [ -n "$(get 1 over)" ] || [ $n -ge 400 ]; do n=$((n + 1)); sleep 0.2; done
"""
DISK = r"""
dd if=/dev/vda bs=64k 2> /dev/null | md5sum | { read s x; echo "disk=$s"; }
dd if=/dev/zero of=/dev/vda bs=64k count=2 conv=fsync 2> /dev/null; echo "written=$?"
"""
# The host's side of the tap interface is the kernel, in a name space of its own.
TAP = r"""
tap=$(find_nic 21); [ -z "$tap" ] || { ifconfig $tap 10.9.0.2 netmask 255.255.255.0 up; ping -c 10 -W 3 10.9.0.1 > /dev/null; echo "tap=$?"; }
"""


def tap_prefix():
    """Words before a server's in which it can make a tap interface; nothing: there are none."""
    words = ["unshare", "--user", "--map-root-user", "--net"]
    probe = "import fcntl, os, struct; fcntl.ioctl(os.open('/dev/net/tun', os.O_RDWR), 0x400454ca, struct.pack('16sH22x', b'tap0', 0x1002))"
    if not shutil.which("ip") or run([*words, "python3", "-c", probe], 60).status != 0:
        print("tap: no interface can be made here")
        return None
    return words


def jail_of(process):
    """What each of its threads is held to: (a list of system calls, no new privileges, no capability but to read and write others' files)."""
    seen = set()
    for thread in os.listdir(f"/proc/{process.pid}/task"):
        with open(f"/proc/{process.pid}/task/{thread}/status") as f:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
        seen.add((status["Seccomp"] == "2", status["NoNewPrivs"] == "1", int(status["CapEff"], 16) & ~0x6 == 0))
    return seen


def script(text, own, side):
    return ["sh", "-c", f"OWN={own:02x} SIDE={side} SUM={SUM}\n{'mkfifo /tmp/never; exec 9<> /tmp/never' if side == 1 else ''}\n{text}"]


def expect(what, result, words):
    lines = result.text.replace("\r", "").splitlines()
    for word in words:
        failures.check(word in lines, f"{what}: no '{word}'")
    failures.check(result.status == 0, f"{what}: {result}")


machine = Guest(add={build_program("svio"): "/bin/svio"}, modules=("virtio_blk",))
image = path("image")
content = os.urandom(1 << 20)
with open(image, "wb") as f:
    f.write(content)
os.mkdir(path("more"))
switch = serve("switch", "switch", "--sockets", path("more"), "--interface", f"name=a,socket={path('a')},mac={mac(1)}", "--interface", f"name=b,socket={path('b')},weight=2")
echo = serve("echo", "echo", "--interface", f"name=greedy,socket={path('greedy')},rate=20M", "--interface", f"name=light,socket={path('light')}")
disk = serve("disk", f"disk,file={image},format=raw", "--interface", f"name=d,socket={path('d')},offset=256K,size=512K")
prefix = tap_prefix()
if prefix is not None:
    with open(path("up"), "w") as f:
        f.write("#!/bin/sh\nip addr add 10.9.0.1/24 dev $1 && ip link set $1 up\n")
    os.chmod(path("up"), 0o755)
    serve("tap", f"tap,ifname=arc0,script={path('up')}", "--interface", f"name=t,socket={path('t')}", prefix=prefix)

results, started = {}, time.monotonic()
OTHERS = OTHER.replace("DISK", DISK)
with_qemu = guest.QEMU and guest.NIGHTLY
if with_qemu:
    def second():
        words = []
        for last, name in ((2, "b"), (18, "light")):
            words += ["-chardev", f"socket,id=c{last},path={path(name)}", "-netdev", f"vhost-user,id=n{last},chardev=c{last}",
                      "-device", f"virtio-net-device,netdev=n{last},mac={mac(last)}"]
        words += ["-chardev", f"socket,id=cd,path={path('d')}", "-device", "vhost-user-blk-device,chardev=cd",
                  "-global", "virtio-mmio.force-legacy=false", "-object", "memory-backend-memfd,id=mem,size=512M,share=on", "-numa", "node,memdev=mem"]
        return machine.run_qemu(script(OTHERS, 2, 2), 330, options=words)
else:
    def second():
        return machine.run(script(OTHERS, 2, 2), 330, options=[*nic("b", 2), *nic("light", 18), "--device", f"vhost-user-blk,socket={path('d')}"])
threads = [threading.Thread(target=lambda: results.update(first=machine.run(script(FIRST, 1, 1), 330, options=[*nic("a", 1), *nic("greedy", 17)]))),
           threading.Thread(target=lambda: results.update(second=second()))]
for thread in threads:
    thread.start()
# The third joins when the first is there and its interface has been made.
failures.check(until("switch", lambda all: all["a"]["sent"] > 0), "the first machine has sent nothing")
added = interface("add", "switch", f"name=c,socket={path('more/c')},weight=3,mac={mac(3)}")
failures.check(added.returncode == 0 and added.stdout == "", f"add: {added}")
results["third"] = machine.run(script(OTHER.replace("DISK", TAP), 3, 3), 330, options=[*nic("more/c", 3), *(nic("t", 33) if prefix else [])])
for thread in threads:
    thread.join()
expect("first", results["first"], ["served"])
expect("second", results["second"], ["from1=good", "light=0", f"disk={hashlib.md5(content[256 << 10:768 << 10]).hexdigest()}", "written=0"])
expect("third", results["third"], ["from1=good", *(["tap=0"] if prefix else [])])
with open(image, "rb") as f:
    failures.check(f.read() == content[:256 << 10] + bytes(128 << 10) + content[384 << 10:], "the disk has other content")

# The greedy one was held to its rate, the light one got all that it wanted.
seen, elapsed = counts("echo"), time.monotonic() - started
failures.check(seen["light"]["sent"] >= 200 and seen["light"]["lost"] == 0, f"the light one: {seen['light']}")
failures.check(seen["greedy"]["sent"] > 0 and seen["greedy"]["sent_bytes"] <= (20 << 20) * (elapsed + 1), f"the greedy one in {elapsed} s: {seen['greedy']}")
seen = counts("switch")
failures.check(seen["c"]["weight"] == 3 and seen["c"]["mac"] == mac(3) and seen["c"]["received_bytes"] > len(CONTENT), f"the third: {seen['c']}")
failures.check(until("switch", lambda all: not any(one["connected"] for one in all.values())), "machines that are gone are still connected")
# All of them have served from within their jails.
with open(ARCLIGHT, "rb") as f:
    program = f.read()
sanitized = b"__asan_init" in program or b"__tsan_init" in program  # such a program is in no jail unless told to be
probed = run([ARCLIGHT, "probe"], 60).output.decode()
if "system calls by seccomp" in probed and not sanitized:
    for process in servers:
        failures.check(jail_of(process) == {(True, True, True)}, f"{process.args}: {jail_of(process)}")
if "files by Landlock" in probed and not sanitized:
    with tempfile.TemporaryDirectory() as other:
        refused = interface("add", "switch", f"name=x,socket={other}/x")
        failures.check(refused.returncode == 1 and refused.stderr == f"arclight: interface 'x': cannot listen at '{other}/x': Permission denied\n",
                       f"another directory: {refused}")
print(f"three machines: {elapsed:.1f} s, {'with' if with_qemu else 'without'} QEMU")

# ---- management, and what is wrong
changed = interface("change", "switch", "name=c,rate=1M")
failures.check(changed.returncode == 0 and counts("switch")["c"]["rate"] == 1 << 20 and counts("switch")["c"]["weight"] == 3, f"change: {changed}")
removed = interface("remove", "switch", "c")
failures.check(removed.returncode == 0 and "c" not in counts("switch") and not os.path.exists(path("more/c")), f"remove: {removed}")
nowhere = path("no/where")
for words, text in ((("remove", "switch", "c"), "there is no interface 'c'"),
                    (("change", "switch", "name=c"), "there is no interface 'c'"),
                    (("add", "switch", f"name=a,socket={path('x')}"), "interface 'a': there is an interface 'a'"),
                    (("add", "switch", f"name=x,socket={path('a')}"), f"interface 'x': another run listens at '{path('a')}'"),
                    (("add", "switch", f"name=x,socket={nowhere}"), f"interface 'x': cannot listen at '{nowhere}': No such file or directory"),
                    (("add", "switch", "name=x"), "socket is missing"),
                    (("add", "switch", f"name=a/b,socket={path('x')}"), "name: 'a/b' is not up to 32 letters, digits, '-', '_' and '.'"),
                    (("add", "switch", f"name=x,socket={path('x')},weight=0"), "weight: '0' is no number from 1 to 1000"),
                    (("add", "switch", f"name=x,socket={path('x')},mac=1"), "'1' is no MAC address of the form 52:54:00:12:34:56"),
                    (("add", "switch", f"name=x,socket={path('x')},wieght=1"), "'wieght' is not known"),
                    (("add", "disk", f"name=x,socket={path('x')},offset=512K"), "interface 'x': the part from 524288 of 524288 bytes is in another interface's too"),
                    (("list", "nothing"), f"no run of arclight listens at '{path('nothing')}': No such file or directory")):
    done = interface(*words)
    failures.check(done.returncode == 1 and done.stderr == f"arclight: {text}\n", f"{words}: {done}")
failures.check(not os.path.exists(path("x")), "a socket of an interface that was refused is left")
for words, status, text in ((["nothing"], 1, "'nothing' is none of switch, echo, tap[,...], disk,file=PATH"),
                            (["disk,file=/nowhere"], 1, "disk image '/nowhere': cannot open: No such file or directory"),
                            (["switch", "--interface", "a"], 2, "--interface: 'a' is no KEY=VALUE"),
                            (["switch", "--sockets", "/nowhere"], 2, None),
                            (["switch", "--sandbox", "x"], 2, None),
                            (["switch", "--core", "x"], 1, "--core: 'x' is no list of cores such as 0-1,3")):
    done = run([ARCLIGHT, "serve", *words], 60)
    failures.check(done.status == status and (text is None or done.error.decode() == f"arclight: {text}\n"), f"{words}: {done}")
for process in servers:
    process.terminate()
for process in servers:
    said = process.communicate(timeout=60)[1]
    failures.check(process.returncode == 0 and said == "", f"the end: {process.returncode}, {said}")
failures.check(not any(os.path.exists(path(name)) for name in ("switch", "a", "d", "echo")), "sockets are left behind")
failures.end()
