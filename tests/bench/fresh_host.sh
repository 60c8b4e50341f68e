#!/bin/bash
# ./bench/sweep on a host that lacks what it needs: a PATH without QEMU and the cross compiler, where apt-get and dpkg-query are
# played. Packages are installed once, before anything runs; showing results installs nothing.
set -u
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
tree=$work/tree bin=$work/bin
mkdir -p "$tree/guestos" "$bin"
cp -r "$ARCLIGHT_SOURCE/bench" "$tree/"
cp -r "$ARCLIGHT_SOURCE/guestos/fetch" "$tree/guestos/"
for tool in bash sh env cat id readlink dirname mkdir grep tail sed head gcc cpio mke2fs; do
    ln -s "$(PATH=$PATH:/sbin:/usr/sbin command -v $tool)" "$bin/$tool"
done
ln -s "$(python3 -c 'import sys; print(sys.executable)')" "$bin/python3"
cat > "$bin/dpkg-query" <<'PLAYED'
#!/bin/sh
case " $* " in *" qemu-system-arm "*|*" gcc-aarch64-linux-gnu "*) [ -e "$FRESH_HOST/installed" ] || exit 1 ;; esac
echo installed
PLAYED
cat > "$bin/apt-get" <<'PLAYED'
#!/bin/sh
echo "$*" >> "$FRESH_HOST/apt"
echo > "$FRESH_HOST/installed"
PLAYED
printf '#!/bin/sh\nexec "$@"\n' > "$bin/sudo"
chmod +x "$bin"/{dpkg-query,apt-get,sudo}
sweep() { # without /usr/sbin behind PATH, which bench/sweep appends for mke2fs and which holds no QEMU
    FRESH_HOST=$work PATH=$bin "$tree/bench/sweep" "$@" 2>&1 < /dev/null
}

sweep --list | grep -q '^perl ' || fail "--list: $(sweep --list | head -3)"
sweep compare none.json none.json | grep -q 'none.json' || fail "compare"
[ ! -e "$work/apt" ] || fail "showing results installs packages: $(cat "$work/apt")"

run() { sweep --quick --no-native --arclight "$work/none" --guest "$work" --out "$work/out"; }
run > "$work/log"
grep -q 'install.* qemu-system-arm .*gcc-aarch64-linux-gnu' "$work/apt" || fail "what was installed: $(cat "$work/apt" "$work/log")"
grep -q 'installing' "$work/log" || fail "nothing is said of it: $(cat "$work/log")"
grep -q 'nothing to run' "$work/log" || fail "the sweep did not start: $(cat "$work/log")"
run > "$work/log"
[ "$(wc -l < "$work/apt")" = 1 ] || fail "installed again: $(cat "$work/apt")"
[ $failures = 0 ] && echo "all as expected"
exit $((failures > 0))
