#!/usr/bin/env python3
"""Debian's own arm64 programs from an initramfs: perl, python3, sqlite3, openssl, gcc's cc1; output identical to QEMU's."""
import os, re, shutil, subprocess, sys
import guest
from guest import Failures, Guest, fetch, skip

if not guest.QEMU:
    skip("no qemu-system-aarch64 to compare with")
if not guest.CROSS_CC:
    skip("no aarch64-linux-gnu-gcc")
tree = fetch("packages", "--dir", "programs", "libc6", "libgcc-s1", "libstdc++6", "gcc-12-base", "libzstd1", "zlib1g",
             "perl-base", "libcrypt1", "cpp-12", "libgmp10", "libisl23", "libmpc3", "libmpfr6", "libreadline8",
             "libtinfo6", "sqlite3", "libsqlite3-0", "openssl", "libssl3", "python3.11-minimal",
             "libpython3.11-minimal", "libpython3.11-stdlib", "libexpat1", "libffi8", "libbz2-1.0", "liblzma5",
             "libstb-dev")
if tree is None:
    skip("the packages are not in the cache and cannot be fetched")

# The parts that run, with the inputs that the benchmarks use, below /debian of the guest.
inputs = os.path.join(guest.SOURCE, "bench/programs")
root = os.path.join(guest.work, "debian")
for name in "w", "bin", "usr":
    os.makedirs(os.path.join(root, name))
for name in "bin", "lib", "etc", "usr/bin", "usr/lib":
    if os.path.isdir(os.path.join(tree, name)):
        shutil.copytree(os.path.join(tree, name), os.path.join(root, name), symlinks=True, dirs_exist_ok=True,
                        ignore=shutil.ignore_patterns("*.a", "cc1plus", "lto*", "test", "idlelib", "lib2to3", "ensurepip"))
subprocess.run([sys.executable, os.path.join(inputs, "gen.py"), os.path.join(root, "w"), tree], check=True,
               stdout=subprocess.DEVNULL)
subprocess.run([guest.CROSS_CC, "-E", "-P", "-O2", f"-I{tree}/usr/include", os.path.join(inputs, "cc1in.c"), "-o",
                os.path.join(root, "w/cc1in.i")], check=True)
for name in "bench.pl", "bench.py", "bench.sql":
    shutil.copy(os.path.join(inputs, name), os.path.join(root, "w", name))
