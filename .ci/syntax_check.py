#!/usr/bin/env python3
"""Clang's warnings, without making objects: syntax_check.py BUILD SECONDS, for all sources in BUILD's compile_commands.json outside
tests/ and bench/, and those of $CHANGED. Begins no further source after SECONDS, and names how many are left."""
import concurrent.futures, json, os, shlex, subprocess, sys, time

build, limit = sys.argv[1], float(sys.argv[2])
top = os.getcwd()
changed = set(os.environ.get("CHANGED", "").split())
began = time.monotonic()


def wanted(path):
    relative = os.path.relpath(path, top)
    return not relative.startswith(("tests/", "bench/")) or relative in changed


def check(entry):
    if time.monotonic() - began > limit:
        return None
    words = shlex.split(entry["command"])
    if "-o" in words:
        del words[words.index("-o"):words.index("-o") + 2]
    return subprocess.run(words + ["-fsyntax-only", "-Werror"], cwd=entry["directory"], stderr=subprocess.PIPE, text=True).stderr


with open(os.path.join(build, "compile_commands.json")) as f:
    sources = {e["file"]: e for e in json.load(f) if wanted(e["file"])}
# Changed sources first, so that the limit leaves out what is least likely to be wrong.
order = sorted(sources.values(), key=lambda e: os.path.relpath(e["file"], top) not in changed)
with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    said = list(pool.map(check, order))
left = sum(s is None for s in said)
messages = list(dict.fromkeys(s for s in said if s))
print(f".ci/check: warnings: {len(order) - left} sources" + (f", {left} not reached in {limit:.0f} s" if left else ""), file=sys.stderr)
print("".join(messages), end="", file=sys.stderr)
sys.exit(bool(messages))
