// Masks that are immediates of logical instructions, of integers and of scalable vectors.
#pragma once

#include <bit>
#include <cstdint>
#include <optional>

namespace arclight::frontend::a64 {

/// DecodeBitMasks (ARM ARM J1), the mask of a logical immediate; nothing when reserved.
constexpr std::optional<uint64_t> logical_mask(bool sf, bool n, unsigned immr, unsigned imms) {
    if (!sf && n) return std::nullopt;
    const unsigned selector = unsigned{n} << 6 | (~imms & 0x3f);
    if (selector < 2) return std::nullopt;
    const unsigned esize = std::bit_floor(selector);
    const unsigned s = imms & (esize - 1), r = immr & (esize - 1);
    if (s == esize - 1) return std::nullopt;
    const uint64_t element_mask = ~uint64_t{0} >> (64 - esize);
    const uint64_t ones = ~uint64_t{0} >> (63 - s);
    uint64_t mask = r == 0 ? ones : (ones >> r | ones << (esize - r)) & element_mask;
    for (unsigned width = esize; width < 64; width *= 2) mask |= mask << width;
    return sf ? mask : mask & 0xffffffff;
}

}  // namespace arclight::frontend::a64
