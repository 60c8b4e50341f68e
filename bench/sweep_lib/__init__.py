"""The comparison: programs under Arclight, under QEMU TCG and natively, measured the same way and shown side by side."""
