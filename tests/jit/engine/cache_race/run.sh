#!/bin/bash
# A hostile guest, then another one with the cache of compiled regions that it has left. Both have two CPUs, since
# translated code is another one where there is but one.
#   run.sh ATTACKER.ELF VICTIM.ELF [CACHE_HITS]
# The environment names the program: ARCLIGHT. CACHE_HITS: at least this number of regions must be the first guest's, or
# nothing was tried.
set -u
attacker=$1 victim=$2 least=${3:-100}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
run() {
    timeout 300 "$ARCLIGHT" run --accel process --jit tiered --jit-threshold 2000 --jit-cache "$work/regions" -m 128 --smp 2 \
        --stats-json "$work/stats" "$@" < /dev/null > "$work/log" 2> "$work/err" && grep -q '^done' "$work/log" && return
    echo "no end: $(tail -3 "$work/log" "$work/err")"
    exit 1
}
number() { sed -n '/"cache": {/,/}/p' "$work/stats" | grep -Eo "\"$1\": *[0-9]+" | grep -Eo '[0-9]+$'; }

run --kernel "$attacker"
saved=$(number saved)
run --kernel "$victim"
hits=$(number hits)
if grep WRONG "$work/log"; then exit 1; fi
echo "$saved regions filed by the first guest, $hits executed by the second: right"
if [ "${hits:-0}" -lt "$least" ]; then
    echo "less than $least are too few to tell"
    exit 1
fi
