# What is taken out of both logs before they are compared: the one place where differences from QEMU are allowed.
# QEMU 7.2 does no cache maintenance, so that it does not translate the address either (we do: the manual's D7.5.5).
/^  dc [ci]/d
/^  ic /d
# Lines in which the program itself judges (runtime/bm.h, CHECK): QEMU 7.2 checks no alignment of Device memory, does so
# for Normal memory at fetches after translation, and more that the call's place says.
s/^~ (.*): WRONG.*/~ \1: ok/
