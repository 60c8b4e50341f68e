#include "backend/x64/fault_map_builder.h"

#include <algorithm>

namespace arclight::backend {

void FaultMapBuilder::start_block(const uint8_t* entry, const uint8_t* cold_start) {
    points_.clear();
    locations_.clear();
    entry_ = entry;
    cold_start_ = cold_start;
}

size_t FaultMapBuilder::add_point(const uint8_t* here, uint32_t first, uint16_t count, uint32_t insn_offset,
                                  unsigned page) {
    points_.push_back({.access = 0,
                       .return_pc = 0,
                       .first = first,
                       .words = count,
                       .insn_offset = static_cast<uint16_t>(insn_offset & 0xfff),
                       .page = static_cast<uint16_t>(page & 0xf),
                       .cold = 0,
                       .fastmem_start = hot(here),
                       .fastmem_end = hot(here)});
    return points_.size() - 1;
}

jit::FaultMap FaultMapBuilder::map() {
    packed_.clear();
    size_t last = 0;  // words from there on are the last point's that had any
    for (FaultPoint& point : points_) {
        const size_t first = packed_.size();
        for (unsigned k = 0; k < point.words; ++k) append_location(locations_[point.first + k], packed_);
        const size_t words = packed_.size() - first;
        const bool same = words == first - last &&
                          std::equal(packed_.begin() + static_cast<ptrdiff_t>(first), packed_.end(),
                                     packed_.begin() + static_cast<ptrdiff_t>(last));
        if (same)
            packed_.resize(first);
        else
            last = first;
        point.first = static_cast<uint32_t>(last);
        point.words = static_cast<uint16_t>(words);
    }
    jit::FaultMap map;
    map.points.assign(points_);
    map.locations.assign(packed_);
    return map;
}

}  // namespace arclight::backend
