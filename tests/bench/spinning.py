#!/usr/bin/env python3
"""bench/spinning and bench/papers in pieces: rows that are measured again take the place of those that were there, the others stay; and words that make no sense."""
import importlib.machinery, importlib.util, json, os, stat, subprocess, sys, tempfile
SOURCE = os.environ["ARCLIGHT_SOURCE"]


def load(name):
    loader = importlib.machinery.SourceFileLoader(name, os.path.join(SOURCE, "bench", name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    loader.exec_module(module)
    return module


def refused(words, text, program="spinning"):
    done = subprocess.run([sys.executable, os.path.join(SOURCE, "bench", program), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode != 0 and text in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr, (words, done.returncode, done.stderr)


work = tempfile.TemporaryDirectory()
path = os.path.join(work.name, "result.json")
spinning = load("spinning")
first = {"off": 9.0, "nap": 8.0, "hand-over": 3.0, "when": "then"}
again = {"off": 6.0, "nap": 4.0, "hand-over": 2.0, "when": "now"}
counts = {"off": {"spins loop": 90.0, "ns": 0.0}, "hand-over": {"spins loop": 9.0, "ns": 1.0}}
fewer = {"off": {"spins loop": 30.0, "ns": 0.0}, "hand-over": {"spins loop": 3.0, "ns": 1.0}}
spinning.Into(path, 2).add("2 x 2", {"barrier": first, "ticket": first}, counts)
spinning.Into(path, 2).add("1 x 4", {"barrier": first}, counts)
spinning.Into(path, 2).add("2 x 2", {"barrier": again}, fewer)
with open(path) as f:
    found = json.load(f)
assert found["cores"] == 2, found
assert found["figures"]["2 x 2: barrier"] == again and found["figures"]["2 x 2: ticket"] == first and found["figures"]["1 x 4: barrier"] == first, found
assert found["figures"]["2 x 2: off"] == counts["off"], "what CPUs counted in a part of the rows is not that of all"
spinning.Into(path, 2).add("2 x 2", {"barrier": again, "ticket": again}, fewer)
with open(path) as f:
    assert json.load(f)["figures"]["2 x 2: off"] == fewer["off"], "a whole run's counts replace the earlier ones"

cores = len(os.sched_getaffinity(0))
other, none = os.path.join(work.name, "other.json"), os.path.join(work.name, "none.json")
with open(other, "w") as f:
    json.dump({"cores": cores + 1, "figures": {}}, f)
with open(none, "w") as f:
    f.write("[1]")
refused(["--rows", "barrier,nosuch"], "'nosuch' is none of barrier,")
refused(["--rows", "pbzip2", "--no-programs"], "leaves no row")
refused(["--into", other], f"is of {cores + 1} cores")
refused(["--into", none], "is no result of this program")
refused(["--part", "--cpus 2"], "--part goes with --measure", "papers")
refused(["--measure", "svio", "--part", "--cpus 2"], "--part goes with one of spinning", "papers")

# A measurement that is played: the page says what was measured when.
papers = load("papers")
played = os.path.join(work.name, "played")
with open(played, "w") as f:
    f.write(f"#!/bin/sh\n[ \"$1\" != fail ] && echo '{{\"n\": '$#'}}' > {path}\n")
os.chmod(played, stat.S_IRWXU)
papers.STORE = os.path.join(work.name, "papers.json")
papers.MEASUREMENTS["spinning"] = papers.MEASUREMENTS["spinning"].__class__([played, "a"], "", lambda result: {"rows": result["n"]}, 1, kept=path)
store = {}
assert papers.measure("spinning", store, False) and store["spinning"]["figures"] == {"rows": 1} and "parts" not in store["spinning"], store
for words in (("b", "c"), ("b", "c"), ("d",)):
    assert papers.measure("spinning", store, False, words), words
assert store["spinning"]["command"] == f"{played} a" and [p["command"].split()[1:] for p in store["spinning"]["parts"]] == [["a", "b", "c"], ["a", "d"]], store
assert store["spinning"]["figures"] == {"rows": 2}, store
text = papers.page(store)
assert f"| spinning | `{played} a` |" in text and f"| spinning, these rows anew | `{played} a b c` |" in text and text.count("these rows anew") == 2, text
papers.MEASUREMENTS["spinning"].command[1] = "fail"
assert not papers.measure("spinning", store, False, ("d",)) and store["spinning"]["figures"] == {"rows": 2}, "a command that fails changes nothing"
print("all as expected")
