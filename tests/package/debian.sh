#!/bin/bash
# The Debian package on a bare Debian 12: made by cpack, installed by dpkg into a root that holds the essential packages, man-db and
# what the package depends on, then run there, without LLVM. debian.sh [ELF], a bare-metal guest to run.
# The root is made by mmdebstrap from the host's package sources and kept in the cache.
set -u
elf=${1:-}
skip() { echo "skipped: $*"; exit 77; }
fail() { echo "FAIL: $*"; exit 1; }
export PATH=$PATH:/usr/sbin:/sbin

[ "$(. /etc/os-release; echo "${ID:-}${VERSION_ID:-}")" = debian12 ] || skip "the package is for the Debian it is built on, and this is not Debian 12"
command -v dpkg-shlibdeps > /dev/null || skip "no dpkg-shlibdeps (Debian: dpkg-dev)"
command -v mmdebstrap > /dev/null || skip "no mmdebstrap"
[ "$(id -u)" = 0 ] || skip "chroot needs root"
# All in a mount namespace of its own, which takes its mounts away when the script ends: in memory if possible, which is
# several times as fast as a disk for thousands of small files.
if [ -z "${ARCLIGHT_INSIDE:-}" ]; then
    unshare --mount true 2> /dev/null || skip "no mount namespaces here"
    ARCLIGHT_INSIDE=1 exec unshare --mount bash "$0" "$@"
fi
work=$(mktemp -d); trap 'cd /; umount -l "$work" 2> /dev/null; rm -rf "$work"' EXIT
mount -t tmpfs -o size=1G,mode=755 tmpfs "$work" 2> /dev/null
root=$work/root

(cd "$work" && cpack --config "$ARCLIGHT_BUILD/CPackConfig.cmake" -G DEB -B "$work") > "$work/cpack.log" 2>&1 ||
    { tail -5 "$work/cpack.log"; fail "cpack"; }
package=$(echo "$work"/arclight_*_amd64.deb)
depends=$(dpkg-deb -f "$package" Depends)
case $depends in
    *LLVM*|*llvm*) fail "LLVM is in Depends: $depends" ;;
    *libc6*libfmt*) ;;
    *) fail "Depends lacks libraries: $depends" ;;
esac
dpkg-deb -f "$package" Recommends | grep -q '^libllvm19' || fail "Recommends: $(dpkg-deb -f "$package" Recommends)"

# The root, whose content follows from the names that the package depends on.
names=$(echo "$depends" | sed -E 's/ *\([^)]*\)//g; s/ //g')
cache=${ARCLIGHT_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/arclight}
tar=$cache/bare-debian-12-$(echo "$names" | sha256sum | cut -c1-12).tar
if [ ! -s "$tar" ]; then
    mkdir -p "$cache" || exit 1
    began=$SECONDS
    if ! TMPDIR=$work mmdebstrap --variant=essential --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/locale/*' \
        --include="man-db,$names" bookworm "$work/root.tar" > "$work/mmdebstrap.log" 2>&1; then
        skip "no bare Debian can be made: $(grep '^E:' "$work/mmdebstrap.log" | head -1)"
    fi
    cp "$work/root.tar" "$tar.$$" && mv "$tar.$$" "$tar" || exit 1
    echo "the bare Debian took $((SECONDS - began)) s to make"
fi
mkdir "$root" && tar -xf "$tar" -C "$root" || fail "cannot unpack $tar"
cp "$package" "$root/arclight.deb"
[ -z "$elf" ] || cp "$elf" "$root/guest.elf"

# The program finds its module by /proc.
mount -t proc proc "$root/proc" 2> /dev/null || mount --rbind /proc "$root/proc" 2> /dev/null || skip "/proc cannot be mounted"
inside() { chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C MANWIDTH=100 "$@"; }
inside dpkg --install /arclight.deb > "$work/dpkg.log" 2>&1 || { tail -5 "$work/dpkg.log"; fail "dpkg --install"; }
[ "$(inside arclight --version)" = "$("$ARCLIGHT" --version)" ] || fail "arclight --version: $(inside arclight --version 2>&1)"
inside arclight version | grep -q 'process *yes' || fail "arclight version: $(inside arclight version 2>&1)"
inside arclight-qemu -M virt -device help | grep -q virtio-blk-device || fail "arclight-qemu: $(inside arclight-qemu -device help 2>&1)"
for page in arclight arclight-run arclight-qemu arclight-lightv arclight-snapshot; do
    # To a file: man would be killed by a reader that has seen enough.
    inside man "$page" > "$work/page" 2> "$work/err" || fail "man $page: $(cat "$work/err")"
    grep -q '^SYNOPSIS' "$work/page" || fail "man $page shows no page"
done
inside man arclight-run | grep -q -- '--kernel FILE' || fail "man arclight-run lacks --kernel"
inside ls /usr/share/bash-completion/completions/arclight > /dev/null || fail "no completion is installed"
if [ -n "$elf" ]; then
    if inside sh -c 'ldconfig -p | grep -q libLLVM'; then fail "the bare Debian has LLVM"; fi
    # Every block asks for tier 2, which cannot load LLVM, and says so; the guest goes on.
    inside timeout 100 arclight run --jit tier2 --stats -m 128 --kernel /guest.elf < /dev/null > "$work/out" 2> "$work/err" ||
        fail "the guest ended with $?: $(head -1 "$work/err")"
    tail -1 "$work/out" | tr -d '\r' | grep -qx done || fail "the guest did not reach its end: $(tail -1 "$work/out")"
    grep -q 'goes on in tier 1: libLLVM' "$work/err" || fail "nothing was said of LLVM: $(head -1 "$work/err")"
fi
inside dpkg --purge arclight > "$work/dpkg.log" 2>&1 || { tail -5 "$work/dpkg.log"; fail "dpkg --purge"; }
[ ! -L "$root/usr/bin/arclight-qemu" ] && [ ! -e "$root/usr/bin/arclight" ] && [ ! -e "$root/usr/lib/arclight" ] || fail "the package leaves files behind"
echo "installed, run and purged on a bare Debian 12; Depends: $depends"
