"""Command lines of the tools that start qemu-system-aarch64, with Arclight under that name: the guest starts and does its job, and
the exit status is QEMU's. Where QEMU is installed, what a guest sees of its machine is compared."""
import json, os, re, signal, socket, struct, subprocess, time

from guest import ARCLIGHT, Failures, Guest, OPTIONS, QEMU, run, work

failures = Failures()
LINK = os.path.join(work, "qemu-system-aarch64")
os.symlink(ARCLIGHT, LINK)
OWN = ["-arclight", " ".join(OPTIONS)] if OPTIONS else []
MODULES = ("virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net")
guest = Guest(modules=MODULES)
QUIET = "panic=-1 quiet loglevel=0"


def load(*modules):
    """What a guest's command begins with: busybox has its modules under their names."""
    return "".join(f"modprobe {module} || exit 9; " for module in modules)


def boot(command, words, append="", program=(LINK,), limit=180, guest=guest):
    """Runs the command as the guest's own, whose status comes on the console."""
    ram_disk = ["-initrd", guest.initramfs(["sh", "-c", command])]
    own = OWN if program == (LINK,) else []
    return run([*program, *words, "-kernel", guest.kernel, *ram_disk, "-append", f"console=ttyAMA0 {QUIET} {append}",
                *own], limit)


def check(name, result, *wanted, status=0, missing=()):
    failures.check(result.status == status, f"{name}: status {result.status} and not {status}: {result}")
    for text in wanted:
        failures.check(text in result.text, f"{name}: '{text}' is not in {result}")
    for text in missing:
        failures.check(text not in result.text, f"{name}: '{text}' is in {result}")
    # A line for what is missing; nothing of the kind where nothing is.
    for line in result.error.decode().splitlines():
        failures.check(line.startswith("qemu-system-aarch64: "), f"{name}: on stderr: {line}")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def image(name, text, size=1 << 20):
    path = os.path.join(work, name)
    with open(path, "wb") as f:
        f.write(text.encode())
        f.truncate(size)
    return path


# KUnit's runner: a kernel, its output, and an end by reset.
kunit = ["-nodefaults", "-m", "1024", "-no-reboot", "-nographic", "-accel", "kvm", "-accel", "hvf", "-accel", "tcg", "-serial",
         "stdio", "-machine", "virt", "-cpu", "cortex-a57"]
result = boot("echo TAP version 14; grep MemTotal /proc/meminfo; reboot -f", kunit, "kunit_shutdown=reboot")
check("kunit", result, "TAP version 14")
memory = re.search(r"MemTotal: +(\d+)", result.text)
failures.check(memory and 900_000 < int(memory.group(1)) < 1024 * 1024, f"kunit: memory: {result}")
failures.check(b"AArch32" in result.error, f"kunit: no line on what a cortex-a57 has more: {result}")
failures.check(run([LINK, "-strict", *kunit, "-kernel", guest.kernel], 30).status == 1, "kunit: -strict is taken")

# Buildroot's: disk and network on virtio-mmio, the last -device first.
first, second = image("rootfs.img", "rootfs\n"), image("second.img", "second\n")
buildroot = ["-M", "virt", "-cpu", "cortex-a53", "-nographic", "-smp", "1", "-netdev", "user,id=eth0", "-device",
             "virtio-net-device,netdev=eth0", "-drive", f"file={first},if=none,format=raw,id=hd0", "-device",
             "virtio-blk-device,drive=hd0"]
disks = load("virtio_mmio", "virtio_blk", "virtio_net") + \
    "cat /sys/class/net/eth0/address; for d in /dev/vd?; do echo $d $(head -n 1 $d); done"
result = boot(disks, buildroot)
check("Buildroot", result, "52:54:00:12:34:56", "/dev/vda rootfs")
more = [*buildroot, "-drive", f"file={second},if=none,format=raw,id=hd1", "-device", "virtio-blk-device,drive=hd1"]
result = boot(disks, more)
check("two disks", result, "/dev/vda second", "/dev/vdb rootfs")
if QEMU:
    theirs = boot(disks, more, program=(QEMU,), limit=300)
    for line in re.findall(r"/dev/vd. \w+|52:54:\S+", theirs.text):
        failures.check(line in result.text, f"QEMU's guest sees '{line}', Arclight's: {result}")

# boot-utils' (without its disk of a root file system), two CPUs.
utils = ["-display", "none", "-nodefaults", "-cpu", "max,lpa2=off,pauth-impdef=true", "-machine",
         "virt,gic-version=max,virtualization=true", "-m", "512m", "-smp", "2", "-serial", "mon:stdio"]
