#!/bin/bash
# The program itself: exit codes and single lines for mistakes that no unit test sees end to end.
set -u
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }

expect() { # CODE PATTERN ARGUMENTS...
    local code=$1 pattern=$2 status
    shift 2
    timeout 60 "$ARCLIGHT" "$@" > "$work/out" 2> "$work/err" < /dev/null
    status=$?
    [ $status = "$code" ] || fail "arclight $*: status $status, not $code"
    grep -qE -- "$pattern" "$work/err" "$work/out" || fail "arclight $*: no '$pattern' in: $(cat "$work/out" "$work/err")"
    [ "$code" = 0 ] || [ "$(wc -l < "$work/err")" = 1 ] || fail "arclight $*: not one line: $(cat "$work/err")"
}

expect 0 '^arclight [0-9]' version
expect 0 'process +yes' version
expect 0 'kvm +(yes|no) \(' version
expect 0 '^arclight [0-9]+\.[0-9]+' --version
expect 0 'Subcommands' --help
expect 0 'Subcommands' help
expect 0 '--kernel' help run
expect 0 '--kernel' run --help
expect 2 "unknown option '--bogus'" run --kernel x --bogus
expect 2 "QEMU's -kernel is --kernel here; 'arclight qemu'" run -kernel x -append y
expect 2 "QEMU's -netdev is --net user here" run --kernel x -netdev user,id=n
expect 0 '^QEMU emulator version 7\.2\.' qemu --version
expect 1 '^arclight qemu: -zzz: invalid option$' qemu -zzz
expect 1 '^arclight qemu: No machine specified' qemu -kernel x
expect 2 'required' run
expect 2 'less than 1 MiB' run --kernel x -m 0
expect 2 'more than 255 GiB' run --kernel x -m 9999G
expect 2 'not a memory size' run --kernel x -m huge

head -c 100000 /dev/urandom > "$work/random"
: > "$work/empty"
printf 'tiny' > "$work/tiny"
expect 1 "kernel '$work/none' does not exist" run --kernel "$work/none"
expect 1 "kernel '$work/empty' is empty" run --kernel "$work/empty"
expect 1 "kernel '$work/tiny' is text, not a kernel" run --kernel "$work/tiny"
head -c 100000 /dev/zero > "$work/zeros"
expect 1 "kernel '$work/zeros' is neither" run --kernel "$work/zeros"
expect 1 "is for x86" run --kernel "$ARCLIGHT"
expect 1 "is a directory" run --kernel "$work"

expect 1 "is not an AArch64 program" initramfs --busybox "$work/random" --output "$work/out.cpio"
[ ! -e "$work/out.cpio" ] || fail "a failed build left a file"

[ $failures = 0 ] && echo "all as expected"
exit $((failures > 0))
