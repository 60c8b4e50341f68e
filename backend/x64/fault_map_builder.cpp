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
    if (const size_t most = locations_.size() * jit::kMostLocationWords; packed_.size() < most)
        packed_.resize(most);
    jit::LocationWord *last = packed_.data(),
                      *end = last;  // from `last` on they are of the last point that has its own
    for (FaultPoint& point : points_) {
        jit::LocationWord* const first = end;
        for (unsigned k = 0; k < point.words; ++k) end = put_location(locations_[point.first + k], end);
        point.words = static_cast<uint16_t>(end - first);
        if (std::equal(last, first, first, end))
            end = first;
        else
            last = first;
        point.first = static_cast<uint32_t>(last - packed_.data());
    }
    jit::FaultMap map;
    map.points.assign(points_);
    map.locations.assign(packed_.data(), end);
    return map;
}

}  // namespace arclight::backend
