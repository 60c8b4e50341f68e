// Integers that are wider than the elements they come from and go to.
#pragma once

#include <algorithm>

#include "frontend/a64/scalable/machine.h"

namespace arclight::frontend::a64::scalable {

using Wide = __int128;

/// Element i of 8 << size bits.
inline Wide read(const Vector& v, unsigned size, unsigned i, bool is_unsigned) {
    return is_unsigned ? static_cast<Wide>(v.get(size, i)) : static_cast<Wide>(v.get_signed(size, i));
}
/// SatQ: the nearest number of 8 << size bits.
constexpr uint64_t saturated(unsigned size, bool is_unsigned, Wide value) {
    const unsigned width = 8u << size;
    const Wide lowest = is_unsigned ? 0 : -(static_cast<Wide>(1) << (width - 1));
    const Wide highest = (static_cast<Wide>(1) << (is_unsigned ? width : width - 1)) - 1;
    return static_cast<uint64_t>(std::clamp(value, lowest, highest));
}
/// To the left, or with a negative number to the right, rounded up from a half if `rounding`. To the left by a width of elements
/// or more: of what is shifted out only the sign is right, and that it is not 0.
constexpr Wide shifted(Wide value, int by, bool rounding) {
    constexpr int kMost = 63;
    if (by > kMost) return value == 0 ? 0 : static_cast<Wide>(value < 0 ? -1 : 1) << 126;
    if (by >= 0) return value << by;
    return (value + (rounding ? static_cast<Wide>(1) << (-by - 1) : 0)) >> -by;
}
/// The element of a by-element form that goes with element i of 8 << size bits: `index` of its 128 bits.
constexpr unsigned element_of_segment(unsigned size, unsigned i, unsigned index) {
    const unsigned in_segment = 16u >> size;
    return i / in_segment * in_segment + index;
}

}  // namespace arclight::frontend::a64::scalable
