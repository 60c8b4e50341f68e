"""The set: what runs, what it stands for, and its two sizes.

A command is a line of busybox sh, run in /w of the guest (or of the native tree). $B is busybox, $L the loops, $CC1 the
C compiler proper. Its stdout is checksummed; so a command prints nothing that depends on time or addresses.
"""
import os, sys
from dataclasses import dataclass

GROUPS = {"int": "INT", "fp": "FP", "system": "system"}


@dataclass(frozen=True)
class Program:
    name: str
    group: str
    about: str
    short: str
    long: str
    # QEMU's fastest CPU model for it, by earlier full sweeps: the quick form runs that one alone.
    quick_cpu: str = "cortex-a76"
    # Natively the answer may differ: another instruction set's code, or no fused multiply-add.
    native_differs: bool = False


MAX = "max,pauth-impdef=on"


def repeat(times, command):
    return f"i=0; while [ $i -lt {times} ]; do {command}; i=$((i+1)); done"


def loop(name, group, about, short, long, **more):
    return Program(name, group, about, f"$L {name} {short}", f"$L {name} {long}", **more)


AES = ("openssl enc -aes-128-cbc -K 00112233445566778899aabbccddeeff -iv 00112233445566778899aabbccddeeff -in data.bin "
       "| $B md5sum")
NO_AES = "export OPENSSL_armcap=0 OPENSSL_ia32cap=~0x200000200000000; "
NO_SHA = "export OPENSSL_armcap=0 OPENSSL_ia32cap=:~0x20000000; "
SJENG = ("$B rm -f /tmp/ask; $B mkfifo /tmp/ask; ( printf 'xboard\\nnew\\nsetboard r1bqk2r/pp2bppp/2n1pn2/3p4/3P4/2NB1N2/"
         "PP3PPP/R1BQ1RK1 w kq - 0 9\\nsd {}\\nst 100000\\ngo\\n' > /tmp/ask ) & sjeng <> /tmp/ask | while read -r line; do "
         "case $line in Nodes*|Hash*) echo \"$line\" ;; move*) echo \"$line\"; echo quit > /tmp/ask ;; esac; done")
HMMER = ("hmm2build -F /tmp/m.hmm family.fa > /tmp/log && hmm2calibrate --num {} --fixed 300 --seed 1 --cpu 1 /tmp/m.hmm "
         ">> /tmp/log && $B grep -v -E '^(COM|DATE)' /tmp/m.hmm && hmm2search --cpu 1 /tmp/m.hmm sequences.fa "
         "| $B grep -A 8 'Scores for'")
# Without the header, which carries the date.
POVRAY = "povray +Iscene.pov +O/tmp/o.ppm +FP +W{} +H{} -D +A0.3 -J +WT1 -GA; $B tail -c {} /tmp/o.ppm | $B md5sum"

