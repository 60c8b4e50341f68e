#!/bin/bash
# Runs the fuzz guest from many seeds. Arclight may end by itself or be told to by SIGTERM at the time limit; it must not
# die of a signal of its own, report a sanitizer's finding, or not react.
#   hostile_guest.sh ELF [FIRST_SEED]
# The environment: ARCLIGHT; ARCLIGHT_OPTIONS, words; FUZZ_SECONDS (25; with ARCLIGHT_NIGHTLY=1: 600) is how long to
# go on starting runs; FUZZ_ROUNDS (5000) is how long one run is.
set -u
elf=$1 seed=${2:-1}
seconds=${FUZZ_SECONDS:-25}
case " ${ARCLIGHT_OPTIONS:-} " in
    *' kvm '*) "$ARCLIGHT" probe | grep -Eq '^kvm +usable' || { echo "skipped: no /dev/kvm that can be used"; exit 77; } ;;
esac
[ "${ARCLIGHT_NIGHTLY:-}" = 1 ] && seconds=${FUZZ_SECONDS:-600} seed=${2:-$(date +%s)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
at=$(grep -abo zzufseed "$elf" | head -1 | cut -d: -f1)
[ -n "$at" ] || { echo "no place for the seed in $elf"; exit 1; }
truncate -s 1M "$work/disk"

# A word of eight bytes behind the mark.
put() {
    bytes=$(printf '%016x' "$2" | sed -E 's/(..)/\1 /g' | tr ' ' '\n' | grep . | tac | sed 's/^/\\x/' | tr -d '\n')
    # shellcheck disable=SC2059 # the bytes are the format
    printf "$bytes" | dd of="$work/guest" bs=1 seek=$((at + $1)) conv=notrunc status=none
}

runs=0 ended=0 stopped=0
limit=$((SECONDS + seconds))
while [ $SECONDS -lt $limit ]; do
    cp "$elf" "$work/guest"
    put 16 "$seed"
    put 24 "${FUZZ_ROUNDS:-5000}"
    cpus=$((seed % 3 == 0 ? 4 : 1))
    machine="--gic 3 --virtio legacy"
    [ $((seed % 2)) = 0 ] || machine="--gic 3 --virtio modern"
    # shellcheck disable=SC2086 # words
    # A guest that is still running after this is stuck, as guests may be.
    timeout -k 15 8 "$ARCLIGHT" run ${ARCLIGHT_OPTIONS:-} $machine -m 128 --smp $cpus --drive "file=$work/disk,format=raw" \
        --device virtio-rng,bus=pci --device pcie-root-port,bus=pci,id=port --device virtio-rng,bus=port --kernel "$work/guest" \
        < /dev/null > "$work/out" 2> "$work/err"
    status=$?
    runs=$((runs + 1))
    case $status in
        0) ended=$((ended + 1)) ;;
        124) stopped=$((stopped + 1)) ;;
        137) echo "seed $seed, $cpus CPUs: did not end at SIGTERM"; exit 1 ;;
        *) echo "seed $seed, $cpus CPUs: status $status"; tail -20 "$work/err"; exit 1 ;;
    esac
    if [ -s "$work/err" ] && grep -qE 'runtime error|Sanitizer' "$work/err"; then
        echo "seed $seed, $cpus CPUs:"
        head -40 "$work/err"
        exit 1
    fi
    seed=$((seed + 1))
done
echo "$runs runs, up to seed $((seed - 1)): $ended came to their end, $stopped were stopped"
# A guest that always destroys itself at once would test nothing.
[ $ended -gt 0 ] || { echo "none came to its end"; exit 1; }
