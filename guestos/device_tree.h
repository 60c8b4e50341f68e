// The flattened device tree handed to the guest (Devicetree Specification 0.4; Linux
// Documentation/devicetree).
#pragma once

#include <cstdint>
#include <string>

#include "devices/bus.h"
#include "guestos/file.h"
#include "guestos/result.h"

namespace arclight::guestos {

// What /chosen tells a kernel.
struct BootArguments {
    std::string command_line;
    uint64_t initrd_start = 0;  // both zero: no initrd
    uint64_t initrd_end = 0;
    // Fresh random numbers. The first moves the kernel to a random address, which Linux takes as a reason for
    // page-table isolation on CPUs without FEAT_E0PD; the second feeds its random-number generator.
    bool kaslr_seed = true;
    bool rng_seed = true;
};

struct BoardDescription {
    unsigned cpus = 1;
    unsigned gic = 3;
    uint64_t memory_base = 0;
    uint64_t memory_size = 0;
};

// The tree of the whole machine: everything mapped on the bus writes its own node.
Result<Bytes> make_device_tree(const BoardDescription& board, const BootArguments& arguments,
                               const devices::Bus& bus);

// A tree from a file, with /chosen and /memory set as above.
Result<Bytes> adapt_device_tree(const std::string& path, const BoardDescription& board,
                                const BootArguments& arguments);

}  // namespace arclight::guestos
