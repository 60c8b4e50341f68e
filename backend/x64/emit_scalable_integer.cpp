// Integers in scalable vectors, with AVX-512: rotations, dot products, and reductions to one element.
#include <algorithm>

#include "backend/x64/scalable_emitter.h"
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;
using ir::Lanes;
using Xbyak::Ymm;
using Xbyak::Zmm;

/// To the right, or to the left if `by` is negative, of elements of 16 to 64 bits.
void ScalableEmitter::shift(const Xmm& to, const Xmm& from, unsigned size, int by, bool is_signed) {
    const auto bits = static_cast<uint8_t>(by < 0 ? -by : by);
    switch (size) {
        case 1:
            if (by < 0) return as_.vpsllw(to, from, bits);
            return is_signed ? as_.vpsraw(to, from, bits) : as_.vpsrlw(to, from, bits);
        case 2:
            if (by < 0) return as_.vpslld(to, from, bits);
            return is_signed ? as_.vpsrad(to, from, bits) : as_.vpsrld(to, from, bits);
        default:
            if (by < 0) return as_.vpsllq(to, from, bits);
            return is_signed ? as_.vpsraq(to, from, bits) : as_.vpsrlq(to, from, bits);
    }
}

/// The even or odd elements of half of 8 << size bits, extended to all of them.
void ScalableEmitter::every_other(const Xmm& to, const Xmm& from, unsigned size, bool odd, bool is_signed) {
    const auto half = static_cast<int>(bits_of(size) / 2);
    if (!odd) shift(to, from, size, -half, false);
    shift(to, odd ? from : to, size, half, is_signed);
}

void ScalableEmitter::shift_by_constant() {
    const Xmm &r = result_, mask = vector(kBroadcast);
    const bool left = s_.op == Lanes::Shl, is_signed = s_.op == Lanes::ShrS;
    const int by = static_cast<uint8_t>(s_.imm);
    if (s_.size != 0) return shift(r, n_, s_.size, left ? -by : by, is_signed);
    // By halfwords, without what comes from the byte beside.
    const int bits = is_signed ? std::min(by, 7) : by;
    shift(r, n_, 1, left ? -bits : bits, false);
    const uint64_t kept = left ? uint64_t{0xff} << bits : uint64_t{0xff} >> bits;
    as_.vpbroadcastq(mask, ctx_.constants.address(bytes(kept), 0));
    as_.vpandq(r, r, mask);
    if (!is_signed) return;
    as_.vpbroadcastq(mask, ctx_.constants.address(bytes(uint64_t{0x80} >> bits), 0));
    as_.vpxorq(r, r, mask);
    as_.vpsubb(r, r, mask);
}

void ScalableEmitter::compact() {
    const Xmm to = result_ | mask_ | T_z;
    s_.size == 2 ? as_.vpcompressd(to, m_) : as_.vpcompressq(to, m_);
    store_result();
}

void ScalableEmitter::xor_rotate() {
    const Xmm &r = result_, t = vector(kTemporary), low = vector(kBroadcast);
    const unsigned width = bits_of(s_.size), by = static_cast<uint8_t>(s_.imm);
    as_.vpxorq(r, n_, m_);
    if (by == width) return;
    if (s_.size == 2) return as_.vprord(r, r, static_cast<uint8_t>(by));
    if (s_.size == 3) return as_.vprorq(r, r, static_cast<uint8_t>(by));
    as_.vpsrlw(t, r, static_cast<uint8_t>(by));
    as_.vpsllw(r, r, static_cast<uint8_t>(width - by));
    if (s_.size == 1) return as_.vporq(r, r, t);
    // Bits of bytes beside them are in both.
    constexpr uint8_t kSecondWhereSet = 0xd8;
    as_.vpbroadcastq(low, ctx_.constants.address(bytes(0xffu >> by), 0));
    as_.vpternlogq(r, t, low, kSecondWhereSet);
}

/// Elements of 8 bits to 32, of 16 bits to 64.
void ScalableEmitter::add_products() {
    const Xmm &r = result_, t = vector(kTemporary);
    const Xmm u = vector(ctx_.copies.take()), w = vector(ctx_.copies.take());
    const bool n_signed = s_.op == Lanes::DotS || s_.op == Lanes::DotSU;
    const bool m_signed = s_.op == Lanes::DotS || s_.op == Lanes::DotUS;
    if (s_.size == 2) {
        // Halfwords, whose products are added in pairs.
        every_other(t, n_, 1, false, n_signed);
        every_other(u, m_, 1, false, m_signed);
        as_.vpmaddwd(t, t, u);
        every_other(u, n_, 1, true, n_signed);
        every_other(w, m_, 1, true, m_signed);
        as_.vpmaddwd(u, u, w);
        as_.vpaddd(t, t, u);
        return as_.vpaddd(r, a_, t);
    }
    if (!n_signed) return add_unsigned_halfwords(t, u, w);
    // Less one: so that the sum of two products of the lowest numbers, 2^31, is none of 32 bits' overflow.
    as_.vpmaddwd(t, n_, m_);
    as_.vpternlogd(u, u, u, 0xff);
    as_.vpaddd(t, t, u);
    every_other(w, t, 3, false, true);
    every_other(t, t, 3, true, true);
    as_.vpaddq(r, a_, t);
    as_.vpaddq(r, r, w);
    as_.vpsubq(r, r, u);
    as_.vpsubq(r, r, u);
}

