#!/bin/bash
# Tests under sanitizers, in debug builds of their own: AddressSanitizer with UndefinedBehaviorSanitizer, and ThreadSanitizer for
# what many CPUs and threads share.
#   tests/sanitize/run.sh            all, for the night
#   tests/sanitize/run.sh PART...    of units, fuzz, guests (all with AddressSanitizer) and threads (ThreadSanitizer)
#   tests/sanitize/run.sh --quick    what is soon built, as much as two minutes have room for; names the rest
set -euo pipefail
program=./test
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
export PATH=$PATH:/usr/sbin:/sbin
limit= parts=" $* "
if [ "$*" = --quick ]; then
    limit=${ARCLIGHT_SANITIZE_SECONDS:-120}
elif [ $# = 0 ]; then
    parts=" units fuzz guests threads "
else
    for part in "$@"; do
        [[ $part =~ ^(units|fuzz|guests|threads)$ ]] || { echo "usage: ./test --sanitize [--quick | units | fuzz | guests | threads]..." >&2; exit 2; }
    done
fi
wants() { # PART...
    local part
    for part in "$@"; do [[ $parts != *" $part "* ]] || return 0; done
    return 1
}
. guestos/fetch/host-setup.sh
began=$SECONDS
failed=() passed=() left_out=()

# Seconds that are left; empty: no limit.
left() { [ -z "$limit" ] || echo $((limit - (SECONDS - began) > 1 ? limit - (SECONDS - began) : 1)); }
over() { [ -n "$limit" ] && [ $((SECONDS - began)) -ge "$limit" ]; }
bounded() { # COMMAND...
    if [ -n "$limit" ]; then timeout "$(left)" "$@"; else "$@"; fi
}

log=
# A build or a run: NAME COMMAND... What the limit cuts is left out; what fails is shown.
step() {
    local name=$1 status=0
    shift
    rm -f "$reports".*
    bounded "$@" > "$log" 2>&1 < /dev/null || status=$?
    cat "$reports".* >> "$log" 2>/dev/null || true
    if [ $status = 124 ] && [ -n "$limit" ]; then left_out+=("$name"); return 1; fi
    [ $status = 0 ] && return
    say "sanitize: $name: FAILED ($*)"
    grep -E 'error:|ERROR: |WARNING: ThreadSanitizer|SUMMARY: |Failure$|FAILED|fuzz:|broken promise' "$log" | head -20 >&2 || tail -20 "$log" >&2
    cp "$log" "$build/sanitize-failed.${#failed[@]}.log"
    say "sanitize: see $build/sanitize-failed.${#failed[@]}.log"
    failed+=("$name")
    return 1
}

configure() { # PRESET
    build=build/$1
    mkdir -p "$build"
    log=$build/sanitize.log
    # The fuzz targets need no LLVM, half of the build.
    local tier2=OFF
    if wants units guests threads; then tier2=ON; fi
    step "$1, configured" cmake --preset "$1" -DARCLIGHT_TESTS=ON -DARCLIGHT_BENCH=OFF -DARCLIGHT_TIER2=$tier2
}

run() { # NAME COMMAND...
    local name="${build#build/}: $1" at=$SECONDS
    shift
    if over; then left_out+=("$name"); return; fi
    step "$name" "$@" || return 0
    say "sanitize: $name: passed after $((SECONDS - at)) s"
    passed+=("$name")
}

# The program of each PATH (below tests) is built and run.
unit_tests() { # PATH...
    local path
    for path in "$@"; do
        if over; then left_out+=("${build#build/}: ${path##*/}"); continue; fi
        step "${build#build/}: ${path##*/}" cmake --build "$build" --target "${path##*/}" || continue
        run "${path##*/}" "$build/tests/$path" --gtest_brief=1
    done
}

# All fuzz targets, guided.
fuzz() { # SECONDS each
    local target
    if over; then left_out+=("${build#build/}: fuzz targets"); return; fi
    step "${build#build/}: fuzz targets" cmake --build "$build" --target arclight_fuzz || return 0
    for target in $("$build/tests/fuzz/arclight_fuzz" --list); do
        run "fuzz target $target" "$build/tests/fuzz/arclight_fuzz" "$target" --seconds "$1" --limit 60 --inputs tests/fuzz/corpus \
            --inputs tests/fuzz/regressions --keep "$build/fuzz/failed"
    done
}

guests() { # REGEX
    local name="${build#build/}: bare-metal programs"
    step "$name" cmake --build "$build" --target arclight baremetal_guests || return 0
    step "$name" ctest --test-dir "$build" -R "$1" --label-exclude nightly --output-on-failure || return 0
    passed+=("$name")
}

# Into files: a test may have taken the program's stderr for itself.
reports=$PWD/build/sanitizer-report
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1}:log_path=$reports
export ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}log_path=$reports UBSAN_OPTIONS=${UBSAN_OPTIONS:+$UBSAN_OPTIONS:}log_path=$reports
if [ -n "$limit" ]; then
    configure sanitized-thread && unit_tests guestos/machine/cross_cpu_work_test
    configure sanitized && { unit_tests mmu/mmu_test devices/devices_test; fuzz 1; }
else
    if wants units fuzz guests && configure sanitized; then
        if wants units; then
            unit_tests mmu/mmu_test devices/devices_test guestos/guestos_test frontend/frontend_a64_test frontend/frontend_simd_test \
                frontend/system/frontend_system_test backend/backend_tests \
                jit/engine/engine_tests jit/engine/region_tests guestos/gdb/gdb_test guestos/machine/machine_test
        fi
        if wants fuzz; then fuzz 20; fi
        # Without those that measure.
        if wants guests; then guests '^baremetal\.(mmu|mmio|tlbi|exceptions|debug|gic|timer|conditions|psci|smp)\.gic[23]$'; fi
    fi
    if wants threads && configure sanitized-thread; then
        unit_tests guestos/machine/cross_cpu_work_test devices/devices_test jit/engine/engine_tests guestos/gdb/gdb_test guestos/machine/machine_test
        guests '^baremetal\.(psci|smp)\.gic[23]$'
    fi
fi
say "sanitize: ${#passed[@]} passed, ${#failed[@]} failed after $((SECONDS - began)) s"
[ ${#left_out[@]} = 0 ] || say "sanitize: not reached in $limit s: $(printf '%s; ' "${left_out[@]}")"
[ ${#failed[@]} = 0 ] || { say "sanitize: FAILED: ${failed[*]}"; exit 1; }