PROGRAMS = [
    # Debian's own arm64 binaries.
    Program("perl", "int", "text and hashes in Perl (400.perlbench)", "/usr/bin/perl bench.pl 6000", "/usr/bin/perl bench.pl 48000"),
    *[Program(name, "int", f"compression, {level} ({spec})",
              f"{tool} -k -c data.bin > /tmp/d; {tool} -dc /tmp/d | $B md5sum; $B md5sum < /tmp/d",
              repeat(times, f"{tool} -k -c data.bin > /tmp/d; {tool} -dc /tmp/d | $B md5sum; $B md5sum < /tmp/d"), **more)
      for name, tool, level, spec, times, more in (
          ("bzip2", "/bin/bzip2 -9", "-9", "401.bzip2", 6, {}),
          ("xz", "/usr/bin/xz -3 -T1", "-3", "657.xz", 8, {"quick_cpu": MAX}))],
    Program("gzip", "int", "compression, -6 and -7 (164.gzip)",
            "gzip -6 -n -c data.bin > /tmp/d; gzip -7 -n -c data.bin | $B md5sum; gzip -dc /tmp/d | $B md5sum",
            repeat(12, "gzip -6 -n -c data.bin > /tmp/d; gzip -7 -n -c data.bin | $B md5sum; gzip -dc /tmp/d | $B md5sum")),
    Program("cc1", "int", "GCC's C compiler, -O1 and -O2 (403.gcc)", "$CC1 -fpreprocessed -quiet -O1 -o - cc1in.i | $B md5sum",
            repeat(4, "$CC1 -fpreprocessed -quiet -O2 -o - cc1in.i | $B md5sum"), MAX, True),
    Program("gnugo", "int", "Go, tree search with patterns (445.gobmk)",
            "/usr/games/gnugo --mode gtp --seed 1 --level 8 --cache-size 16 < go.gtp",
            "/usr/games/gnugo --mode gtp --seed 1 --level 8 --cache-size 16 < go-long.gtp", MAX),
    Program("sjeng", "int", "chess, alpha-beta search (458.sjeng)", SJENG.format(8), SJENG.format(10)),
    Program("hmmer", "int", "profile hidden Markov models (456.hmmer)", HMMER.format(500), HMMER.format(5000), native_differs=True),
    Program("libquantum", "int", "quantum computer simulation (462.libquantum)", "./qshor 85", "./qshor 215", MAX),
    Program("x264", "int", "video encoding with NEON (464.h264ref)", "./x264enc 8", "./x264enc 40", MAX, True),
    Program("x264c", "int", "video encoding, plain C (464.h264ref)", "./x264enc 4 noasm", "./x264enc 32 noasm", MAX),
    Program("xslt", "int", "XML transformation (483.xalancbmk)", "xsltproc x.xsl x.xml | $B md5sum",
            repeat(5, "xsltproc x.xsl x.xml | $B md5sum"), MAX),
    Program("xmllint", "int", "XML parsing, XPath, canonical form (483.xalancbmk)",
            repeat(2, "xmllint --c14n x.xml | $B md5sum; xmllint --xpath 'sum(//rec[grp=7]/val)' x.xml"),
            repeat(30, "xmllint --c14n x.xml | $B md5sum; xmllint --xpath 'sum(//rec[grp=7]/val)' x.xml"), MAX),
    Program("python", "int", "CPython: objects, dictionaries, big integers", "python3.11 -I -S bench.py 1", "python3.11 -I -S bench.py 6"),
    Program("sqlite", "int", "SQL in memory: joins, indexes, updates", "sqlite3 :memory: < bench.sql",
            repeat(5, "sqlite3 :memory: < bench.sql")),
    Program("sha256ce", "int", "openssl SHA-256 with crypto instructions", repeat(12, "openssl dgst -sha256 data.bin"),
            repeat(90, "openssl dgst -sha256 data.bin")),
    Program("sha256sw", "int", "openssl SHA-256 without crypto instructions", NO_SHA + repeat(8, "openssl dgst -sha256 data.bin"),
            NO_SHA + repeat(80, "openssl dgst -sha256 data.bin")),
    Program("aesce", "int", "openssl AES with crypto instructions", repeat(8, AES), repeat(60, AES)),
    Program("aessw", "int", "openssl AES without crypto instructions", NO_AES + repeat(6, AES), NO_AES + repeat(50, AES)),
    Program("glpsol", "fp", "linear and integer programming (450.soplex)",
            "glpsol --math t.mod --tmlim 100000 | $B grep -E 'obj|OPTIMAL|Objective' | $B tail -2",
            repeat(7, "glpsol --math t.mod --tmlim 100000 | $B grep -E 'obj|OPTIMAL|Objective' | $B tail -2"), MAX),
    Program("povray", "fp", "ray tracing (453.povray)", POVRAY.format(44, 33, 44 * 33 * 3), POVRAY.format(140, 105, 140 * 105 * 3), native_differs=True),
    # bench/programs/loops.
    loop("c4", "int", "connect four, alpha-beta on bitboards (458.sjeng)", 100, 800, quick_cpu=MAX),
    loop("hmm", "int", "Viterbi inner loop (456.hmmer)", 100, 700),
    loop("events", "int", "discrete events, heap and malloc (471.omnetpp)", 50, 400, quick_cpu=MAX),
    loop("astar", "int", "shortest paths on a grid (473.astar)", 220, 2000, quick_cpu=MAX),
    loop("coremk", "int", "lists, small matrices, state machine", 100, 1000),
    loop("alu", "int", "integer divide, multiply, branches", 200, 1700),
    loop("fib", "int", "calls and returns", 100, 800),
    loop("interp", "int", "bytecode interpreter, indirect branches", 80, 700),
    loop("str", "int", "C library strings and qsort", 80, 700),
    loop("regex", "int", "C library regular expressions", 300, 2400),
    loop("crc", "int", "CRC-32 by table", 200, 1600, quick_cpu=MAX),
    loop("sha256", "int", "SHA-256 in C", 100, 800),
    loop("sort", "int", "quicksort and merge", 100, 800),
    loop("hashjoin", "int", "hash join", 120, 1200),
    loop("matmul", "fp", "dense matrix product", 60, 400),
    loop("nbody", "fp", "planets (410.bwaves class: dense scalar)", 60, 400, native_differs=True),
    loop("fft", "fp", "radix-2 FFT (482.sphinx3 front end)", 140, 1200),
    loop("stencil", "fp", "3-D stencil (436.cactusADM)", 60, 400, native_differs=True),
    loop("lbm", "fp", "lattice Boltzmann (470.lbm)", 100, 800, native_differs=True),
    loop("cg", "fp", "sparse conjugate gradient (454.calculix)", 100, 800, native_differs=True),
    loop("md", "fp", "molecular dynamics (444.namd, 435.gromacs)", 100, 800, native_differs=True),
    loop("su3", "fp", "complex 3x3 products on a 4-D lattice (433.milc)", 100, 800, native_differs=True),
    loop("stream", "fp", "memory bandwidth in doubles", 35, 250, quick_cpu=MAX),
    loop("chase", "system", "random pointer chase, 64 MiB (429.mcf)", 100, 700),
    loop("memcpy", "system", "memory copy, 16 B to 1 MiB", 70, 500),
    loop("atomics", "system", "atomic add, compare-and-swap, mutex", 80, 600),
    loop("clock", "system", "clock_gettime through the vDSO", 100, 1000),
    loop("getpid", "system", "system calls", 700, 6000, quick_cpu=MAX),
    loop("pgfault", "system", "page faults", 250, 2000, quick_cpu=MAX),
    loop("mprot", "system", "mprotect: TLB invalidation", 200, 1600, quick_cpu=MAX),
    loop("forkexec", "system", "fork, exec, wait", 150, 1200),
    loop("ctxsw", "system", "context switches: one byte to and fro", 80, 600, quick_cpu=MAX),
    loop("pipe", "system", "64 KiB writes through a pipe", 300, 3000, quick_cpu=MAX),
    loop("signal", "system", "signal, handler, return", 200, 1600, quick_cpu=MAX),
    Program("shell", "system", "busybox sh: loops, substitution, processes",
            "n=0; for i in $($B seq 1 150); do n=$((n + $(echo $i | $B wc -c))); done; "
            "s=x; for i in $($B seq 1 15000); do case $s in x*) s=y$i ;; *) s=x ;; esac; done; echo $n $s",
            "n=0; for i in $($B seq 1 1500); do n=$((n + $(echo $i | $B wc -c))); done; "
            "s=x; for i in $($B seq 1 150000); do case $s in x*) s=y$i ;; *) s=x ;; esac; done; echo $n $s", MAX),
]
# The categories of SimBench, in the order in which bench/simbench/simbench.c runs them.
SIMBENCH = {
    "small-blocks": "code generation: 16 functions of two instructions", "large-blocks": "code generation: a function of 512 instructions",
    "intra-direct": "64 direct branches within a page", "intra-indirect": "64 indirect branches within a page",
    "inter-direct": "64 direct branches from page to page", "inter-indirect": "64 indirect branches from page to page",
    "data-fault": "data abort, handler, return", "fetch-fault": "instruction abort, handler, return",
    "undefined": "undefined instruction, handler, return", "system-call": "SVC, handler, return",
    "interrupt": "software-generated interrupt to itself", "device": "read of a device register",
    "system-register": "write and read of a system register", "hot-memory": "512 loads and stores in one page",
    "cold-memory": "2048 pages after a TLB flush", "unprivileged": "64 unprivileged loads",
    "tlb-evict": "TLB invalidation of a page, and a load from it", "tlb-flush": "TLB flush, and 16 loads"}
