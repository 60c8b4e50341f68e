#!/bin/bash
# ./run's own mistakes: usage errors before anything is built or fetched, and a cache that cannot be used.
set -u
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
expect() { # CODE PATTERN ARGUMENTS...
    local code=$1 pattern=$2 status output
    shift 2
    output=$(timeout 60 "$ARCLIGHT_SOURCE/run" "$@" 2>&1 < /dev/null)
    status=$?
    [ $status = "$code" ] || fail "./run $*: status $status, not $code: $output"
    grep -qE -- "$pattern" <<< "$output" || fail "./run $*: no '$pattern' in: $output"
}
expect 0 '^Usage: ./run' --help
expect 2 "flavour is cloud or generic, not 'x'" --flavour x
expect 2 'no command after --' --
expect 2 '--append needs a value' --append
expect 2 '--add needs a value' --add
[ $failures = 0 ] && echo "all as expected"
exit $((failures > 0))
