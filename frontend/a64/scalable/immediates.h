// Immediates of scalable instructions as elements.
#pragma once

#include <cstdint>
#include <optional>

#include "frontend/a64/logical_mask.h"

namespace arclight::frontend::a64::scalable {

/// VFPExpandImm (ARM ARM J1), for elements of 8 << size bits, 1 to 3.
constexpr uint64_t fp_immediate(unsigned size, uint32_t imm) {
    const uint64_t sign = imm >> 7 & 1, b = imm >> 6 & 1, low = imm & 0x3f;
    if (size == 3) return sign << 63 | (b ^ 1) << 62 | (b != 0 ? uint64_t{0xff} : 0) << 54 | low << 48;
    if (size == 2) return sign << 31 | (b ^ 1) << 30 | (b != 0 ? uint64_t{0x1f} : 0) << 25 | low << 19;
    return sign << 15 | (b ^ 1) << 14 | (b != 0 ? uint64_t{3} : 0) << 12 | low << 6;
}

/// logical_mask() of N:immr:imms, which a 64-bit element has.
constexpr std::optional<uint64_t> bitwise_immediate(uint32_t imm) {
    return logical_mask(true, imm >> 12 != 0, imm >> 6 & 63, imm & 63);
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
