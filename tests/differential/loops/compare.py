#!/usr/bin/env python3
"""Random loops of loops.c under Arclight, in every tier, and under QEMU: the same lines.

    compare.py ELF [--first SEED] [--seeds N] [--loops N] [--seconds N] [--keep DIR] [--kept DIR] [--update]

The environment names the programs: ARCLIGHT, and QEMU (empty: not there; then seeds that expected.txt knows are compared with
it, which --update writes). With --seconds it goes on with further seeds until the time is up. A program that differs is kept.
"""
import argparse, hashlib, os, pathlib, struct, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / "expected.txt"
MARK = struct.pack("<Q", 0x64656573706f6f6c)
RAM = ["-m", "128"]
WAYS = {
    "interpreter": ["--accel", "process", "--jit", "interpreter"],
    "tier1": ["--accel", "process", "--jit", "tier1"],
    "superblocks": ["--accel", "process", "--jit", "superblocks", "--jit-threshold", "8"],
    "tier2": ["--accel", "process", "--jit", "tier2", "--jit-cache", "off"],
    "tiered": ["--accel", "process", "--jit", "tiered", "--jit-threshold", "20", "--jit-cache", "off"],
    "tsp": ["--accel", "process", "--jit", "tier1", "--mmu", "tsp"],
    "kvm": ["--accel", "kvm", "--fastmem", "on", "--jit", "tier1"],
    "kvm-tier2": ["--accel", "kvm", "--fastmem", "on", "--jit", "tier2", "--jit-cache", "off"],
}


def run(command, limit=300):
    # The guest ends by itself; a busy host may need long.
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return "too long", [], ""
    return done.returncode, done.stdout.decode(errors="replace").replace("\r", "").splitlines(), done.stderr.decode(errors="replace")


def with_seed(elf, seed, loops):
    data = bytearray(elf)
    at = data.index(MARK)
    data[at + 16:at + 32] = struct.pack("<QQ", seed, loops)
    return bytes(data)


def expected():
    if not EXPECTED.exists():
        return {}
    rows = (line.split() for line in EXPECTED.read_text().splitlines() if not line.startswith("#"))
    return {(int(seed), int(loops)): digest for seed, loops, digest in rows}


def digest(lines):
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def main():
    words = argparse.ArgumentParser()
    words.add_argument("elf", type=pathlib.Path)
    words.add_argument("--first", type=int, default=1)
    words.add_argument("--seeds", type=int, default=2)
    words.add_argument("--loops", type=int, default=50)
    words.add_argument("--seconds", type=int, default=0)
    words.add_argument("--keep", type=pathlib.Path, help="what differs is kept here, as its seed")
    words.add_argument("--kept", type=pathlib.Path, help="seeds that have differed, to be run first")
    words.add_argument("--update", action="store_true")
    options = words.parse_args()
    arclight, qemu = os.environ["ARCLIGHT"], os.environ.get("QEMU", "")
    elf, known, fresh = options.elf.read_bytes(), expected(), {}
    ways = dict(WAYS)
    probe = subprocess.run([arclight, "probe"], stdin=subprocess.DEVNULL, capture_output=True, text=True).stdout
    if not any(line.split()[:2] == ["kvm", "usable"] for line in probe.splitlines()):
        ways = {name: way for name, way in ways.items() if not name.startswith("kvm")}
    compared = differences = 0
    end = time.monotonic() + options.seconds
    kept = sorted(tuple(map(int, file.read_text().split()[:2])) for file in options.kept.iterdir()) if options.kept and options.kept.is_dir() else []
    if not qemu:
        kept = [pair for pair in kept if pair in known]
    seed = options.first
    ran = 0
    with tempfile.TemporaryDirectory() as work:
        guest = pathlib.Path(work) / "loops.elf"
        while kept or seed < options.first + options.seeds or time.monotonic() < end:
            if kept:
                this, loops = kept.pop(0)
            else:
                this, loops = seed, options.loops
                seed += 1
            ran += 1
            guest.write_bytes(with_seed(elf, this, loops))
            right = None
            if qemu:
                status, right, errors = run([qemu, "-M", "virt,gic-version=3", "-cpu", "cortex-a76", *RAM, "-display", "none", "-monitor",
                                             "none", "-serial", "stdio", "-net", "none", "-kernel", str(guest)])
                if status != 0 or right[-1:] != ["done"]:
                    sys.exit(f"QEMU did not get through seed {this}: {status} {errors[-200:]}")
                fresh[this, loops] = digest(right)
            elif (this, loops) not in known:
                print(f"skipped: no QEMU, and no expected results of seed {this}")
                sys.exit(77)
            for name, way in ways.items():
                status, ours, errors = run([arclight, "run", *way, "--cpu", "max,lse2=off", *RAM, "--kernel", str(guest)])
                compared += len(ours)
                good = status == 0 and (ours == right if qemu else digest(ours) == known[this, loops])
                if good:
                    continue
                differences += 1
                print(f"seed {this}, {name}: status {status}, {len(ours)} lines {errors[:300]}")
                for mine, theirs in zip(ours, right or []):
                    if mine != theirs:
                        print(f"  Arclight {mine}\n  QEMU     {theirs}")
                        break
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    path = options.keep / f"seed-{this}-{loops}"
                    path.write_text(f"{this} {loops} {name}\n")
                    print(f"  kept as {path}")
    if options.update:
        EXPECTED.write_text("# Seed, loops, and a hash of what QEMU prints: compare.py --update.\n" +
                            "".join(f"{seed} {loops} {hashed}\n" for (seed, loops), hashed in sorted(fresh.items())))
    print(f"{ran} seeds, {len(ways)} ways, {compared} lines, {differences} differ")
    sys.exit(1 if differences else 0)


main()
