#!/usr/bin/env python3
"""Random loops of loops.c under Arclight, in every tier, and under QEMU: the same lines.

    compare.py ELF [--first SEED] [--seeds N] [--loops N] [--seconds N] [--keep DIR] [--update]

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
    words.add_argument("--keep", type=pathlib.Path)
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
    seed = options.first
    with tempfile.TemporaryDirectory() as work:
        guest = pathlib.Path(work) / "loops.elf"
        while seed < options.first + options.seeds or time.monotonic() < end:
            guest.write_bytes(with_seed(elf, seed, options.loops))
            right = None
            if qemu:
                status, right, errors = run([qemu, "-M", "virt,gic-version=3", "-cpu", "cortex-a76", *RAM, "-display", "none", "-monitor",
                                             "none", "-serial", "stdio", "-net", "none", "-kernel", str(guest)])
                if status != 0 or right[-1:] != ["done"]:
                    sys.exit(f"QEMU did not get through seed {seed}: {status} {errors[-200:]}")
                fresh[seed, options.loops] = digest(right)
            elif (seed, options.loops) not in known:
                print(f"skipped: no QEMU, and no expected results of seed {seed}")
                sys.exit(77)
            for name, way in ways.items():
                status, ours, errors = run([arclight, "run", *way, *RAM, "--kernel", str(guest)])
                compared += len(ours)
                good = status == 0 and (ours == right if qemu else digest(ours) == known[seed, options.loops])
                if good:
                    continue
                differences += 1
                print(f"seed {seed}, {name}: status {status}, {len(ours)} lines {errors[:300]}")
                for mine, theirs in zip(ours, right or []):
                    if mine != theirs:
                        print(f"  Arclight {mine}\n  QEMU     {theirs}")
                        break
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    kept = options.keep / f"seed-{seed}-{options.loops}"
                    kept.write_text(f"{seed} {options.loops} {name}\n")
                    print(f"  kept as {kept}")
            seed += 1
    if options.update:
        EXPECTED.write_text("# Seed, loops, and a hash of what QEMU prints: compare.py --update.\n" +
                            "".join(f"{seed} {loops} {hashed}\n" for (seed, loops), hashed in sorted(fresh.items())))
    print(f"{seed - options.first} seeds, {len(ways)} ways, {compared} lines, {differences} differ")
    sys.exit(1 if differences else 0)


main()
