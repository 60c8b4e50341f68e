// SVE2: integers of two sizes. Narrow elements are the lower ("bottom") or the upper ("top") halves of wide ones.
#include "frontend/a64/scalable/variants.h"
#include "frontend/a64/scalable/wide.h"

namespace arclight::frontend::a64::scalable {

namespace {
Wide combined(unsigned operation, Wide a, Wide b) {
    switch (operation) {
        case kLongAdd: return a + b;
        case kLongSub: return a - b;
        case kLongAbsDiff: return a > b ? a - b : b - a;
        case kLongDoubled: return 2 * a * b;
        default: return a * b;
    }
}
}  // namespace

/// Wide results of narrow operands (LongBits); x: the element imm of each 128 bits of m.
void LongBinary(Machine& m) {
    const unsigned operation = m.variant & kLongOperation, narrow = m.size - 1u;
    const bool is_unsigned = (m.variant & kLongUnsigned) != 0, wide_n = (m.variant & kLongWideN) != 0;
    const unsigned top_n = (m.variant & kLongTopN) != 0, top_m = (m.variant & kLongTopM) != 0;
    const Vector acc = m.z(m.d), n = m.z(m.n), v = m.z(m.m);
    each(m, [&](unsigned i) {
        const Wide a = wide_n ? read(n, m.size, i, is_unsigned) : read(n, narrow, 2 * i + top_n, is_unsigned);
        const unsigned at = m.x != 0 ? element_of_segment(narrow, 2 * i, m.imm) : 2 * i + top_m;
        Wide r = combined(operation, a, read(v, narrow, at, is_unsigned));
        const bool saturates = operation == kLongDoubled;
        if (saturates) r = sign_extend(m.size, saturated(m.size, false, r));
        if ((m.variant & kLongSubtract) != 0) r = -r;
        if ((m.variant & (kLongAccumulate | kLongSubtract)) != 0) r += read(acc, m.size, i, false);
        return saturates ? saturated(m.size, false, r) : static_cast<uint64_t>(r);
    });
}

/// The upper halves of sums, or (kNarrowSub) differences; size: of the operands.
void NarrowHigh(Machine& m) {
    const Vector a = m.z(m.n), b = m.z(m.m);
    const unsigned width = 4u << m.size, top = (m.variant & kNarrowTop) != 0;
    Vector r = top != 0 ? m.z(m.d) : Vector{};
    for (unsigned i = 0; i < m.elements(); ++i) {
        const uint64_t x = a.get(m.size, i), y = b.get(m.size, i);
        uint64_t sum = (m.variant & kNarrowSub) != 0 ? x - y : x + y;
        if ((m.variant & kNarrowRound) != 0) sum += uint64_t{1} << (width - 1);
        r.set(m.size - 1u, 2 * i + top, sum >> width);
    }
    m.set_z(m.d, r);
}

/// Shifted to the right by imm (ShiftBits); size: of the results.
void NarrowShift(Machine& m) {
    const Vector n = m.z(m.n);
    const unsigned top = (m.variant & kShiftTop) != 0;
    Vector r = top != 0 ? m.z(m.d) : Vector{};
    for (unsigned i = 0; i < m.elements() / 2; ++i) {
        const Wide wide = read(n, m.size + 1u, i, (m.variant & kShiftUnsigned) != 0);
        const Wide e = shifted(wide, -static_cast<int>(m.imm), (m.variant & kShiftRound) != 0);
        const bool to_unsigned = (m.variant & (kShiftUnsigned | kShiftToUnsigned)) != 0;
        r.set(
            m.size, 2 * i + top,
            (m.variant & kShiftSaturate) != 0 ? saturated(m.size, to_unsigned, e) : static_cast<uint64_t>(e));
    }
    m.set_z(m.d, r);
}
/// To the left by imm; size: of the operands.
void LongShift(Machine& m) {
    const Vector n = m.z(m.n);
    const unsigned top = (m.variant & kShiftTop) != 0;
    Vector r;
    for (unsigned i = 0; i < m.elements() / 2; ++i) {
        const Wide e = read(n, m.size, 2 * i + top, (m.variant & kShiftUnsigned) != 0);
        r.set(m.size + 1u, i, static_cast<uint64_t>(e << m.imm));
    }
    m.set_z(m.d, r);
}

/// d += both halves of n; variant 1: unsigned.
void PairwiseAccumulate(Machine& m) {
    const Vector acc = m.z(m.d), n = m.z(m.n);
    const unsigned narrow = m.size - 1u;
    merge(m, [&](unsigned i) {
        const Wide sum = read(n, narrow, 2 * i, m.variant == 1) + read(n, narrow, 2 * i + 1, m.variant == 1);
        return acc.get(m.size, i) + static_cast<uint64_t>(sum);
    });
}
/// Of neighbours in d, then in m, by turns.
void PairwiseMerging(Machine& m) {
    const Vector d = m.z(m.d), v = m.z(m.m);
    merge(m, [&](unsigned i) {
        const Vector& from = i % 2 != 0 ? v : d;
        const bool is_unsigned = m.variant != kMaxS && m.variant != kMinS;
        const Wide a = read(from, m.size, i & ~1u, is_unsigned), b = read(from, m.size, i | 1, is_unsigned);
        switch (m.variant) {
            case kMaxS:
            case kMaxU: return static_cast<uint64_t>(std::max(a, b));
            case kMinS:
            case kMinU: return static_cast<uint64_t>(std::min(a, b));
            default: return static_cast<uint64_t>(a + b);
        }
    });
}

/// Sums of the lower elements of d and (variant 1: the upper) ones of n, and with s of what these lack to all ones. The lowest bits
/// of the upper elements of m are the carries into them, and those of d the carries out.
void AddCarry(Machine& m) {
    const Vector acc = m.z(m.d), n = m.z(m.n), carries = m.z(m.m);
    Vector r;
    for (unsigned i = 0; i < m.elements(); i += 2) {
        uint64_t by = n.get(m.size, i + m.variant);
        if (m.s != 0) by = zero_extend(m.size, ~by);
        const Wide sum = static_cast<Wide>(acc.get(m.size, i)) + by + (carries.get(m.size, i + 1) & 1);
        r.set(m.size, i, static_cast<uint64_t>(sum));
        r.set(m.size, i + 1, static_cast<uint64_t>(sum >> (8u << m.size)));
    }
    m.set_z(m.d, r);
}
/// The lower elements of n and the upper ones of m, to the lower ones of d; variant 1: upper, lower and upper.
void XorInterleaved(Machine& m) {
    const Vector n = m.z(m.n), v = m.z(m.m);
    Vector r = m.z(m.d);
    for (unsigned i = 0; i < m.elements(); i += 2)
        r.set(m.size, i + m.variant, n.get(m.size, i + m.variant) ^ v.get(m.size, i + 1 - m.variant));
    m.set_z(m.d, r);
}

}  // namespace arclight::frontend::a64::scalable
