#!/bin/bash
# fetch-guest against a registry of our own making: a directory with one package of each kind, read by the real apt.
set -u
export LC_ALL=C
work=$(mktemp -d)
trap 'mountpoint -q "$work/small" && umount "$work/small"; chmod -R u+w "$work" 2>/dev/null; rm -rf "$work"' EXIT
failures=0
fail() { echo "FAIL: $*"; failures=$((failures + 1)); }
fetch() { timeout 120 bash "$ARCLIGHT_SOURCE/guestos/fetch/fetch-guest" "$@" > "$work/out" 2> "$work/err" < /dev/null; }
# The last line must be the one for the user; lines before it only tell what is being done.
expect_error() { # PATTERN COMMAND...
    local pattern=$1
    shift
    fetch "$@" && fail "$* succeeded"
    tail -1 "$work/err" | grep -qE "^fetch-guest: $pattern" || fail "$*: no '$pattern' in: $(cat "$work/err")"
}

make_package() { # NAME VERSION DEPENDS; files come from $work/tree
    mkdir -p "$work/tree/DEBIAN" "$work/archive"
    printf 'Package: %s\nVersion: %s\nArchitecture: arm64\nMaintainer: test\nDescription: test\n' "$1" "$2" > "$work/tree/DEBIAN/control"
    [ -z "$3" ] || echo "Depends: $3" >> "$work/tree/DEBIAN/control"
    dpkg-deb --root-owner-group -Znone -b "$work/tree" "$work/archive/$1_$2_arm64.deb" > /dev/null
    rm -rf "$work/tree"
}
index() {
    (cd "$work/archive" && for deb in *.deb; do
        dpkg-deb -f "$deb"
        printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum < "$deb" | cut -d' ' -f1)"
    done > Packages)
}
kernel_package() { # VERSION
    mkdir -p "$work/tree/boot" "$work/tree/lib/modules/$1/kernel/drivers/"{virtio,gpu}
    head -c 300000 /dev/urandom > "$work/tree/boot/vmlinuz-$1"
    echo config > "$work/tree/boot/config-$1"
    echo module > "$work/tree/lib/modules/$1/kernel/drivers/virtio/virtio.ko"
    echo module > "$work/tree/lib/modules/$1/kernel/drivers/gpu/gpu.ko"
    make_package "linux-image-$1" 1 ""
    mkdir -p "$work/tree"
    make_package linux-image-cloud-arm64 "$2" "linux-image-$1 (= 1)"
}
kernel_package 6.1.0-1-cloud-arm64 1
mkdir -p "$work/tree/bin" "$work/tree/usr/share"
echo busybox > "$work/tree/bin/busybox"
make_package busybox-static 1:1.35 ""
mv "$work/archive/busybox-static_1:1.35_arm64.deb" "$work/archive/busybox-static_1.35_arm64.deb"
mkdir -p "$work/tree/usr/lib/x"
echo data > "$work/tree/usr/lib/x/data"
ln -s data "$work/tree/usr/lib/x/link"
make_package extra 1 ""
index

mkdir -p "$work/etc/sources.list.d"
# The name makes it look like Debian's archive; the trust is for this test's unsigned index.
ln -s "$work/archive" "$work/debian"
echo "deb [trusted=yes arch=amd64] copy:$work/debian ./ # main " > "$work/etc/sources.list"
export ARCLIGHT_APT_ETC=$work/etc ARCLIGHT_CACHE=$work/cache

# What a good registry gives.
fetch kernel || fail "kernel: $(cat "$work/err")"
[ "$(cat "$work/out")" = "$work/cache/kernel-cloud" ] || fail "kernel printed $(cat "$work/out")"
[ "$(cat "$work/cache/kernel-cloud/version")" = 6.1.0-1-cloud-arm64 ] || fail "kernel version"
[ -s "$work/cache/kernel-cloud/modules/kernel/drivers/virtio/virtio.ko" ] || fail "no module"
[ ! -e "$work/cache/kernel-cloud/modules/kernel/drivers/gpu" ] || fail "useless modules were unpacked"
fetch busybox && [ "$(cat "$(cat "$work/out")")" = busybox ] || fail "busybox: $(cat "$work/err")"
fetch packages extra && [ "$(cat "$(cat "$work/out")/usr/lib/x/link")" = data ] || fail "packages: $(cat "$work/err")"
fetch packages --dir mine extra busybox-static && [ -e "$work/cache/mine/bin/busybox" ] || fail "packages --dir: $(cat "$work/err")"