with open(os.path.join(root, "w/more.py"), "w") as f:
    f.write("""import decimal, fractions, hashlib, itertools, json, math, re, struct, zlib
decimal.getcontext().prec = 300
print(decimal.Decimal(2).sqrt(), fractions.Fraction(355, 113) ** 20)
print(json.dumps({"pi": math.pi, "e": math.e, "values": [math.sin(x / 7) * math.exp(x / 11) for x in range(50)]}))
print(sum(1 for p in itertools.permutations(range(8)) if all(abs(p[i] - p[j]) != j - i for i in range(8) for j in range(i + 1, 8))))
text = " ".join(f"word{i * i % 997}" for i in range(20000))
print(len(re.findall(r"\\bword(\\d)\\1\\d?\\b", text)), zlib.crc32(text.encode()), hashlib.blake2b(text.encode()).hexdigest())
print(struct.pack("<efdq", 1.5, math.pi, math.e, -3).hex(), 3 ** 5000 % 10 ** 60, float.fromhex("0x1.8p-1074"))
""")
with open(os.path.join(root, "w/run.sh"), "w") as f:
    f.write(r"""#!/bin/busybox sh
cd /w; export PATH=/usr/bin:/bin LC_ALL=C HOME=/w OPENSSL_CONF=/dev/null PYTHONHASHSEED=0
B=/bin/busybox
say() { echo "== $1"; }
say perl; perl bench.pl 600
perl -e 'printf "%.15g %s\n", atan2(1, 1) * 4, join ",", map { $_ ** 0.5 } 1 .. 20; $_ = "abc" x 1000;
    print tr/a//, " ", length, "\n", join(" ", sort { $a <=> $b } map { ($_ * 7919) % 1009 } 1 .. 200), "\n"'
say python; python3.11 -I -S more.py
say sqlite; sqlite3 :memory: < bench.sql
sqlite3 :memory: "with recursive c(x) as (select 1 union all select x + 1 from c where x < 20000)
    select count(*), sum(x * x), avg(x / 3.0), group_concat(x % 7) from c where x % 1000 = 1"
say cc1; /usr/lib/gcc/aarch64-linux-gnu/12/cc1 -fpreprocessed -quiet -O1 -o out.s cc1in.i; echo $?; $B wc -l < out.s; $B md5sum < out.s
say digests; for d in md5 sha1 sha256 sha512 sha3-256 blake2s256 sm3; do openssl dgst -$d cc1in.i; done
say ciphers
for c in aes-128-cbc aes-256-ctr chacha20 camellia-128-cbc aes-192-cfb; do
    openssl enc -$c -pbkdf2 -iter 1000 -S 0011223344556677 -k secret -in cc1in.i | $B md5sum
done
say primes; openssl prime 170141183460469231731687303715884105727; openssl prime 170141183460469231731687303715884105729
say tls; printf '[req]\ndistinguished_name=dn\n[dn]\n' > c
for kind in "rsa:2048" "ec -pkeyopt ec_paramgen_curve:P-256" "ed25519"; do
    openssl req -x509 -newkey $kind -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=guest -config c 2> err ||
        $B cat err
    for version in tls1_3 tls1_2; do
        openssl s_server -accept 4433 -cert cert.pem -key key.pem -quiet -rev -naccept 1 > /dev/null 2>&1 &
        n=0; until $B netstat -lnt | $B grep -q :4433 || [ $n = 200 ]; do $B sleep 0.1; n=$((n + 1)); done
        # The line stays open until the answer has come: a slow machine takes its time.
        : > log
        { echo "hello over $version"; n=0
          until $B grep -q 'revo olleh' log || [ $n = 300 ]; do $B sleep 0.1; n=$((n + 1)); done; } |
            openssl s_client -connect 127.0.0.1:4433 -CAfile cert.pem -verify_return_error -$version > log 2>&1
        $B grep -E '^(New, |Verification|Verify return)|revo olleh' log | $B sort -u
        $B kill %1 2> /dev/null; wait
    done
done
say speed; openssl speed -seconds 1 -bytes 8192 -evp aes-128-gcm > speed 2> err; echo $?
openssl speed -seconds 1 sha256 ecdsap256 >> speed 2> err; echo $?; $B grep -cE 'AES-128-GCM|sha256|ecdsa' speed
exit 42
""")

failures = Failures()
debian = Guest(add={root: "/debian"})
prepare = ("cd /debian && mkdir -p proc dev tmp && mount --bind /proc proc && mount --bind /dev dev && "
           "mount -t tmpfs tmp tmp && "
           "cp /bin/busybox bin/busybox && exec chroot /debian /bin/busybox sh /w/run.sh")
command = ["sh", "-c", prepare]
result = debian.run(command, limit=600, options=["-m", "1G"])
print(f"arclight: {result.seconds:.1f} s, {result.cpu_seconds:.1f} CPU s")
failures.check(result.status == 42, f"arclight: {result}")
expected = debian.run_qemu(command, limit=900, memory="1G")
print(f"qemu: {expected.seconds:.1f} s, {expected.cpu_seconds:.1f} CPU s")
if failures.check(expected.status == 42, f"qemu: {expected}"):
    ours, theirs = result.text.splitlines(), expected.text.splitlines()
    for a, b in zip(ours, theirs):
        failures.check(a == b, f"arclight prints '{a}', QEMU '{b}'")
    failures.check(len(ours) == len(theirs), f"{len(ours)} lines, not {len(theirs)}: {result}")
    failures.check("== speed\n0\n0\n" in result.text and len(re.findall("Verification: OK|Verify return code: 0", result.text)) >= 6,
                   f"openssl did not do its work: {result}")
if "--show" in sys.argv:
    print(result.text)
failures.end()
