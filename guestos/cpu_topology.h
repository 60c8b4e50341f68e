// Which CPUs share a core, a cluster and a socket: what the device tree's cpu-map (Devicetree Specification's binding cpu/
// cpu-topology.txt), the ACPI's PPTT and the SMBIOS tables tell the guest. It changes nothing else.
#pragma once

#include <cstdint>

namespace arclight::guestos {

struct CpuTopology {
    unsigned sockets = 1;
    unsigned clusters = 1;  ///< of a socket
    unsigned cores = 1;     ///< of a cluster
    unsigned threads = 1;   ///< of a core

    /// All CPUs on one socket, each a core.
    static CpuTopology flat(unsigned cpus) { return {.cores = cpus}; }

    /// The number of CPUs for which there is a place; more than the machine has where some could be plugged in.
    uint64_t places() const { return uint64_t{sockets} * clusters * cores * threads; }

    struct Place {
        unsigned socket, cluster, core, thread;  ///< each counts within the one before
    };
    Place place(unsigned cpu) const {
        return {.socket = cpu / (clusters * cores * threads),
                .cluster = cpu / (cores * threads) % clusters,
                .core = cpu / threads % cores,
                .thread = cpu % threads};
    }
    bool operator==(const CpuTopology&) const = default;
};

}  // namespace arclight::guestos
