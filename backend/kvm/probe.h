// What kind of /dev/kvm this host has, measured by using it.
#pragma once

#include <string>

namespace arclight::backend::kvm {

struct Probe {
    bool usable = false;
    std::string why_not;  ///< one line, if it is not usable

    bool native_ring0 = false;  ///< ring 0 runs on the processor; else something emulates it
    double ring0_ns = 0;        ///< cost of one ring-0 instruction
    double exit_us = 0;         ///< cost of a system call: exit, call, entry
    double call_us = 0;         ///< the same call outside
    bool same_clock = false;    ///< the time-stamp counter has the same value inside and outside
    bool full_vectors = false;  ///< XCR0 enables the same vector state inside and outside
    unsigned physical_bits = 0;
    unsigned memory_slots = 0;
    double probe_ms = 0;  ///< duration of the probe

    /// Whether translated code runs faster inside than in the process. What an exit costs is weighed by what a system call
    /// does: 10 to 20 of them on hardware, some hundreds where the host is a virtual machine whose hypervisor carries each
    /// exit out. Emulators are slow in both: 180 under QEMU.
    static constexpr double kMaxExit = 250;
    bool cheap_exit() const { return exit_us <= kMaxExit * call_us; }
    bool preferred() const { return usable && native_ring0 && cheap_exit(); }
    /// One line: which accelerator --accel auto chooses, and why.
    std::string reason() const;
};

/// Takes about 10 ms. Never throws for a missing or broken /dev/kvm: see Probe::why_not.
Probe probe();

}  // namespace arclight::backend::kvm
