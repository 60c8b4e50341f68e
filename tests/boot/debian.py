#!/usr/bin/env python3
"""A Debian disk as `./run debian` makes it: made from nothing, then booted; systemd has nothing failed, the host logs in by ssh, apt
installs a package from a repository on the host's loopback, containers without docker work, the guest starts again and powers off from
inside and keeps what was written. By UEFI and GRUB with four CPUs and GICv3, by the kernel alone with one CPU and GICv2."""
import hashlib, http.server, os, shutil, subprocess, sys, threading, time
import guest
from guest import ARCLIGHT, Failures, Guest, SOURCE, work

failures = Failures()
for tool in ("fakeroot", "sfdisk", "mkfs.vfat", "ssh", "dpkg-deb", "debugfs"):
    if shutil.which(tool, path=os.environ["PATH"] + ":/sbin:/usr/sbin") is None:
        guest.skip(f"{tool} is not installed")
debian = Guest()
HOME = os.path.join(work, "data")
STATE = os.path.join(HOME, "arclight/debian-" + subprocess.check_output(
    ["sh", "-c", '. /etc/os-release; echo "$VERSION_CODENAME"'], text=True).strip())
ENVIRONMENT = os.environ | {
    "XDG_DATA_HOME": HOME, "ARCLIGHT_KERNEL": debian.kernel, "ARCLIGHT_BUSYBOX": debian.busybox,
    "ARCLIGHT_MODULES": os.path.join(debian.kernel_directory, "modules")}


def command(*words, limit=900):
    """`./run debian WORDS`: its exit status and all that it printed."""
    done = subprocess.run([os.path.join(SOURCE, "guestos/debian/debian"), *words], env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=limit)
    return done.returncode, done.stdout


def inside(script, expected, what):
    status, output = command("ssh", script)
    failures.check(status == 0 and output.strip() == expected, f"{what}: status {status}, {output!r} instead of {expected!r}")


class Repository:
    """One package, as apt finds it below a directory."""

    def __init__(self):
        root = os.path.join(work, "repository")
        tree = os.path.join(work, "package")
        os.makedirs(os.path.join(tree, "DEBIAN"))
        os.makedirs(os.path.join(tree, "usr/bin"))
        os.makedirs(root)
        control = ("Package: arclight-greeting\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody <nobody@invalid>\n"
                   "Description: says one word\n")
        with open(os.path.join(tree, "DEBIAN/control"), "w") as f:
            f.write(control)
        program = os.path.join(tree, "usr/bin/arclight-greeting")
        with open(program, "w") as f:
            f.write("#!/bin/sh\necho installed\n")
        os.chmod(program, 0o755)
        deb = os.path.join(root, "greeting.deb")
        subprocess.run(["dpkg-deb", "--root-owner-group", "-b", tree, deb], check=True, stdout=subprocess.DEVNULL)
        with open(deb, "rb") as f:
            data = f.read()
        with open(os.path.join(root, "Packages"), "w") as f:
            f.write(f"{control}Filename: ./greeting.deb\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n")

        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments):
                super().__init__(*arguments, directory=root)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.port = server.server_address[1]


CONTAINERS = """set -e
mkdir -p /tmp/lower /tmp/upper /tmp/work /tmp/merged
echo below > /tmp/lower/file
unshare -m sh -c 'mount -t overlay none /tmp/merged -o lowerdir=/tmp/lower,upperdir=/tmp/upper,workdir=/tmp/work && echo above > /tmp/merged/file'
cat /tmp/lower/file /tmp/upper/file
unshare -p -f --mount-proc sh -c 'echo $$'
systemd-run -q --wait --pipe -p MemoryMax=64M -p TasksMax=5 sh -c 'cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/pids.max'
systemd-nspawn -q -D / --volatile=yes --pipe /usr/bin/arclight-greeting"""


def check_guest(options, repository, first):
    status, output = command("start", *options)
    if not failures.check(status == 0, f"start {options}: {output}"):
        return
    inside("systemctl is-system-running --wait; systemctl --failed --no-legend", "running", "systemd")
    cpus = options[options.index("--smp") + 1]
    inside("nproc; uname -m; grep -c GIC /proc/interrupts | grep -qv '^0$' && echo interrupts", f"{cpus}\naarch64\ninterrupts", "CPUs")
    if first:
        inside(f"echo 'deb [trusted=yes] http://10.0.2.2:{repository.port}/ ./' > /etc/apt/sources.list.d/test.list && "
               "apt-get -qq -o Dir::Etc::sourceparts=- -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/test.list update && "
               "apt-get -qq install arclight-greeting > /dev/null 2>&1 && arclight-greeting", "installed", "apt")
        inside("test -d /sys/firmware/efi && grep -c root=UUID= /proc/cmdline", "1", "EFI and GRUB")
        inside("cat /proc/sys/kernel/random/boot_id > /root/first-boot; sync; systemctl reboot; exit 0", "", "reboot")
        end = time.monotonic() + 300
        while time.monotonic() < end:
            if command("ssh", "test $(cat /root/first-boot) != $(cat /proc/sys/kernel/random/boot_id)")[0] == 0:
                break
            time.sleep(1)
        else:
            failures.add("no second boot after a reboot from inside")
    inside("arclight-greeting", "installed", "what was installed before")
    inside(CONTAINERS, "below\nabove\n1\n5\ninstalled", "containers")
    status, output = command("stop")
    failures.check(status == 0, f"stop: {output}")
    with open(os.path.join(STATE, "console.log"), "rb") as f:
        console = f.read().decode(errors="replace")
    failures.check("Power down" in console, f"the guest did not power off properly: {console[-300:]!r}")


began = time.monotonic()
subprocess.run(["mkdir", "-p", STATE], check=True)
status, output = command("start", "--size", "4G", "--package", "systemd-container", "--smp", "4", limit=1800)
if status != 0 and any(text in output for text in ("cannot reach the package registry", "the registry has no")):
    guest.skip(output.splitlines()[-1])
failures.check(status == 0, f"the disk cannot be made: {output}")
print(f"disk made and started in {time.monotonic() - began:.0f} s")
if status == 0:
    failures.check(command("start")[0] == 1, "a second start beside the first is not refused")
    command("ssh", "true")
    failures.check(command("stop")[0] == 0, "the first stop")
    repository = Repository()
    check_guest(["--smp", "4"], repository, True)
    check_guest(["--smp", "1", "--gic", "2", "--direct"], repository, False)
    failures.check(command("status")[1].startswith("not running"), "the guest runs after its end")
failures.end()
