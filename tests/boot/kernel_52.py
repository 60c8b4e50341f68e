#!/usr/bin/env python3
"""Kernels with virtual and physical addresses of 52 bits, with programs that hammer mappings of theirs above 48 bits, under each shadow policy,
with both tiers and in the virtual machine: Debian 13's of 4 and of 16 KiB pages (FEAT_LPA2), and one of 64 KiB pages (FEAT_LVA, CONFIG_ARM64_VA_BITS_52). On
a CPU that lacks such addresses they have fewer. Building the second one takes some minutes once; KERNEL_52 names an Image that is there already."""
import os, re, shutil, subprocess, sys
import guest
from guest import CROSS_CC, Failures, Guest, KERNEL_TROUBLE, build_program, skip, work
from packages import CACHE, kernel_source

# What a console, an initramfs and the programs need, and what makes work for page tables.
CONFIG = "".join(f"CONFIG_{name}=y\n" for name in (
    "ARM64_64K_PAGES", "ARM64_VA_BITS_52", "ARM64_PA_BITS_52", "ARM64_PAN", "ARM64_HW_AFDBM", "ARM64_CNP", "ARM64_E0PD", "ARM64_USE_LSE_ATOMICS",
    "SMP", "DEVMEM", "RD_GZIP", "HUGETLBFS", "HIGH_RES_TIMERS", "NO_HZ_IDLE", "PRINTK", "BUG", "KALLSYMS", "MULTIUSER", "FUTEX", "EPOLL",
    "SIGNALFD", "TIMERFD", "EVENTFD", "SHMEM", "ADVISE_SYSCALLS", "MEMBARRIER", "POSIX_TIMERS", "BLK_DEV_INITRD", "BINFMT_ELF", "BINFMT_SCRIPT",
    "PROC_FS", "PROC_PAGE_MONITOR", "SYSFS", "TMPFS", "DEVTMPFS", "DEVTMPFS_MOUNT", "TTY", "SERIAL_AMBA_PL011", "SERIAL_AMBA_PL011_CONSOLE",
    "TRANSPARENT_HUGEPAGE", "TRANSPARENT_HUGEPAGE_ALWAYS", "SWAP", "MIGRATION", "COMPACTION", "KSM", "SYSVIPC", "VIRTIO_MENU", "VIRTIO_MMIO",
    "NET", "UNIX"))
ABOVE_48 = 1 << 51


def built():
    """The Image."""
    if "KERNEL_52" in os.environ:
        return os.environ["KERNEL_52"]
    image = os.path.join(CACHE, "kernel-52", "Image")
    if os.path.exists(image):
        return image
    missing = [program for program in ("flex", "bison", "bc") if not shutil.which(program)]
    if CROSS_CC is None or missing:
        skip(f"no {', '.join(missing) or 'cross compiler'} to build a kernel with")
    source = kernel_source()
    if source is None:
        skip("the package linux-source-6.1 is not to be had")
    build, config = os.path.join(work, "build"), os.path.join(work, "config")
    os.mkdir(build)
    with open(config, "w") as f:
        f.write(CONFIG + "CONFIG_NR_CPUS=8\n")
    make = ["make", "-C", source, f"O={build}", "ARCH=arm64", "CROSS_COMPILE=aarch64-linux-gnu-", f"KCONFIG_ALLCONFIG={config}"]
    for words in (["allnoconfig"], [f"-j{os.cpu_count()}", "Image"]):
        done = subprocess.run(make + words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode != 0:
            print("FAIL:", words, done.stdout[-3000:])
            sys.exit(1)
    os.makedirs(os.path.dirname(image), exist_ok=True)
    shutil.copy(os.path.join(build, "arch/arm64/boot/Image"), f"{image}.{os.getpid()}")
    os.rename(f"{image}.{os.getpid()}", image)
    return image


failures = Failures()
HAMMER = ("for s in 1 2 3; do mappings{0} 3 $s & done; wait; for t in map protect fork jit cross; do threads{0} $t 2 || exit 1; done; "
          "grep -m1 KernelPageSize /proc/self/smaps; echo waited")
tiered = ["--jit", "tiered", "--jit-threshold", "500", "--jit-cache", "off"]


def check(flavour, page, cpus, image=None):
    """`cpus`: the words that give the CPU what the kernel is made for."""
    programs = {}
    for suffix, at in (("", 0), ("-52", ABOVE_48)):
        for program in ("mappings", "threads"):
            path = build_program(program, f"-DPAGE_BYTES={page}", f"-DWINDOW_AT={at:#x}ul")
            unique = f"{path}{suffix}-{page}"
            os.rename(path, unique)
            programs[unique] = f"/bin/{program}{suffix}"
    kernel = Guest(flavour, add=programs)
    kernel.kernel = image or kernel.kernel
    large = ["--cpu", cpus[0]]
    worlds = {cpu: ["--cpu", cpu, "--mmu-roots", "2"] for cpu in cpus}
    worlds |= {"tsp": [*large, "--mmu", "tsp"], "ssp-nocache": [*large, "--mmu", "ssp-nocache"], "tiered": [*large, *tiered], "without": []}
    if guest.HAS_KVM:
        worlds |= {"kvm": [*large, "--accel", "kvm", *tiered], "kvm, tsp": [*large, "--accel", "kvm", "--mmu", "tsp"]}
    for world, options in worlds.items():
        name = f"{page >> 10} KiB, {world}"
        result = kernel.run(["sh", "-c", HAMMER.format("" if world == "without" else "-52")], append="loglevel=4", limit=400,
                            options=["--smp", "3", "-m", "1G", *options])
        failures.check(result.status == 0 and "waited" in result.text, f"{name}: {result}")
        failures.check(not KERNEL_TROUBLE.search(result.text), f"{name}: the kernel complains: {result}")
        failures.check(re.search(rf"KernelPageSize: +{page >> 10} kB", result.text), f"{name}: not of such pages: {result}")
        print(f"{name}: {result.cpu_seconds:.0f} CPU seconds", flush=True)
    refused = kernel.run(["mappings-52", "1", "1"], append="loglevel=4", options=["-m", "1G"])
    failures.check("FAIL" in refused.text, f"{page >> 10} KiB: addresses of 52 bits on a CPU without them: {refused}")


check("cloud13", 4096, ["max,lpa2=on"])
check("16k", 16384, ["max,lpa2=on"])
check("cloud", 65536, ["max,lva=on", "max,lva=on,lpa=on"], built())
failures.end()
