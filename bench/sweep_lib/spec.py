"""A user's own SPEC CPU2006 or CPU2017: arm64 binaries and run directories, as 'runspec/runcpu --action=setup' leaves them.

    DIR/benchspec/CPU2006/401.bzip2/run/run_base_ref_LABEL.0000/speccmds.cmd
    DIR/benchspec/CPU/505.mcf_r/run/run_base_refrate_LABEL.0000/speccmds.cmd

speccmds.cmd names the commands, their input and output files and the directory; the binary lies in the run directory.
Nothing of SPEC is part of this project; outputs are compared between the emulators, not with SPEC's own tolerances.
"""
import os, re, shlex, shutil, subprocess, tempfile
from dataclasses import dataclass, field

# SPEC's own division; names without their numbers, rate and speed forms.
FP = {"bwaves", "gamess", "milc", "zeusmp", "gromacs", "cactusADM", "leslie3d", "namd", "dealII", "soplex", "povray", "calculix",
      "GemsFDTD", "tonto", "lbm", "wrf", "sphinx3", "cactuBSSN", "parest", "cam4", "pop2", "imagick", "nab", "fotonik3d", "roms", "blender"}


class SpecError(Exception):
    pass


@dataclass
class Benchmark:
    name: str
    run: str  # run directory on the host
    about: str
    commands: list = field(default_factory=list)  # of Command

    @property
    def group(self):
        return "fp" if re.sub(r"^\d+\.|_[rs]$", "", self.name) in FP else "int"


@dataclass
class Command:
    words: list
    stdin: str = ""
    stdout: str = ""
    environment: dict = field(default_factory=dict)


def parse_commands(path):
    """The lines of a speccmds.cmd: options of SPEC's specinvoke, then the command."""
    commands, environment = [], {}
    with open(path, encoding="utf-8", errors="replace") as f:
        for number, line in enumerate(f, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            try:
                words = shlex.split(line)
            except ValueError as error:
                raise SpecError(f"{path}:{number}: {error}") from None
            stdin = stdout = ""
            while words and words[0].startswith("-"):
                option = words.pop(0)
                if option == "-E" and len(words) >= 2:
                    name = words.pop(0)
                    environment[name] = words.pop(0)
                elif option in ("-i", "-o", "-e", "-C", "-N", "-S", "-b", "-u", "-c", "-k") and words:
                    value = words.pop(0)
                    stdin, stdout = (value, stdout) if option == "-i" else (stdin, value) if option == "-o" else (stdin, stdout)
                elif option not in ("-r", "-q", "-Z", "-w"):
                    raise SpecError(f"{path}:{number}: unknown option {option}")
            # CPU2017 writes the redirections into the command, too.
            words, redirected = strip_redirections(words)
            stdin, stdout = stdin or redirected.get("<", ""), stdout or redirected.get(">", "")
            if words:
                commands.append(Command(words, stdin, stdout, dict(environment)))
    return commands


def strip_redirections(words):
    kept, redirected, n = [], {}, 0
    while n < len(words):
        if words[n] in ("<", ">", ">>", "2>>", "2>") and n + 1 < len(words):
            redirected.setdefault(words[n][0], words[n + 1])
            n += 2
        else:
            kept.append(words[n])
            n += 1
    return kept, redirected


def find(directory, size, only):
    """The benchmarks of an installation that have a run directory of this size; the newest of each counts."""
    root = os.path.join(directory, "benchspec")
    if not os.path.isdir(root):
        raise SpecError(f"{directory} is no SPEC installation (it has no benchspec)")
    wanted, found = {n for n in only.split(",") if n}, []
    for suite in ("CPU2006", "CPU"):
        base = os.path.join(root, suite)
        for name in sorted(os.listdir(base)) if os.path.isdir(base) else []:
            if not re.fullmatch(r"\d{3}\.\w+", name) or (wanted and name not in wanted and name.split(".")[1] not in wanted):
                continue
            runs = os.path.join(base, name, "run")
            pattern = re.compile(rf"run_(base|peak)_{size}(rate|speed)?_.*\.\d{{4}}")
            candidates = [d for d in (os.listdir(runs) if os.path.isdir(runs) else []) if pattern.fullmatch(d) and
                          os.path.exists(os.path.join(runs, d, "speccmds.cmd"))]
            if not candidates:
                continue
            run = os.path.join(runs, max(candidates, key=lambda d: os.path.getmtime(os.path.join(runs, d, "speccmds.cmd"))))
            benchmark = Benchmark(name, run, f"SPEC {'CPU2006' if suite == 'CPU2006' else 'CPU2017'} {name}, {size}")
            benchmark.commands = parse_commands(os.path.join(run, "speccmds.cmd"))
            check(benchmark)
            found.append(benchmark)
    if not found:
        raise SpecError(f"{directory} has no run directory of size {size}: make them with runspec or runcpu --action=setup --size={size}")
    return found


def check(benchmark):
    if not benchmark.commands:
        raise SpecError(f"{benchmark.run}/speccmds.cmd names no command")
    for command in benchmark.commands:
        binary = locate(benchmark, command.words[0])
        try:
            with open(binary, "rb") as f:
                head = f.read(20)
        except OSError:
            raise SpecError(f"{benchmark.name}: {command.words[0]} is not in {benchmark.run}") from None
        if head[:4] == b"\x7fELF" and head[18:20] != b"\xb7\x00":
            raise SpecError(f"{benchmark.name}: {binary} is not an arm64 program")


def locate(benchmark, word):
    """The binary, wherever the run directory was when it was set up."""
    for path in (os.path.join(benchmark.run, word), os.path.join(benchmark.run, os.path.basename(word))):
        if os.path.isfile(path):
            return path
    return os.path.join(benchmark.run, word)


def script(benchmark):
    """The benchmark as a script for the guest: its output files' sums are the answer."""
    lines, outputs = [f"cd /mnt/spec/run/{benchmark.name}"], []
    for c in benchmark.commands:
        words = ["./" + os.path.basename(c.words[0])] + c.words[1:]
        text = "".join(f"{k}={shlex.quote(v)} " for k, v in c.environment.items()) + " ".join(shlex.quote(w) for w in words)
        out = c.stdout or f"stdout.{len(outputs)}"
        outputs.append(out)
        lines.append(text + (f" < {shlex.quote(c.stdin)}" if c.stdin else "") + f" > {shlex.quote(out)}")
    return "\n".join(lines + ["$B md5sum " + " ".join(map(shlex.quote, dict.fromkeys(outputs)))]) + "\n"


def make_disk(suite, path, inputs):
    with tempfile.TemporaryDirectory(dir=os.path.dirname(path)) as directory:
        os.makedirs(os.path.join(directory, "set"))
        for b in suite:
            target = os.path.join(directory, "run", b.name)
            shutil.copytree(b.run, target, symlinks=False)
            for c in b.commands:
                binary = os.path.join(target, os.path.basename(c.words[0]))
                if not os.path.exists(binary):
                    shutil.copy(locate(b, c.words[0]), binary)
                os.chmod(binary, 0o755)
            with open(os.path.join(directory, "set", f"{b.name}.{inputs}"), "w") as f:
                f.write(script(b))
        used = int(subprocess.run(["du", "-sm", directory], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0])
        # Room for the outputs.
        made = subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", directory, path, f"{used * 5 // 4 + 128}M"],
                              env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode != 0:
            raise SpecError(f"cannot build the disk {path}: {made.stdout.strip().splitlines()[-1] if made.stdout.strip() else 'mke2fs failed'}")
    return path
