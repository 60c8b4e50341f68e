#include "backend/x64/fault_map_builder.h"

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
                       .count = count,
                       .insn_offset = static_cast<uint16_t>(insn_offset & 0xfff),
                       .page = static_cast<uint16_t>(page & 0xf),
                       .cold = 0,
                       .fastmem_start = hot(here),
                       .fastmem_end = hot(here)});
    return points_.size() - 1;
}

}  // namespace arclight::backend
