// SVE2: products of one size, polynomial ones, and complex integers: pairs of real and imaginary part.
#include "frontend/a64/scalable/variants.h"
#include "frontend/a64/scalable/wide.h"

namespace arclight::frontend::a64::scalable {

namespace {
/// (acc << width) + 2 * product, rounded, its upper half.
uint64_t doubled_high(unsigned size, Wide acc, Wide product, bool rounding) {
    const unsigned width = 8u << size;
    // Twice a product of doublewords, and more, may need 129 bits: halves of all.
    const Wide sum = (acc << (width - 1)) + product + (rounding ? static_cast<Wide>(1) << (width - 2) : 0);
    return saturated(size, false, sum >> (width - 1));
}
}  // namespace

/// x: by the element imm of each 128 bits of m.
void Multiply(Machine& m) {
    const Vector acc = m.z(m.d), n = m.z(m.n), v = m.z(m.m);
    each(m, [&](unsigned i) {
        const Wide a = read(n, m.size, i, false);
        const Wide b = read(v, m.size, m.x != 0 ? element_of_segment(m.size, i, m.imm) : i, false);
        const Wide c = read(acc, m.size, i, false), product = a * b;
        switch (m.variant) {
            case kProductAdd: return static_cast<uint64_t>(c + product);
            case kProductSub: return static_cast<uint64_t>(c - product);
            case kDoubledHigh: return doubled_high(m.size, 0, product, false);
            case kDoubledHighRound: return doubled_high(m.size, 0, product, true);
            case kDoubledHighAdd: return doubled_high(m.size, c, product, true);
            case kDoubledHighSub: return doubled_high(m.size, c, -product, true);
            default: return static_cast<uint64_t>(product);
        }
    });
}

/// d += |n - m|; variant 1: unsigned.
void AbsoluteDifferenceAccumulate(Machine& m) {
    const Vector acc = m.z(m.d), n = m.z(m.n), v = m.z(m.m);
    each(m, [&](unsigned i) {
        const Wide a = read(n, m.size, i, m.variant == 1), b = read(v, m.size, i, m.variant == 1);
        return acc.get(m.size, i) + static_cast<uint64_t>(a > b ? a - b : b - a);
    });
}

namespace {
/// The product without carries, of 64 bits.
unsigned __int128 polynomial_product(uint64_t a, uint64_t b) {
    unsigned __int128 r = 0;
    for (; b != 0; b &= b - 1) r ^= static_cast<unsigned __int128>(a) << std::countr_zero(b);
    return r;
}
}  // namespace
void PolynomialMultiply(Machine& m) {
    const Vector n = m.z(m.n), v = m.z(m.m);
    each(m, [&](unsigned i) {
        return static_cast<uint64_t>(polynomial_product(n.get(m.size, i), v.get(m.size, i)));
    });
}
/// Of the lower or (variant 1) the upper halves; size: of the results, up to 128 bits.
void PolynomialLong(Machine& m) {
    const Vector n = m.z(m.n), v = m.z(m.m);
    const unsigned narrow = m.size - 1u;
    Vector r;
    for (unsigned i = 0; i < m.elements(); ++i) {
        const unsigned at = 2 * i + m.variant;
        const unsigned __int128 product = polynomial_product(n.get(narrow, at), v.get(narrow, at));
        std::memcpy(r.b + (i << m.size), &product, size_t{1} << m.size);
    }
    m.set_z(m.d, r);
}

// ---- complex numbers; k: a rotation by so many quarters

/// d + m rotated by 90 degrees, or (k: 1) 270; s: saturating.
void ComplexAdd(Machine& m) {
    const Vector a = m.z(m.d), b = m.z(m.m);
    each(m, [&](unsigned i) {
        const bool minus = (i % 2 == 0) == (m.k == 0);
        const Wide x = read(a, m.size, i, false), y = read(b, m.size, i ^ 1, false);
        const Wide r = minus ? x - y : x + y;
        return m.s != 0 ? saturated(m.size, false, r) : static_cast<uint64_t>(r);
    });
}
/// d += n * m, of which each half takes one of the two products; s: doubled, rounded and saturated to the upper half; x: the pair imm
/// of each 128 bits of m.
void ComplexMultiplyAdd(Machine& m) {
    const Vector acc = m.z(m.d), n = m.z(m.n), v = m.z(m.m);
    const unsigned swaps = m.k & 1;
    each(m, [&](unsigned i) {
        const unsigned pair = i & ~1u, odd = i & 1;
        const unsigned from = m.x != 0 ? element_of_segment(m.size, i, 2 * m.imm) : pair;
        const bool minus = odd != 0 ? m.k >= 2 : (m.k == 1 || m.k == 2);
        const Wide c = read(acc, m.size, i, false);
        Wide product = read(n, m.size, pair + swaps, false) * read(v, m.size, from + (odd ^ swaps), false);
        if (minus) product = -product;
        return m.s != 0 ? doubled_high(m.size, c, product, true) : static_cast<uint64_t>(c + product);
    });
}
/// d += the real (k: 0, 2) or the imaginary part of two products of elements of a quarter of the size; x: the four of imm.
void ComplexDot(Machine& m) {
    const Vector acc = m.z(m.d), n = m.z(m.n), v = m.z(m.m);
    const unsigned narrow = m.size - 2u, swaps = m.k & 1;
    const bool minus = m.k == 0 || m.k == 3;
    each(m, [&](unsigned i) {
        const unsigned j = m.x != 0 ? element_of_segment(m.size, i, m.imm) : i;
        Wide sum = read(acc, m.size, i, false);
        for (unsigned at = 0; at < 4; at += 2) {
            const Wide real = read(n, narrow, 4 * i + at, false) * read(v, narrow, 4 * j + at + swaps, false);
            const Wide imaginary =
                read(n, narrow, 4 * i + at + 1, false) * read(v, narrow, 4 * j + at + 1 - swaps, false);
            sum += minus ? real - imaginary : real + imaginary;
        }
        return static_cast<uint64_t>(sum);
    });
}

}  // namespace arclight::frontend::a64::scalable