result = boot("grep -c ^processor /proc/cpuinfo | sed s/^/cpus=/; ls /proc/device-tree | grep intc; dmesg | grep -c GICv3", utils)
check("boot-utils", result, "cpus=2")

# tuxrun's.
tuxrun = ["-machine", "virt,virtualization=on,gic-version=3,mte=on", "-cpu", "max,pauth-impdef=on", "-smp", "2", "-no-reboot",
          "-nographic", "-nic", "none", "-drive", f"file={first},format=raw,id=hd0,if=virtio", "-drive",
          f"file={second},format=raw,if=virtio,readonly=on", "-snapshot"]
result = boot(load("virtio_pci", "virtio_blk") +
              "for d in /dev/vd?; do echo $d $(head -n 1 $d); done; echo changed > /dev/vda; cat /sys/block/vdb/ro | sed s/^/ro=/", tuxrun)
check("tuxrun", result, "/dev/vda rootfs", "/dev/vdb second", "ro=1")
with open(first) as f:
    failures.check(f.read(6) == "rootfs", "-snapshot: the image was written to")

# syzkaller's: QMP on a socket, devices on both buses, -snapshot.
port = free_port()
syzkaller = ["-machine", "virt,virtualization=on,gic-version=max", "-cpu", "max,sve128=on,pauth=off", "-m", "1024", "-smp", "2", "-chardev",
             f"socket,id=SOCKSYZ,server=on,wait=off,host=localhost,port={port}", "-mon", "chardev=SOCKSYZ,mode=control", "-display",
             "none", "-serial", "stdio", "-no-reboot", "-name", "VM-0", "-device", "virtio-rng-pci", "-device",
             "virtio-net-pci,netdev=net0", "-netdev", f"user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:{free_port()}-:22", "-device",
             "virtio-blk-device,drive=hd0", "-drive", f"file={first},if=none,format=raw,id=hd0", "-snapshot"]
command = load("virtio_mmio", "virtio_pci", "virtio_blk", "virtio_net") + \
    "head -n 1 /dev/vda; echo 00:0*=$(cat /sys/bus/pci/devices/0000:00:0[12].0/device); echo waiting; read word; echo got $word"
