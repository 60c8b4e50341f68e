#include "backend/x64/fault_map_builder.h"

namespace arclight::backend {

void FaultMapBuilder::start_block(const uint8_t* entry, const uint8_t* cold_start) {
    points_.clear();
    locations_.clear();
    entry_ = entry;
    cold_start_ = cold_start;
}

size_t FaultMapBuilder::add_point(const uint8_t* here, uint32_t first, uint16_t count, uint32_t insn_offset) {
    points_.push_back({0, 0, first, count, static_cast<uint16_t>(insn_offset), 0, hot(here), hot(here)});
    return points_.size() - 1;
}

}  // namespace arclight::backend
