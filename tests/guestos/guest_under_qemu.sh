#!/bin/bash
# The default guest on the reference machine: what it prints, byte for byte, and the status it reports.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }

fetch=$ARCLIGHT_SOURCE/guestos/fetch/fetch-guest
kernel=$("$fetch" kernel) && busybox=$("$fetch" busybox) || { echo "no guest to test with"; exit 1; }

# boot OUTPUT COMMAND...: stdin is the guest's serial line.
boot() {
    local output=$1
    shift
    "$ARCLIGHT" initramfs --busybox "$busybox" --modules "$kernel/modules" --kernel-version "$(cat "$kernel/version")" \
        --add "$work/words:/words" --output "$work/guest.cpio" -- "$@" || fail "initramfs"
    timeout --foreground 250 qemu-system-aarch64 -M virt,gic-version=3 -cpu cortex-a76 -m 256 -nodefaults -display none \
        -chardev stdio,id=c,signal=off -serial chardev:c -no-reboot -kernel "$kernel/vmlinuz" -initrd "$work/guest.cpio" \
        -append "console=ttyAMA0 quiet loglevel=0 panic=-1" > "$output" 2> "$work/qemu.err" || fail "qemu: $(cat "$work/qemu.err")"
}
status_of() { tail -1 "$1" | sed -n 's/^guest-exit-status: //p'; }
# What the command printed: all but the report that init adds where there is no exit-status device.
printed() { head -c -"$(printf '\nguest-exit-status: %s\n' "$(status_of "$1")" | wc -c)" "$1"; }

# Every argument byte for byte, and an exit status.
cat > "$work/words" <<'WORDS'
#!/bin/sh
printf '%s\0' "$@"
exit 7
WORDS
chmod +x "$work/words"
words=('a b' "it's" '"' '' $'two\nlines' '$x `y` \' 'żółć' '--' '-n' '*')
boot "$work/out" /words "${words[@]}" < /dev/null
[ "$(status_of "$work/out")" = 7 ] || fail "status '$(status_of "$work/out")' instead of 7"
printed "$work/out" | cmp - <(printf '%s\0' "${words[@]}") || fail "arguments changed on their way"

# Binary output: every byte, newlines and carriage returns unchanged.
boot "$work/out" sh -c 'i=0; while [ $i -lt 256 ]; do printf "\\$(printf %o $i)"; i=$((i + 1)); done' < /dev/null
printed "$work/out" | cmp - <(for i in $(seq 0 255); do printf "\\$(printf %o "$i")"; done) || fail "output bytes changed"
[ "$(status_of "$work/out")" = 0 ] || fail "status of success"

# A command that does not exist, one that is killed, and no clean-up hanging on unread input.
boot "$work/out" /no/such < /dev/null
[ "$(status_of "$work/out")" = 127 ] || fail "missing command: $(cat "$work/out")"
boot "$work/out" sh -c 'kill -9 $$' < /dev/null
[ "$(status_of "$work/out")" = 137 ] || fail "killed command: $(cat "$work/out")"

# Input by the line discipline, framed as guestos/console/input_frame.h says; the reader must see its end.
head -c 20000 /dev/urandom > "$work/input"
{
    sleep 6 # the guest's line must be set up: here nothing holds input back
    perl -0777 -ne 'for (unpack "(a1021)*", $_) { s/[\x04\x16\n]/\x16$&/g; print "$_\x04" } print "\x04"' "$work/input"
    sleep 8
} | boot "$work/out" md5sum
[ "$(printed "$work/out" | cut -c1-32)" = "$(md5sum < "$work/input" | cut -c1-32)" ] || fail "input changed: $(cat "$work/out")"

[ $failures = 0 ] && echo "all as expected"
exit $((failures > 0))
