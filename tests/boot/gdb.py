#!/usr/bin/env python3
"""gdb on Debian's kernel and on a program of the guest (guest/gdb.c), whose CPUs run translated code of both tiers: what users
do by hand, as scripts of gdb's. Debuggers come one after the other, with garbage between them, and the guest goes on."""
import os, random, re, shutil, signal, socket, subprocess, time
from guest import CROSS_CC, KERNEL_TROUBLE, Failures, Guest, build_program, skip, work

GDB = shutil.which("gdb-multiarch")
if GDB is None:
    skip("no gdb-multiarch")
SOCKET = os.path.join(work, "gdb.socket")
FIRST = "__arm64_sys_getppid"
KERNEL_FUNCTIONS = [FIRST, "invoke_syscall", "el0_svc_common.constprop.0", "do_el0_svc", "el0_svc",
                    "el0t_64_sync_handler", "el0t_64_sync", "start_kernel"]

failures = Failures()
program = build_program("gdb", "-g", "-O1")
debian = Guest(add={program: "/bin/debugged"})


class Running:
    """`arclight run` whose output is read by lines."""

    def __init__(self, command, options, append="loglevel=4"):
        words = debian.arclight(command, append=append, options=["--smp", "2", "--no-kaslr-seed", "--cpu", "max,rng=off", "--gdb", f"unix:{SOCKET}", *options])
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines = []

    def read_until(self, word):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())
            if word in line:
                return
        failures.add(f"the guest ended before it said '{word}': {self.lines[-20:]} {self.process.stderr.read()[-2000:]}")
        failures.end()

    def end(self, limit):
        try:
            out, error = self.process.communicate(timeout=limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, error = self.process.communicate()
            failures.add("the guest does not end")
        self.lines += out.splitlines()
        return error


def debug(script, interrupt=False, symbols=program, limit=120):
    """What gdb prints. `interrupt`: SIGINT, as Ctrl-C sends it, once the script has let the guest go on."""
    path, marker = os.path.join(work, "script"), os.path.join(work, "running")
    with open(path, "w") as f:
        f.write("set pagination off\nset confirm off\nset width 0\nset remotetimeout 60\nset tcp connect-timeout 60\n"
                f"target remote {SOCKET}\n" + script.replace("TELL", f"shell touch {marker}"))
    process = subprocess.Popen([GDB, "-nx", "-batch", "-x", path] + ([symbols] if symbols else []), stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if interrupt:
        while not os.path.exists(marker) and process.poll() is None:
            time.sleep(0.05)
        time.sleep(1)
        process.send_signal(signal.SIGINT)
    try:
        text = process.communicate(timeout=limit)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        text = process.communicate()[0]
        failures.add("gdb ran into its time limit")
    print("--- gdb\n" + text, flush=True)
    return text


def expect(text, pattern, what):
    found = re.search(pattern, text, re.M | re.S)
    failures.check(found, f"{what}: nothing like {pattern}")
    return found


def kernel_symbols(addresses):
    """A file for gdb that has these functions of a kernel, without their code. Debian's own files with them are large. As the kernel
    is compiled, a function's frame is where x29 points, but for one that has just been called: the first of them."""
    listed = sorted((address, name.split(".")[0]) for name, address in addresses.items())
    base = listed[0][0] & ~0xffff
    source, output = os.path.join(work, "kernel.S"), os.path.join(work, "kernel.elf")
    with open(source, "w") as f:
        f.write('.cfi_sections .debug_frame\n.section .text,"ax",%nobits\n')
        for (address, name), following in zip(listed, [address for address, _ in listed[1:]] + [1 << 64]):
            f.write(f".org {address - base:#x}\n.globl {name}\n.type {name}, %function\n{name}:\n.cfi_startproc\n")
            if name != FIRST:
                f.write(".cfi_def_cfa x29, 16\n.cfi_offset 29, -16\n.cfi_offset 30, -8\n")
            size = min(0x400, following - address)
            f.write(f".skip {size}\n.cfi_endproc\n.size {name}, {size}\n")
    subprocess.run([CROSS_CC, "-nostdlib", "-static", "-Wl,--build-id=none", f"-Wl,-Ttext={base:#x}", "-Wl,-e,0", "-o", output,
                    source], check=True)
    return output


# ---- A guest that runs when debuggers come
pattern = "|".join(re.escape(name) for name in KERNEL_FUNCTIONS)
guest = Running(["sh", "-c", f"grep -E ' ({pattern})$' /proc/kallsyms; exec debugged"], [])
guest.read_until("ready")
symbols = {m.group(2): int(m.group(1), 16) for m in (re.match(r"([0-9a-f]{16}) \w (\S+)$", line) for line in guest.lines) if m}
if not failures.check(len(symbols) == len(KERNEL_FUNCTIONS), f"kallsyms: {guest.lines[-20:]}"):
    failures.end()
kernel = kernel_symbols(symbols)

text = debug(f"""
echo [threads]\\n
info threads
echo [user function]\\n
break work
continue
backtrace
info registers pc cpsr
echo [step over]\\n
delete
break exclusive_loop
continue
delete
print total
stepi
x/i $pc
print $pc - (long)&exclusive_loop
finish
print total - $
echo [watch]\\n
watch total
continue
continue
delete
echo [read watch]\\n
rwatch finish
continue
delete
echo [register]\\n
break work
continue
set $x0 = 1234
delete
tbreak add_exclusively
continue
print seen
print n
set $x1 = rounds % 10
echo [memory]\\n
print/x *(unsigned int*)&work
maintenance packet qqemu.PhyMemMode
maintenance packet Qqemu.PhyMemMode:1
x/1wx 0x09000fe0
maintenance packet Qqemu.PhyMemMode:0
echo [monitor]\\n
monitor info cpus
monitor dance
echo [non-stop]\\n
maintenance packet QNonStop:1
echo [over]\\n
detach
""")
inside = debug(f"""
hbreak *{symbols[FIRST]:#x}
continue
backtrace
print/x $TTBR1_EL1 != 0
info registers cpsr
stepi
stepi
print/x (long)$pc
detach
""", symbols=kernel)
parts = dict(zip(*[iter(re.split(r"^\[([a-z -]+)\]$", text, flags=re.M)[1:])] * 2))
expect(parts["threads"], r"Thread 1\.1.*Thread 1\.2|Thread 1 .*Thread 2 ", "two CPUs")
user = parts["user function"]
expect(user, r"Breakpoint 1, (0x\S+ in )?work \(n=\d\)", "a breakpoint in a user function")
expect(user, r"^#0 .*work \(n=\d\).*^#1 .*run \(\).*^#2 .*main \(\)", "a backtrace")
expect(parts["step over"], r"cbnz.*^\$\d+ = .*0xc$", "a step over an exclusive sequence ends behind it")
expect(parts["step over"], r"in work \(n=\d\).*Value returned is \$\d+ = \d+.*^\$\d+ = 0$", "finish")
old_new = re.findall(r"Old value = (\d+)\s+New value = (\d+)", parts["watch"])
failures.check(len(old_new) == 2 and all(int(new) != int(old) for old, new in old_new), f"a watched variable changes: {old_new}")
expect(parts["read watch"], r"read watchpoint.*Value = 0", "a watchpoint on reading")
expect(inside, rf"hit Breakpoint 1, \S+ in {FIRST} \(\)", "a breakpoint in a kernel function")
frames = re.findall(r"^#\d+ .* in (\S+) \(\)$", inside, re.M)
failures.check(frames[:7] == [FIRST, "invoke_syscall", "el0_svc_common", "do_el0_svc", "el0_svc", "el0t_64_sync_handler", "el0t_64_sync"],
               f"a backtrace of the kernel: {frames}")
expect(inside, r"^\$\d+ = 0x1$.*EL=1", "system registers")
expect(inside, rf"^\$\d+ = {symbols[FIRST] + 8:#x}$", "two steps from a breakpoint")
expect(parts["register"], r"^\$\d+ = 1234$.*^\$\d+ = 1234$", "a changed argument is seen")
expect(parts["memory"], r"received: \"0\".*received: \"OK\".*0x9000fe0:\s+0x00000011", "physical memory: the UART's number")
expect(parts["monitor"], r"CPU #0: .*CPU #1: .*unknown command: 'dance'", "monitor")
expect(parts["non-stop"], r'received: "E', "non-stop is refused")

# ---- Garbage, then another one, which finds it running and interrupts it
for seed in range(5):
    noise = random.Random(seed)
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(SOCKET)
        s.sendall(bytes(b for b in noise.randbytes(5000) if b != ord("#")))
text = debug("""
tbreak work
continue
print rounds
TELL
continue
break work
continue
print rounds
info threads
detach
""", interrupt=True)
expect(text, r"received signal SIGINT", "Ctrl-C")
counts = [int(n) for n in re.findall(r"^\$\d+ = (\d+)$", text, re.M)]
failures.check(len(counts) == 2 and counts[1] > counts[0] > 0, f"the guest has gone on meanwhile: {counts}")
expect(text, r"received signal SIGINT.*hit Breakpoint 2, ", "a breakpoint behind it")

# ---- A debugger that is killed leaves no breakpoint
killed = subprocess.Popen([GDB, "-nx", "-batch", "-ex", f"target remote {SOCKET}", "-ex", "break add_exclusively if rounds < 0", "-ex",
                           f"shell touch {work}/killed", "-ex", "continue", program], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
while not os.path.exists(f"{work}/killed") and killed.poll() is None:
    time.sleep(0.05)
time.sleep(0.5)
killed.kill()
killed.wait()
# The CPU in view may be idle, or in another program.
text = debug("tbreak work\ncontinue\nset var finish = 1\ndetach\n")
error = guest.end(120)
last = [line for line in guest.lines if line.startswith("rounds ")]
print(last, error)
failures.check(last and "seen 1234" in last[0] and "total right" in last[0], f"the guest went on rightly: {last}")
failures.check(guest.process.returncode == 0, f"it ended with {guest.process.returncode}: {error[-2000:]}")
failures.check(not KERNEL_TROUBLE.search("\n".join(guest.lines)), f"the kernel complains: {guest.lines}")
failures.check(not os.path.exists(SOCKET), "the socket is still there")

# ---- One that waits for a debugger before its first instruction: a breakpoint before there are translation tables
guest = Running(["true"], ["-S"])
text = debug(f"""
print/x $SCTLR_EL1 & 1
hbreak *{symbols['start_kernel']:#x}
continue
print/x $SCTLR_EL1 & 1
kill
""", symbols=None)
expect(text, rf"^\$1 = 0x0$.*{symbols['start_kernel']:#x} in .*^\$2 = 0x1$", "a breakpoint from the first instruction on")
guest.end(60)
failures.check(not any("guest" in line for line in guest.lines), f"it was ended: {guest.lines[-5:]}")
failures.end()
