#!/usr/bin/env python3
"""mkosi's, lima's and vmtest's command lines whole, as their sources have them, with Arclight under QEMU's name: firmware in flash, a
kernel, and a guest that does what those tools wait for. Their disks are stand-ins."""
import json, os, socket, subprocess, time
import guest
from guest import ARCLIGHT, Failures, Guest, OPTIONS, work
from packages import modules

CODE, VARIABLES = "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"
if not os.path.exists(CODE):
    guest.skip(f"no {CODE} (package qemu-efi-aarch64)")
failures = Failures()
LINK = os.path.join(work, "qemu-system-aarch64")
os.symlink(ARCLIGHT, LINK)
OWN = ["-arclight", " ".join(OPTIONS)] if OPTIONS else []
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "9pnet_virtio", "9p", "af_packet")
more = modules("generic", "qemu_fw_cfg")
if more is None:
    guest.skip("the kernel's package is not in the cache")
debian = Guest("generic", add=more, modules=MODULES)
# Names of ports and consoles come some time after their driver.
BEGIN = "for m in " + " ".join(MODULES) + "; do modprobe $m || echo no $m; done 2> /dev/null; insmod /qemu_fw_cfg.ko; wait_for() { until [ -e $1 ]; do sleep 0.1; done; }; "


def image(name, text="", size=1 << 20, of=None):
    path = os.path.join(work, name)
    with open(path, "wb") as f:
        if of:
            with open(of, "rb") as original:
                f.write(original.read())
        f.write(text.encode())
        f.truncate(max(size, f.tell()))
    return path


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def connect(path, limit=120):
    end = time.monotonic() + limit
    while True:
        try:
            one = socket.socket(socket.AF_UNIX)
            one.connect(path)
            one.settimeout(limit)
            return one
        except OSError:
            one.close()
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def start(words, command, append=""):
    """The tool's words with a kernel, whose only command is the given one."""
    return subprocess.Popen(
        [LINK, *words, "-kernel", debian.kernel, "-initrd", debian.initramfs(["sh", "-c", BEGIN + command]), "-append",
         f"quiet loglevel=0 panic=-1 {append}", *OWN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(name, process, limit=300):
    """All that came on stdin's terminal. Notes begin with the program's name."""
    try:
        output, error = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        process.kill()
        output, error = process.communicate()
        failures.add(f"{name}: no end")
    text = output.decode(errors="replace").replace("\r", "")
    failures.check(process.returncode == 0, f"{name}: status {process.returncode}: {text[-1500:]} {error.decode()}")
    for line in error.decode().splitlines():
        failures.check(line.startswith("qemu-system-aarch64: ") or line.startswith("arclight: waiting for"), f"{name}: on stderr: {line}")
    return text


def expect(name, text, *wanted):
    for one in wanted:
        failures.check(one in text, f"{name}: '{one}' is not in {text[-3000:]}")


# mkosi: credentials by both ways, a disk of a blockdev, a console on virtio that is stdio, and nothing on the serial port.
code, variables = image("code.fd", of=CODE), image("vars.fd", of=VARIABLES)
disk = image("mkosi.raw", "a disk of mkosi's\n")
mkosi = [
    "-machine", "type=virt", "-smp", "2", "-m", "1024M", "-object", "rng-random,filename=/dev/urandom,id=rng0", "-device",
    "virtio-rng-pci,rng=rng0,id=rng-device0", "-device", "virtio-balloon,free-page-reporting=on", "-no-user-config", "-nic",
    "user,model=virtio-net-pci", "-accel", "tcg", "-cpu", "max", "-nographic", "-nodefaults",
    "-chardev", "stdio,mux=on,id=console,signal=off", "-device", "virtio-serial-pci,id=mkosi-virtio-serial-pci", "-device",
    "virtconsole,chardev=console", "-mon", "console", "-drive", f"if=pflash,format=raw,readonly=on,file={code}", "-drive",
    f"file={variables},if=pflash,format=raw", "-blockdev",
    f"driver=raw,node-name=mkosi,discard=unmap,file.driver=file,file.filename={disk},file.aio=io_uring,cache.direct=yes,"
    "cache.no-flush=on", "-device", "virtio-blk-pci,drive=mkosi,bootindex=1", "-fw_cfg",
    "name=opt/io.systemd.credentials/firstboot.locale,string=C.UTF-8", "-smbios", "type=11,value=io.systemd.credential:a=b"]
process = start(mkosi, "wait_for /dev/hvc0; { head -n 1 /dev/vda; cat /sys/class/net/eth0/address; "
                "echo locale $(cat /sys/firmware/qemu_fw_cfg/by_name/opt/io.systemd.credentials/firstboot.locale/raw); "
                "strings /sys/firmware/dmi/entries/11-0/raw | sed 's/^/oem /'; [ -d /sys/firmware/efi ] && echo by firmware; "
                "grep -c ^processor /proc/cpuinfo | sed 's/^/cpus /'; } > /dev/hvc0; sleep 0.5", append="console=hvc0")
text = end("mkosi", process)
expect("mkosi", text, "a disk of mkosi's", "52:54:00:12:34:56", "locale C.UTF-8", "oem io.systemd.credential:a=b", "by firmware", "cpus 2")

# lima: what the tool asks first, then a machine all of whose lines are sockets with logs.
for words, wanted in ((["--version"], "QEMU emulator version "), (["-M", "none", "-accel", "help"], "tcg"),
                      (["-M", "none", "-netdev", "help"], "user"), (["-machine", "help"], "virt"),
                      (["-cpu", "help", "-machine", "virt"], "max")):
    done = subprocess.run([LINK, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    failures.check(done.returncode == 0 and wanted in done.stdout, f"lima: {words}: {done}")
share, port = os.path.join(work, "mount0"), free_port()
os.mkdir(share)
with open(os.path.join(share, "file"), "w") as f:
    f.write("of the host\n")
at = lambda name: os.path.join(work, name)
variables = image("lima-vars.fd", of=VARIABLES)
lima = [
    "-m", "1024", "-cpu", "max", "-machine", "virt,accel=tcg", "-smp", "4,sockets=1,cores=4,threads=1", "-drive",
    f"if=pflash,format=raw,readonly=on,file={code}", "-boot", "order=c,splash-time=0,menu=on", "-drive",
    f"file={image('diffdisk', 'the disk' + chr(10))},if=virtio,discard=on", "-netdev",
    f"user,id=net0,net=192.168.5.0/24,dhcpstart=192.168.5.15,hostfwd=tcp:127.0.0.1:{port}-:22", "-device",
    "virtio-net-pci,netdev=net0,mac=52:55:55:11:22:33", "-device", "virtio-rng-pci", "-display", "none", "-device", "virtio-gpu",
    "-device", "virtio-keyboard-pci", "-device", "virtio-mouse-pci", "-device", "qemu-xhci,id=usb-bus", "-parallel", "none", "-chardev",
    f"socket,id=char-serial,path={at('serial.sock')},server=on,wait=off,logfile={at('serial.log')}", "-serial", "chardev:char-serial",
    "-chardev", f"socket,id=char-serial-pci,path={at('serialp.sock')},server=on,wait=off,logfile={at('serialp.log')}", "-device",
    "pci-serial,chardev=char-serial-pci", "-chardev",
    f"socket,id=char-serial-virtio,path={at('serialv.sock')},server=on,wait=off,logfile={at('serialv.log')}", "-device",
    "virtio-serial-pci,id=virtio-serial0,max_ports=1", "-device", "virtconsole,chardev=char-serial-virtio,id=console0", "-virtfs",
    f"local,mount_tag=mount0,path={share},security_model=none,readonly", "-chardev",
    f"socket,id=char-qmp,path={at('qmp.sock')},server=on,wait=off", "-qmp", "chardev:char-qmp", "-name", "lima-test", "-pidfile",
    at("qemu.pid")]
process = start(lima, "wait_for /dev/hvc0; mount -t 9p -o trans=virtio,version=9p2000.L,ro mount0 /mnt; head -n 1 /mnt/file; "
                "head -n 1 /dev/vda; ifconfig eth0 up; udhcpc -n -q -f -i eth0 -s /bin/true -O subnet 2>&1 | grep obtained; "
                "cat /sys/class/net/eth0/address; echo on virtio > /dev/hvc0; ifconfig eth0 192.168.5.15; "
                "echo ready; echo an answer | nc -l -p 22 -w 60; echo answered; sleep 1000", append="console=ttyAMA0")
stream = connect(at("qmp.sock")).makefile("rw")
failures.check("QMP" in json.loads(stream.readline()), "lima: no greeting")


def qmp(command):
    stream.write(json.dumps({"execute": command}) + "\n")
    stream.flush()
    while True:
        answer = json.loads(stream.readline())
        if "event" not in answer:
            return answer


qmp("qmp_capabilities")
failures.check(qmp("query-status").get("return", {}).get("status") == "running", "lima: it does not run")
with open(at("qemu.pid")) as f:
    failures.check(int(f.read()) == process.pid, "lima: -pidfile")


def log(name):
    with open(at(name), errors="replace") as f:
        return f.read().replace("\r", "")


limit = time.monotonic() + 200
while "ready" not in log("serial.log") and time.monotonic() < limit:
    time.sleep(0.1)
answer = b""
while b"answer" not in answer and time.monotonic() < limit:
    with socket.create_connection(("127.0.0.1", port), timeout=60) as ssh:  # what waits for ssh to come up
        ssh.settimeout(5)
        try:
            answer = ssh.recv(100)
        except OSError:
            answer = b""
failures.check(b"an answer" in answer, f"lima: nothing behind the forwarded port: {log('serial.log')[-2000:]}")
failures.check("return" in qmp("quit"), "lima: quit")
end("lima", process)
expect("lima, serial.log", log("serial.log"), "of the host", "the disk", "lease of 192.168.5.15 obtained from 192.168.5.2",
       "52:55:55:11:22:33")
expect("lima, serialv.log", log("serialv.log"), "on virtio")
failures.check(not os.path.exists(at("qemu.pid")), "lima: the pid file is left")

# vmtest: a root file system by 9p, the guest agent's port, and one for the output of the command.
root = os.path.join(work, "root")
os.mkdir(root)
with open(os.path.join(root, "command"), "w") as f:
    f.write("echo the output of the command\n")
vmtest = ["-nodefaults", "-display", "none", "-serial", "mon:stdio", "-cpu", "max", "-machine", "virt,gic-version=3", "-qmp",
          f"unix:{at('vt-qmp.sock')},server=on,wait=off", "-chardev", f"socket,path={at('qga.sock')},server=on,wait=off,id=qga0", "-device",
          "virtio-serial", "-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0", "-virtfs",
          f"local,id=root,path={root},mount_tag=/dev/root,security_model=none,multidevs=remap", "-no-reboot", "-virtfs",
          f"local,id=shared,path={share},mount_tag=vmtest-shared,security_model=none,multidevs=remap", "--device", "virtio-serial",
          "-chardev", f"socket,path={at('cmdout.sock')},server=on,wait=off,id=cmdout", "--device",
          "virtserialport,chardev=cmdout,name=org.qemu.virtio_serial.0", "-smp", "2", "-m", "1G"]
command = ("port() { until grep -lx $1 /sys/class/virtio-ports/*/name; do sleep 0.1; done 2> /dev/null | head -n 1 | cut -d / -f 5; }; "
           "agent=/dev/$(port org.qemu.guest_agent.0) out=/dev/$(port org.qemu.virtio_serial.0); "
           "mount -t 9p -o trans=virtio,version=9p2000.L,msize=1048576 /dev/root /mnt; mkdir /s; "
           "mount -t 9p -o trans=virtio,version=9p2000.L vmtest-shared /s; cat /s/file; "
           "exec 3<> $agent; read -r request <&3; echo \"answer to $request\" >&3; sh /mnt/command > $out; echo made > /mnt/made; sleep 1")
process = start(vmtest, command, append="console=ttyAMA0,115200")
agent, output = connect(at("qga.sock")), connect(at("cmdout.sock"))
time.sleep(0.1)
agent.sendall(b'{"execute":"guest-sync"}\n')
failures.check(b"answer to" in agent.makefile("rb").readline(), "vmtest: no answer of the agent")
line = output.makefile("rb").readline()
failures.check(line.strip() == b"the output of the command", f"vmtest: output: {line}")
text = end("vmtest", process)
expect("vmtest", text, "of the host")
failures.check(os.path.exists(os.path.join(root, "made")), "vmtest: nothing is written to the root")
failures.end()
