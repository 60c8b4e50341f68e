"""Bare-metal programs of one loop each: how they are built, and the CPU seconds that they take."""
import os, re, resource, subprocess, sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
RUNTIME = os.path.join(TOP, "tests/baremetal/runtime")
FLAGS = ("-O3 -ffreestanding -fno-builtin -fno-stack-protector -fno-pie -no-pie -mno-outline-atomics -nostdlib -static "
         "-Wl,--build-id=none -Wl,--no-warn-rwx-segments").split()


def build(source, elf, march, defines, flags=()):
    """`elf`, of bench/programs/`source` with the tests' runtime."""
    gcc = ["aarch64-linux-gnu-gcc", *FLAGS, *flags]
    # The runtime has no vectors: it runs before they are switched on.
    sources = [(f"{RUNTIME}/start.S", "armv8.2-a"), *((f"{RUNTIME}/{name}.c", "armv8.2-a+nosimd") for name in ("bm", "gic")), (f"{TOP}/bench/programs/{source}", march)]
    objects = []
    for path, its_march in sources:
        objects.append(f"{elf}.{os.path.basename(path)}.o")
        subprocess.run([*gcc, f"-march={its_march}", *(f"-D{name}={value}" for name, value in defines.items()), f"-I{TOP}/tests/baremetal", "-c", path,
                        "-o", objects[-1]], check=True)
    subprocess.run([*gcc, f"-Wl,-T,{RUNTIME}/link.ld", *objects, "-o", elf], check=True)
    return elf


def run(command):
    """(CPU seconds, the line that the program printed, which ends with a sum)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    line = re.search(r".*sum \w+", done.stdout)
    if done.returncode != 0 or not line:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {command[0]} ended with {done.returncode}: {done.stdout}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, line.group()
