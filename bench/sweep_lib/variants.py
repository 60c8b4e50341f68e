"""What can run the guest: Arclight's combinations, as its own --help lists them, QEMU's CPU models, and the host itself."""
import glob, hashlib, os, re, shutil, subprocess, types
from dataclasses import dataclass, field

from . import programs
from .results import SECOND_RUN

KEPT_BYTES = "4G"  # more than all programs leave, so that none makes room for another

QEMU_CPUS = ["cortex-a57", "cortex-a76", "neoverse-n1", "max,pauth-impdef=on"]


@dataclass
class Variant:
    name: str           # "arclight process/tier1", "qemu cortex-a76", "native"
    kind: str           # arclight, qemu, native
    options: list       # what tells it from its siblings on the command line
    kaslr: bool = True
    labels: dict = field(default_factory=dict)
    kept: str = None    # of a second run: the directory of what the first one has kept

    def command(self, guest, settings, programs, inputs, stats=None, spec=None):
        """The command that boots the guest and runs these programs."""
        if settings.bare:
            return self.bare_command(settings, stats)
        words = f"console=ttyAMA0 panic=-1 quiet inputs={inputs} disks={2 if spec else 1} programs={','.join(programs)}"
        disks = [f"{guest}/root.ext4"] + ([spec] if spec else [])
        if self.kind == "arclight":
            command = [settings.arclight, "run", "--kernel", f"{guest}/vmlinuz", "--initrd", f"{guest}/init.cpio",
                       "-m", f"{settings.memory}M", "--no-reboot", "--append", words]
            for disk in disks:
                command += ["--drive", f"file={disk},format=raw,snapshot=on"]
            if stats:
                command += ["--stats-json", stats]
            return command + self.options + settings.arclight_options
        # Without dtb-randomness there is no kaslr-seed in the device tree, so the kernel stays where it is linked and,
        # on CPUs without E0PD, does without page-table isolation.
        machine = "virt,gic-version=3" + ("" if self.kaslr else ",dtb-randomness=off")
        command = [settings.qemu, "-M", machine, *self.options, "-smp", "1", "-m", str(settings.memory), "-nodefaults",
                   "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", f"{guest}/vmlinuz",
                   "-initrd", f"{guest}/init.cpio", "-append", words]
        for n, disk in enumerate(disks):
            command += ["-drive", f"if=none,id=d{n},file={disk},format=raw,snapshot=on", "-device", f"virtio-blk-device,drive=d{n}"]
        return command + settings.qemu_options


    def bare_command(self, settings, stats):
        """A bare-metal program instead of the guest (SimBench)."""
        memory = str(programs.bare(settings.bare)[1])
        if self.kind == "arclight":
            return [settings.arclight, "run", "-m", memory, "--gic", "3", "--no-reboot", "--kernel", settings.bare, *(["--stats-json", stats] if stats else []),
                    *self.options, *settings.arclight_options]
        return [settings.qemu, "-M", "virt,gic-version=3", *self.options, "-smp", "1", "-m", memory, "-nodefaults", "-display", "none",
                "-serial", "stdio", "-no-reboot", "-kernel", settings.bare, *settings.qemu_options]


class Pinned:
    """A Variant whose emulator runs on one CPU of the host, with its threads; `arclight` is the program, if not the settings'."""

    def __init__(self, variant, cpu, arclight=None):
        self.name, self.kind, self.variant, self.cpu, self.arclight = variant.name, variant.kind, variant, cpu, arclight

    def command(self, guest, settings, *arguments):
        if self.arclight:
            settings = types.SimpleNamespace(**{**vars(settings), "arclight": self.arclight})
        return ["taskset", "-c", str(self.cpu), *self.variant.command(guest, settings, *arguments)]


def option_values(help_text, option, candidates):
    """Which of the candidates the description of an option names; empty if there is no such option."""
    match = re.search(rf"^\s+(?:-\w,)?{option}\b(.*?)(?=^\s+-|^\S|\Z)", help_text, re.MULTILINE | re.DOTALL)
    if not match:
        return []
    return [c for c in candidates if re.search(rf"(?<![\w-]){c}(?![\w-])", match.group(1))]


