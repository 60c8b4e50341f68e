#!/usr/bin/env python3
"""One command in the guest, as ./run -- COMMAND does it: its output and nothing else, its status, its input."""
import hashlib, os, random, subprocess
import guest
from guest import Failures, Guest, run

failures = Failures()
debian = Guest()


def expect(command, status, output, what, **more):
    result = debian.run(command, **more)
    failures.check(result.status == status and result.output == output and not result.error, f"{what}: {result}")


# ./run itself, if it would start this very program: else it would build another one.
if os.path.realpath(guest.ARCLIGHT) == os.path.realpath(os.path.join(guest.SOURCE, "build/release/arclight")):
    result = run([os.path.join(guest.SOURCE, "run"), "--", "uname", "-a"], 120)
else:
    result = debian.run(["uname", "-a"])
words = result.text.split()
failures.check(result.status == 0 and len(result.text.splitlines()) == 1 and words[0] == "Linux" and
               words[2] == debian.version and "aarch64" in words and not result.error, f"uname -a: {result}")

# systemd-detect-virt's rule: a hypervisor of a name that it does not know is "vm-other".
result = debian.run(["sh", "-c", "cat /proc/device-tree/hypervisor/compatible; echo; grep -m 1 ^Features /proc/cpuinfo"])
maker, _, features = result.output.partition(b"\n")
failures.check(maker == b"arclight,vm\0", f"what runs the guest: {result}")
WORDS = """fp asimd aes pmull sha1 sha2 crc32 atomics fphp asimdhp asimdrdm jscvt fcma lrcpc asimddp asimdfhm frint i8mm bf16"""
missing = set(WORDS.split()) - set(features.decode().split())
failures.check(not missing, f"/proc/cpuinfo lacks {sorted(missing)}: {result}")
for status in 0, 7, 255:
    expect(["sh", "-c", f"exit {status}"], status, b"", f"exit {status}")
for number in 9, 15, 11:
    expect(["sh", "-c", f"kill -{number} $$"], 128 + number, b"", f"killed by signal {number}")
result = debian.run(["/no/such"])
failures.check(result.status == 127, f"no such program: {result}")

arguments = ["a b", "it's", '"', "", "two\nlines", "$x `y` \\", "żółć", "--", "-n", "*", "\x01\x7f", "x" * 5000]
expect(["printf", r"%s\n"] + arguments, 0, "".join(a + "\n" for a in arguments).encode(), "arguments")

every_byte = b"".join(bytes([i]) for i in range(256))
expect(["sh", "-c", r'i=0; while [ $i -lt 256 ]; do printf "\\$(printf %o $i)"; i=$((i+1)); done'], 0, every_byte,
       "every byte printed")

data = random.Random(1).randbytes(150_000) + every_byte
path = os.path.join(guest.work, "input")
with open(path, "wb") as f:
    f.write(data)
expected = hashlib.md5(data).hexdigest().encode() + b"  -\n"
expect(["md5sum"], 0, expected, "stdin through a pipe", stdin=data)
with open(path, "rb") as f:
    expect(["md5sum"], 0, expected, "stdin from a file", stdin=f)
expect(["cat"], 0, data[:30_000], "stdin to stdout", stdin=data[:30_000])
expect(["true"], 0, b"", "input that nobody reads", stdin=data)
big = debian.run(["sh", "-c", "yes 0123456789abcde | head -c 1000000"])
failures.check(big.output == (b"0123456789abcde\n" * 62500)[:1000000], f"a megabyte of output: {len(big.output)} bytes")

# The reader of our output goes away: we end too, and soon.
process = subprocess.Popen(debian.arclight(["yes"]), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
process.stdout.read(100)
process.stdout.close()
try:
    error = process.stderr.read().decode()
    failures.check(process.wait(30) != 0 and len(error.splitlines()) == 1, f"reader gone: {process.returncode} {error}")
except subprocess.TimeoutExpired:
    process.kill()
    failures.add("goes on after the reader of its output has gone")
failures.end()
