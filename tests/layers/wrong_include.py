#!/usr/bin/env python3
"""Compiles includes against the arrow as sources of each layer are compiled; each must be refused for want of the header.

    wrong_include.py build/release/compile_commands.json
"""
import json
import shlex
import subprocess
import sys

# A source of the layer, a header that it may include, and headers of layers that it must not know.
CASES = [
    ('mmu/walk.cpp', 'mmu/walk.h', ['jit/guest_state.h', 'devices/bus.h']),
    ('jit/ir/ir.cpp', 'mmu/soft_tlb.h', ['frontend/a64/translate/translator.h', 'backend/accelerator.h']),
    ('jit/engine/engine.cpp', 'mmu/guest_memory.h', ['frontend/a64/translate/translator.h', 'backend/x64/page_format.h']),
    ('frontend/a64/decode/disassemble.cpp', 'jit/ir/ir.h', ['backend/accelerator.h', 'guestos/options.h']),
    ('backend/x64/code_buffer.cpp', 'jit/host_code.h', ['frontend/a64/translate/translator.h', 'devices/bus.h']),
    ('devices/bus.cpp', 'mmu/guest_memory.h', ['jit/guest_state.h', 'guestos/options.h']),
]


def compiles(entry, header):
    words = shlex.split(entry['command'])
    if 'ccache' in words[0]:
        words = words[1:]
    words = [w for w in words if not w.endswith('.cpp')]
    for option in ('-o', '-c', '-MF', '-MT'):
        if option in words:
            at = words.index(option)
            del words[at:at + (1 if option == '-c' else 2)]
    words = [w for w in words if w not in ('-MD',)]
    result = subprocess.run([*words, '-fsyntax-only', '-x', 'c++', '-'], cwd=entry['directory'], text=True,
                            input=f'#include "{header}"\n', stderr=subprocess.PIPE)
    return result.returncode == 0, result.stderr


def main():
    entries = {e['file']: e for e in json.load(open(sys.argv[1]))}
    failed = False
    for source, allowed, wrong in CASES:
        entry = next(e for f, e in entries.items() if f.endswith('/' + source))
        good, said = compiles(entry, allowed)
        if not good:
            print(f'{source} cannot include {allowed}: {said}')
            failed = True
        for header in wrong:
            good, said = compiles(entry, header)
            if good or 'No such file' not in said:
                print(f'{source} can include {header}')
                failed = True
    print('failed' if failed else 'all as expected')
    return failed


if __name__ == '__main__':
    sys.exit(main())
