// Elements of scalable vectors in other places, with AVX-512. Words and doublewords are picked by constants of their numbers; bytes and
// halfwords, for which such constants would be as long as vectors, are extended, narrowed or shifted.
#include "backend/x64/scalable_emitter.h"
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;
using ir::Lanes;
using Xbyak::Ymm;
using Xbyak::Zmm;

void ScalableEmitter::permute() {
    switch (s_.op) {
        case Lanes::Table: return look_up();
        case Lanes::Extract: return extract();
        case Lanes::Reverse: return reverse();
        default: break;
    }
    if (s_.size >= 2) return permute_wide();
    switch (s_.op) {
        case Lanes::Zip1:
        case Lanes::Zip2: return zip(s_.op == Lanes::Zip2);
        case Lanes::Uzp1:
        case Lanes::Uzp2: return unzip(s_.op == Lanes::Uzp2);
        default: return transpose(s_.op == Lanes::Trn2);
    }
}

/// By the numbers of words or doublewords of n, behind which are those of m.
void ScalableEmitter::permute_wide() {
    const unsigned count = s_.elements();
    uint64_t numbers[2] = {};
    for (unsigned i = 0; i < count; ++i) {
        unsigned from = 0;
        switch (s_.op) {
            case Lanes::Zip1:
            case Lanes::Zip2: from = i / 2 + i % 2 * count + (s_.op == Lanes::Zip2 ? count / 2 : 0); break;
            case Lanes::Uzp1:
            case Lanes::Uzp2: from = 2 * i + (s_.op == Lanes::Uzp2); break;
            case Lanes::Trn1: from = (i & ~1u) + i % 2 * count; break;
            case Lanes::Trn2: from = (i | 1u) + i % 2 * count; break;
            default: from = count - 1 - i; break;
        }
        numbers[i / 8] |= uint64_t{from} << i % 8 * 8;
    }
    const Xmm& first = s_.op == Lanes::Reverse ? m_ : n_;
    const Address constant = ctx_.constants.address(numbers[0], numbers[1]);
    if (s_.size == 2) {
        as_.vpmovzxbd(result_, constant);
        as_.vpermi2d(result_, first, m_);
    } else {
        as_.vpmovzxbq(result_, constant);
        as_.vpermi2q(result_, first, m_);
    }
}

void ScalableEmitter::zip(bool upper) {
    const Xmm &r = result_, t = vector(kTemporary);
    const auto extend = [&](const Xmm& to, const Xmm& from) {
        s_.size == 0 ? as_.vpmovzxbw(to, from) : as_.vpmovzxwd(to, from);
    };
    extend(r, half_of(n_, upper));
    extend(t, half_of(m_, upper));
    s_.size == 0 ? as_.vpsllw(t, t, 8) : as_.vpslld(t, t, 16);
    as_.vporq(r, r, t);
}

void ScalableEmitter::unzip(bool odd) {
    const int r = result_.getIdx(), t = kTemporary;
    const auto narrow = [&](int to, const Xmm& from) {
        Xmm all = from;
        if (odd) {
            all = vector(to);
            s_.size == 0 ? as_.vpsrlw(all, from, 8) : as_.vpsrld(all, from, 16);
        }
        const Xmm half = s_.length == 2 ? Ymm(to) : Xmm(to);
        s_.size == 0 ? as_.vpmovwb(half, all) : as_.vpmovdw(half, all);
    };
    narrow(r, n_);
    narrow(t, m_);
    if (s_.length == 2)
        as_.vinserti64x4(Zmm(r), Zmm(r), Ymm(t), 1);
    else if (s_.length == 1)
        as_.vinserti32x4(Ymm(r), Ymm(r), Xmm(t), 1);
    else
        as_.vpunpcklqdq(Xmm(r), Xmm(r), Xmm(t));
}

