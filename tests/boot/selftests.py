#!/usr/bin/env python3
"""The kernel's own selftests for arm64 (tools/testing/selftests/arm64 of Debian's source) with SVE, MTE, BTI and PAuth, in both worlds: no
test fails, and as many pass as under QEMU. Building them takes some minutes once; ARM64_SELFTESTS names a directory
of programs that are there already."""
import glob, os, re, shutil, subprocess, sys
from guest import CROSS_CC, Failures, Guest, HAS_KVM, KERNEL_TROUBLE, skip, work
from packages import CACHE, kernel_source

FOLDERS = ("abi", "bti", "fp", "mte", "pauth", "signal", "tags")
CPU = "max,sve=on,mte=on,bti=on,pauth=on"
# Programs that others run, and those that are for SME, which no CPU here has, or measure something.
NOT_RUN = {"fp-pidbench", "fpsimd-test", "rdvl-sme", "rdvl-sve", "ssve-test", "sve-test", "vlset", "za-test", "exec_target"}
# What passes of each program, as under QEMU 10.0.2 with -cpu max,sme=off and vectors of up to 512 bits; but abi/hwcap, which skips what a CPU
# lacks: QEMU's has SVE2.
PASSED = {
    "abi/hwcap": 17, "abi/ptrace": 7, "abi/syscall-abi": 8, "abi/tpidr2": 5, "bti/btitest": 18, "bti/nobtitest": 18, "fp/fp-stress": 4,
    "fp/sve-probe-vls": 2, "fp/sve-ptrace": 525, "fp/vec-syscfg": 10, "mte/check_buffer_fill": 20, "mte/check_child_memory": 12,
    "mte/check_gcr_el1_cswitch": 1, "mte/check_ksm_options": 4, "mte/check_mmap_options": 22, "mte/check_prctl": 5,
    "mte/check_tags_inclusion": 4, "mte/check_user_mem": 64, "pauth/pac": 7, "signal/sve_regs": 1, "signal/sve_vl": 1, "tags/tags_test": 1}
SKIPPED = 4  # KSFT_SKIP
RUNNER = """#!/bin/sh
mkdir -p /dev/shm /tmp
mount -t tmpfs none /dev/shm
for test in "$@"; do
    cd /selftests/${test%/*}
    echo "== $test"
    ./${test#*/}
    echo "== status $?"
done
dmesg
"""


def built():
    """The directory with the programs, linked so that they need no library."""
    if "ARM64_SELFTESTS" in os.environ:
        return os.environ["ARM64_SELFTESTS"]
    directory = os.path.join(CACHE, "arm64-selftests")
    if os.path.isdir(directory):
        return directory
    if CROSS_CC is None:
        skip("no cross compiler")
    source = kernel_source()
    if source is None:
        skip("the package linux-source-6.1 is not to be had")
    partial = f"{directory}.{os.getpid()}"
    os.mkdir(partial)
    try:
        # -k: those for SME want a newer assembler or headers than a host may have.
        done = subprocess.run(
            ["make", "-k", "-C", os.path.join(source, "tools/testing/selftests/arm64"), "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-",
             f"CC={CROSS_CC} -static", f"OUTPUT={partial}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        missing = [name for name in PASSED if not os.path.exists(os.path.join(partial, name))]
        if missing:
            print("FAIL: make has not built", missing, done.stdout[-3000:])
            sys.exit(1)
        os.rename(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return directory


def outcomes(text):
    """{program: (tests passed, tests failed, exit status)}. The programs of `signal` count nothing: what they end with says it."""
    found = {}
    for name, output, status in re.findall(r"^== (\S+/\S+)\r?\n(.*?)^== status (\d+)", text, re.M | re.S):
        passed, failed = (len(re.findall(rf"^{word} \d", output, re.M)) - len(re.findall(rf"^{word} \d+.*# SKIP", output, re.M))
                          for word in ("ok", "not ok"))
        if passed + failed == 0:
            passed, failed = int(status == "0"), int(status not in ("0", str(SKIPPED)))
        found[name] = (passed, failed, int(status))
    return found


failures = Failures()
directory = built()
runner = os.path.join(work, "runner")
with open(runner, "w") as f:
    f.write(RUNNER)
os.chmod(runner, 0o755)
programs = {os.path.relpath(path, directory): path for path in sorted(glob.glob(os.path.join(directory, "*/*"))) if os.access(path, os.X_OK)}
debian = Guest(add={runner: "/bin/runner"} | {path: f"/selftests/{name}" for name, path in programs.items()})
tests = [name for name in programs if os.path.basename(name) not in NOT_RUN]
for world in ("process", *(["kvm"] if HAS_KVM else [])):
    result = debian.run(["runner", *tests], limit=1200, append="loglevel=1", options=["--accel", world, "--cpu", CPU, "--smp", "2", "-m", "1G"])
    found = outcomes(result.text)
    for name in tests:
        passed, failed, status = found.get(name, (0, 0, -1))
        failures.check(failed == 0 and status in (0, SKIPPED) and passed >= PASSED.get(name, 0),
                       f"{world}: {name}: {passed} passed, {failed} failed, status {status}")
    failures.check(not KERNEL_TROUBLE.search(result.text), f"{world}: the kernel complains: {result}")
    print(f"{world}: {len(found)} programs, {sum(p for p, _, _ in found.values())} tests passed")
    for folder in FOLDERS:
        of_folder = [found[name] for name in tests if name in found and name.startswith(folder + "/")]
        print(f"    {folder}: {len(of_folder)} programs, of which {sum(s == SKIPPED for _, _, s in of_folder)} were skipped; "
              f"{sum(p for p, _, _ in of_folder)} passed, {sum(f for _, f, _ in of_folder)} failed")
failures.end()
