#!/usr/bin/env python3
"""The compare mode: flags what is slower beyond noise, and nothing else. Also the page of a result."""
import copy, html.parser, json, os, re
import harness
from harness import check, sweep, tool, work

status, text, result = sweep("a", "--reps", "2")
check(status == 0, f"status {status}:\n{text}")
from sweep_lib import results  # noqa: E402 (the path is the harness's)


def written(name, change):
    """The result with its medians changed by factors: {(program, variant): factor}; two repetitions 1 % apart."""
    r = copy.deepcopy(result)
    for program, entry in r["programs"].items():
        for variant, s in entry["seconds"].items():
            base = 1.0 if variant.startswith("qemu") else 0.5
            m = base * change.get((program, variant), 1) * change.get(("all", variant), 1)
            entry["seconds"][variant] = {"median": m, "min": m * 0.995, "max": m * 1.005, "n": 2}
    results.evaluate(r)
    path = os.path.join(work, name + ".json")
    results.save(r, path)
    return path


# The headline is the default tier though another is faster, unless that has done more programs.
check(result["headline"].endswith("/tiered"), f"headline {result['headline']}")
faster = copy.deepcopy(result)
for entry in faster["programs"].values():
    for variant, s in entry["seconds"].items():
        s["median"] *= 0.5 if "tier1" in variant else 1
results.evaluate(faster)
check(faster["headline"].endswith("/tiered"), f"a faster tier 1 is the headline: {faster['headline']}")
for entry in list(faster["programs"].values())[:1]:
    for variant in [v for v in entry["seconds"] if v.endswith("/tiered")]:
        del entry["seconds"][variant]
results.evaluate(faster)
check("tier1" in faster["headline"], f"a configuration with fewer programs is the headline: {faster['headline']}")

old = written("old", {})
ours = "arclight process/tier1"
status, text = tool("compare", old, old)
check(status == 0 and "0 slower, 0 faster" in text, f"same with same:\n{text}")
status, text = tool("compare", old, written("slower", {("perl", ours): 1.2}))
check(status == 1 and re.search(r"SLOWER perl +arclight process/tier1 +-16\.\d %", text) and "1 slower, 0 faster" in text, f"20 % slower:\n{text}")
status, text = tool("compare", old, written("faster", {("fft", ours): 0.8}))
check(status == 0 and "faster fft" in text and "0 slower, 1 faster" in text, f"20 % faster:\n{text}")
status, text = tool("compare", old, written("within", {("perl", ours): 1.03}))
check(status == 0 and "0 slower, 0 faster" in text, f"3 %, which is noise:\n{text}")
# A host that is slower for all: QEMU's ratio is the same.
everything = {("all", v): 1.5 for v in ("qemu cortex-a76", "qemu max", ours, "arclight process/tiered")}
status, text = tool("compare", old, written("host", everything))
check(status == 0 and "0 slower, 0 faster" in text, f"a slower host:\n{text}")
# The same change in a noisy measurement is no finding.
noisy = json.load(open(written("noisy", {("perl", ours): 1.2})))
noisy["programs"]["perl"]["seconds"][ours] |= {"min": 0.4, "max": 0.75}
results.save(noisy, os.path.join(work, "noisy.json"))
status, text = tool("compare", old, os.path.join(work, "noisy.json"))
check(status == 0 and "0 slower" in text, f"noise:\n{text}")
broken = json.load(open(old))
broken["failures"].append({"program": "perl", "variant": ours, "rep": 0, "why": "WRONG ANSWER"})
results.save(broken, os.path.join(work, "broken.json"))
status, text = tool("compare", old, os.path.join(work, "broken.json"))
check(status == 1 and "BROKEN perl" in text, f"newly broken:\n{text}")

# Ratios and means are what they should be: 1.0 / 0.5 everywhere.
means = json.load(open(old))["means"][ours]
check(all(abs(means[g] - 2) < 1e-9 for g in ("int", "fp", "system", "all", "worst")), f"means: {means}")


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.texts, self.outside = [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "link", "br", "img"):
            self.open.append(tag)
        self.outside += [v for k, v in attributes if k in ("src", "href") and v]

    def handle_startendtag(self, tag, attributes):
        pass

    def handle_endtag(self, tag):
        check(self.open and self.open[-1] == tag, f"page: </{tag}> closes {self.open[-1:]}")
        self.open.pop()

    def handle_data(self, data):
        self.texts.append(data)


status, text = tool("report", os.path.join(work, "broken.json"), os.path.join(work, "page.html"))
check(status == 0, f"report: {text}")
page = Page()
with open(os.path.join(work, "page.html")) as f:
    source = f.read()
page.feed(source)
check(not page.open and not page.outside and "<script" not in source and "url(" not in source, "the page is whole and self-contained")
for words in ("Times faster than QEMU", "perl", "fft", "getpid", "Exits by cause", "svc", "io port", "windows faults", "Tiers and worlds", "What failed", "QEMU emulator version 7.2.0 (a fake)"):
    check(words in page.texts or any(words in t for t in page.texts), f"page: no '{words}'")
# What a result says is text in the page, never markup.
evil = json.load(open(old))
evil["machine"]["cpu"] = "<script>alert(1)</script>"
results.save(evil, os.path.join(work, "evil.json"))
tool("report", os.path.join(work, "evil.json"), os.path.join(work, "evil.html"))
check("<script>" not in open(os.path.join(work, "evil.html")).read(), "markup in a result reached the page")
harness.end()
