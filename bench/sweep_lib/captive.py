"""The figures that CAPTIVE's paper gives, for lines beside ours (Spink, Wagstaff, Franke, TACO 13(4), 2016: an ARMv7 full-system guest on x86-64,
SPEC CPU2006 integer, over the QEMU of that year). Another guest, host and QEMU: what can be compared is the size of the step."""

MIPS_MEAN, MIPS_MOST = 915.52, 1280
RATIO_MEAN, RATIO_MOST = 2.5, 5.88
SOURCE = "CAPTIVE (TACO 2016)"
