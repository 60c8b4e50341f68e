#!/usr/bin/env python3
"""Debian's kernel in the KVM world: here, by the soft TLB and by windows; nightly, also where ring 0 is native."""
import os, re, sys
import guest
from guest import Failures, Guest, run, skip

probe = run([guest.ARCLIGHT, "probe"], 30).text
if not re.search(r"^kvm +usable", probe, re.M):
    skip(probe.splitlines()[0] if probe else "arclight probe says nothing")
failures = Failures()
debian = Guest()
LOOP = "i=0; while [ $i -lt {} ]; do i=$((i + 1)); (exit $((i % 7))); done; echo forked $i; cat /proc/cpuinfo | grep -c ^processor"


def kvm(command, options, limit=120):
    return debian.run(command, limit=limit, options=["--accel", "kvm", *options])


def expect(what, result, pattern, status=0):
    print(f"{what}: {result.seconds:.1f} s", flush=True)
    failures.check(not result.timed_out and result.status == status and re.search(pattern, result.text), f"{what}: {result}")
    failures.check(not guest.KERNEL_TROUBLE.search(result.text), f"{what}: the kernel complains: {result}")


for smp in "1", "2":
    options = ["--windows", "off", "--smp", smp]
    expect(f"uname, {smp} CPUs", kvm(["uname", "-a"], options), r"^Linux .* aarch64")
    expect(f"exit status, {smp} CPUs", kvm(["sh", "-c", "exit 7"], options), "", 7)
    expect(f"forks, {smp} CPUs", kvm(["sh", "-c", LOOP.format(50)], options), f"forked 50\r?\n{smp}\r?\n")
expect("uname, windows", kvm(["uname", "-a"], ["--windows", "on"], 150), r"^Linux .* aarch64")
if guest.NIGHTLY:
    expect("forks, windows", kvm(["sh", "-c", LOOP.format(50)], ["--windows", "on"], 600), "forked 50\r?\n1\r?\n")
    expect("uname, windows, 2 CPUs", kvm(["uname", "-a"], ["--windows", "on", "--smp", "2"], 600), r"^Linux .* aarch64")

    # Linux under Arclight under Linux on the rig, to its first program. The rig prints both outputs as one.
    sys.path.insert(0, os.path.join(guest.SOURCE, "tests/kvm"))
    import rig
    inside = ["run", "--accel", "kvm", "-m", "512", "--kernel", "/t/kernel", "--initrd", "/t/initrd", "--no-reboot",
              "--append", "console=ttyAMA0 panic=-1 quiet", "--", "uname", "-a"]
    result = rig.run(rig.static("arclight_static"), inside, limit=300, memory=2048,
                     files=[debian.kernel + ":/t/kernel", debian.initrd + ":/t/initrd"])
    print(f"the rig: {result.seconds:.1f} s")
    failures.check(result.status == 0 and re.search(r"^Linux .* aarch64", result.output, re.M), f"the rig: {result}")


# ---- Where /dev/kvm cannot be used: in a mount namespace of its own, with something else in its place.
forbidden = os.path.join(guest.work, "forbidden")
with open(forbidden, "w"):
    os.chmod(forbidden, 0)
OWNER_ALONE = "setpriv --bounding-set=-dac_override,-dac_read_search"
HIDDEN = [("another device", "mount --bind /dev/null /dev/kvm", "", "speaks another version of its interface"),
          ("no /dev/kvm", "mount -t tmpfs none /dev", "", "cannot be opened: No such file"),
          ("no permission", f"mount --bind {forbidden} /dev/kvm", OWNER_ALONE, "cannot be opened: Permission denied")]
CANNOT = 99


def hidden(setup, wrapper, words):
    """Its Result; status CANNOT if this host lets nobody do such things."""
    script = f'{setup} || exit {CANNOT}; exec {wrapper} "$@"'
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    if run([*namespace, "sh", "-c", script, "sh", "true"], 20).status != 0:
        return guest.Result(CANNOT, b"", b"", 0, 0, False)
    return run([*namespace, "sh", "-c", script, "sh", *words], 60)


for what, setup, wrapper, pattern in HIDDEN:
    said = hidden(setup, wrapper, [guest.ARCLIGHT, "probe"])
    if said.status == CANNOT:
        print(f"{what}: /dev/kvm cannot be hidden on this host")
        continue
    failures.check(said.status == 0 and re.search(f"^kvm +not usable: /dev/kvm {pattern}", said.text, re.M) and
                   re.search(r"--accel auto +process: ", said.text), f"probe with {what}: {said}")
    refused = hidden(setup, wrapper, debian.arclight(["true"], options=["--accel", "kvm"]))
    error = refused.error.decode(errors="replace")
    failures.check(refused.status in (1, 2) and len(error.splitlines()) == 1 and re.search(pattern, error) and
                   not refused.output, f"--accel kvm with {what}: {refused}")
    fallen_back = hidden(setup, wrapper, debian.arclight(["echo", "booted"], options=["--accel", "auto"]))
    failures.check(fallen_back.status == 0 and "booted" in fallen_back.text, f"--accel auto with {what}: {fallen_back}")
    print(f"{what}: {error.strip()}")

refused = debian.run(["true"], options=["--accel", "process", "--fastmem", "on"])
failures.check(refused.status in (1, 2) and re.search(b"--fastmem on needs", refused.error) and
               len(refused.error.splitlines()) == 1, f"fastmem with the process accelerator: {refused}")
failures.end()
