#!/usr/bin/env python3
"""A prepared kernel: made with a profile of one run, it boots under Arclight in both worlds with its sites bound, and under QEMU; a
damaged table is refused."""
import json, os, re, struct, subprocess
from guest import ARCLIGHT, Failures, Guest, HAS_KVM, QEMU, run, work

failures = Failures()
debian = Guest()
original = debian.kernel
profile, prepared, stats = (os.path.join(work, name) for name in ("sites", "Image.pv", "stats"))


def boot(options=()):
    """What the guest says, and the counters."""
    result = debian.run(["sh", "-c", "cat /proc/cpuinfo | grep -c processor; echo prep''ared"], options=["--stats-json", stats, *options])
    failures.check(result.status == 0 and "prepared" in result.text.split(), str(result))
    with open(stats) as f:
        return json.load(f)


boot(["--accel", "process", "--profile-sites", profile])
done = subprocess.run([ARCLIGHT, "prepare", original, prepared, "--profile", profile], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
failures.check(done.returncode == 0 and done.stderr == "", f"prepare: {done}")
found = {kind: (int(n), int(met)) for n, kind, met in re.findall(r"^ +(\d+) (.+), (\d+) met in", done.stdout, re.M)}
# A kernel reads `current` from SP_EL0 thousands of times.
for kind, least in [("register reads", 5000), ("register writes", 100), ("TLB invalidations", 10), ("exception returns", 1),
                    ("waits", 1), ("device accesses", 10), ("blocks", 500)]:
    failures.check(found.get(kind, (0, 0))[0] >= least, f"fewer than {least} {kind}: {done.stdout}")

with open(original, "rb") as f:
    before = f.read()
with open(prepared, "rb") as f:
    after = f.read()
failures.check(after.startswith(before), "the image itself was changed")
image_size, = struct.unpack_from("<Q", before, 16)
failures.check(len(before) < len(after) <= image_size, f"{len(after)} bytes, image_size {image_size}")

debian.kernel = prepared
counters = boot(["--accel", "process"])
bound, cpu = counters["prepared"], counters["cpu"]
failures.check(bound["wrong"] == 0 and bound["bound_inline"] > 5000 and bound["bound_to_calls"] > 100, f"sites: {bound}")
failures.check(bound["devices_translated"] >= 5 and bound["blocks_translated_ahead"] > 200, f"nothing came of it: {bound}")
failures.check(cpu["device_calls"] > 0.5 * cpu["mmio"], f"few direct device calls: {cpu['device_calls']} of {cpu['mmio']} accesses")

if HAS_KVM:
    bound = boot(["--accel", "kvm"])["prepared"]
    failures.check(bound["bound_to_exits"] > 0 and bound["devices_translated"] >= 5, f"kvm: {bound}")

table = bytearray(after)
table[-100] ^= 1
damaged = os.path.join(work, "damaged")
with open(damaged, "wb") as f:
    f.write(table)
result = run([ARCLIGHT, "run", "--kernel", damaged], 60)
failures.check(result.status == 1 and result.error.decode().count("\n") == 1 and b"table of sites is damaged" in result.error, str(result))

if QEMU:
    result = debian.run_qemu(["echo", "prep" + "ared"])
    failures.check(result.status == 0 and "prepared" in result.text.split(), f"QEMU: {result}")
failures.end()