process = subprocess.Popen([LINK, *syzkaller, "-kernel", guest.kernel, "-initrd", guest.initramfs(["sh", "-c", command]), "-append",
                            f"console=ttyAMA0 {QUIET}", *OWN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
output = b""
while b"waiting" not in output:
    piece = process.stdout.read1(4096)
    if not piece:
        break
    output += piece
failures.check(b"rootfs" in output and b"0x1005 0x1000" in output, f"syzkaller: {output}")
with socket.create_connection(("localhost", port), timeout=60) as qmp:
    stream = qmp.makefile("rw")
    greeting = json.loads(stream.readline())
    failures.check(greeting["QMP"]["version"]["qemu"]["major"] == 7, f"syzkaller: QMP greets with {greeting}")
    for request in ("qmp_capabilities", "query-status", "quit"):
        stream.write(json.dumps({"execute": request}) + "\n")
        stream.flush()
        answer = json.loads(stream.readline())
        while "event" in answer:
            answer = json.loads(stream.readline())
        failures.check("return" in answer, f"syzkaller: {request}: {answer}")
        if request == "query-status":
            failures.check(answer.get("return", {}).get("status") == "running", f"syzkaller: {answer}")
_, error = process.communicate(timeout=60)
failures.check(process.returncode == 0, f"syzkaller: status {process.returncode} after quit: {error}")

# virtme-ng's: directories of the host's, a log on another console, the serial port and a monitor on one stdio.
log = os.path.join(work, "log")
virtme = ["-name", "guest", "-m", "1G", "-M", "virt", "-cpu", "cortex-a57", "-parallel", "none", "-net", "none", "-echr", "1", "-fsdev",
          f"local,id=virtfs5,path={work},security_model=none,readonly=on,multidevs=remap", "-device",
          "virtio-9p-device,fsdev=virtfs5,mount_tag=/dev/root", "-chardev", f"file,path={log},id=dmesg", "-device", "virtio-serial-device",
          "-device", "virtconsole,chardev=dmesg", "-chardev", "stdio,id=console,signal=off,mux=on", "-serial", "chardev:console", "-mon",
          "chardev=console", "-vga", "none", "-display", "none", "-smp", "4"]
result = boot(load("virtio_mmio", "9pnet_virtio", "9p", "virtio_console") +
              "mount -t 9p -o trans=virtio,version=9p2000.L,ro /dev/root /mnt && head -n 1 /mnt/rootfs.img; "
              # The driver makes the console some time after it is loaded.
              "until [ -c /dev/hvc0 ]; do sleep 0.1; done; echo to the log > /dev/hvc0",
              virtme, guest=Guest("generic", modules=("virtio_mmio", "9pnet_virtio", "9p", "virtio_console")))
check("virtme-ng", result, "rootfs")
with open(log) as f:
    failures.check("to the log" in f.read(), "virtme-ng: nothing is in the log")

# Microkit's: no kernel, but a file in memory that the CPU starts in. This one prints K and turns the machine off.
loader = os.path.join(work, "loader.img")
with open(loader, "wb") as f:
    f.write(struct.pack("<7I", 0xd2a12000,  # movz x0, #0x0900, lsl #16: the serial port
                        0x52800961,  # movz w1, #'K'
                        0xb9000001,  # str w1, [x0]
                        0x52b08000, 0x72800100,  # w0: SYSTEM_OFF of PSCI
                        0xd4000002,  # hvc #0
                        0x14000000))  # b .
for program in (LINK, QEMU):
    if program:
        result = run([program, "-machine", "virt", "-cpu", "cortex-a53", "-serial", "mon:stdio", "-device",
                      f"loader,file={loader},addr=0x70000000,cpu-num=0,force-raw=on", "-m", "size=2G", "-nographic"], 60)
        failures.check(result.status == 0 and result.output == b"K", f"Microkit, {program}: {result}")
failures.check(run([LINK, "-M", "virt", "-cpu", "host", "-nographic"], 30).status == 1, "nothing to start is taken")

# The device tree that the words give, beside QEMU's: the nodes that both have are at the same addresses.
tree = os.path.join(work, "tree.dtb")
done = run([LINK, "-M", f"virt,gic-version=3,dumpdtb={tree}", "-cpu", "host", "-nographic", "-kernel", guest.kernel], 60)
failures.check(done.status == 0 and os.path.getsize(tree) > 1000, f"dumpdtb: {done}")
if QEMU:
    theirs = os.path.join(work, "theirs.dtb")
    run([QEMU, "-M", f"virt,gic-version=3,dumpdtb={theirs}", "-cpu", "cortex-a57", "-nographic", "-kernel", guest.kernel], 60)
    def nodes(path):
        text = subprocess.run(["dtc", "-q", "-I", "dtb", path], stdout=subprocess.PIPE, text=True).stdout
        return set(re.findall(r"^\t([\w-]+@[0-9a-f]+) \{", text, re.M))
    ours = nodes(tree)
    expected = {n for n in nodes(theirs) if re.match(r"(memory|pl011|pl031|intc|virtio_mmio)@", n)}
    failures.check(len(expected) >= 30, f"QEMU's tree has only {expected}")
    failures.check(expected <= ours, f"not in the tree: {sorted(expected - ours)}")

    def cpu_map(program, smp):
        """{place of a CPU: the CPU}, in a machine that has nothing to start."""
        run([program, "-M", f"virt,dumpdtb={theirs}", "-cpu", "max", "-display", "none", "-smp", smp], 60)
        text = subprocess.run(["dtc", "-q", "-I", "dtb", theirs], stdout=subprocess.PIPE, text=True).stdout
        stack, places, cpus = [], {}, {}
        for line in map(str.strip, text.splitlines()):
            if line.endswith("{"):
                stack.append(line[:-1].strip())
            elif line == "};":
                stack.pop()
            elif match := re.match(r"(cpu|phandle) = <(\w+)>;", line):
                (places if match.group(1) == "cpu" else cpus)[match.group(2)] = "/".join(stack[2:])
        os.unlink(theirs)
        return {place: cpus.get(cpu) for cpu, place in places.items()}

    for smp in ("1", "4", "4,cores=2", "8,sockets=2,threads=2", "6,clusters=2", "3,maxcpus=8,clusters=2,threads=2"):
        expected = cpu_map(QEMU, smp)
        failures.check(len(expected) == int(smp[0]) and cpu_map(LINK, smp) == expected, f"-smp {smp}: {expected}, not {cpu_map(LINK, smp)}")

# A signal ends the run with status 0, and -pidfile's file is there just as long.
pid_file = os.path.join(work, "pid")
process = subprocess.Popen([LINK, "-M", "virt", "-cpu", "host", "-nographic", "-nodefaults", "-serial", "stdio", "-kernel",
                            guest.kernel, "-append", "console=ttyAMA0", "-pidfile", pid_file, *OWN], stdin=subprocess.PIPE,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
process.stdout.read(100)  # it runs
with open(pid_file) as f:
    failures.check(int(f.read()) == process.pid, "-pidfile: another number")
second_one = run([LINK, "-M", "virt", "-cpu", "host", "-nographic", "-kernel", guest.kernel, "-pidfile", pid_file], 30)
failures.check(second_one.status == 1 and b"cannot create PID file" in second_one.error, f"a second with its -pidfile: {second_one}")
process.send_signal(signal.SIGTERM)
_, error = process.communicate(timeout=60)
failures.check(process.returncode == 0 and b"terminating on signal 15" in error, f"SIGTERM: {process.returncode} {error}")
failures.check(not os.path.exists(pid_file), "-pidfile: the file is left")

# -daemonize returns when the guest runs; the guest's end is the daemon's.
done = run([LINK, "-M", "virt", "-cpu", "host", "-display", "none", "-daemonize", "-pidfile", pid_file, "-kernel", guest.kernel,
            "-append", "console=ttyAMA0 panic=-1", "-no-reboot", *OWN], 60)  # it panics: there is no root
failures.check(done.status == 0, f"-daemonize: {done}")
deadline = time.monotonic() + 120
while os.path.exists(pid_file) and time.monotonic() < deadline:
    time.sleep(0.1)
failures.check(not os.path.exists(pid_file), "-daemonize: the guest did not end")
done = run([LINK, "-M", "virt", "-cpu", "host", "-display", "none", "-daemonize", "-kernel", os.path.join(work, "none")], 60)
failures.check(done.status == 1 and b"does not exist" in done.error, f"-daemonize without a kernel: {done}")

# -readconfig, and answers.
config = os.path.join(work, "config")
with open(config, "w") as f:
    f.write(f'[machine]\n  type = "virt"\n[drive "hd0"]\n  if = "none"\n  format = "raw"\n  file = "{second}"\n'
            '[device]\n  driver = "virtio-blk-device"\n  drive = "hd0"\n  serial = "FROM-CONFIG"\n')
result = boot(load("virtio_mmio", "virtio_blk") + "cat /sys/block/vda/serial", ["-readconfig", config, "-nographic", "-cpu", "host"])
check("-readconfig", result, "FROM-CONFIG")
version = run([LINK, "--version"], 30)
failures.check(re.match(r"QEMU emulator version 7\.2\.\d+ \(Arclight ", version.text), f"--version: {version}")

# QEMU's options are ours, by their names: -fda stands for -fdb too in QEMU's text.
if QEMU and run([QEMU, "-version"], 30).text.startswith("QEMU emulator version 7.2."):
    def options(program):
        text = run([program, "-help"], 30).text
        return {name for line in re.findall(r"^-\S+(?:(?: or |/)-\S+)*", text, re.M) for name in re.findall(r"(?:^|[ /])-{1,2}([\w-]+)", line)}
    theirs, ours = options(QEMU), options(LINK)
    failures.check(len(theirs) >= 110 and theirs - ours <= {"h"} and ours - theirs <= {"strict", "arclight"},
                   f"options that QEMU alone has: {theirs - ours}, that are here alone: {ours - theirs}")

# What QEMU refuses is refused here, with its status.
if QEMU:
    for words in (["-foo"], ["-M", "foo"], ["-M", "virt,foo=1"], ["-M", "virt", "-cpu", "foo"], ["-M", "virt", "-cpu", "max,foo=on"],
                  ["-M", "virt", "-device", "foo"], ["-M", "virt", "-device", "virtio-blk-device"],
                  ["-M", "virt", "-device", "virtio-blk-device,drive=x"], ["-M", "virt", "-smp", "600"], ["-M", "virt", "-smp", "4,cores=3"],
                  ["-M", "virt", "-m", "foo"], ["-M", "virt", "-m", "1G,foo=1"], ["-M", "virt", "-netdev", "user"],
                  ["-M", "virt", "-netdev", "user,id=a,foo=1"], ["-M", "virt", "-initrd", "x"], ["-M", "virt", "-uuid", "1"],
                  ["-M", "virt", "-nographic", "-daemonize"], ["-M", "virt", "-object", "foo,id=a"], ["-kernel", "x"],
                  ["-M", "virt", "-sd", first], ["-M", "virt", "-fda", first], ["-M", "virt", "-vga", "foo"],
                  ["-M", "virt", "-nic", "user,model=foo"], ["-M", "virt", "-drive", f"if=ide,file={first}"], ["-M", "virt", "-append"]):
        for program in (QEMU, LINK):
            done = run([program, *words], 30)
            failures.check(done.status == 1 and not done.output, f"{program} {words}: {done}")

failures.end()
