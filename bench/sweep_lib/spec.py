"""A user's own SPEC CPU2006 or CPU2017: arm64 binaries and run directories, as 'runspec/runcpu --action=setup' leaves them.

    DIR/benchspec/CPU2006/401.bzip2/run/run_base_ref_LABEL.0000/speccmds.cmd
    DIR/benchspec/CPU/505.mcf_r/run/run_base_refrate_LABEL.0000/speccmds.cmd

speccmds.cmd names the commands, their input and output files and the directory; the binary lies in the run directory. Beside it,
compare.cmd names what SPEC compares with which tolerances, where `specinvoke` has written it; else the files of data/*/output are
compared word by word. Both happens in the guest, by programs/specdiff.c. Nothing of SPEC is part of this project.
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
    checks: list = field(default_factory=list)    # of Command, of SPEC's comparison; files that are expected have absolute names of the host

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
            benchmark.checks = comparisons(benchmark, os.path.join(base, name), size)
            found.append(benchmark)
    if not found:
        raise SpecError(f"{directory} has no run directory of size {size}: make them with runspec or runcpu --action=setup --size={size}")
    return found


def comparisons(benchmark, base, size):
    """What SPEC compares: by compare.cmd of the run directory, or else each file of the expected outputs, exactly."""
    path = os.path.join(benchmark.run, "compare.cmd")
    if os.path.exists(path):
        return [relocated(c, base) for c in parse_commands(path)]
    found = []
    for data in sorted(os.listdir(os.path.join(base, "data"))) if os.path.isdir(os.path.join(base, "data")) else []:
        output = os.path.join(base, "data", data, "output")
        if (data == "all" or data.startswith(size)) and os.path.isdir(output):
            found += [Command(["specdiff", os.path.join(output, name), name]) for name in sorted(os.listdir(output))
                      if os.path.isfile(os.path.join(output, name)) and not name.endswith((".xz", ".bz2"))]
    return found


def relocated(command, base):
    """A comparison without the path of the tool, with expected files where they are here."""
    words = command.words
    at = next((n for n, w in enumerate(words) if os.path.basename(w) == "specdiff"), None)
    if at is None:  # a program of the benchmark's own, such as one that compares pictures
        return Command([found_here(w, base) for w in words], command.stdin, command.stdout, command.environment)
    return Command(["specdiff"] + [found_here(w, base) for w in words[at + 1:]])


def found_here(word, base):
    """A file under .../data/ of an installation that may have been elsewhere."""
    part = re.search(r"/data/[^/]+/(?:output|input)/.*", word)
    here = base + part.group() if part else ""
    return here if os.path.isfile(here) else word


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


def check_script(benchmark):
    """SPEC's comparison as a script for the guest: the expected files lie beside the run directory there."""
    lines = [f"cd /mnt/spec/run/{benchmark.name}"]
    for c in benchmark.checks:
        words = ["/mnt/spec/specdiff" if c.words[0] == "specdiff" else "./" + os.path.basename(c.words[0])]
        words += [f"/mnt/spec/expected/{benchmark.name}/{os.path.basename(w)}" if w in expected(benchmark) else w for w in c.words[1:]]
        text = " ".join(shlex.quote(w) for w in words)
        # What differs is the reason that the table gives: the last line of stderr.
        lines.append(f"{text} > {shlex.quote(c.stdout)}" if c.stdout and c.words[0] != "specdiff" else f"{text} >&2")
    return "\n".join(lines) + "\n"


def expected(benchmark):
    return [w for c in benchmark.checks for w in c.words[1:] if os.path.isabs(w) and os.path.isfile(w)]


def comparator(path):
    """programs/specdiff.c for the guest."""
    compiler = shutil.which("aarch64-linux-gnu-gcc")
    if compiler is None:
        raise SpecError("no aarch64-linux-gnu-gcc (Debian: gcc-aarch64-linux-gnu) for the program that compares outputs")
    source = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "programs/specdiff.c")
    subprocess.run([compiler, "-O2", "-static", "-o", path, source, "-lm"], check=True)


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
            if b.checks:
                os.makedirs(os.path.join(directory, "check"), exist_ok=True)
                os.makedirs(os.path.join(directory, "expected", b.name))
                with open(os.path.join(directory, "check", f"{b.name}.{inputs}"), "w") as f:
                    f.write(check_script(b))
                for file in expected(b):
                    shutil.copy(file, os.path.join(directory, "expected", b.name))
        if any(b.checks for b in suite):
            comparator(os.path.join(directory, "specdiff"))
        used = int(subprocess.run(["du", "-sm", directory], stdout=subprocess.PIPE, text=True, check=True).stdout.split()[0])
        # Room for the outputs.
        made = subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", directory, path, f"{used * 5 // 4 + 128}M"],
                              env={**os.environ, "PATH": os.environ.get("PATH", "") + ":/usr/sbin:/sbin"},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode != 0:
            raise SpecError(f"cannot build the disk {path}: {made.stdout.strip().splitlines()[-1] if made.stdout.strip() else 'mke2fs failed'}")
    return path
