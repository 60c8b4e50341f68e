// Real guest code for the benchmarks of the translator.
#pragma once

#include <cstdint>
#include <span>

namespace arclight::bench {

/// Words of compiled A64 code, a whole number of pages; empty if no cross compiler was there at build time.
std::span<const uint32_t> guest_code();

}  // namespace arclight::bench