void ScalableEmitter::transpose(bool odd) {
    const Xmm &r = result_, t = vector(kTemporary), low = vector(kBroadcast);
    const auto bits = static_cast<uint8_t>(bits_of(s_.size));
    const auto moved = [&](const Xmm& to, const Xmm& from, bool left) {
        if (s_.size == 0) return left ? as_.vpsllw(to, from, bits) : as_.vpsrlw(to, from, bits);
        left ? as_.vpslld(to, from, bits) : as_.vpsrld(to, from, bits);
    };
    as_.vpbroadcastq(low, ctx_.constants.address(each(s_.size + 1, (1u << bits) - 1), 0));
    // Where `low` is set the first, else the second.
    constexpr uint8_t kSelect = 0xe4;
    if (odd) {
        moved(r, n_, false);
        as_.vpternlogq(r, m_, low, kSelect);
    } else {
        moved(t, m_, true);
        as_.vmovdqa64(r, n_);
        as_.vpternlogq(r, t, low, kSelect);
    }
}

void ScalableEmitter::look_up() {
    const Xmm &n = n_, &m = m_, limit = vector(kBroadcast);
    constexpr uint8_t kLess = 1;
    as_.vpbroadcastq(limit, ctx_.constants.address(each(s_.size, s_.elements()), 0));
    switch (s_.size) {
        case 0: as_.vpcmpub(k2, m, limit, kLess); break;
        case 1: as_.vpcmpuw(k2, m, limit, kLess); break;
        case 2: as_.vpcmpud(k2, m, limit, kLess); break;
        default: as_.vpcmpuq(k2, m, limit, kLess); break;
    }
    if (s_.size == 0) return as_.vpermb(result_ | k2 | T_z, m, n);
    if (s_.size == 1) return as_.vpermw(result_ | k2 | T_z, m, n);
    // There are none of 128 bits.
    const auto pick = [&](const auto& to, const auto& numbers, const auto& table) {
        s_.size == 2 ? as_.vpermd(to, numbers, table) : as_.vpermq(to, numbers, table);
    };
    const int r = result_.getIdx();
    if (s_.length == 2) return pick(Zmm(r) | k2 | T_z, Zmm(m.getIdx()), Zmm(n.getIdx()));
    pick(Ymm(r) | k2 | T_z, Ymm(m.getIdx()), Ymm(n.getIdx()));
}

void ScalableEmitter::reverse() {
    if (s_.size >= 2) return permute_wide();
    // Doublewords, and what is in each.
    const unsigned size = s_.size;
    s_.size = 3;
    permute_wide();
    s_.size = static_cast<uint8_t>(size);
    constexpr uint64_t kBytes = 0x0001'0203'0405'0607, kHalves = 0x0100'0302'0504'0706;
    const uint64_t order = size == 0 ? kBytes : kHalves;
    const Xmm t = vector(kTemporary);
    const Address constant = ctx_.constants.address(order, order + bytes(8));
    if (s_.length == 0)
        as_.vmovdqu64(t, constant);
    else if (s_.length == 1)
        as_.vbroadcasti32x4(Ymm(kTemporary), constant);
    else
        as_.vbroadcasti32x4(Zmm(kTemporary), constant);
    as_.vpshufb(result_, result_, t);
}

void ScalableEmitter::extract() {
    const Xmm &n = n_, &m = m_, &r = result_, t = vector(kTemporary);
    const unsigned by = static_cast<uint8_t>(s_.imm), segment = by / 16, rest = by % 16;
    const auto words = [](unsigned bytes) { return static_cast<uint8_t>(bytes / 4); };
    if (s_.length == 0) return as_.vpalignr(r, m, n, static_cast<uint8_t>(by));
    if (by % 4 == 0) return as_.valignd(r, m, n, words(by));
    // Each 128 bits are of two of those that are there.
    Xmm low = n, high = m;
    if (segment != 0) {
        low = t;
        as_.valignd(low, m, n, words(16 * segment));
    }
    if (16 * (segment + 1) < s_.bytes()) {
        high = r;
        as_.valignd(high, m, n, words(16 * (segment + 1)));
    }
    as_.vpalignr(r, high, low, static_cast<uint8_t>(rest));
}

}  // namespace arclight::backend
