#!/bin/bash
# `cmake --install` into an empty prefix, and the copy at work: install.sh [ELF], a bare-metal guest to run.
set -u
elf=${1:-}
prefix=$(mktemp -d); trap 'rm -rf "$prefix"' EXIT
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }

cmake --install "$ARCLIGHT_BUILD" --prefix "$prefix" > "$prefix/log" 2>&1 || { tail -5 "$prefix/log"; exit 1; }
for file in bin/arclight lib/arclight/libarclight_tier2.so share/man/man1/arclight.1 \
    share/bash-completion/completions/arclight share/zsh/vendor-completions/_arclight \
    share/doc/arclight/{copyright,README.md,CHANGELOG.md}; do
    [ -s "$prefix/$file" ] || fail "no $file"
done
for command in $("$prefix/bin/arclight" --help | sed -n '/Subcommands/,$s/^  \([a-z]*\) .*/\1/p'); do
    [ -s "$prefix/share/man/man1/arclight-$command.1" ] || fail "no manual page of $command"
done
[ "$(readlink "$prefix/bin/arclight-qemu")" = arclight ] || fail "no link arclight-qemu to the program"
"$prefix/bin/arclight-qemu" --version | grep -q '^QEMU emulator version 7\.2\..*(Arclight' || fail "arclight-qemu does not speak QEMU's words"
[ "$("$prefix/bin/arclight" --version)" = "$("$ARCLIGHT" --version)" ] || fail "another version than the build's"

if [ -n "$elf" ]; then
    # --jit tier2 compiles every block by LLVM, so the module must be the installed one. It is another build's if the
    # interfaces differ, and none if it is not found.
    run() { timeout 100 "$1" run --jit tier2 --jit-cache off --stats -m 128 --kernel "$elf" < /dev/null > "$prefix/out" 2> "$prefix/err"; }
    run "$prefix/bin/arclight" || fail "the guest ended with $?: $(head -1 "$prefix/err")"
    tail -1 "$prefix/out" | tr -d '\r' | grep -qx done || fail "the guest did not reach its end"
    grep -qE '^tier 2: .* [1-9][0-9]* regions compiled' "$prefix/err" || fail "tier 2 compiled nothing: $(grep 'tier 2' "$prefix/err")"
    # And through a link, as /usr/local/bin often has them.
    mkdir "$prefix/links" && ln -s ../bin/arclight "$prefix/links/arclight"
    run "$prefix/links/arclight"
    grep -qE ' [1-9][0-9]* regions compiled' "$prefix/err" || fail "tier 2 is not found through a link"
    # Without the module the guest goes on in tier 1.
    rm -r "$prefix/lib/arclight"
    timeout 100 "$prefix/bin/arclight" run -m 128 --kernel "$elf" < /dev/null > "$prefix/out" 2> "$prefix/err" ||
        fail "without tier 2 the guest ended with $?: $(head -1 "$prefix/err")"
    tail -1 "$prefix/out" | tr -d '\r' | grep -qx done || fail "without tier 2 the guest did not reach its end"
fi
[ $failures = 0 ] && echo "all as expected${elf:+; a guest ran}"
exit $((failures > 0))
