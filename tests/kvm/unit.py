#!/usr/bin/env python3
"""The KVM accelerator's unit tests where ring 0 is native: on the rig: SVM with nested paging and with KVM's shadow paging, VT-x with EPT."""
import re, sys
import rig

failed = False
for processor, nested in (("amd", 1), ("amd", 0), ("intel", 1)):
    result = rig.run(rig.static("kvm_tests_static"), ["--gtest_color=no", "--gtest_brief=1"], nested=nested, processor=processor, limit=300)
    passed = re.search(r"\[  PASSED  \] (\d+) tests", result.output)
    # Nothing may be skipped: the rig has all of it.
    good = result.status == 0 and passed and "SKIPPED" not in result.output
    print(f"{processor}, nested={nested}: {passed.group(1) if passed else 0} tests passed in {result.seconds:.1f} s")
    if not good:
        print("FAIL:", result)
        failed = True
sys.exit(failed)
