// Internal to the floating point and vector emitters: bit patterns and instructions by element size.
#pragma once

#include "backend/x64/types.h"

namespace arclight::backend::simd {

using Cg = Xbyak::CodeGenerator;
using Vex3 = void (Cg::*)(const Xmm&, const Xmm&, const Operand&);
using VexFp3 = void (Cg::*)(const Xmm&, const Operand&, const Operand&);

// Instructions by log2 of the element's bytes; null where x86 has none.
using Vex3ByWidth = Vex3[4];
inline constexpr Vex3ByWidth kPackedAdd = {&Cg::vpaddb, &Cg::vpaddw, &Cg::vpaddd, &Cg::vpaddq};
inline constexpr Vex3ByWidth kPackedSub = {&Cg::vpsubb, &Cg::vpsubw, &Cg::vpsubd, &Cg::vpsubq};
inline constexpr Vex3ByWidth kMaxS = {&Cg::vpmaxsb, &Cg::vpmaxsw, &Cg::vpmaxsd, nullptr};
inline constexpr Vex3ByWidth kMaxU = {&Cg::vpmaxub, &Cg::vpmaxuw, &Cg::vpmaxud, nullptr};
inline constexpr Vex3ByWidth kMinS = {&Cg::vpminsb, &Cg::vpminsw, &Cg::vpminsd, nullptr};
inline constexpr Vex3ByWidth kMinU = {&Cg::vpminub, &Cg::vpminuw, &Cg::vpminud, nullptr};
inline constexpr Vex3ByWidth kEq = {&Cg::vpcmpeqb, &Cg::vpcmpeqw, &Cg::vpcmpeqd, &Cg::vpcmpeqq};
inline constexpr Vex3ByWidth kGt = {&Cg::vpcmpgtb, &Cg::vpcmpgtw, &Cg::vpcmpgtd, &Cg::vpcmpgtq};
inline constexpr Vex3ByWidth kLow = {&Cg::vpunpcklbw, &Cg::vpunpcklwd, &Cg::vpunpckldq, &Cg::vpunpcklqdq};
inline constexpr Vex3ByWidth kHigh = {&Cg::vpunpckhbw, &Cg::vpunpckhwd, &Cg::vpunpckhdq, &Cg::vpunpckhqdq};

constexpr uint64_t bytes(uint64_t v) { return (v & 0xff) * 0x0101'0101'0101'0101; }
constexpr uint64_t halves(uint64_t v) { return (v & 0xffff) * 0x0001'0001'0001'0001; }
constexpr uint64_t words(uint64_t v) { return (v & 0xffff'ffff) * 0x0000'0001'0000'0001; }
/// `v`, truncated, in each element of 8 << esize bits.
constexpr uint64_t each(unsigned esize, uint64_t v) {
    return esize == 0 ? bytes(v) : esize == 1 ? halves(v) : esize == 2 ? words(v) : v;
}
constexpr unsigned bits_of(unsigned esize) { return 8u << esize; }
constexpr uint64_t sign_bits(unsigned esize) { return each(esize, uint64_t{1} << (bits_of(esize) - 1)); }
/// A byte shuffle that zeroes.
constexpr uint64_t kZeroBytes = bytes(0x80);

// Floating point numbers by format.
constexpr uint64_t sign_of(bool is_double) { return is_double ? uint64_t{1} << 63 : words(0x8000'0000); }
constexpr uint64_t one(bool is_double) { return is_double ? 0x3ff0'0000'0000'0000 : words(0x3f80'0000); }
constexpr uint64_t half(bool is_double) { return is_double ? 0x3fe0'0000'0000'0000 : words(0x3f00'0000); }
constexpr uint64_t two(bool is_double) { return is_double ? 0x4000'0000'0000'0000 : words(0x4000'0000); }
/// 2^exp, for normal numbers.
constexpr uint64_t power(bool is_double, int exp) {
    return is_double ? static_cast<uint64_t>(1023 + exp) << 52
                     : words(static_cast<uint64_t>(127 + exp) << 23);
}
/// From here on all numbers are integral.
constexpr uint64_t all_integral(bool is_double) { return power(is_double, is_double ? 52 : 23); }

// Comparison predicates: ordered, and whether a quiet NaN signals.
inline constexpr uint8_t kEqQuiet = 0x00, kGeSignals = 0x0d, kGtSignals = 0x0e, kGeQuiet = 0x1d,
                         kGtQuiet = 0x1e, kLtQuiet = 0x11;

/// The immediate of vround*: rounds without signalling Inexact, but for Exact. TieAway has none.
constexpr uint8_t round_imm(ir::RoundMode mode) {
    switch (mode) {
        case ir::RoundMode::TieEven: return 8 | 0;
        case ir::RoundMode::Down: return 8 | 1;
        case ir::RoundMode::Up: return 8 | 2;
        case ir::RoundMode::Zero: return 8 | 3;
        case ir::RoundMode::Exact: return 4;
        default: return 8 | 4;
    }
}

}  // namespace arclight::backend::simd