def arclight_version(settings):
    out = subprocess.run([settings.arclight, "version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    return out.stdout.strip()


def discover_arclight(settings):
    """(variants, remarks): every --accel and --jit combination that this binary offers and this host can run."""
    if not os.access(settings.arclight, os.X_OK):
        return [], [f"no Arclight at {settings.arclight} (./run --setup builds it; --arclight names another)"]
    out = subprocess.run([settings.arclight, "run", "--help"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    accels = option_values(out.stdout, "--accel", ["process", "kvm"]) or [None]
    tiers = option_values(out.stdout, "--jit", ["tier1", "tiered"]) or [None]
    version, remarks = arclight_version(settings), []
    for accel in list(accels):
        if accel and re.search(rf"^\s*{accel}\s+no\b.*", version, re.MULTILINE):
            remarks.append(re.search(rf"^\s*{accel}\s+no\b.*", version, re.MULTILINE).group(0).strip() + ": left out")
            accels.remove(accel)
    variants = []
    for accel in accels:
        for tier in tiers:
            options = (["--accel", accel] if accel else []) + (["--jit", tier] if tier else [])
            if "--jit-cache" in out.stdout:
                options += ["--jit-cache", "off"]  # every sample pays for its translations
            name = "arclight " + ("/".join(w for w in (accel, tier) if w) or "default")
            variants.append(Variant(name, "arclight", options, labels={"accel": accel, "jit": tier}))
            if accel == "kvm" and getattr(settings, "fastmem", False):
                variants.append(Variant(name + "+fastmem", "arclight", options + ["--fastmem", "on"], labels={"accel": accel, "jit": tier}))
            if getattr(settings, "kept", None) and "--jit-cache" in out.stdout:
                variants.append(second_run(settings, name, options, {"accel": accel, "jit": tier}))
    return variants, remarks


def second_run(settings, name, options, labels):
    """The variant once more, with a directory of its own; another binary, which does not use what this one keeps, has another."""
    binary = os.stat(settings.arclight)
    key = hashlib.sha256(f"{name} {binary.st_size} {binary.st_mtime_ns}".encode()).hexdigest()[:16]
    directory = os.path.join(settings.kept, key)
    options = [directory if before == "--jit-cache" else word for before, word in zip(["", *options], options)]
    return Variant(name + SECOND_RUN, "arclight", [*options, "--jit-cache-size", KEPT_BYTES], labels=labels, kept=directory)


def version_line(program):
    try:
        out = subprocess.run([program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return out.stdout.splitlines()[0] if out.returncode == 0 and out.stdout else None


def qemu_version(settings):
    return version_line(settings.qemu)


def newest_qemu():
    """The newest QEMU for arm64 on this host: of PATH, /usr/local and /opt, and of $ARCLIGHT_CACHE/qemu-*, where one from another release of
    Debian can be unpacked. Arclight under QEMU's name is none."""
    cache = os.environ.get("ARCLIGHT_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "arclight")
    places = [*os.environ.get("PATH", "").split(":"), "/usr/local/bin", *glob.glob("/opt/*/bin"), *glob.glob(os.path.join(cache, "qemu-*/usr/bin"))]
    newest, found = (), None
    for program in dict.fromkeys(os.path.join(p, "qemu-system-aarch64") for p in places if p):
        line = version_line(program) if os.access(program, os.X_OK) else None
        version = re.search(r"version (\d+(?:\.\d+)*)", line or "")
        if version and "Arclight" not in line and tuple(map(int, version[1].split("."))) > newest:
            newest, found = tuple(map(int, version[1].split("."))), program
    return found or "qemu-system-aarch64"


def qemu_variant(cpu, kaslr=True, threads="single"):
    name = f"qemu {cpu.split(',')[0]}" + ("" if kaslr else " nokaslr") + ("" if threads == "single" else " mttcg")
    return Variant(name, "qemu", ["-cpu", cpu, "-accel", f"tcg,thread={threads}"], kaslr, {"cpu": cpu, "kaslr": kaslr, "thread": threads})


def discover_qemu(settings):
    if qemu_version(settings) is None:
        return [], [f"no QEMU ({settings.qemu}; Debian: package qemu-system-arm): its columns stay empty"]
    if settings.cpus != "all":
        return [qemu_variant(cpu) for cpu in settings.cpus.split(";")], []
    variants = [qemu_variant(cpu, kaslr) for cpu in QEMU_CPUS for kaslr in (True, False)]
    return variants + [qemu_variant("cortex-a76", True, "multi"), qemu_variant("max,pauth-impdef=on", True, "multi")], []


def discover_native(settings):
    if not settings.native:
        return [], []
    if os.uname().machine != "x86_64":
        return [], ["native programs are x86-64, this host is not: left out"]
    if not shutil.which("unshare"):
        return [], ["no unshare (Debian: util-linux): native runs are left out"]
    return [Variant("native", "native", [])], []
