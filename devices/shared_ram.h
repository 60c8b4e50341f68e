#pragma once

#include <cstdint>

namespace arclight::devices {

/// Guest RAM as other processes can map it: a file of `size` bytes, whose first one is at the guest-physical address `base`.
struct SharedRam {
    int file = -1;  ///< -1: RAM is this process's alone
    uint64_t base = 0;
    uint64_t size = 0;
};

}  // namespace arclight::devices
