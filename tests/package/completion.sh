#!/bin/bash
# The completion for bash, called as bash calls it: subcommands, all options of --help, values; nothing in the guest's command.
set -u
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
# shellcheck source=/dev/null
. "$ARCLIGHT_BUILD/documents/arclight.bash" || exit 1
complete -p arclight | grep -q _arclight || fail "nothing completes arclight"

offered() { # WORDS... (the last is being completed)
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    _arclight
    echo "${COMPREPLY[*]}"
}
expect() { # RESULT WORDS...
    local right=$1 got
    shift
    got=$(offered "$@")
    [ "$got" = "$right" ] || fail "'$*' gives '$got', not '$right'"
}

expect lightv arclight li
expect --version arclight --ver
expect --accel arclight run --acc
expect "auto kvm process" arclight run --accel ""
expect kvm arclight run --accel k
expect "auto kvm process" arclight run --accel =
expect process arclight run --accel = p
expect "tier1 tiered tier2" arclight run --smp 2 --jit t
expect attach arclight lightv at
expect --physical arclight lightv attach --control x --ph
expect -kernel arclight qemu -kern
expect -kernel arclight-qemu -kern
expect "cortex-a72 cortex-a710 cortex-a76 cortex-a78ae" arclight-qemu -M virt -cpu cortex-a7
expect virtio-rng-device arclight qemu -device virtio-rng-d
expect "" arclight run --append ""
expect "" arclight run --kernel x -- --ac
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
touch "$work/kernel-image"; mkdir "$work/kernel-tree"
expect "$work/kernel-image" arclight run --kernel "$work/kernel-i"
expect "$work/kernel-tree" arclight initramfs --modules "$work/kernel"

count=0
for command in "" run initramfs lightv "lightv attach" "lightv detach" "lightv command" "lightv stats" version probe; do
    # shellcheck disable=SC2086 # a command path is words
    all=" $(offered arclight $command "") "
    # shellcheck disable=SC2086
    for option in $("$ARCLIGHT" $command --help | grep -oE '^  (-[a-z],)?--?[a-z-]+' | tr ', ' '\n\n' | grep -- -); do
        count=$((count + 1))
        case $all in *" $option "*) ;; *) fail "'arclight $command' does not offer $option" ;; esac
    done
done
[ $count -ge 60 ] || fail "only $count options were found in --help"

if command -v zsh > /dev/null; then
    offers() { # LINE WORDS...
        timeout 30 zsh "$ARCLIGHT_SOURCE/tests/package/completion.zsh" "$ARCLIGHT_BUILD/documents" "$@" ||
            fail "zsh: '$1' does not offer all of ${*:2}"
    }
    offers "arclight " initramfs lightv probe run version
    offers "arclight run --accel " auto kvm process
    offers "arclight run --jit" --jit-cache --jit-threshold
    offers "arclight lightv attach --p" --physical --pid
else
    echo "no zsh: its completion is not tested"
fi
[ $failures = 0 ] && echo "$count options are offered"
exit $((failures > 0))
