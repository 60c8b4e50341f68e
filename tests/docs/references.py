#!/usr/bin/env python3
"""No text cites a file that is not there: relative links of Markdown files and their anchors, and names of source files and pages in
Markdown and in comments. A name is found if it is a path from the top, from the citing file's folder or from a folder above it, or
the end of the path of some file of the tree."""
import os, re, sys

TOP = os.environ.get("ARCLIGHT_SOURCE") or sys.argv[1]
SKIPPED = re.compile(r"^(\.git|build.*|\.cache|__pycache__)$")
SOURCES = (".cpp", ".h", ".inc", ".c", ".S", ".cmake", ".py", ".sh", ".sed", ".ld")
NAME = re.compile(r"(?<![\w./$<{}*-])(?![vzp]\d+\.h\b)((?:[\w.-]+/)*[\w-]+(?:\.[\w-]+)*\.(?:cpp|h|inc|md|py|sh|cmake|S|ld|sed))(?![\w/(])")


def tree():
    for folder, folders, names in os.walk(TOP):
        folders[:] = sorted(f for f in folders if not SKIPPED.match(f))
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), TOP)


FILES = sorted(tree())
KNOWN = set(FILES)
ENDS = {"/".join(parts[n:]) for parts in (f.split("/") for f in FILES) for n in range(len(parts))}


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8", errors="replace") as f:
        return f.read()


def exists(name, citing):
    return name in ENDS or os.path.exists(os.path.join(TOP, os.path.dirname(citing), name))


def anchors(path):
    """GitHub's: lower case, punctuation dropped, spaces to hyphens."""
    titles = re.findall(r"^#+ +(.*?)\s*$", re.sub(r"```.*?```", "", read(path), flags=re.S), re.M)
    return {re.sub(r"[^\w\- ]", "", t.lower()).replace(" ", "-") for t in titles}


def without_code(text):
    return re.sub(r"```.*?```", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)


def links(path, text):
    for match in re.finditer(r"\]\(([^)\s]+)\)", without_code(text)):
        target = match.group(1)
        if re.match(r"[a-z]+:", target):
            continue
        line = without_code(text).count("\n", 0, match.start()) + 1
        file, _, anchor = target.partition("#")
        full = os.path.normpath(os.path.join(os.path.dirname(path), file)) if file else path
        if not os.path.exists(os.path.join(TOP, full)) or full.startswith(".."):
            yield line, f"the link '{target}' leads nowhere"
        elif anchor and full.endswith(".md") and anchor not in anchors(full):
            yield line, f"the link '{target}' names no heading of {full}"


def comments(path, text):
    """Lines with only their comments left."""
    if path.endswith((".py", ".sh", ".cmake", ".sed")) or "." not in os.path.basename(path) or path.endswith("CMakeLists.txt"):
        return re.sub(r"^(?:(?!(?:^|(?<=\s))#\s).)*", "", text, flags=re.M)
    lines, inside = [], False
    for line in text.split("\n"):
        if inside:
            comment, inside = line, "*/" not in line
        elif "//" in line:
            comment = line.partition("//")[2]
        elif "/*" in line:
            comment, inside = line.partition("/*")[2], "*/" not in line.partition("/*")[2]
        else:
            comment = ""
        lines.append(comment)
    return "\n".join(lines)


def names(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        for name in NAME.findall(line):
            if not exists(name, path):
                yield number, f"there is no file '{name}'"


failures, seen = [], 0
for path in FILES:
    if path.endswith(".md"):
        text = read(path)
        found = [*links(path, text), *names(path, re.sub(r"\]\([^)]*\)", "]", text))]
    elif path.endswith(SOURCES) or os.path.basename(path) == "CMakeLists.txt":
        found = list(names(path, comments(path, read(path))))
    else:
        continue
    seen += 1
    failures += [f"{path}:{line}: {what}" for line, what in found]
if seen < 300:
    failures.append(f"only {seen} files were read")
print("\n".join(failures) or f"{seen} files cite nothing that is not there")
sys.exit(bool(failures))
