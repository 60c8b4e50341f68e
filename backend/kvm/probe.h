// What kind of /dev/kvm this host has, found out by using it.
#pragma once

#include <string>

namespace arclight::backend::kvm {

struct Probe {
    bool usable = false;
    std::string why_not;  ///< one line, if it is not

    bool native_ring0 = false;  ///< ring 0 runs on the processor; else something emulates it
    double ring0_ns = 0;        ///< an instruction of ring 0
    double exit_us = 0;         ///< a system call carried out outside and back
    bool same_clock = false;    ///< the time-stamp counter counts inside as it does outside
    bool full_vectors = false;  ///< the vector state that the host's own code uses is there inside
    unsigned physical_bits = 0;
    unsigned memory_slots = 0;
    double probe_ms = 0;  ///< what finding all this out took

    /// Whether translated code is better off inside than in a plain process.
    bool preferred() const { return usable && native_ring0; }
    /// One line: what was chosen and why.
    std::string reason() const;
};

/// Takes some milliseconds.
Probe probe();

}  // namespace arclight::backend::kvm
