// The counters that translated code counts in (CodeBuffer::counters()), and who has which.
#pragma once

#include <atomic>
#include <cstdint>

#include "jit/engine/edge_profile.h"
#include "jit/host_code.h"

namespace arclight::jit {

/// The last ones: two for each region, its entries and its cycles.
inline constexpr uint32_t kEntryCounters = 4096;
/// Those before them: a region's side exits, kEntryCounters before its entries.
inline constexpr uint32_t kSideExitCounters = kEntryCounters;
/// Of blocks, the first ones. Those of EdgeProfiler are in between.
inline constexpr uint32_t kBlockCounters =
    CodeBuffer::kCounters - kEntryCounters - kSideExitCounters - EdgeProfiler::kCounters;

/// Translated code counts meanwhile, each CPU as if it were alone: what is stored here may be lost.
inline std::atomic_ref<uint32_t> counter_at(CodeBuffer& code, uint32_t index) {
    return std::atomic_ref(code.counters()[index]);
}

}  // namespace arclight::jit
