#!/bin/bash
# Programs made for QEMU's defaults, with nothing said about the machine, under QEMU and under Arclight: the same output,
# exit status and files.
#   qemu_defaults.sh defaults|semihosting ELF FLAT
# The environment names the programs: ARCLIGHT, QEMU.
set -u
kind=$1 elf=$2 flat=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
qemu() { timeout 60 "$QEMU" -M virt -cpu cortex-a57 -m 128 -display none -monitor none -serial stdio "$@"; }
arclight() { timeout 60 "$ARCLIGHT" run -m 128 --jit-cache off "$@"; }
same() { # WHAT RIGHT OURS
    diff "$2" "$3" > "$work/diff" || { fail "$1 differs:"; head -20 "$work/diff"; }
}

defaults() { # KERNEL
    for who in qemu arclight; do
        head -c 65536 /dev/zero | tr '\0' '\007' > "$work/$who.img"
    done
    qemu -kernel "$1" -drive "if=none,id=d,format=raw,file=$work/qemu.img" -device virtio-blk-device,drive=d \
        < /dev/null > "$work/qemu.out" 2> "$work/qemu.err" || { fail "QEMU: $(cat "$work/qemu.err")"; return; }
    arclight --kernel "$1" --drive "format=raw,file=$work/arclight.img" < /dev/null > "$work/arclight.out" 2> "$work/arclight.err" ||
        fail "arclight: $(cat "$work/arclight.err")"
    grep -qx done "$work/qemu.out" || fail "the program did not reach its end under QEMU"
    same "the log of $1" "$work/qemu.out" "$work/arclight.out"
    same "the disk of $1" "$work/qemu.img" "$work/arclight.img"
}

semihosting() { # KERNEL HOW STATUS [OPTIONS OF ARCLIGHT...]
    local kernel=$1 how=$2 status=$3 got
    shift 3
    mkdir "$work/qemu" "$work/arclight"
    cp "$kernel" "$work/kernel"
    (cd "$work/qemu" && qemu -semihosting -kernel ../kernel -append "a  b $how" < /dev/null > ../qemu.out 2> ../qemu.err)
    got=$?
    [ $got = "$status" ] || fail "QEMU left with $got, not $status: $(cat "$work/qemu.err")"
    (cd "$work/arclight" && arclight --semihosting --semihosting-files . --kernel ../kernel --append "a  b" --append "$how" "$@" \
        < /dev/null > ../arclight.out 2> ../arclight.err)
    got=$?
    [ $got = "$status" ] || fail "arclight left with $got, not $status: $(cat "$work/arclight.err")"
    same "the output of way $how $*" "$work/qemu.out" "$work/arclight.out"
    same "stderr of way $how $*" "$work/qemu.err" "$work/arclight.err"
    diff -r "$work/qemu" "$work/arclight" || fail "the files of way $how $* differ"
    [ "$(cat "$work/arclight/kept")" = kept ] || fail "no file was written"
    rm -r "$work/qemu" "$work/arclight"
}

# What the guest may not do.
walls() {
    mkdir "$work/given"
    # Off: HLT is undefined, so the program hangs in its missing vector; what counts is that nothing was done.
    (cd "$work/given" && timeout 2 "$ARCLIGHT" run -m 128 --jit-cache off --kernel "$elf" --append 1 < /dev/null > /dev/null 2>&1)
    [ $? = 124 ] || fail "semihosting is answered unasked"
    # On, but without a directory: no file, one line that says why, and the exit status passes on.
    (cd "$work/given" && arclight --semihosting --kernel "$elf" --append 1 < /dev/null > ../out 2> ../err)
    [ $? = 42 ] || fail "without files the exit status is lost: $(cat "$work/err")"
    [ "$(grep -c 'semihosting-files' "$work/err")" = 1 ] || fail "not one line says why files are refused: $(cat "$work/err")"
    [ -z "$(ls "$work/given")" ] || fail "files were made without --semihosting-files: $(ls "$work/given")"
    arclight --semihosting --semihosting-files "$work/none" --kernel "$elf" > /dev/null 2>&1
    [ $? = 2 ] || fail "a directory that is not there is taken"
}

if [ "$kind" = defaults ]; then
    defaults "$elf"
    defaults "$flat"
else
    semihosting "$elf" 1 42
    semihosting "$flat" 2 7 --accel process --jit tier2
    semihosting "$elf" 3 1 --sandbox off
    semihosting "$elf" 4 0 --accel process --jit interpreter
    walls
fi
[ $failures = 0 ] && echo "as under QEMU"
exit $((failures > 0))
