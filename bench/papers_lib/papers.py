"""The papers that Arclight takes up: what each reports, what is measured here beside it, and why the two are not the same measurement. A figure of
ours is (measurement, name of the figure, format); the text of a paper's figure is as its abstract or text gives it."""
from dataclasses import dataclass, field


@dataclass
class Row:
    what: str
    theirs: str
    measurement: str
    figures: list  # names of figures of the measurement; several are shown side by side
    form: str = "{:.2f}"


@dataclass
class Paper:
    name: str
    source: str
    rows: list = field(default_factory=list)
    differs: str = ""


PAPERS = [
    Paper("CAPTIVE", "Spink, Wagstaff, Franke: Hardware-Accelerated Cross-Architecture Full-System Virtualization, TACO 13(4), 2016",
          [Row("times faster than QEMU, mean; most", "2.5; 5.88", "sweep", ["times faster, all", "times faster, most"]),
           Row("integer programs alone", "2.5", "sweep", ["times faster, int"]),
           Row("million guest instructions a second, mean; most", "915.52; 1280", "sweep", ["MIPS, mean", "MIPS, most"], "{:.0f}"),
           Row("guest memory by the host's page tables on SVM, instructions in blocks against a soft TLB, mean; least; most", "", "windows-svm",
               ["instructions, mean %", "instructions, least %", "instructions, most %"], "{:+.0f} %")],
          "Theirs is SPEC CPU2006's integer programs in an ARMv7 guest on the hardware and the QEMU of 2016, in a virtual machine on bare metal; ours is "
          "the quick set of `bench/sweep`, a Debian arm64 guest, the default configuration, beside QEMU 7.2 or newer, which has become some 1.8 times as fast. MIPS here "
          "are exact counts, with the kernel's instructions. Theirs reaches guest memory by the host's page tables alone, which this host's /dev/kvm makes dear; so what they save is counted on an emulated "
          "machine, in instructions (bench/results/windows-svm.txt)."),
    Paper("Swift and accelerated shadow paging", "Swift Shadow Paging (VEE'21) and Accelerated Shadow Paging (IEEE TC, 2022); abstracts",
          [Row("exits against traditional shadow paging, fork-and-exit", "-23 to -56 %", "shadow", ["process: fork: ssp against tsp, %"], "{:+.0f} %"),
           Row("... mprotect", "", "shadow", ["process: protect: ssp against tsp, %"], "{:+.0f} %"),
           Row("... copy on write", "", "shadow", ["process: cow: ssp against tsp, %"], "{:+.0f} %"),
           Row("... exec", "", "shadow", ["process: exec: ssp against tsp, %"], "{:+.0f} %"),
           Row("... mmap and munmap", "", "shadow", ["process: mmap: ssp against tsp, %"], "{:+.0f} %"),
           Row("... switches in a ring of processes", "", "shadow", ["process: ring: ssp against tsp, %"], "{:+.0f} %"),
           Row("... a growing heap", "", "shadow", ["process: grow: ssp against tsp, %"], "{:+.0f} %"),
           Row("... a shell script", "", "shadow", ["process: shell: ssp against tsp, %"], "{:+.0f} %"),
           Row("accelerated: fork-and-exit; shell", "", "shadow", ["process: fork: asp against tsp, %", "process: shell: asp against tsp, %"], "{:+.0f} %"),
           *[Row(what, "", "shadow-svm", [f"svm: {name}: ssp against tsp as KVM counts, %"], "{:+.0f} %")
             for what, name in (("real exits, SVM with nested paging (KVM's count), fork-and-exit", "fork"), ("... mprotect", "protect"), ("... copy on write", "cow"), ("... exec", "exec"),
                                ("... mmap and munmap", "mmap"), ("... switches in a ring of processes", "ring"), ("... a growing heap", "grow"), ("... a shell script", "shell"))],
           Row("... accelerated: fork-and-exit; shell", "", "shadow-svm", [f"svm: {name}: asp against tsp as KVM counts, %" for name in ("fork", "shell")], "{:+.0f} %"),
           Row("share of time that following the guest's tables takes", "under 5.5 % (SSP), 4.5 % (ASP)", "following", ["share of time, %"], "{:.1f} %")],
          "Theirs is a hypervisor in the machine mode of a Sunway processor (and a simulator), with workloads that the abstracts do not name; here an exit is a call out "
          "of translated code in the process world, and a real one on emulated SVM hardware. There is no sum: losses stand beside gains."),
    Paper("LightV", "LightV, arXiv 2502.15738; abstract",
          [Row("no page targeted", "negligible", "lightv", ["sort: host: no page, % of instructions"], "{:+.2f} %"),
           Row("one page of the program steered", "about 1 %", "lightv", ["sort: host: its stack steered, % of instructions"], "{:+.2f} %"),
           Row("... moved every 1; 10; 100 ms", "", "lightv", [f"sort: host: its stack moved every {ms} ms, % of instructions" for ms in (1, 10, 100)], "{:+.2f} %"),
           Row("one page that nobody uses, moved every 1; 10; 100 ms", "", "lightv", [f"sort: host: another moved every {ms} ms, % of instructions" for ms in (1, 10, 100)], "{:+.2f} %"),
           Row("a remap, request to carried out, 1; 2; 4; 8 CPUs, p50 us", "", "lightv", [f"latency, host, {n}: done p50, us" for n in (1, 2, 4, 8)], "{:.0f}"),
           Row("... p99 us", "", "lightv", [f"latency, host, {n}: done p99, us" for n in (1, 2, 4, 8)], "{:.0f}"),
           Row("migration of 1 GiB of a busy guest, MiB/s", "forecast", "lightv", ["migration, host: MiB/s"], "{:.0f}")],
          "The mechanism is another one: theirs is a programmable-logic module on the coherent interconnect of a Zynq UltraScale+, which answers the snoops of chosen pages; ours "
          "changes what lies behind RAM's own place in the host's tables (the second stage under KVM). No claim is made about snoop latency. Instructions are host instructions under valgrind."),
    Paper("Pre-virtualization", "LeVasseur and others, 2005; Afterburner; project pages",
          [Row("sites found; met in a profiled boot", "", "prepare", ["sites found", "sites met"], "{:,.0f}"),
           Row("boot, prepared over as it was: process; KVM with fastmem", "as fast as paravirtualization", "prepare",
               ["process: ratio of CPU time", "KVM with fastmem: ratio of CPU time"]),
           Row("getpid; page faults; context switches", "", "prepare", [f"{n}: ratio of CPU time" for n in ("getpid", "pgfault", "ctxsw")]),
           Row("network, 256 MiB by HTTP", "", "prepare", ["network: ratio of CPU time"]),
           Row("blocks translated again for a device (KVM with fastmem): before; prepared", "", "prepare", ["retranslations, before", "retranslations, prepared"], "{:.0f}")],
          "Theirs pads sensitive instructions in the assembler and rewrites them when the hypervisor loads, which replaces traps; a translator never traps, so what is left to gain is "
          "discovery at run time. Ratios below 1 are gains."),
    Paper("Self-virtualized I/O", "Raj and Schwan: High Performance and Scalable I/O Virtualization via Self-Virtualized Devices, HPDC 2007; abstract",
          [Row("throughput, mean; least; most over 1 to 16 interfaces", "+77 %", "svio", ["throughput, %", "throughput, least %", "throughput, most %"], "{:+.0f} %"),
           Row("latency, mean", "-53 %", "svio", ["latency, %"], "{:+.0f} %"),
           Row("CPU time a message", "", "svio", ["CPU a message, %"], "{:+.0f} %"),
           Row("a round trip beside a greedy one, times as long as alone: device thread; ordinary", "", "svio", ["beside a greedy one", "beside a greedy one, ordinary"])],
          "Theirs is a network card with its own processor in a Xen host, beside a driver domain; ours a thread on cores that the guests use too, beside a virtio-net "
          "device with a socket in each guest's process. docs/self-virtualized-io.md has all rows."),
    Paper("Spinning virtual CPUs", "VEE'21 (and TPDS 2023); abstract, code",
          [Row("time of programs, more virtual CPUs than cores, times faster: mean; least; most", "up to 1.8 (TPDS: 2.6)", "spinning", ["times faster, mean", "times faster, least", "times faster, most"]),
           Row("... of so many rows; of them more than a tenth slower", "", "spinning", ["rows", "rows that lose a tenth"], "{:.0f}"),
           Row("turns of loops that wait", "-87.6 % pause-loop exits (TPDS: -96 %)", "spinning", ["turns of waiting loops, %"], "{:+.0f} %"),
           Row("beside QEMU, times faster, mean", "", "spinning", ["times faster than QEMU, mean"])],
          "Theirs changes the host's scheduler and KVM, which sees a spinning CPU by the processor's pause-loop exits; ours sees the loop in translated code, from a process without rights over "
          "the scheduler. Compared are `--spin off` and `hand-over` of this program, on two cores with four and eight virtual CPUs in one guest and two to eight in two; the mean is the geometric one. Rows lose, and one wins a "
          "thousandfold, by where the host puts the two CPUs of a guest: `off` has the better of the placements that it met, row by row; on the same cores handing over loses none of those that were looked at "
          "(bench/README.md, \"Waiting for other CPUs\"). Rows can be measured again one by one (`bench/papers --measure spinning --part WORDS`); each has its date in bench/results/spinning.json."),
    Paper("Guest registers in SIMD registers", "Wu and others: Effective Exploitation of SIMD Resources in Cross-ISA Virtualization, VEE'21; abstract",
          [Row("times as long as without, mean; least; most", "2.2 times faster than QEMU, in all", "registers", ["time, mean", "time, least", "time, most"]),
           Row("loads and stores of guest registers a guest instruction: without; with", "", "registers", ["state traffic, memory", "state traffic, simd"]),
           Row("host instructions a guest instruction: without; with", "", "registers", ["host instructions, memory", "host instructions, simd"])],
          "Theirs is QEMU with all that the paper does, over QEMU; ours is one switch of a translator that keeps values in registers within a block already. docs/experiments.md says why it gains little."),
    Paper("Virtual hierarchies", "Marty and Hill: Virtual Hierarchies to Support Server Consolidation, ISCA 2007",
          [Row("compute beside a noisy guest, times as long as alone: left to the host; with --place", "12 to 58 % better, between two coherence protocols", "isolation", ["compute: beside", "compute: --place"]),
           Row("a chase through 1 MiB", "", "isolation", ["chase 1: beside", "chase 1: --place"]),
           Row("a chase through 16 MiB", "", "isolation", ["chase 16: beside", "chase 16: --place"])],
          "Theirs is a coherence protocol of a simulated chip of 64 tiles; software can only place: cores, memory nodes, ways of a cache that the host divides. So isolation is compared, not speed."),
]