# The cache serves without a registry, and notices damage.
mv "$work/archive" "$work/away"
fetch kernel || fail "a complete cache needed the registry: $(cat "$work/err")"
[ ! -s "$work/err" ] || fail "a complete cache said: $(cat "$work/err")"
echo damage >> "$work/cache/kernel-cloud/vmlinuz"
rm -rf "$work/cache/debs" "$work/cache/apt"
fetch kernel && fail "a damaged cache was used"
mv "$work/away" "$work/archive"
fetch kernel || fail "a damaged cache was not repaired: $(cat "$work/err")"
! grep -q damage "$work/cache/kernel-cloud/vmlinuz" || fail "still damaged"

# A download cut short is resumed or replaced, a wrong one of full length is replaced.
for damage in 'truncate -s 1000' 'sed -i s/./X/'; do
    rm -rf "$work/cache/kernel-cloud"
    $damage "$work"/cache/debs/linux-image-6*.deb
    fetch kernel || fail "after '$damage': $(cat "$work/err")"
    cmp -s "$work"/cache/debs/linux-image-6*.deb "$work"/archive/linux-image-6*.deb || fail "after '$damage' the package is wrong"
done

# The registry moved on: the index we have names files that are gone.
rm -rf "$work/cache/kernel-cloud" "$work/cache/debs" "$work"/archive/linux-image*
kernel_package 6.1.0-2-cloud-arm64 2
index
fetch kernel || fail "newer registry: $(cat "$work/err")"

# refresh takes what is newest.
kernel_package 6.1.0-3-cloud-arm64 3
index
fetch kernel && [ "$(cat "$work/cache/kernel-cloud/version")" = 6.1.0-2-cloud-arm64 ] || fail "moved on without refresh"
fetch refresh && fetch kernel && [ "$(cat "$work/cache/kernel-cloud/version")" = 6.1.0-3-cloud-arm64 ] || fail "refresh: $(cat "$work/err")"

# A package that does not match the signed index is refused.
rm -rf "$work/cache/kernel-cloud" "$work/cache/debs"
printf X | dd of="$(echo "$work"/archive/linux-image-6.1.0-3*.deb)" bs=1 seek=5000 conv=notrunc 2> /dev/null
expect_error '.*failed: .*(Hash Sum|hash)' kernel

# Mistakes of the user and of the host.
expect_error 'the registry has no arm64 package nonsense' packages nonsense
expect_error 'the registry offers no linux-image-arm64' kernel --flavour generic
expect_error "unknown flavour 'x'" kernel --flavour x
expect_error 'packages: name at least one' packages
expect_error 'packages: --dir is a plain name' packages --dir ../x extra
fetch nonsense; [ $? = 2 ] || fail "unknown command is not a usage error"
ARCLIGHT_CACHE=/proc/nowhere expect_error 'cannot write to the cache directory /proc/nowhere' busybox
ARCLIGHT_APT_ETC=$work/none ARCLIGHT_CACHE=$work/cache2 expect_error 'no package source is configured' busybox
# An address that RFC 5737 reserves for documentation, with apt told not to wait: as good as no network.
echo 'Acquire::http::Timeout "2"; Acquire::Retries "0"; Acquire::http::Proxy "false";' > "$work/impatient.conf"
mkdir "$work/etc-offline"
echo "deb [trusted=yes] http://127.0.0.1:9/debian ./ # main " > "$work/etc-offline/sources.list"
ARCLIGHT_APT_CONF=$work/impatient.conf ARCLIGHT_APT_ETC=$work/etc-offline ARCLIGHT_CACHE=$work/cache3 \
    expect_error 'cannot reach the package registry' busybox

# A full disk.
mkdir "$work/small"
if mount -t tmpfs -o size=300k tmpfs "$work/small" 2> /dev/null; then
    ARCLIGHT_CACHE=$work/small/cache expect_error 'no space left on the disk' kernel
    head -c 1M /dev/zero > "$work/small/fill" 2> /dev/null
    ARCLIGHT_CACHE=$work/small/cache expect_error 'no space left on the disk' busybox
else
    echo "not allowed to mount: the full-disk case is skipped"
fi

[ $failures = 0 ] && echo "all as expected"
exit $((failures > 0))
