// Integers: what the IR has no lanes for.
#include <algorithm>

#include "frontend/a64/scalable/machine.h"
#include "frontend/a64/scalable/variants.h"

namespace arclight::frontend::a64::scalable {

namespace {
uint64_t reversed(uint64_t value, unsigned size, unsigned unit) {
    uint64_t r = 0;
    const unsigned units = (8u << size) / unit;
    const uint64_t mask = (uint64_t{1} << unit) - 1;
    for (unsigned i = 0; i < units; ++i) r |= (value >> (i * unit) & mask) << ((units - 1 - i) * unit);
    return r;
}

int64_t divided(unsigned size, int64_t a, int64_t b) {
    if (b == 0) return 0;
    if (b == -1) return sign_extend(size, -static_cast<uint64_t>(a));
    return a / b;
}

/// Of elements a and b of 8 << size bits; shifts by b, of 64 bits.
uint64_t element(unsigned op, unsigned size, uint64_t a, uint64_t b) {
    const unsigned width = 8u << size;
    const int64_t sa = sign_extend(size, a), sb = sign_extend(size, b);
    switch (op) {
        case kMultiply: return a * b;
        case kMulHighS: return static_cast<uint64_t>((static_cast<__int128>(sa) * sb) >> width);
        case kMulHighU: return static_cast<uint64_t>((static_cast<unsigned __int128>(a) * b) >> width);
        case kDivS: return static_cast<uint64_t>(divided(size, sa, sb));
        case kDivU: return b == 0 ? 0 : a / b;
        case kShiftRightS: return static_cast<uint64_t>(sa >> std::min<uint64_t>(b, width - 1));
        case kShiftRightU: return b >= width ? 0 : a >> b;
        case kShiftLeft: return b >= width ? 0 : a << b;
        case kShiftRightDiv: {
            const __int128 bias = sa < 0 ? (static_cast<__int128>(1) << b) - 1 : 0;
            return static_cast<uint64_t>((sa + bias) >> b);
        }
        case kExtendS8: return static_cast<uint64_t>(sign_extend(0, a));
        case kExtendU8: return zero_extend(0, a);
        case kExtendS16: return static_cast<uint64_t>(sign_extend(1, a));
        case kExtendU16: return zero_extend(1, a);
        case kExtendS32: return static_cast<uint64_t>(sign_extend(2, a));
        case kExtendU32: return zero_extend(2, a);
        case kLeadingSigns: {
            const auto magnitude = static_cast<uint64_t>(sa < 0 ? ~sa : sa);
            return static_cast<uint64_t>(std::countl_zero(magnitude)) - (64 - width) - 1;
        }
        case kLeadingZeros: return static_cast<uint64_t>(std::countl_zero(a)) - (64 - width);
        case kOnes: return static_cast<uint64_t>(std::popcount(a));
        case kIsZero: return a == 0;
        case kNot: return ~a;
        case kReverseBits: return reversed(a, size, 1);
        case kReverse8: return reversed(a, size, 8);
        case kReverse16: return reversed(a, size, 16);
        case kReverse32: return reversed(a, size, 32);
        default: return a;
    }
}

/// The doubleword that lies over element i.
uint64_t wide(const Machine& m, const Vector& v, unsigned i) { return v.get(3, i >> (3 - m.size)); }
}  // namespace

void ElementMerging(Machine& m) {
    const Vector a = m.z(m.d), b = m.z(m.m);
    merge(m, [&](unsigned i) { return element(m.variant, m.size, a.get(m.size, i), b.get(m.size, i)); });
}
void ElementMergingReversed(Machine& m) {
    const Vector a = m.z(m.m), b = m.z(m.d);
    merge(m, [&](unsigned i) { return element(m.variant, m.size, a.get(m.size, i), b.get(m.size, i)); });
}
void ElementOf(Machine& m) {
    const Vector a = m.z(m.n), b = m.z(m.m);
    each(m, [&](unsigned i) { return element(m.variant, m.size, a.get(m.size, i), b.get(m.size, i)); });
}
void ElementUnaryMerging(Machine& m) {
    const Vector a = m.z(m.n);
    merge(m, [&](unsigned i) { return element(m.variant, m.size, a.get(m.size, i), 0); });
}
void ElementImmediateMerging(Machine& m) {
    const Vector a = m.z(m.d);
    merge(m, [&](unsigned i) { return element(m.variant, m.size, a.get(m.size, i), m.imm); });
}
void ElementImmediateOf(Machine& m) {
    const Vector a = m.z(m.n);
    each(m, [&](unsigned i) { return element(m.variant, m.size, a.get(m.size, i), m.imm); });
}
void ElementWideMerging(Machine& m) {
    const Vector a = m.z(m.d), b = m.z(m.m);
    merge(m, [&](unsigned i) { return element(m.variant, m.size, a.get(m.size, i), wide(m, b, i)); });
}
void ElementWideOf(Machine& m) {
    const Vector a = m.z(m.n), b = m.z(m.m);
    each(m, [&](unsigned i) { return element(m.variant, m.size, a.get(m.size, i), wide(m, b, i)); });
}
/// a +- n * by (k: minus).
namespace {
void multiply_add(Machine& m, const Vector& a, const Vector& n, const Vector& by) {
    merge(m, [&](unsigned i) {
        const uint64_t product = n.get(m.size, i) * by.get(m.size, i);
        return m.k != 0 ? a.get(m.size, i) - product : a.get(m.size, i) + product;
    });
}
}  // namespace
void IntegerMultiplyAccumulate(Machine& m) { multiply_add(m, m.z(m.d), m.z(m.n), m.z(m.m)); }
void IntegerMultiplyAdd(Machine& m) { multiply_add(m, m.z(m.a), m.z(m.d), m.z(m.m)); }
void MultiplyImmediate(Machine& m) {
    const Vector a = m.z(m.d);
    each(m, [&](unsigned i) { return a.get(m.size, i) * static_cast<uint64_t>(sign_extend(0, m.imm)); });
}
/// With a doubleword as the second operand; variant: bit 0 unsigned, bits 2:1 equal, not equal, greater or equal, greater,
/// then less, less or equal.
void CompareWide(Machine& m) {
    const Vector a = m.z(m.n), b = m.z(m.m);
    const uint64_t g = m.governing();
    uint64_t result = 0;
    for (unsigned i = 0; i < m.elements(); ++i) {
        const uint64_t y = wide(m, b, i), x = a.get(m.size, i);
        const auto sx = sign_extend(m.size, x), sy = static_cast<int64_t>(y);
        const bool is_unsigned = (m.variant & 1) != 0;
        const bool equal = is_unsigned ? x == y : sx == sy, less = is_unsigned ? x < y : sx < sy;
        const bool holds[] = {equal, !equal, !less, !less && !equal, less, less || equal};
        if (holds[m.variant >> 1]) result |= uint64_t{1} << (i << m.size);
    }
    result &= g;
    m.set_p(m.d, result);
    m.set_flags_by(g, result, m.size);
}

void IntegerReduce(Machine& m) {
    const Vector v = m.z(m.n);
    const uint64_t g = m.governing();
    const unsigned width = 8u << m.size;
    const bool is_signed = m.variant == kSumS || m.variant == kMaxS || m.variant == kMinS;
    const uint64_t top = uint64_t{1} << (width - 1), ones = zero_extend(m.size, ~uint64_t{0});
    uint64_t r = 0;
    switch (m.variant) {
        case kMaxS: r = static_cast<uint64_t>(sign_extend(m.size, top)); break;
        case kMinS: r = top - 1; break;
        case kMinU:
        case kAnd: r = ones; break;
        default: break;
    }
    for (unsigned i = 0; i < m.elements(); ++i) {
        if (!Machine::active(g, m.size, i)) continue;
        const uint64_t e = is_signed ? static_cast<uint64_t>(v.get_signed(m.size, i)) : v.get(m.size, i);
        switch (m.variant) {
            case kSumS:
            case kSumU: r += e; break;
            case kMaxS:
                r = static_cast<uint64_t>(std::max(static_cast<int64_t>(r), static_cast<int64_t>(e)));
                break;
            case kMinS:
                r = static_cast<uint64_t>(std::min(static_cast<int64_t>(r), static_cast<int64_t>(e)));
                break;
            case kMaxU: r = std::max(r, e); break;
            case kMinU: r = std::min(r, e); break;
            case kOr: r |= e; break;
            case kXor: r ^= e; break;
            default: r &= e; break;
        }
    }
    const bool sum = m.variant == kSumS || m.variant == kSumU;
    m.set_scalar(m.d, sum ? 3 : m.size, r);
}

/// base + i * step; x: the base is a register.
namespace {
uint64_t five_bits(uint32_t field) { return static_cast<uint64_t>(static_cast<int64_t>(field ^ 16) - 16); }
void index(Machine& m, uint64_t step) {
    const uint64_t base = m.x != 0 ? m.x_or_zero(m.n) : five_bits(m.imm);
    each(m, [&](unsigned i) { return base + i * step; });
}
}  // namespace
void Index(Machine& m) { index(m, five_bits(m.k)); }
void IndexByScalar(Machine& m) { index(m, m.x_or_zero(m.m)); }
/// imm: the shift; variant: 0 packed, 1 of signed words, 2 of unsigned words.
void Address(Machine& m) {
    const Vector n = m.z(m.n), offsets = m.z(m.m);
    each(m, [&](unsigned i) {
        uint64_t offset = offsets.get(m.size, i);
        if (m.variant == 1) offset = static_cast<uint64_t>(sign_extend(2, offset));
        if (m.variant == 2) offset = zero_extend(2, offset);
        return n.get(m.size, i) + (offset << m.imm);
    });
}
/// Dot products of four elements of a quarter of the size; bit 0: n is unsigned, bit 1: m is; x: the element imm of m.
void Dot(Machine& m) {
    const Vector acc = m.z(m.d), n = m.z(m.n), v = m.z(m.m);
    const unsigned narrow = m.size - 2, in_segment = 16u >> m.size;
    each(m, [&](unsigned i) {
        const unsigned j = m.x != 0 ? i / in_segment * in_segment + m.imm : i;
        uint64_t sum = acc.get(m.size, i);
        for (unsigned k = 0; k < 4; ++k) {
            const int64_t a = (m.variant & 1) != 0 ? static_cast<int64_t>(n.get(narrow, 4 * i + k))
                                                   : n.get_signed(narrow, 4 * i + k);
            const int64_t b = (m.variant & 2) != 0 ? static_cast<int64_t>(v.get(narrow, 4 * j + k))
                                                   : v.get_signed(narrow, 4 * j + k);
            sum += static_cast<uint64_t>(a * b);
        }
        return sum;
    });
}

// ---- lengths and counts

void AddVectorLength(Machine& m) {
    m.set_x_or_sp(m.d,
                  m.x_or_sp(m.n) + static_cast<uint64_t>((static_cast<int64_t>(m.imm ^ 32) - 32) * m.bytes));
}
void AddPredicateLength(Machine& m) {
    m.set_x_or_sp(
        m.d, m.x_or_sp(m.n) + static_cast<uint64_t>((static_cast<int64_t>(m.imm ^ 32) - 32) * m.bytes / 8));
}
void ReadVectorLength(Machine& m) {
    m.set_x(m.d, static_cast<uint64_t>((static_cast<int64_t>(m.imm ^ 32) - 32) * m.bytes));
}

namespace {
/// SatQ of a value of 8 << size bits plus or minus a count.
uint64_t saturating(unsigned size, uint64_t value, uint64_t count, unsigned bits) {
    const unsigned width = 8u << size;
    const bool is_unsigned = (bits & kUnsigned) != 0;
    const auto from = is_unsigned ? static_cast<__int128>(zero_extend(size, value))
                                  : static_cast<__int128>(sign_extend(size, value));
    const __int128 r = (bits & kDown) != 0 ? from - count : from + count;
    const __int128 lowest = is_unsigned ? 0 : -(static_cast<__int128>(1) << (width - 1));
    const __int128 highest = (static_cast<__int128>(1) << (is_unsigned ? width : width - 1)) - 1;
    return static_cast<uint64_t>(std::clamp(r, lowest, highest));
}
/// Of a scalar: a word's result is extended as it is signed.
void saturate_x(Machine& m, uint64_t count) {
    const unsigned size = (m.variant & kWide) != 0 ? 3 : 2;
    const uint64_t r = saturating(size, m.x_or_zero(m.d), count, m.variant);
    m.set_x(m.d, (m.variant & kUnsigned) != 0 ? zero_extend(size, r) : r);
}
uint64_t pattern_elements(const Machine& m) { return m.pattern_count(m.k, m.size) * uint64_t{m.imm + 1}; }
uint64_t true_elements(const Machine& m) {
    return static_cast<uint64_t>(std::popcount(m.p(m.n) & m.element_bits(m.size)));
}
uint64_t moved(const Machine& m, uint64_t value, uint64_t count) {
    return (m.variant & kDown) != 0 ? value - count : value + count;
}
void move_each(Machine& m, uint64_t count) {
    const Vector v = m.z(m.d);
    each(m, [&](unsigned i) { return moved(m, v.get(m.size, i), count); });
}
void saturate_each(Machine& m, uint64_t count) {
    const Vector v = m.z(m.d);
    each(m, [&](unsigned i) { return saturating(m.size, v.get(m.size, i), count, m.variant); });
}
}  // namespace

/// An immediate that is not negative, shifted by 8 (s).
void SaturateImmediate(Machine& m) { saturate_each(m, uint64_t{m.imm} << (m.s != 0 ? 8 : 0)); }
void CountElements(Machine& m) { m.set_x(m.d, pattern_elements(m)); }
void CountScalar(Machine& m) { m.set_x(m.d, moved(m, m.x_or_zero(m.d), pattern_elements(m))); }
void CountScalarSaturating(Machine& m) { saturate_x(m, pattern_elements(m)); }
void CountVector(Machine& m) { move_each(m, pattern_elements(m)); }
void CountVectorSaturating(Machine& m) { saturate_each(m, pattern_elements(m)); }
void CountTrue(Machine& m) {
    m.set_x(m.d, static_cast<uint64_t>(std::popcount(m.p(m.n) & m.p(m.g) & m.element_bits(m.size))));
}
void TrueScalar(Machine& m) { m.set_x(m.d, moved(m, m.x_or_zero(m.d), true_elements(m))); }
void TrueScalarSaturating(Machine& m) { saturate_x(m, true_elements(m)); }
void TrueVector(Machine& m) { move_each(m, true_elements(m)); }
void TrueVectorSaturating(Machine& m) { saturate_each(m, true_elements(m)); }

}  // namespace arclight::frontend::a64::scalable
