#!/usr/bin/env python3
"""busybox in earnest: the same script in the same guest, under Arclight and under QEMU, must print the same.

--big, as in the long form: sums of 64 MiB, 10,000 forks; minutes under QEMU.
"""
import hashlib, sys
import guest
from guest import Failures, Guest

# Everything is made in the guest from counters, so that it needs no input and prints no time, number of a process or
# order of a directory.
SCRIPT = r"""
cd /tmp
say() { echo "== $1"; }
numbers() { awk -v n="$1" -v s="$2" 'BEGIN { for (i = 0; i < n; i++) { s = (s * 1103515245 + 12345) % 2147483648; print s, i, s % 1000 } }'; }
say md5sum; i=0; while [ $i -lt $CHUNKS ]; do cat /bin/busybox; echo $i; i=$((i + 1)); done | head -c $BYTES > big
wc -c < big; md5sum < big; sha1sum < big; sha256sum < big; sha512sum < big
say dd; dd if=big of=copy bs=4k skip=3 count=$BLOCKS 2> /dev/null; md5sum < copy; dd if=big bs=777 count=$((BLOCKS * 5)) 2> /dev/null | md5sum
say gzip; gzip -c copy > copy.gz; md5sum < copy.gz; gunzip -c copy.gz | cmp - copy && echo same
say bzip2; bzip2 -c copy > copy.bz2; md5sum < copy.bz2; bunzip2 -c copy.bz2 | cmp - copy && echo same
say awk; numbers $LINES 1 > table; md5sum < table
awk '{ n[$3] += $1; c[$3]++ } END { for (k = 0; k < 1000; k++) printf "%d %.3f %s\n", c[k], n[k] / (c[k] + 1), sprintf("%x", k * 31) }' table | md5sum
awk 'BEGIN { for (x = 0.1; x < 20; x += 0.37) printf "%.12g %.12g %.12g %e\n", x * x, 1 / x, (x - 7) / 3 % 2, x * 1e300 }' | md5sum
say sort; sort -n table | md5sum; sort -k3,3n -k1,1nr table | md5sum; sort -u -k3,3 table | wc -l
say sed; sed -e 's/\([0-9]\)\([0-9]*\) /\2\1-/;/7$/d;y/0123456789/abcdefghij/' table | md5sum; sed -n '$=' table
say text; cut -d' ' -f1 table | tr 0-9 a-j | uniq | rev | md5sum; grep -c '99' table; grep -E '^(1|2).*5 ' table | head -n 500 | md5sum
od -A d -t x1 copy | md5sum
tac table | nl | tail -n 100 | md5sum; fold -w 13 table | paste - - - | md5sum; xxd copy | md5sum; base64 copy | md5sum
say tar; mkdir -p tree; i=0; while [ $i -lt 200 ]; do mkdir -p tree/$((i % 7))/$((i % 3)); echo $i > tree/$((i % 7))/$((i % 3))/f$i; i=$((i + 1)); done
tar cf tree.tar $(find tree -type f | sort); tar tf tree.tar | md5sum; rm -r tree; tar xf tree.tar; find tree -type f | sort | xargs cat | md5sum
find tree -name 'f*5' -exec wc -c {} + | tail -n 1; find tree -type d | wc -l; find / -xdev -name 'virtio*' -maxdepth 3 | sort
say fork; i=0; while [ $i -lt $FORKS ]; do /bin/busybox true || echo bad; i=$((i + 1)); done; echo $i
say pipes; i=0; while [ $i -lt 200 ]; do echo $i | cat | cat | cat; i=$((i + 1)); done | md5sum
say arithmetic; echo $((123456789 * 987654321 % 1000003)) $(expr 17 \* 23) $(echo '2^200; 355/113; sqrt(2)' | bc -l | head -c 100) $(dc -e '20k 2 v p' 2> /dev/null)
say cpio; find tree | sort | cpio -o -H newc 2> /dev/null | wc -c; factor 1234567890123456789 600851475143; seq 1 3 100000 | md5sum; date -u -d @86400000 +%F; cal 2 2024 | md5sum
"""
BIG = guest.NIGHTLY or "--big" in sys.argv
SETTINGS = (f"BYTES={64 << 20} CHUNKS=64 BLOCKS=1000 LINES=100000 FORKS=10000\n" if BIG else
            f"BYTES={8 << 20} CHUNKS=8 BLOCKS=150 LINES=3000 FORKS=300\n")

failures = Failures()
debian = Guest()
command = ["sh", "-c", SETTINGS + SCRIPT + "exit 42"]
result = debian.run(command, limit=900, options=["-m", "512M"])
print(f"arclight: {result.seconds:.1f} s, {result.cpu_seconds:.1f} CPU s")
failures.check(result.status == 42 and "not found" not in result.text and "invalid" not in result.text, f"arclight: {result}")
if guest.QEMU:
    expected = debian.run_qemu(command, limit=1500)
    print(f"qemu: {expected.seconds:.1f} s, {expected.cpu_seconds:.1f} CPU s")
    if not failures.check(expected.status == 42, f"qemu: {expected}"):
        failures.end()
    if result.output != expected.output:
        for ours, theirs in zip(result.text.splitlines(), expected.text.splitlines()):
            if ours != theirs:
                failures.add(f"arclight prints '{ours}', QEMU '{theirs}'")
        failures.check(len(result.output) == len(expected.output), f"lengths differ: {result}")
else:
    # The checksums of the guest's own program differ with Debian's version of it.
    print("no qemu-system-aarch64: only that the script runs to its end is checked")
print(result.text if "--show" in sys.argv else f"output: {hashlib.md5(result.output).hexdigest()}")
failures.end()
