#!/bin/bash
# One bare-metal program under Arclight and under QEMU: the same log, after normalise.sed.
#   run.sh NAME ELF GIC CPUS [--update]
# The environment names the programs: ARCLIGHT, ARCLIGHT_SOURCE, and QEMU (empty: not there, so that the log is compared
# with expected/, which --update writes from QEMU's); QEMU_CPU, unless the default will do; JUDGED, if only the program's own
# judgements count, since QEMU has not what it is about; KEPT, if it is to run on what a run before it has left of tier 1's blocks.
set -u
name=$1 elf=$2 gic=$3 cpus=$4 update=${5:-}
here=$ARCLIGHT_SOURCE/tests/baremetal
expected=$here/expected/$name-gic$gic.txt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
normalise() { tr -d '\r' < "$1" | sed -E -f "$here/normalise.sed"; }

if [ -n "${KEPT:-}" ]; then
    export XDG_STATE_HOME=$work/state
    ARCLIGHT_OPTIONS="${ARCLIGHT_OPTIONS:-} --stats --jit-cache $work/cache --jit-cache-blocks on"
    # shellcheck disable=SC2086
    timeout 120 "$ARCLIGHT" run $ARCLIGHT_OPTIONS -m 128 --gic "$gic" --smp "$cpus" --kernel "$elf" < /dev/null > "$work/first" 2>&1
fi
# The options are words.
# shellcheck disable=SC2086
timeout 120 "$ARCLIGHT" run ${ARCLIGHT_OPTIONS:-} -m 128 --gic "$gic" --smp "$cpus" --kernel "$elf" < /dev/null > "$work/log" 2> "$work/err"
status=$?
if grep -q 'this host has no AVX-512' "$work/err"; then echo "skipped: no AVX-512"; exit 77; fi
if grep -q 'accel kvm: /dev/kvm cannot be opened' "$work/err"; then echo "skipped: no /dev/kvm that can be used"; exit 77; fi
[ $status = 0 ] || { echo "arclight ended with $status: $(cat "$work/err")"; tail -3 "$work/log"; exit 1; }
if [ -n "${KEPT:-}" ] && ! grep -Eq '[1-9][0-9]* blocks from 1 files' "$work/err"; then
    echo "no block was kept: $(cat "$work/first" "$work/err")"
    exit 1
fi
# The program's own judgements are normalised away in QEMU's log only.
if grep WRONG "$work/log"; then exit 1; fi
tail -1 "$work/log" | tr -d '\r' | grep -qx done || { echo "the program did not reach its end"; exit 1; }
if [ -n "${JUDGED:-}" ]; then
    echo "$(grep -c ': ok' "$work/log") judgements are right"
    exit 0
fi
if [ -n "${QEMU:-}" ]; then
    # cortex-a76 has what Arclight announces (LSE, PAN, HAFDBS, RCPC) and little that it does not.
    if ! timeout 120 "$QEMU" -M "virt,gic-version=$gic" -cpu "${QEMU_CPU:-cortex-a76}" -m 128 -smp "$cpus" -display none -monitor none \
        -serial stdio -kernel "$elf" < /dev/null > "$work/qemu" 2> "$work/qemu.err"; then
        echo "QEMU did not get through $name:"
        tail -5 "$work/qemu" "$work/qemu.err"
        exit 1
    fi
    normalise "$work/qemu" > "$work/right"
    [ "$update" = --update ] && cp "$work/right" "$expected"
    against="QEMU's log"
else
    normalise "$expected" > "$work/right"
    against="the expected log, since there is no QEMU"
fi
normalise "$work/log" > "$work/ours"
if ! diff "$work/right" "$work/ours" > "$work/diff"; then
    echo "the log differs from $against:"
    head -40 "$work/diff"
    exit 1
fi
echo "$(wc -l < "$work/ours") lines agree with $against"
