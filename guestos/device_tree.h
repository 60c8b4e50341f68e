// The flattened device tree handed to the guest (Devicetree Specification 0.4; Linux
// Documentation/devicetree).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "devices/bus.h"
#include "guestos/cpu_topology.h"
#include "guestos/file.h"
#include "mmu/result.h"

namespace arclight::guestos {

/// The properties of /chosen.
struct BootArguments {
    std::string command_line;
    uint64_t initrd_start = 0;  ///< both zero: no initrd
    uint64_t initrd_end = 0;
    /// Fresh random numbers. kaslr-seed moves the kernel to a random address, after which Linux uses page-table isolation on
    /// CPUs without FEAT_E0PD. rng-seed feeds its random-number generator.
    bool kaslr_seed = true;
    bool rng_seed = true;
};

struct BoardDescription {
    unsigned cpus = 1;
    std::optional<CpuTopology> topology;  ///< nothing: flat
    std::string cpu = "arm,armv8";        ///< what CPUs are compatible with
    bool pmu = true;
    unsigned gic = 3;
    uint64_t memory_base = 0;
    uint64_t memory_size = 0;
};

/// The device tree of the machine: each device on the bus writes its own node.
Result<Bytes> make_device_tree(const BoardDescription& board, const BootArguments& arguments,
                               const devices::Bus& bus);

/// The device tree in the file `path`, with /chosen and /memory replaced.
Result<Bytes> adapt_device_tree(const std::string& path, const BoardDescription& board,
                                const BootArguments& arguments);

}  // namespace arclight::guestos
