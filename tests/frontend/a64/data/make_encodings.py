#!/usr/bin/env python3
"""Makes simd_encodings.inc and simd_reserved.inc from the decode table and GNU binutils (gcc-aarch64-linux-gnu's as and objdump).

For each row of floating point, Advanced SIMD and cryptography, words are drawn from its pattern with fixed seeds. objdump says
what a word is: a word that it calls undefined is reserved; other text is an instruction of the row if what `as` makes of it
matches the row again (its bits that mean nothing may differ). Of each row up to four instructions are kept that differ in their registers' kinds and arrangements, and up to two reserved words.
A word that an earlier row of the table takes is not this row's.

    make_encodings.py            write both files
    make_encodings.py --check    assemble what the files hold: each source must give its word, and each reserved word be undefined
"""
import os, random, re, shutil, subprocess, sys, tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TABLE = os.path.join(HERE, "../../../../frontend/a64/decode")
ENCODINGS, RESERVED = os.path.join(HERE, "simd_encodings.inc"), os.path.join(HERE, "simd_reserved.inc")
FILES = ("a64_fp.inc", "a64_fp16.inc", "a64_simd.inc", "a64_crypto.inc")
TRIES, INSTRUCTIONS, RESERVED_WORDS = 300, 4, 2
ARCHITECTURE = "-march=armv8.6-a+crypto+sha3+sm4+fp16+fp16fml"


def rows(*files):
    for file in files:
        with open(os.path.join(TABLE, file)) as f:
            yield from re.findall(r'^INST\((\w+),\s*\w+,\s*"[^"]*",\s*"([^"]{32})"[,)]', f.read(), re.M)


def mask_and_value(pattern):
    bits = [(1 << (31 - n), c) for n, c in enumerate(pattern)]
    return sum(b for b, c in bits if c in "01"), sum(b for b, c in bits if c == "1")


def disassemble(words):
    """The text of each word, None where it is undefined."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"".join(w.to_bytes(4, "little") for w in words))
        file.flush()
        listing = subprocess.run(["aarch64-linux-gnu-objdump", "-D", "-z", "-b", "binary", "-m", "aarch64", file.name], check=True,
                                 stdout=subprocess.PIPE, text=True).stdout
    texts = []
    for line in re.findall(r"^ *[0-9a-f]+:\t[0-9a-f]{8} \t(.*)$", listing, re.M):
        undefined = line.startswith(".inst") or "undefined" in line
        texts.append(None if undefined else " ".join(re.sub(r"\s*//.*", "", line).split()))
    assert len(texts) == len(words), (len(texts), len(words))
    return texts


def assemble(texts):
    """The word of each text, None where `as` refuses it."""
    with tempfile.TemporaryDirectory() as work:
        source, output, raw = (os.path.join(work, n) for n in ("a.s", "a.o", "a.bin"))
        bad = set()
        while True:
            with open(source, "w") as f:
                f.writelines(f"{'nop' if n in bad else t}\n" for n, t in enumerate(texts))
            done = subprocess.run(["aarch64-linux-gnu-as", ARCHITECTURE, source, "-o", output], stderr=subprocess.PIPE, text=True)
            if done.returncode == 0:
                break
            refused = {int(n) - 1 for n in re.findall(r":(\d+): Error", done.stderr)} - bad
            if not refused:
                sys.exit(done.stderr)
            bad |= refused
        subprocess.run(["aarch64-linux-gnu-objcopy", "-O", "binary", "-j", ".text", output, raw], check=True)
        with open(raw, "rb") as f:
            data = f.read()
    return [None if n in bad else int.from_bytes(data[4 * n:4 * n + 4], "little") for n in range(len(texts))]


def shape(text):
    """What is left of a text without registers' numbers and immediates."""
    text = re.sub(r"\b([vbhsdqxw])\d+", r"\1", text)
    return re.sub(r"#-?[\w.+-]+|\[\d+\]", "#", text)


def candidates():
    all_rows = list(rows(*FILES))
    masks = [mask_and_value(pattern) for _, pattern in all_rows]
    for n, (name, pattern) in enumerate(all_rows):
        mask, value = masks[n]
        earlier = [(m, v) for m, v in masks[:n] if not (v ^ value) & m & mask]
        draw = random.Random(name)
        seen = set()
        for _ in range(TRIES):
            word = draw.getrandbits(32) & ~mask | value
            if word not in seen and not any(word & m == v for m, v in earlier):
                seen.add(word)
                yield name, word


def write():
    drawn = list(candidates())
    texts = disassemble([word for _, word in drawn])
    defined = [(name, text) for (name, _), text in zip(drawn, texts) if text]
    words = assemble([text for _, text in defined])
    matches = {name: mask_and_value(pattern) for name, pattern in rows(*FILES)}
    instructions, reserved, shapes, count = [], [], set(), {}
    for (name, text), word in zip(defined, words):
        key, (mask, value) = (name, shape(text)), matches[name]
        if word is not None and word & mask == value and key not in shapes and count.get(name, 0) < INSTRUCTIONS:
            shapes.add(key)
            count[name] = count.get(name, 0) + 1
            instructions.append(f'{{"{name}", 0x{word:08x}, "{text}"}},\n')
    count = {}
    for (name, word), text in zip(drawn, texts):
        if text is None and count.get(name, 0) < RESERVED_WORDS:
            count[name] = count.get(name, 0) + 1
            reserved.append(f'{{"{name}", 0x{word:08x}}},\n')
    with open(ENCODINGS, "w") as f:
        f.write("// Encodings as GNU as makes them: row of the table, word, source. Made by make_encodings.py.\n// clang-format off\n")
        f.writelines(instructions)
    with open(RESERVED, "w") as f:
        f.write("// Words that match a row but are reserved in every version of the architecture (GNU objdump: undefined). Made by\n"
                "// make_encodings.py.\n// clang-format off\n")
        f.writelines(reserved)
    print(f"{len(instructions)} instructions, {len(reserved)} reserved words")


def check():
    wrong = []
    with open(ENCODINGS) as f:
        held = re.findall(r'^\{"(\w+)", (0x[0-9a-f]{8}), "([^"]+)"\},$', f.read(), re.M)
    for (name, word, text), made in zip(held, assemble([text for _, _, text in held])):
        if made != int(word, 16):
            wrong.append(f"{name}: '{text}' is {'refused' if made is None else hex(made)}, not {word}")
    with open(RESERVED) as f:
        reserved = re.findall(r'^\{"(\w+)", (0x[0-9a-f]{8})\},$', f.read(), re.M)
    for (name, word), text in zip(reserved, disassemble([int(word, 16) for _, word in reserved])):
        if text:
            wrong.append(f"{name}: {word} is not reserved: '{text}'")
    if len(held) < 1000 or len(reserved) < 300:
        wrong.append(f"only {len(held)} instructions and {len(reserved)} reserved words were found")
    print("\n".join(wrong) or f"{len(held)} instructions, {len(reserved)} reserved words")
    return bool(wrong)


if __name__ == "__main__":
    if not shutil.which("aarch64-linux-gnu-objdump"):
        print("skipped: no aarch64-linux-gnu-objdump (Debian: binutils-aarch64-linux-gnu)")
        sys.exit(77)
    sys.exit(check() if sys.argv[1:] == ["--check"] else write())
