"""The comparison: programs under Arclight, under QEMU TCG and natively, measured the same way and shown side by side."""
import os

# Nothing is measured that takes what an earlier run has left, unless its options say so.
os.environ.setdefault("ARCLIGHT_JIT_CACHE", "off")
