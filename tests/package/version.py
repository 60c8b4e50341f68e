#!/usr/bin/env python3
"""The version: what the program prints, and what cmake/WriteVersion.cmake makes of work trees, tarballs and foreign trees."""
import os, re, shutil, subprocess, sys, tempfile

source, arclight = os.environ["ARCLIGHT_SOURCE"], os.environ["ARCLIGHT"]
if not shutil.which("git"):
    print("skipped: no git")
    sys.exit(77)
failures = []
work = tempfile.mkdtemp()


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options).stdout


def git(*arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "init.defaultBranch=main", "-c", "commit.gpgsign=false"]
    return run("git", *identity, "-C", tree, *arguments).strip()


def version(of, out=os.path.join(work, "version.cpp")):
    run("cmake", "-DVERSION=1.2.3", f"-DSOURCE={of}", f"-DOUTPUT={out}", "-P", os.path.join(of, "cmake/WriteVersion.cmake"))
    with open(out) as f:
        return re.search(r'"(1\.2\.3.*)"', f.read()).group(1)


def expect(what, got, right):
    if got != right:
        failures.append(f"{what}: '{got}', not '{right}'")


try:
    # The program.
    line = run(arclight, "--version").rstrip("\n")
    if not re.fullmatch(r"arclight \d+\.\d+\.\d+( \(commit [0-9a-f]{7,40}(-modified)?\))?", line):
        failures.append(f"--version prints '{line}'")
    expect("first line of 'arclight version'", run(arclight, "version").splitlines()[0], line)

    # A work tree, the same changed, and a second build without a change.
    tree = os.path.join(work, "tree")
    os.makedirs(os.path.join(tree, "cmake"))
    for name in ("WriteVersion.cmake", "commit.txt"):
        shutil.copy(os.path.join(source, "cmake", name), os.path.join(tree, "cmake"))
    shutil.copy(os.path.join(source, ".gitattributes"), tree)
    expect("no git", version(tree), "1.2.3")
    git("init", "-q")
    git("add", ".")
    git("commit", "-qm", "first")
    commit = git("rev-parse", "--short=12", "HEAD")
    expect("a work tree", version(tree), f"1.2.3 (commit {commit})")
    written = os.stat(os.path.join(work, "version.cpp")).st_mtime_ns
    version(tree)
    expect("written again", os.stat(os.path.join(work, "version.cpp")).st_mtime_ns, written)
    with open(os.path.join(tree, ".gitattributes"), "a") as f:
        f.write("# changed\n")
    expect("a changed work tree", version(tree), f"1.2.3 (commit {commit}-modified)")
    git("checkout", "-q", ".")

    # A tarball inside another project's work tree: the commit is the archive's, not that project's.
    inside = os.path.join(tree, "third-party")
    os.mkdir(inside)
    git("archive", "--output", os.path.join(work, "tree.tar"), "HEAD")
    run("tar", "-xf", os.path.join(work, "tree.tar"), "-C", inside)
    short = re.fullmatch(r"1\.2\.3 \(commit ([0-9a-f]{7,})\)", got := version(inside))
    if not short or not commit.startswith(short.group(1)):
        failures.append(f"a tarball inside another work tree: '{got}'")
    shutil.copy(os.path.join(source, "cmake/commit.txt"), os.path.join(inside, "cmake"))
    expect("a copy inside another work tree", version(inside), "1.2.3")
finally:
    shutil.rmtree(work)

# This project's tree without git configures, and builds its version.
work = tempfile.mkdtemp()
try:
    tree = os.path.join(work, "arclight")
    skip = shutil.ignore_patterns(".git", "build*", ".cache")
    shutil.copytree(source, tree, ignore=skip)
    build = os.path.join(work, "build")
    run("cmake", "-S", tree, "-B", build, "-G", "Ninja", "-DARCLIGHT_TESTS=OFF", "-DARCLIGHT_BENCH=OFF")
    run("cmake", "--build", build, "--target", "arclight_version")
    with open(os.path.join(build, "guestos/cli/version.cpp")) as f:
        if not re.search(r'"\d+\.\d+\.\d+"', f.read()):
            failures.append("the tree without git has a version with a commit")
    with open(os.path.join(build, "compile_commands.json")) as f:
        if "-Werror" in f.read():
            failures.append("a build without preset makes errors of warnings")
except subprocess.CalledProcessError as error:
    failures.append(f"the tree without git: {' '.join(error.cmd)}: {error.stdout[-800:]}")
finally:
    shutil.rmtree(work)

print("\n".join(failures) or "all as expected")
sys.exit(bool(failures))
