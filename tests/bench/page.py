#!/usr/bin/env python3
"""What bench/shadow, bench/overhead and bench/windows leave, on the sweep's page: their charts are well-formed, and show the figures."""
import os, re, sys
import xml.etree.ElementTree as xml
sys.path.insert(0, os.path.join(os.environ["ARCLIGHT_SOURCE"], "bench"))
from sweep_lib import page  # noqa: E402

causes = lambda *n: dict(zip(("translations", "TLBI", "table stores", "switches"), n))
policy = lambda *n: {"causes": causes(*n), "exits": sum(n), "synchronisations": 7, "wasted fills": 1, "fills": 4, "seconds": 1.5}
shadow = {"about": {"fork": "fork & <exit>"}, "worlds": {w: {"fork": {"ssp": policy(20, 9, 0, 1), "ssp-nocache": policy(20, 9, 0, 471), "tsp": policy(40, 0, 50, 10), "asp": policy(5, 9, 0, 1), "tsp-unsync": policy(40, 9, 5, 10) | {"real": 4711}}}
                                                         for w in ("process", "svm")}}
overhead = {"samples": {"sort": {}, "fork": {}}, "rows": {"off": {"all": [0, 0], "system": [0, 0]}, "1 hot page": {"all": [0.84, 0.5], "system": [-12.5, 20]}}}
windows = {"programs": {"per<l": {"soft TLB": 5.0, "windows": 4.0, "soft TLB, of it accesses": 2.5, "windows, of it accesses": 1.25, "faults per million": 31.4}}}
text = page.document("All", page.shadow_section(shadow) + page.overhead_section(overhead) + page.windows_section(windows))
drawings = re.findall(r"<svg.*?</svg>", text, re.S)
trees = [xml.fromstring(d) for d in drawings]
shown = [{"".join(t.itertext()) for t in tree.iter("text")} for tree in trees]
assert len(trees) == 4, len(trees)
assert {"30", "500\u2191", "100", "fork"} <= shown[0] == shown[1], shown[0]
assert {"1 hot page", "+0.8", "0 %"} <= shown[2], shown[2]
assert {"1 hot page", "-12.5", "-20 %"} <= shown[3], shown[3]
assert "<td>per&lt;l</td><td>5.00</td><td>4.00</td><td>-20 %</td><td>2.50</td><td>1.25</td><td>31.4</td>" in text
on_rig = page.windows_section(windows, rig=True)
assert "SVM with nested paging, emulated (tests/kvm/rig)" in on_rig and "<td>31.4</td>" in on_rig and "tests/kvm/rig" not in text, on_rig
# A rig has no seconds, and not all policies.
for row in shadow["worlds"]["svm"].values():
    del row["ssp-nocache"]
    for own in row.values():
        del own["seconds"]
rig = page.shadow_section({**shadow, "worlds": {"svm": shadow["worlds"]["svm"]}})
assert "exits S" in rig and "exits N" not in rig and "<th>s " not in rig, rig
assert "fork &amp; &lt;exit&gt;" in text and "2 programs" in text and "<td>64 (4711)</td>" in text
for tree in trees:
    width, height = map(float, tree.get("viewBox").split()[2:])
    for r in tree.iter("rect"):
        x, y, w, h = (float(r.get(k)) for k in ("x", "y", "width", "height"))
        assert 0 <= x and x + w <= width and 0 <= y and y + h <= height, (x, y, w, h)
print("four charts")