void ScalableEmitter::add_unsigned_halfwords(const Xmm& t, const Xmm& u, const Xmm& w) {
    const Xmm& r = result_;
    Xmm sum = a_;
    for (const bool odd : {false, true}) {
        every_other(t, n_, 2, odd, false);
        every_other(u, m_, 2, odd, false);
        as_.vpmulld(t, t, u);
        for (const bool upper : {false, true}) {
            every_other(w, t, 3, upper, false);
            as_.vpaddq(r, sum, w);
            sum = r;
        }
    }
}

/// What is reduced, to the temporary: inactive elements change nothing.
Xmm ScalableEmitter::active_or_identity() {
    const Xmm t = vector(kTemporary);
    const unsigned width = bits_of(s_.size);
    const uint64_t ones = ~uint64_t{0}, top = uint64_t{1} << (width - 1);
    uint64_t identity = 0;
    switch (s_.op) {
        case Lanes::ReduceMaxS: identity = each(s_.size, top); break;
        case Lanes::ReduceMinS: identity = each(s_.size, top - 1); break;
        case Lanes::ReduceMinU:
        case Lanes::ReduceAnd: identity = ones; break;
        default: break;
    }
    if (identity != 0) as_.vpbroadcastq(t, ctx_.constants.address(identity, 0));
    const Xmm to = identity != 0 ? t | mask_ : t | mask_ | T_z;
    switch (s_.size) {
        case 0: as_.vmovdqu8(to, m_); break;
        case 1: as_.vmovdqu16(to, m_); break;
        case 2: as_.vmovdqa32(to, m_); break;
        default: as_.vmovdqa64(to, m_); break;
    }
    return t;
}

/// Of elements of 8 << s_.size bits.
void ScalableEmitter::fold(const Xmm& to, const Xmm& a, const Xmm& b) {
    constexpr Vex3ByWidth kMaxSigned = {&Cg::vpmaxsb, &Cg::vpmaxsw, &Cg::vpmaxsd, &Cg::vpmaxsq};
    constexpr Vex3ByWidth kMaxUnsigned = {&Cg::vpmaxub, &Cg::vpmaxuw, &Cg::vpmaxud, &Cg::vpmaxuq};
    constexpr Vex3ByWidth kMinSigned = {&Cg::vpminsb, &Cg::vpminsw, &Cg::vpminsd, &Cg::vpminsq};
    constexpr Vex3ByWidth kMinUnsigned = {&Cg::vpminub, &Cg::vpminuw, &Cg::vpminud, &Cg::vpminuq};
    switch (s_.op) {
        case Lanes::ReduceMaxS: return (as_.*kMaxSigned[s_.size])(to, a, b);
        case Lanes::ReduceMaxU: return (as_.*kMaxUnsigned[s_.size])(to, a, b);
        case Lanes::ReduceMinS: return (as_.*kMinSigned[s_.size])(to, a, b);
        case Lanes::ReduceMinU: return (as_.*kMinUnsigned[s_.size])(to, a, b);
        case Lanes::ReduceOr: return as_.vporq(to, a, b);
        case Lanes::ReduceXor: return as_.vpxorq(to, a, b);
        case Lanes::ReduceAnd: return as_.vpandq(to, a, b);
        default: return as_.vpaddq(to, a, b);
    }
}

void ScalableEmitter::reduce() {
    const Xmm t = active_or_identity(), r = result_;
    const bool is_sum = s_.op == Lanes::ReduceAddS || s_.op == Lanes::ReduceAddU;
    // Sums of pairs, up to 64 bits.
    for (; is_sum && s_.size < 3; ++s_.size) {
        const bool is_signed = s_.op == Lanes::ReduceAddS;
        every_other(r, t, s_.size + 1, false, is_signed);
        every_other(t, t, s_.size + 1, true, is_signed);
        (as_.*kPackedAdd[s_.size + 1])(t, t, r);
    }
    const Xmm low(kTemporary), other(r.getIdx());
    if (s_.length == 2) {
        as_.vextracti64x4(Ymm(r.getIdx()), Zmm(kTemporary), 1);
        fold(Ymm(kTemporary), Ymm(kTemporary), Ymm(r.getIdx()));
    }
    if (s_.length >= 1) {
        as_.vextracti32x4(other, Ymm(kTemporary), 1);
        fold(low, low, other);
    }
    as_.vpshufd(other, low, 0x4e);
    fold(low, low, other);
    if (s_.size <= 2) {
        as_.vpshufd(other, low, 0x55);
        fold(low, low, other);
    }
    for (unsigned size = 2; size > s_.size; --size) {
        shift(other, low, size, static_cast<int>(bits_of(size) / 2), false);
        fold(low, low, other);
    }
    if (s_.size == 3) {
        as_.vmovq(other, low);
    } else {
        as_.vmovd(eax, low);
        if (s_.size == 1) as_.movzx(eax, ax);
        if (s_.size == 0) as_.movzx(eax, al);
        as_.vmovd(other, eax);
    }
    store_result();
}

}  // namespace arclight::backend
