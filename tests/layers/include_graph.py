#!/usr/bin/env python3
"""Prints how the folders include each other, and fails where an arrow points back up.

    tests/layers/include_graph.py [--files]      --files names the including files of every arrow

The build holds most of it (cmake/Layers.cmake: a target sees the headers of its own layer and of those below); this
says the same of all files at once, and of words that a layer must not know.
"""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# A layer may include those that are named here, and itself.
BELOW = {
    'host': [],
    'mmu': ['host'],
    'jit': ['mmu', 'host'],
    'frontend': ['jit', 'mmu', 'host'],
    'backend': ['jit', 'mmu', 'host'],
    'devices': ['mmu', 'host'],
    'guestos': ['devices', 'frontend', 'backend', 'jit', 'mmu', 'host'],
}
# Words that say too much: a pattern, the folders (or files, without their suffix) that may use it, and what is meant by it.
WORDS = [
    (r'\b[Xx]byak\b|\bMXCSR\b|\bmxcsr\b', ['backend'], "x86's assembler and floating-point control"),
    (r'\b_mm\d*_(?!pause\b|lfence\b)\w+', ['backend', 'jit/reference'], 'x86 arithmetic'),
    (r'\ba64\b|\bA64\b', ['frontend', 'guestos'], 'the A64 instruction set'),
    (r'\bjit::|\bnamespace arclight::jit\b', ['jit', 'frontend', 'backend', 'guestos'], 'the translator'),
    (r'\bllvm::|<llvm', ['jit/llvm'], 'LLVM'),
    (r'\bIntrinsicsX86\b|\bintrinsic::x86_\w+|\bIntrinsic::x86_\w+', ['backend', 'jit/llvm/host_intrinsics'], "LLVM's x86 intrinsics"),
]
SOURCES = {'.h', '.cpp', '.inc'}


def sources():
    for layer in BELOW:
        for path in sorted((ROOT / layer).rglob('*')):
            if path.suffix in SOURCES:
                yield layer, path.relative_to(ROOT), path.read_text()


def without_comments(text):
    return re.sub(r'//[^\n]*|/\*.*?\*/', '', text, flags=re.S)


def main():
    arrows, wrong = {}, []
    for layer, path, text in sources():
        for included in re.findall(r'^\s*#\s*include "([^"]+)"', text, re.M):
            target = included.split('/')[0]
            if target == layer or target not in BELOW:
                continue
            arrows.setdefault((layer, target), []).append((path, included))
            if target not in BELOW[layer]:
                wrong.append(f'{path} includes {included}: {layer} must not know {target}')
        code = without_comments(text)
        for pattern, allowed, meaning in WORDS:
            if any(str(path.with_suffix('')).startswith(folder + '/') or str(path.with_suffix('')) == folder for folder in allowed):
                continue
            for match in sorted({m.group(0) for m in re.finditer(pattern, code)}):
                wrong.append(f"{path} says '{match}' ({meaning}), which belongs to {', '.join(allowed)}")
    for (source, target), files in sorted(arrows.items()):
        back = '' if target in BELOW[source] else '   <-- back up'
        print(f'{source:9} -> {target:9} {len(files):4}{back}')
        if '--files' in sys.argv:
            for path, included in files:
                print(f'    {path}: {included}')
    print(f'arrows back up: {sum(len(f) for (s, t), f in arrows.items() if t not in BELOW[s])}')
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
