// Immediates of scalable instructions as elements.
#pragma once

#include <bit>
#include <cstdint>

namespace arclight::frontend::a64::scalable {

/// VFPExpandImm (ARM ARM J1), for elements of 8 << size bits, 1 to 3.
constexpr uint64_t fp_immediate(unsigned size, uint32_t imm) {
    const uint64_t sign = imm >> 7 & 1, b = imm >> 6 & 1, low = imm & 0x3f;
    if (size == 3) return sign << 63 | (b ^ 1) << 62 | (b != 0 ? uint64_t{0xff} : 0) << 54 | low << 48;
    if (size == 2) return sign << 31 | (b ^ 1) << 30 | (b != 0 ? uint64_t{0x1f} : 0) << 25 | low << 19;
    return sign << 15 | (b ^ 1) << 14 | (b != 0 ? uint64_t{3} : 0) << 12 | low << 6;
}

/// DecodeBitMasks (ARM ARM J1) of N:immr:imms, none of those that are reserved.
constexpr uint64_t bitwise_immediate(uint32_t imm) {
    const unsigned n = imm >> 12, r = imm >> 6 & 63, s = imm & 63;
    const unsigned log2 = 31 - static_cast<unsigned>(std::countl_zero(n << 6 | (~s & 63)));
    const unsigned width = 1u << log2, ones = (s & (width - 1)) + 1, rotation = r & (width - 1);
    const uint64_t element_mask = width == 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1;
    uint64_t mask = ones == 64 ? ~uint64_t{0} : (uint64_t{1} << ones) - 1;
    if (rotation != 0) mask = (mask >> rotation | mask << (width - rotation)) & element_mask;
    for (unsigned w = width; w < 64; w *= 2) mask |= mask << w;
    return mask;
}

/// One, a half, and two, of elements of 8 << size bits.
constexpr uint64_t fp_one(unsigned size) {
    return size == 3 ? 0x3ff0'0000'0000'0000 : size == 2 ? 0x3f80'0000 : 0x3c00;
}
constexpr uint64_t fp_half(unsigned size) {
    return size == 3 ? 0x3fe0'0000'0000'0000 : size == 2 ? 0x3f00'0000 : 0x3800;
}
constexpr uint64_t fp_two(unsigned size) {
    return size == 3 ? 0x4000'0000'0000'0000 : size == 2 ? 0x4000'0000 : 0x4000;
}
/// The operand of FADD (immediate) and others: of each pair, which `k` names, the one that `second` says.
constexpr uint64_t fp_operand(unsigned size, unsigned k, bool second) {
    if (!second) return k == 2 ? 0 : fp_half(size);
    return k == 1 ? fp_two(size) : fp_one(size);
}

}  // namespace arclight::frontend::a64::scalable
