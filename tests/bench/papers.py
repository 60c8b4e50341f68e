#!/usr/bin/env python3
"""docs/papers.md is what bench/papers writes of the figures that are kept; every figure that the page names is taken from what its command leaves."""
import os, subprocess, sys
SOURCE = os.environ["ARCLIGHT_SOURCE"]
sys.path.insert(0, os.path.join(SOURCE, "bench"))
from papers_lib.measurements import MEASUREMENTS  # noqa: E402
from papers_lib.papers import PAPERS  # noqa: E402

check = subprocess.run([os.path.join(SOURCE, "bench/papers"), "--check"], stdout=subprocess.PIPE, text=True)
assert check.returncode == 0, check.stdout

# What each command would leave, as small as it can be.
programs = {n: {"seconds": {"a": {"median": 2.0}}, "ratios": {"a": r}} for n, r in (("perl", 3.0), ("fft", 5.0))}
policies = {p: {"exits": n, "real": n * 2} for p, n in (("ssp", 50), ("asp", 40), ("tsp", 100), ("tsp-unsync", 80))}
workloads = {n: policies for n in ("fork", "cow", "exec", "mmap", "protect", "ring", "grow", "shell")}
counts = {"off": 1000, "off again": 1000, "seconds": 1, "host: no page": 1001, "host: its stack steered": 1010,
          **{f"host: {what} moved every {ms} ms": 1005 for what in ("another", "its stack") for ms in (1, 10, 100)}}
turns = {"ratio": 0.9, "counts": [{"blocks translated twice for a device": 60}, {"blocks translated twice for a device": 1}]}
samples = {
    "sweep": {"headline": "a", "means": {"a": {"all": 4.0, "int": 3.0, "fp": 5.0, "system": 4.5, "worst": 1.5, "n": 2}}, "programs": programs,
              "instructions": {"perl": 2_000_000_000, "fft": 4_000_000_000}},
    "windows-svm": {"programs": {"perl": {"soft TLB": 5.0, "windows": 5.5}, "sort": {"soft TLB": 5.0, "windows": 4.0}}},
    "shadow": {"worlds": {"process": workloads}},
    "shadow-svm": {"worlds": {"svm": workloads}},
    "following": {"share": 0.019},
    "lightv": {"instructions": {"sort": counts}, **{f"latency, host, {n}": {"done": list(range(100)), "seen": list(range(100))} for n in (1, 2, 4, 8)},
               "migration, host": {"pages": 262144, "seconds": 8}},
    "svio": {"times better": {"1: stream, 64 bytes": 2.0, "1: stream, 64 bytes, CPU a message": 2.0, "1: round trip, 64 bytes": 2.0, "1: round trip, 64 bytes, CPU a message": 1.0},
             "beside a greedy one": {"2": [1.1, 2.0], "4": [1.2, 1.5]}},
    "spinning": {"cores": 2, "figures": {"1 x 2: barrier": {"off": 9, "nap": 9, "hand-over": 9, "qemu": 9}, "1 x 4: barrier": {"off": 4, "nap": 3, "hand-over": 2, "qemu": 8},
                                         "1 x 4: off": {"spins wfe": 5, "spins loop": 5, "ns": 0}, "1 x 4: hand-over": {"spins wfe": 1, "spins loop": 1, "ns": 9}}},
    "isolation": {row: {"alone": 2.0, "beside": 4.0, "--place": 2.2} for row in ("compute", "chase 1", "chase 16")},
    "registers": {"seconds": {"perl": {"memory": [2.0, 2.0], "simd": [1.0, 3.0]}},
                  "counts": {side: {"perl": {"guest_instructions": 10, "host_instructions": 50, "registers": {"loads": 5, "stores": n}}} for side, n in (("memory", 5), ("simd", 1))}},
    "prepare": {"sites": {"waits": [84, 3]}, **{n: turns for n in ("process", "KVM with fastmem", "getpid", "pgfault", "ctxsw", "network")}},
}
figures = {name: MEASUREMENTS[name].figures(sample) for name, sample in samples.items()}
assert set(figures) == set(MEASUREMENTS), set(MEASUREMENTS) ^ set(figures)
for paper, row in ((p, r) for p in PAPERS for r in p.rows):
    for name in row.figures:
        assert name in figures[row.measurement], f"{paper.name}: {row.what}: '{name}' is none of {row.measurement}'s figures"
        row.form.format(figures[row.measurement][name])
for measurement, name, value in (("sweep", "MIPS, mean", 1500), ("sweep", "times faster, most", 5), ("windows-svm", "instructions, least %", -20), ("windows-svm", "instructions, most %", 10), ("shadow", "process: fork: ssp against tsp, %", -50),
                                 ("lightv", "sort: host: its stack steered, % of instructions", 1), ("lightv", "latency, host, 4: done p99, us", 99),
                                 ("lightv", "migration, host: MiB/s", 128), ("svio", "throughput, %", 100),
                                 ("svio", "latency, %", -50), ("svio", "beside a greedy one", 1.2), ("spinning", "times faster, mean", 2), ("spinning", "turns of waiting loops, %", -80),
                                 ("spinning", "times faster than QEMU, mean", 4), ("isolation", "chase 16: --place", 1.1), ("registers", "time, mean", 1.0), ("registers", "state traffic, simd", 0.6), ("prepare", "retranslations, prepared", 1)):
    assert abs(figures[measurement][name] - value) < 1e-6, (measurement, name, figures[measurement][name])
for m in MEASUREMENTS.values():
    assert os.access(os.path.join(SOURCE, m.command[0]), os.X_OK), m.command
print("all as expected")
