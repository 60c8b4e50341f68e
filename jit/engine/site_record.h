// What a run has met in a range of guest code, for a later run that is to know it before.
#pragma once

#include <cstdint>
#include <map>

namespace arclight::jit {

/// By physical address.
struct SiteRecord {
    struct Block {
        uint32_t bytes = 0;
        uint64_t translations = 0;
    };
    uint64_t begin = 0, end = 0;  ///< of the range; nothing else is recorded
    std::map<uint64_t, Block> blocks;
    std::map<uint64_t, uint64_t> devices;  ///< instructions, and how often they met devices

    bool covers(uint64_t pa) const { return pa >= begin && pa < end; }
};

}  // namespace arclight::jit
