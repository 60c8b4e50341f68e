#!/usr/bin/env python3
"""Everything that can be amiss gives one clear line, and the rest of the sweep goes on."""
import json, os, resource, subprocess, sys
import harness
from harness import check, no_traceback, sweep, tool, work


def others_done(result, but, what):
    for name in ("perl", "bzip2", "fft", "getpid"):
        entry = result["programs"][name]["seconds"]
        if name != but:
            check(len(entry) == 3, f"{what}: {name} has {sorted(entry)}")


for fake, words in (("fail=bzip2", "exit status 1 in the guest: it said no"), ("hang=bzip2", "no end within 2 s (time limit)"),
                    ("die=bzip2", "the emulator ended early with status 1: some noise of the kernel | Kernel panic"), ("wrong=bzip2", "WRONG ANSWER")):
    out = fake.split("=")[0]
    status, text, result = sweep(out, "--limit", "2", "--reps", "1", fake=fake)
    check(status == 1, f"{fake}: status {status}")
    check(words in text and "bzip2" in text, f"{fake}: no line with '{words}':\n{text}")
    no_traceback(text, fake)
    others_done(result, "bzip2", fake)
    check(any(f["program"] == "bzip2" and words.split(" |")[0][:20] in f["why"] for f in result["failures"]), f"{fake}: not in the result")
check("arclight process/tier1" not in result["programs"]["bzip2"]["seconds"], "a wrong answer has a time")

status, text, result = sweep("babble", "--reps", "1", fake="babble")
check(status == 0, f"a guest that babbles: status {status}:\n{text}")
others_done(result, "", "babble")

status, text, result = sweep("noqemu", "--qemu", "/nonexistent/qemu", "--reps", "1")
check(status == 0 and "no QEMU (/nonexistent/qemu" in text, f"no QEMU: status {status}:\n{text}")
check(result and result["programs"]["perl"]["qemu"] is None and result["programs"]["perl"]["seconds"], "Arclight's times without QEMU")
no_traceback(text, "no QEMU")
status, text, result = sweep("noarclight", "--arclight", "/nonexistent/arclight", "--reps", "1")
check(status == 0 and "no Arclight at /nonexistent/arclight" in text, f"no Arclight: status {status}:\n{text}")
status, text, _ = sweep("nothing", "--arclight", "/nonexistent/a", "--qemu", "/nonexistent/q")
check(status == 2 and "nothing to run" in text, f"neither: status {status}:\n{text}")
status, text, _ = sweep("noboot", "--reps", "1", fake="noboot")
check(status == 2 and "no such accelerator: left out" in text and "nothing could boot" in text, f"nothing boots: status {status}:\n{text}")
status, text, _ = sweep("unknown", only="perl,nosuch")
check(status == 2 and "no program named 'nosuch'" in text, f"unknown program: status {status}:\n{text}")
status, text, _ = sweep("noguest", "--guest", "/nonexistent")
check(status == 2 and "holds no prepared guest" in text, f"no guest: status {status}:\n{text}")
status, text, _ = sweep("/proc/nowhere")
check(status == 2 and "cannot create" in text, f"no directory: status {status}:\n{text}")

# A disk that fills, played by a limit on the size of files: the sweep goes on and its table is whole.
command = harness.command("full", "--reps", "1")
done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=harness.environment(), timeout=120,
                      preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2048, 2048)))
check(done.returncode == 1 and "cannot write" in done.stdout and "kept in memory" in done.stdout, f"full disk: status {done.returncode}:\n{done.stdout}")
check("mean all" in done.stdout and "getpid" in done.stdout, "the table of a sweep on a full disk")
no_traceback(done.stdout, "full disk")
# What did get onto the disk serves the next run.
status, text, result = sweep("full", "--reps", "1")
check(status == 0 and "resuming" in text, f"after the full disk: status {status}:\n{text}")
others_done(result, "", "after the full disk")

# Results that are none.
good = os.path.join(work, "full", "result.json")
for name, content, words in (("version", {**result, "format": 99}, "of another version (format 99"), ("kind", {"a": 1}, "not a sweep's result"), ("text", None, "no JSON")):
    path = os.path.join(work, name + ".json")
    with open(path, "w") as f:
        f.write(json.dumps(content) if content else "hello")
    for arguments in (["report", path], ["compare", good, path]):
        status, text = tool(*arguments)
        check(status == 2 and words in text and text.count("\n") == 1, f"{arguments[0]} {name}: status {status}:\n{text}")
status, text = tool("report", "/nonexistent.json")
check(status == 2 and "cannot read" in text, f"no file: {text}")
status, text = tool("compare", good)
check(status == 2 and "two result files" in text, f"compare one: {text}")
harness.end()
