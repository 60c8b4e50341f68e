"""The rig (tests/kvm/rig) for the tests of this folder. The environment says where things are: ARCLIGHT_SOURCE, and
ARCLIGHT_BUILD, which has the static programs and the bare-metal guests."""
import atexit, json, os, shlex, shutil, subprocess, sys, tempfile, time

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


def run(program, arguments=(), files=(), limit=120, memory=1024, nested=1):
    words = [os.path.join(SOURCE, "tests/kvm/rig"), "-t", str(limit), "-m", str(memory), "-n", str(nested), "-e", "ARCLIGHT_RIG=1"]
    for f in files:
        words += ["-f", f]
    start = time.monotonic()
    done = subprocess.run(words + [program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    if done.returncode == SKIPPED:
        print(done.stdout)
        sys.exit(SKIPPED)
    return Result(done.returncode, done.stdout, time.monotonic() - start)


def run_each(arclight_arguments, files=(), limit=120, memory=1024, nested=1, last=(), before="true"):
    """`arclight run` with each of these lists of arguments, and then the `last`, in one boot of the rig: its Results, with the
    whole boot's time and `counters`, what --stats-json wrote. `before`: a shell command before each."""
    script = ["#!/bin/busybox sh"]
    for n, arguments in enumerate(arclight_arguments):
        words = " ".join(shlex.quote(a) for a in [*arguments, "--stats-json", "/tmp/stats", *last])
        script.append(f"{before}; /bin/busybox rm -f /tmp/stats; /t/arclight run {words} 2>&1; r=$?")
        script.append(f"echo; echo '=== counters'; /bin/busybox cat /tmp/stats; echo; echo \"=== {n} ended with $r\"")
    path = os.path.join(work, "each")
    with open(path, "w") as f:
        f.write("\n".join(script) + "\n")
    whole = run(path, files=[static("arclight_static") + ":/t/arclight", *files], limit=limit, memory=memory, nested=nested)
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
        output, _, counters = output.partition("\n=== counters\n")
        results.append(Result(int(status), output.replace("\r", ""), whole.seconds))
        results[-1].counters = json.loads(counters) if counters.strip() else None
    return results
