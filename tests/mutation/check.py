#!/usr/bin/env python3
"""Breaks the lines of mutations.py, one at a time, and sees a test fail.

    check.py BUILD [--only NAME]... [--anchors]

Sources are changed where they are and put back, also after an interruption: what was saved in BUILD/mutation is put back at
the next start. With --anchors it only looks whether each text is there once, which costs nothing.
"""
import argparse, os, pathlib, re, signal, subprocess, sys, time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from mutations import MUTATIONS

ROOT = pathlib.Path(__file__).resolve().parents[2]


class Saved:
    """The one file that is changed."""

    def __init__(self, build):
        self.directory = build / "mutation"

    def restore(self):
        name = self.directory / "name"
        if name.exists():
            path = ROOT / name.read_text()
            path.write_bytes((self.directory / "content").read_bytes())
            name.unlink()

    def change(self, file, text):
        self.directory.mkdir(exist_ok=True)
        path = ROOT / file
        (self.directory / "content").write_bytes(path.read_bytes())
        (self.directory / "name").write_text(file)
        path.write_text(text)


def mutated(mutation):
    """The file's text with the mutation; None if the text is not there once."""
    text = (ROOT / mutation.file).read_text()
    return text.replace(mutation.code, mutation.broken) if text.count(mutation.code) == 1 else None


def build(directory, targets):
    done = subprocess.run(["cmake", "--build", directory, "--target", *targets], capture_output=True, text=True)
    return done.returncode == 0, [line for line in done.stdout.splitlines() if "error" in line][:3]


def passes(directory, pattern, limit):
    """Whether the tests pass within `limit` seconds, and the names of those that do not."""
    command = ["ctest", "--test-dir", str(directory), "-R", pattern, "--no-tests=error"]
    # The tests' own limits are for a busy host and for programs that end.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True) as running:
        try:
            output, _ = running.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            return False, [f"{pattern}, which does not end"]
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
    if "No tests were found" in output:
        sys.exit(f"no test is named {pattern}")
    return running.returncode == 0, re.findall(r"^\s+\d+ - (\S+) .*\(", output, re.MULTILINE)


def main():
    words = argparse.ArgumentParser()
    words.add_argument("build", type=pathlib.Path)
    words.add_argument("--only", action="append", default=[])
    words.add_argument("--anchors", action="store_true")
    options = words.parse_args()
    chosen = [m for m in MUTATIONS if not options.only or m.name in options.only]
    lost = [m for m in chosen if mutated(m) is None]
    for m in lost:
        print(f"{m.name}: {m.file} does not have its text once:\n  {m.code}")
    if lost or options.anchors or not chosen:
        print(f"{len(chosen) - len(lost)} of {len(chosen)} texts are there once")
        return 1 if lost or not chosen else 0

    directory = options.build.resolve()
    saved = Saved(directory)
    saved.restore()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    good, errors = build(directory, sorted({t for m in chosen for t in m.targets}))
    if not good:
        sys.exit(f"the build fails without any mutation: {errors}")
    unnoticed = 0
    try:
        for m in chosen:
            began = time.monotonic()
            # The mutation before may still be in the program.
            good, errors = build(directory, m.targets)
            right, failed = passes(directory, m.test, m.limit) if good else (False, errors)
            if not right:
                sys.exit(f"{m.name}: {m.test} fails without the mutation: {failed}")
            saved.change(m.file, mutated(m))
            good, errors = build(directory, m.targets)
            if good:
                right, failed = passes(directory, m.test, m.limit)
            saved.restore()
            if not good:
                unnoticed += 1
                result = f"DOES NOT BUILD {errors}"
            elif right:
                unnoticed += 1
                result = f"NOT NOTICED by {m.test}: {m.why}"
            else:
                result = f"noticed by {failed[0] if failed else m.test}" + (f" and {len(failed) - 1} more" if len(failed) > 1 else "")
            print(f"{m.name}: {result} ({time.monotonic() - began:.0f} s)", flush=True)
    finally:
        saved.restore()
        build(directory, sorted({t for m in chosen for t in m.targets}))
    print(f"{len(chosen)} mutations, {unnoticed} not noticed")
    return 1 if unnoticed else 0


sys.exit(main())
