"""The rig (tests/kvm/rig) for the tests of this folder. The environment says where things are: ARCLIGHT_SOURCE, and
ARCLIGHT_BUILD, which has the static programs and the bare-metal guests."""
import atexit, json, os, re, shlex, shutil, subprocess, sys, tempfile, time

SOURCE = os.environ["ARCLIGHT_SOURCE"]
BUILD = os.environ["ARCLIGHT_BUILD"]
ARCLIGHT = os.environ["ARCLIGHT"]
NIGHTLY = os.environ.get("ARCLIGHT_NIGHTLY", "") not in ("", "0")
SKIPPED = 77

work = tempfile.mkdtemp(prefix="arclight-kvm-")
atexit.register(shutil.rmtree, work, ignore_errors=True)


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIPPED)


def static(name):
    """A static program without its debug information, which is most of it."""
    path = os.path.join(work, name)
    if not os.path.exists(path):
        built = os.path.join(BUILD, name)
        if not os.path.exists(built):
            skip(f"no {name}: not built")
        subprocess.run(["strip", "-o", path, built], check=True)
    return path


def with_tier2():
    """Files for the rig: the program as users have it, with LLVM, and all libraries of both (a static program has no tier 2)."""
    module = os.path.join(os.path.dirname(ARCLIGHT), "libarclight_tier2.so")
    if not os.path.exists(module):
        skip("built without tier 2")
    return with_libraries(ARCLIGHT, module)


def with_libraries(*paths):
    """Files for the rig: these, and all their libraries."""
    files = []
    for path in paths:
        stripped = os.path.join(work, os.path.basename(path))
        if not os.path.exists(stripped):
            subprocess.run(["strip", "-o", stripped, path], check=True)
        files.append(f"{stripped}:/t/{os.path.basename(path)}")
    needed = subprocess.run(["ldd", *paths], stdout=subprocess.PIPE, text=True, check=True).stdout
    for library in sorted(set(re.findall(r"=> (/\S+)", needed))):
        files.append(f"{library}:/t/lib/{os.path.basename(library)}")
    for loader in sorted(set(re.findall(r"^\s*(/\S*ld-linux\S*)", needed, re.M))):
        files.append(f"{loader}:{loader}")
    return files


def guests():
    return os.path.join(BUILD, "tests/baremetal")


def elf(name):
    """A bare-metal guest of this folder."""
    path = os.path.join(BUILD, f"tests/kvm/{name}.elf")
    if not os.path.exists(path):
        skip("no bare-metal guests: no aarch64-linux-gnu-gcc")
    return path


class Result:
    def __init__(self, status, output, seconds):
        self.status, self.output, self.seconds = status, output, seconds

    def __str__(self):
        return f"status {self.status} after {self.seconds:.1f} s: {self.output[-3000:]}"


def run(program, arguments=(), files=(), limit=120, memory=1024, nested=1, processor="amd", disk=None, own_time=False, told=None):
    """`own_time`: rig -i. `told`: called with each line as it comes."""
    words = [os.path.join(SOURCE, "tests/kvm/rig"), "-p", processor, "-t", str(limit), "-m", str(memory), "-n", str(nested), "-e", "ARCLIGHT_RIG=1"]
    if disk:
        words += ["-d", disk]
    if own_time:
        words += ["-i"]
    for f in files:
        words += ["-f", f]
    start = time.monotonic()
    said = []
    with subprocess.Popen(words + [program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace") as running:
        for line in running.stdout:
            said.append(line)
            if told:
                told(line.strip())
    output = "".join(said)
    if running.returncode == SKIPPED:
        print(output)
        sys.exit(SKIPPED)
    return Result(running.returncode, output, time.monotonic() - start)


def run_each(arclight_arguments, files=(), limit=120, memory=1024, nested=1, last=(), before="true", tier2=False, processor="amd", typed=None,
             disk=None, profile=False, one_ended=None, told=None, **how):
    """`arclight run` with each of these lists of arguments, and then the `last`, in one boot of the rig: its Results, with the
    whole boot's time and `counters`, what --stats-json wrote. `before`: a shell command before each. `typed`: what is
    on the standard input of each. `disk`: an image for a machine with an IOMMU and an NVMe disk (rig -d). `profile`: the Results have
    `profile`, what --profile-host wrote. `one_ended`: called with the number of each run and its Result once it has ended. `how`: as run()
    takes it."""
    script = ["#!/bin/busybox sh", "export LD_LIBRARY_PATH=/t/lib"]
    for n, arguments in enumerate(arclight_arguments):
        profiled = ["--profile-host", "/tmp/profile"] if profile else []
        words = " ".join(shlex.quote(a) for a in [*arguments, "--stats-json", "/tmp/stats", *profiled, *last])
        source = f"/bin/busybox printf %s {shlex.quote(typed[n])} | " if typed else ""
        script.append(f"{before}; /bin/busybox rm -f /tmp/stats /tmp/profile; {source}/t/arclight run {words} 2>&1; r=$?")
        for kind, file in (("counters", "stats"), ("profile", "profile")):
            script.append(f"echo; echo '=== {kind}'; /bin/busybox cat /tmp/{file} 2> /dev/null")
        script.append(f"echo; echo \"=== {n} ended with $r\"")
    path = os.path.join(work, "each")
    with open(path, "w") as f:
        f.write("\n".join(script) + "\n")
    # The static program has no decoder of host instructions, which profiles need.
    program = with_tier2() if tier2 else with_libraries(ARCLIGHT) if profile else [static("arclight_static") + ":/t/arclight"]
    began, lines = time.monotonic(), []

    def heard(line):
        if told:
            told(line)
        lines.append(line)
        if one_ended and (end := re.fullmatch(r"=== (\d+) ended with (\d+)", line)):
            one_ended(int(end[1]), ended("\n".join(lines[:-1]), int(end[2]), time.monotonic() - began))
            lines.clear()

    whole = run(path, files=[*program, *files], limit=limit, memory=memory, nested=nested, processor=processor, disk=disk, told=heard, **how)
    if whole.status != 0:
        print("the rig:", whole)
        sys.exit(1)
    results, rest = [], whole.output
    for n in range(len(arclight_arguments)):
        output, mark, rest = rest.partition(f"\n=== {n} ended with ")
        if not mark:
            print(f"the rig lost run {n}: {output[-2000:]}")
            sys.exit(1)
        status, _, rest = rest.partition("\n")
        results.append(ended(output, int(status), whole.seconds))
    return results


def ended(output, status, seconds):
    """One run's Result, of what is written until its end is."""
    output, _, profiled = output.partition("\n=== profile\n")
    output, _, counters = output.partition("\n=== counters\n")
    result = Result(status, output.replace("\r", ""), seconds)
    result.counters = json.loads(counters) if counters.strip() else None
    result.profile = json.loads(profiled) if profiled.strip() else None
    return result
