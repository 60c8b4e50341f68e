#!/usr/bin/env python3
"""Firmware in flash: U-Boot to its prompt; edk2 to its shell, with variables that survive SIGKILL; Debian's kernel through edk2
by ACPI, SMBIOS and the firmware configuration device; and the power key, by ACPI and by the device tree."""
import concurrent.futures, os, re, select, shutil, socket, subprocess, time
import guest
from guest import ARCLIGHT, Failures, Guest, OPTIONS
from packages import modules

UBOOT = "/usr/lib/u-boot/qemu_arm64/u-boot.bin"
BIOS = "/usr/share/qemu-efi-aarch64/QEMU_EFI.fd"
CODE, VARIABLES = "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"
for path, package in ((UBOOT, "u-boot-qemu"), (BIOS, "qemu-efi-aarch64"), (CODE, "qemu-efi-aarch64")):
    if not os.path.exists(path):
        guest.skip(f"no {path} (package {package})")

failures = Failures()


class Conversation:
    """With a program that has a prompt."""

    def __init__(self, options, limit=200, command=None):
        self.process = subprocess.Popen(command or [ARCLIGHT, "run", *OPTIONS, "-m", "512M", *options],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.text, self.seen, self.end = b"", 0, time.monotonic() + limit

    def expect(self, pattern):
        """The text up to there; raises when it does not come."""
        while True:
            match = re.search(pattern, self.text[self.seen:])
            if match:
                start, self.seen = self.seen, self.seen + match.end()
                return self.text[start:self.seen]
            if not self.more():
                self.process.kill()
                raise EOFError(f"{pattern} does not come: {self.text[-1500:].decode(errors='replace')}")

    def more(self):
        if not select.select([self.process.stdout], [], [], max(0, self.end - time.monotonic()))[0]:
            return False
        data = os.read(self.process.stdout.fileno(), 65536)
        self.text += data
        return bool(data)

    def say(self, text):
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def status(self):
        while self.more():
            pass
        return self.process.wait(timeout=60)


def attempt(name, part):
    start = time.monotonic()
    try:
        part()
    except (EOFError, OSError, subprocess.TimeoutExpired) as error:
        failures.add(f"{name}: {error}")
    print(f"{name}: {time.monotonic() - start:.1f} s", flush=True)


def uboot():
    talk = Conversation(["--bios", UBOOT])
    talk.expect(rb"stop autoboot")
    talk.say("\n")
    talk.expect(rb"=> ")
    talk.say("flinfo 1\n")
    text = talk.expect(rb"=> ")
    failures.check(b"CFI conformant flash" in text and b"in 256 Sectors" in text and b"Device ID: 0x0018" in text, f"U-Boot's flash is {text}")
    talk.say("poweroff\n")
    failures.check(talk.status() == 0, "U-Boot's poweroff does not end the run")


GUID = "12345678-1234-1234-1234-123456789abc"


def shell(variables):
    talk = Conversation(["--flash", f"{CODE},readonly=on", "--flash", variables])
    talk.expect(rb"startup.nsh")
    talk.say("\x1b")
    talk.expect(rb"Shell> ")
    return talk


def reset():
    """Without an image of its own, a variable lives as long as the run: also when the guest resets."""
    talk = Conversation(["--bios", BIOS])
    for commands in ([f'setvar kept -guid {GUID} -bs -rt -nv ="in memory"', "reset"], [f"dmpstore kept -guid {GUID}", "reset -s"]):
        talk.expect(rb"startup.nsh")
        talk.say("\x1b")
        for command in commands:
            talk.expect(rb"Shell> ")
            talk.say(command + "\r")
    failures.check(talk.status() == 0 and b"*in memory*" in talk.text, f"after a reset: {talk.text[-600:]}")


def variables():
    """A variable is there when the shell has its prompt again; the file is a valid store after SIGKILL in the midst of writes."""
    image = os.path.join(guest.work, "variables.fd")
    shutil.copyfile(VARIABLES, image)
    talk = shell(image)
    stored = 5
    for number in range(stored):
        talk.say(f'setvar v{number} -guid {GUID} -bs -rt -nv ="value {number}"\r')
        talk.expect(rb"Shell> ")
    talk.say(f'setvar last -guid {GUID} -bs -rt -nv ="half"\r')
    time.sleep(0.2)  # the write is under way, or was
    talk.process.kill()
    talk.process.wait()
    talk = shell(image)
    for number in range(stored):
        talk.say(f"dmpstore v{number} -guid {GUID}\r")
        text = re.sub(rb"\x1b\[[0-9;]*[A-Za-z]", b"", talk.expect(rb"Shell> "))
        failures.check(f"*value {number}*".encode() in text,
                       f"variable v{number} was stored before SIGKILL, and then: {text}")
    talk.say("reset -s\r")
    failures.check(talk.status() == 0, "the shell's reset -s does not end the run")


def kernel():
    files = modules("cloud", "qemu_fw_cfg")
    if files is None:
        return
    debian = Guest(add=files)
    blob = os.path.join(guest.work, "blob")
    with open(blob, "wb") as file:
        file.write(b"from a file")
    script = r"""insmod /qemu_fw_cfg.ko; cd /sys/firmware
ls -d efi/efivars acpi/tables/[A-Z]* | tr '\n' ' '; echo; cat /sys/class/dmi/id/sys_vendor /sys/class/dmi/id/product_name
cat qemu_fw_cfg/by_name/opt/test/text/raw qemu_fw_cfg/by_name/opt/test/file/raw; echo
nproc; ls /sys/bus/acpi/devices | grep -c LNRO0005; base64 acpi/tables/DSDT; exit 7"""
    options = ["-m", "1G", "--smp", "2", "--bios", BIOS, "--smbios", "type=1,manufacturer=Maker,,Inc,product=Thing",
               "--fw-cfg", "name=opt/test/text,string=some text;", "--fw-cfg", f"opt/test/file,file={blob}"]
    result = debian.run(["sh", "-c", script], limit=250, options=options)
    lines = result.text.replace("\r", "").split("\n")
    # What the firmware prints comes first.
    at = next((i for i, line in enumerate(lines) if "acpi/tables/APIC" in line), None)
    if not failures.check(result.status == 7 and at is not None, f"Debian's kernel through edk2: {result}"):
        return
    tables = set(re.findall(r"tables/(\w+)", lines[at]))
    failures.check({"APIC", "DBG2", "DSDT", "FACP", "GTDT", "PPTT", "SPCR"} <= tables, f"ACPI tables {tables}")
    failures.check(lines[at + 1:at + 6] == ["Maker,Inc", "Thing", "some text;from a file", "2", "32"],
                   f"the guest sees {lines[at + 1:at + 6]}")
    if shutil.which("iasl"):
        table = os.path.join(guest.work, "dsdt.dat")
        with open(table, "wb") as file:
            subprocess.run(["base64", "-d"], input="\n".join(lines[at + 6:]).encode(), stdout=file, check=True)
        subprocess.run(["iasl", "-d", table], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        again = subprocess.run(["iasl", table.replace(".dat", ".dsl")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True).stdout
        failures.check("0 Errors, 0 Warnings" in again, f"iasl on the DSDT: {again}")


def disk(bus):
    """The shell's startup.nsh on a FAT disk starts the kernel that lies there, with its initial RAM disk."""
    debian = Guest()
    image = os.path.join(guest.work, f"esp-{bus}.img")
    initrd = debian.initramfs(["echo", "by disk"])
    startup = os.path.join(guest.work, f"{bus}.nsh")
    with open(startup, "w") as file:
        file.write("FS0:\r\nvmlinuz initrd=initrd.img console=ttyAMA0 quiet loglevel=0 panic=-1\r\n")
    with open(image, "wb") as file:
        file.truncate(96 << 20)
    subprocess.run(["mformat", "-i", image, "-F", "::"], check=True)
    for path, name in ((debian.kernel, "vmlinuz"), (initrd, "initrd.img"), (startup, "startup.nsh")):
        subprocess.run(["mcopy", "-i", image, path, "::/" + name], check=True)
    options = {"mmio": ["--drive", f"file={image},format=raw,readonly=on"],
               "pci": ["--virtio", "pci", "--drive", f"file={image},format=raw,readonly=on"],
               "NVMe": ["--device", f"nvme,bus=pci,serial=s,file={image},format=raw,readonly=on,bootindex=1"],
               "SCSI": ["--device", "virtio-scsi,bus=pci", "--device", f"scsi-hd,file={image},format=raw,readonly=on,bootindex=1"]}
    result = guest.run([ARCLIGHT, "run", *OPTIONS, "-m", "1G", "--smp", "2", "--no-reboot", "--bios", BIOS, *options[bus]], 200)
    failures.check("by disk" in result.text and result.status == 0, f"a kernel on a disk on {bus}: {result}")


LISTENER = r"""for module in /*.ko; do insmod $module; done
mkdir -p /etc/acpi/PWRF /var/log; printf '#!/bin/sh\necho key was pressed > /dev/console; poweroff -f\n' > /etc/acpi/PWRF/00000080
chmod +x /etc/acpi/PWRF/00000080; (sleep 1; echo press now) & exec acpid -f"""


def power_key(flavour, names, options):
    files = modules(flavour, *names)
    if files is None:
        return
    path = os.path.join(guest.work, f"qmp-{flavour}")
    command = Guest(flavour, add=files).arclight(["sh", "-c", LISTENER], options=[*options, "--qmp",
                                                                                  f"unix:{path},server=on,wait=off"])
    talk = Conversation([], command=command)
    talk.expect(rb"press now")
    with socket.socket(socket.AF_UNIX) as qmp:
        qmp.connect(path)
        qmp.sendall(b'{"execute": "qmp_capabilities"} {"execute": "system_powerdown"}\n')
        talk.expect(rb"key was pressed")
        talk.status()


parts = {"U-Boot": uboot, "edk2's variables": variables, "a reset": reset, "Debian's kernel through edk2": kernel,
         "the power key by ACPI": lambda: power_key("cloud", ["evdev"], ["-m", "1G", "--bios", BIOS]),
         "the power key by the device tree": lambda: power_key("generic", ["evdev", "gpio_keys"], ["-m", "1G"])}
if shutil.which("mformat"):
    parts["a disk behind virtio-mmio"] = lambda: disk("mmio")
    parts["a disk on PCI"] = lambda: disk("pci")
    parts["an NVMe disk"] = lambda: disk("NVMe")
    if guest.NIGHTLY:
        parts["a SCSI disk"] = lambda: disk("SCSI")
else:
    print("without disks: no mformat (package mtools)")
# Firmware waits most of the time, for keys that nobody presses.
with concurrent.futures.ThreadPoolExecutor(3) as pool:
    list(pool.map(attempt, parts.keys(), parts.values()))
failures.end()