# And those of bench/simbench/chase.c.
CHASE = {"chase-4k": "pointer chase over 256 MiB, pages of 4 KiB", "chase-2m": "pointer chase over 256 MiB, blocks of 2 MiB",
         "chase-hot": "pointer chase over 1 MiB"}


def bare(path):
    """A bare-metal program's categories, and the MiB of memory that it needs."""
    return (CHASE, 1024) if os.path.basename(path) == "chase.elf" else (SIMBENCH, 128)


# Measured in every run of an emulator: from its start to the first line of the guest's init.
BOOT = Program("boot", "system", "Debian's kernel to its init", "", "")
BY_NAME = {p.name: p for p in PROGRAMS + [BOOT]}


def select(names):
    """The programs of a comma-separated list, in the set's order; raises ValueError for a name that is not there."""
    wanted = [n for n in names.split(",") if n]
    for name in wanted:
        if name not in BY_NAME or name == "boot":
            raise ValueError(f"no program named '{name}' (--list shows them)")
    return [p for p in PROGRAMS if not wanted or p.name in wanted]


def write_scripts(directory):
    os.makedirs(directory, exist_ok=True)
    # What running any program costs besides itself, for the test of the instruction counts.
    for size in ("short", "long"):
        with open(os.path.join(directory, f"none.{size}"), "w") as f:
            f.write("echo nothing\n")
    for p in PROGRAMS:
        for size, command in (("short", p.short), ("long", p.long)):
            with open(os.path.join(directory, f"{p.name}.{size}"), "w") as f:
                f.write(command + "\n")


if __name__ == "__main__":
    write_scripts(sys.argv[1])
