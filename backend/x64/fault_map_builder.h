// The fault map of the block that is being compiled: where accesses may fault, and where guest registers are
// then.
#pragma once

#include <vector>

#include "backend/x64/types.h"

namespace arclight::backend {

class FaultMapBuilder {
  public:
    /// It turned out to be elsewhere. Nothing of it is known yet.
    void start_cold(const uint8_t* cold_start) { cold_start_ = cold_start; }
    void start_block(const uint8_t* entry, const uint8_t* cold_start);

    /// Locations are added in runs: see SavedLocation.
    uint32_t next_location() const { return static_cast<uint32_t>(locations_.size()); }
    void add_location(const SavedLocation& where) { locations_.push_back(where); }
    const SavedLocation& location(uint32_t index) const { return locations_[index]; }

    /// A point at `here` with the locations [first, first + count); returns its index. The range of
    /// instructions that may fault in the fastmem is empty at first.
    size_t add_point(const uint8_t* here, uint32_t first, uint16_t count, uint32_t insn_offset,
                     unsigned page);
    /// The instruction at `here` is the access of the last point.
    void mark_access(const uint8_t* here) { points_.back().access = hot(here); }
    uint32_t insn_offset(size_t point) const { return points_[point].insn_offset; }
    const uint8_t* access(size_t point) const { return entry_ + points_[point].access; }
    void start_fastmem(const uint8_t* here) { points_.back().fastmem_start = hot(here); }
    void end_fastmem(size_t point, const uint8_t* here) { points_[point].fastmem_end = hot(here); }
    void mark_slow_path(size_t point, const uint8_t* here) { points_[point].cold = cold(here); }
    void mark_return(size_t point, const uint8_t* here) { points_[point].return_pc = cold(here); }

    const FaultPoint& point(size_t number) const { return points_[number]; }

    /// All of it, as it is kept.
    jit::FaultMap map();

  private:
    uint32_t hot(const uint8_t* here) const { return static_cast<uint32_t>(here - entry_); }
    uint32_t cold(const uint8_t* here) const { return static_cast<uint32_t>(here - cold_start_); }

    std::vector<FaultPoint> points_;  ///< until map(), whose locations: locations_[first .. first + words)
    std::vector<SavedLocation> locations_;
    std::vector<jit::LocationWord> packed_;
    const uint8_t* entry_ = nullptr;
    const uint8_t* cold_start_ = nullptr;
};

}  // namespace arclight::backend
