#!/usr/bin/env python3
"""Manual pages say all that --help says: a page for each subcommand, in it each option with its description; groff has nothing to
complain about."""
import os, re, shutil, subprocess, sys

arclight, documents = os.environ["ARCLIGHT"], os.path.join(os.environ["ARCLIGHT_BUILD"], "documents")
failures = []


def help_of(path):
    # "help COMMAND" is the parser's own, also of a command with another one.
    return subprocess.run([arclight, "help", *path], stdout=subprocess.PIPE, text=True, check=True).stdout


def flat(text):
    return " ".join(text.split())


def options(text):
    """(names, description) of each option, whose description may begin on its line or on the next one."""
    found = re.findall(r"^  (-[^\n]*?)(?:  +|\n +)(\S[^\n]*(?:\n {20,}\S[^\n]*)*)", text, re.M)
    return [(re.findall(r"(?<![\w-])--?[a-z][\w-]*", names), flat(text)) for names, text in found]


def subcommands(text):
    return re.findall(r"^  ([a-z]+) ", text.partition("Subcommands:")[2], re.M)


def rendered(page):
    """The page's text without macros and escapes, a paragraph a line."""
    text = re.sub(r"\\f[A-Z]", "", page).replace("\\-", "-").replace("\\e", "\\").replace("\\&", "")
    return flat(re.sub(r"^\.(TP|nf|fi|PP)$", "\n", text, flags=re.M))


def check(path, text):
    count = 0
    for names, description in options(help_of(path)):
        count += 1
        for name in names:
            if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text):
                failures.append(f"{' '.join(path)}: {name} is not in the page")
        if description not in text:
            failures.append(f"{' '.join(path)}: {names}: the page does not say '{description}'")
    return count


total = 0
commands = subcommands(help_of([]))
for path, name in [([], "arclight")] + [([command], "arclight-" + command) for command in commands]:
    with open(os.path.join(documents, name + ".1")) as f:
        page = f.read()
    text = rendered(page)
    total += check(path, text)
    for below in subcommands(help_of(path)) if path else []:
        total += check(path + [below], text)
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"):
        if f".SH {section}\n" not in page:
            failures.append(f"{name}: no section {section}")
    if shutil.which("groff"):
        lint = subprocess.run(["groff", "-man", "-Tutf8", "-ww", "-z"], input=page, stderr=subprocess.PIPE, text=True).stderr
        failures += [f"{name}: groff: {line}" for line in lint.splitlines()]

# QEMU's options are another parser's, and its help is in QEMU's form.
with open(os.path.join(documents, "arclight-qemu.1")) as f:
    text = rendered(f.read())
listed = subprocess.run([arclight, "qemu", "-help"], stdout=subprocess.PIPE, text=True, check=True).stdout
taken = re.findall(r"^(-[\w-]+)", listed.partition("\nRefused")[0], re.M)
failures += [f"arclight-qemu: {name} is not in the page" for name in taken if not re.search(rf"(?<![\w-]){name}(?![\w-])", text)]
if len(taken) < 60:
    failures.append(f"only {len(taken)} options were found in 'arclight qemu -help'")

if len(commands) < 5 or total < 50:
    failures.append(f"only {len(commands)} subcommands and {total} options were found in --help")
print("\n".join(failures) or f"{len(commands) + 1} pages hold {total} options")
sys.exit(bool(failures))
