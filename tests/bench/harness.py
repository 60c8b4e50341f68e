"""For the tests of the sweep: a work directory, a guest that is only a stamp, and emulators that are played."""
import atexit, json, os, shutil, subprocess, sys, tempfile

SOURCE = os.environ["ARCLIGHT_SOURCE"]
ARCLIGHT = os.environ.get("ARCLIGHT", "")
SWEEP = os.path.join(SOURCE, "bench/sweep_lib/main.py")  # without what ./bench/sweep installs
SKIPPED = 77
sys.path.insert(0, os.path.join(SOURCE, "bench"))

work = tempfile.mkdtemp(prefix="arclight-sweep-test-")
atexit.register(shutil.rmtree, work, ignore_errors=True)
guest = os.path.join(work, "guest")
os.mkdir(guest)
with open(os.path.join(guest, "stamp"), "w") as f:
    f.write("fake\n")
for player in "arclight", "qemu-fake":
    os.symlink(os.path.join(SOURCE, "tests/bench/fake_emulator.py"), os.path.join(work, player))
failures = 0


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIPPED)


def check(condition, text):
    global failures
    if not condition:
        failures += 1
        print("FAIL:", text, flush=True)
    return bool(condition)


def end():
    print("all as expected" if failures == 0 else f"{failures} failures")
    sys.exit(1 if failures else 0)


def command(out, *arguments, only="perl,bzip2,fft,getpid"):
    return [sys.executable, SWEEP, "--quick", "--no-native", "--guest", guest, "--arclight", os.path.join(work, "arclight"),
            "--qemu", os.path.join(work, "qemu-fake"), "--only", only, "--out", os.path.join(work, out), *arguments]


def environment(fake=""):
    return {**os.environ, "FAKE": fake, "PYTHONDONTWRITEBYTECODE": "1"}


def sweep(out, *arguments, fake="", **more):
    """(exit status, everything printed, the result or None)."""
    done = subprocess.run(command(out, *arguments, **more), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, env=environment(fake), timeout=120)
    try:
        with open(os.path.join(work, out, "result.json")) as f:
            result = json.load(f)
    except OSError:
        result = None
    return done.returncode, done.stdout, result


def tool(*arguments):
    done = subprocess.run([sys.executable, SWEEP, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(), timeout=240)
    return done.returncode, done.stdout


def lines(out):
    with open(os.path.join(work, out, "state.jsonl")) as f:
        return f.read().splitlines()


def no_traceback(text, what):
    check("Traceback" not in text, f"{what}: a traceback:\n{text}")
