#!/usr/bin/env python3
"""What Linux makes of the CPU that it is shown. With all that there is: the features, and no workaround for an erratum. As a model: its
maker's numbers, no feature that it lacks, and it boots. Nightly all models, and kernels of 16 KiB pages with programs that hammer their
mappings under each shadow policy, with both tiers and in the virtual machine."""
import re, sys
import guest
from guest import Failures, Guest, KERNEL_TROUBLE, build_program

failures = Failures()
debian = Guest()
SCRIPT = "dmesg; cat /proc/cpuinfo; cat /proc/device-tree/cpus/cpu@0/compatible; echo; grep -m1 KernelPageSize /proc/self/smaps; echo done"
WORKAROUND = re.compile(r"erratum|errata|workaround|mitigation", re.I)
# Name, implementer, part: as /proc/cpuinfo has them. "lacks": words that are not in its list of features.
MODELS = {"max": (0, 0xa64, ()), "cortex-a57": (0x41, 0xd07, ("atomics", "asimddp")), "cortex-a35": (0x41, 0xd04, ("atomics",)),
          "cortex-a53": (0x41, 0xd03, ("atomics",)), "cortex-a55": (0x41, 0xd05, ()), "cortex-a72": (0x41, 0xd08, ("atomics",)),
          "cortex-a76": (0x41, 0xd0b, ()), "cortex-a78ae": (0x41, 0xd42, ()), "cortex-a710": (0x41, 0xd47, ()),
          "neoverse-n1": (0x41, 0xd0c, ()), "neoverse-n2": (0x41, 0xd49, ()), "neoverse-v1": (0x41, 0xd40, ()),
          "a64fx": (0x46, 0x001, ("asimddp",))}


def boot(kernel, cpu, options=()):
    options = (["--cpu", cpu] if cpu != "max" else []) + ["--smp", "2", *options]
    result = kernel.run(["sh", "-c", SCRIPT], append="loglevel=1", options=options)
    failures.check(result.status == 0 and "done" in result.text.split(), f"{cpu}: {result}")
    suspicious = [line for line in result.text.splitlines() if KERNEL_TROUBLE.search(line)]
    failures.check(not suspicious, f"{cpu}: the kernel complains: {suspicious}")
    return result.text


def check_model(cpu):
    implementer, part, lacks = MODELS[cpu]
    text = boot(debian, cpu)
    numbers = (re.findall(r"^CPU implementer\s*: (\S+)", text, re.M), re.findall(r"^CPU part\s*: (\S+)", text, re.M))
    failures.check(numbers == ([f"0x{implementer:02x}"] * 2, [f"0x{part:03x}"] * 2), f"{cpu}: {numbers}")
    words = set((re.search(r"^Features\s*: (.*)", text, re.M) or [""] * 2)[1].split())
    failures.check("fp" in words and "aes" in words and not words & set(lacks), f"{cpu}: features {words}")
    compatible = "arm,armv8" if cpu == "max" else f"arm,{cpu}"
    failures.check(compatible in text, f"{cpu}: the device tree does not say {compatible}")
    return text


text = check_model("max")
detected = re.findall(r"CPU features: (detected: .*)", text)
for wanted in ("TLB range maintenance instructions", "Common not Private translations", "RAS Extension Support", "Hardware dirty bit management",
               "E0PD", "Privileged Access Never", "LSE atomic instructions"):
    failures.check(any(wanted in line for line in detected), f"max: Linux has not detected '{wanted}': {detected}")
failures.check(not [line for line in text.splitlines() if WORKAROUND.search(line)],
               f"max: workarounds: {[line for line in text.splitlines() if WORKAROUND.search(line)]}")
for cpu in list(MODELS)[1:] if guest.NIGHTLY else ["cortex-a57"]:
    text = check_model(cpu)
    if cpu == "cortex-a57":
        failures.check(any(WORKAROUND.search(line) for line in text.splitlines()), "cortex-a57: no workaround, so the check above sees none")

if guest.NIGHTLY or "--16k" in sys.argv:
    kernel = Guest("16k", add={build_program("mappings", "-DPAGE_BYTES=16384"): "/bin/mappings", build_program("threads", "-DPAGE_BYTES=16384"): "/bin/threads"})
    text = boot(kernel, "max")
    failures.check(re.search(r"KernelPageSize: +16 kB", text), f"16 KiB: {re.findall('.*KernelPageSize.*', text)}")
    tiered = ["--jit", "tiered", "--jit-threshold", "500", "--jit-cache", "off"]
    worlds = {"ssp": ["--mmu", "ssp"], "two roots": ["--mmu-roots", "2"], "tsp": ["--mmu", "tsp"], "ssp-nocache": ["--mmu", "ssp-nocache"],
              "tiered": tiered}
    if guest.HAS_KVM:
        worlds |= {"kvm": ["--accel", "kvm", *tiered], "kvm, tsp": ["--accel", "kvm", "--mmu", "tsp"]}
    script = "for s in 1 2 3; do mappings 3 $s & done; wait; for t in map protect fork; do threads $t 2 || exit 1; done; echo waited"
    for name, options in worlds.items():
        result = kernel.run(["sh", "-c", script], append="loglevel=4", limit=300, options=["--smp", "3", "-m", "1G", *options])
        failures.check(result.status == 0 and "waited" in result.text, f"16 KiB, {name}: {result}")
        failures.check(not KERNEL_TROUBLE.search(result.text), f"16 KiB, {name}: the kernel complains: {result}")
failures.end()
