"""Files of Debian's packages: of the guest's kernel, and, for tests of the long form, of packages that apt fetches once from the host's
own sources and that are unpacked in the cache. Nothing is installed."""
import glob, os, shutil, subprocess

from guest import Guest, fetch, work

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "arclight/test-packages")


def unpacked(package):
    """The directory with the package's files, or None: apt does not have it."""
    directory = os.path.join(CACHE, package)
    if os.path.isdir(directory):
        return directory
    partial = f"{directory}.{os.getpid()}"
    os.makedirs(partial, exist_ok=True)
    try:
        done = subprocess.run(["apt-get", "download", package], cwd=partial, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True)
        found = glob.glob(os.path.join(partial, "*.deb"))
        if done.returncode != 0 or len(found) != 1:
            print(done.stdout.strip())
            return None
        subprocess.run(["dpkg-deb", "-x", found[0], partial], check=True)
        os.unlink(found[0])
        os.rename(partial, directory)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return directory


def kernel_source():
    """The tree of Debian's kernel source, or None: apt does not have the package."""
    package = unpacked("linux-source-6.1")
    if package is None:
        return None
    tree = os.path.join(package, "linux")
    if not os.path.isdir(tree):
        partial = f"{tree}.{os.getpid()}"
        os.mkdir(partial)
        archive = glob.glob(os.path.join(package, "usr/src/*.tar.xz"))[0]
        subprocess.run(["tar", "-C", partial, "--strip-components=1", "-xf", archive], check=True)
        os.rename(partial, tree)
    return tree


def program_files(directory, program, packages, libraries):
    """A program of usr/bin and what it needs, for the guest: {path here: path in the guest}; empty: it is not in the cache and cannot be
    fetched. Libraries are named as usr/lib or lib has them."""
    tree = fetch("packages", "--dir", directory, *packages)
    if tree is None:
        return {}
    files = {os.path.join(tree, "usr/bin", program): f"/bin/{program}",
             os.path.realpath(os.path.join(tree, "lib/ld-linux-aarch64.so.1")): "/lib/ld-linux-aarch64.so.1"}
    for library in libraries:
        folder, name = os.path.split(library)
        files[os.path.realpath(os.path.join(tree, folder, "aarch64-linux-gnu", name))] = f"/lib/aarch64-linux-gnu/{name}"
    return files


def iperf_files():
    return program_files("network", "iperf3", ("iperf3", "libiperf0", "libc6", "libssl3", "libsctp1"),
                         ("usr/lib/libiperf.so.0", "usr/lib/libsctp.so.1", "usr/lib/libssl.so.3", "usr/lib/libcrypto.so.3", "lib/libc.so.6",
                          "lib/libm.so.6"))


def git_files():
    return program_files("git", "git", ("git", "libc6", "libpcre2-8-0", "zlib1g"),
                         ("usr/lib/libpcre2-8.so.0", "lib/libz.so.1", "lib/libc.so.6"))


def modules(flavour, *names):
    """Files of the kernel's package that the default guest's kernel is cached without: {path here: path in the guest}, or None."""
    cache = os.path.dirname(Guest(flavour).kernel_directory)
    with open(os.path.join(cache, f"kernel-{flavour}", "version")) as file:
        version = file.read().strip()
    packages = glob.glob(os.path.join(cache, "debs", f"linux-image-{version}_*.deb"))
    if not packages or not shutil.which("dpkg-deb"):
        print(f"without {names}: the package of {version} is not in the cache")
        return None
    root = os.path.join(work, f"package-{flavour}")
    archive = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", packages[0]], stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "--one-top-level=" + root, "--wildcards", *[f"*/{name}.ko" for name in names]],
                   stdin=archive.stdout, check=True)
    archive.communicate()
    return {path: "/" + os.path.basename(path) for path in glob.glob(root + "/**/*.ko", recursive=True)}
