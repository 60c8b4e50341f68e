# Shared by ./run, ./test, .ci/run and ./bench/sweep: installs what is missing on the host and builds. Sourced by bash.

say() { echo "$program: $*" >&2; }
die() { say "$*"; exit 1; }

build_packages=(g++ cmake ninja-build ccache make libxbyak-dev libfmt-dev libfdt-dev libcli11-dev nlohmann-json3-dev
    libzydis-dev zlib1g-dev libzstd-dev liblzma-dev liblz4-dev libxxhash-dev libsodium-dev libslirp-dev liburing-dev llvm-19-dev)
test_packages=(libgtest-dev pkg-config libvixl-dev libbenchmark-dev qemu-user qemu-utils qemu-system-arm qemu-system-x86 gcc-aarch64-linux-gnu g++-aarch64-linux-gnu
    bochs bochsbios vgabios isolinux syslinux-common xorriso
    e2fsprogs cpio xz-utils device-tree-compiler gdb-multiarch tmux python3 slurm-wlm munge git dpkg-dev mmdebstrap groff-base zsh
    qemu-efi-aarch64 u-boot-qemu acpica-tools mtools passt iproute2 iperf3)
debian_packages=(qemu-efi-aarch64 fakeroot e2fsprogs fdisk dosfstools openssh-client dpkg-dev)
check_packages=(clang-format-14 clang-19 clang-tidy-19)
sweep_packages=(python3 qemu-system-arm gcc libc6-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross e2fsprogs cpio)

# A stamp names the packages last seen installed, so that a repeated start asks dpkg nothing.
install_missing() { # STAMP PACKAGE...
    local stamp=$1 missing=() package as_root=
    shift
    [ "$(cat "$stamp" 2>/dev/null)" = "$*" ] && return
    command -v dpkg-query > /dev/null || die "needs a Debian host (dpkg and apt-get)"
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
    done
    if [ ${#missing[@]} -gt 0 ]; then
        if [ "$(id -u)" != 0 ]; then
            command -v sudo > /dev/null || die "please install as root: apt-get install ${missing[*]}"
            as_root=sudo
        fi
        say "installing ${missing[*]}"
        local log=$build/apt.log
        if ! { $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}" ||
            { $as_root apt-get update &&
                $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"; }; } \
            > "$log" 2>&1 < /dev/null; then
            grep -E '^E:' "$log" | tail -1 >&2 || true
            die "cannot install ${missing[*]} (see $log)"
        fi
    fi
    echo "$*" > "$stamp"
}

run_logged() { # MESSAGE COMMAND...
    local log=$build/build.log message=$1 began=$SECONDS
    say "$1"
    shift
    if ! "$@" > "$log" 2>&1 < /dev/null; then
        grep -E 'error|Error|FAILED' "$log" | head -10 >&2 || tail -5 "$log" >&2
        die "the build failed (see $log)"
    fi
    [ -z "${show_times:-}" ] || say "$message: $((SECONDS - began)) s"
}
