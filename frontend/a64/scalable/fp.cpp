// Floating point: what is ordered, of two sizes, or complex, and the steps of SVE's exponentials and sines.
#include <array>
#include <cmath>

#include "frontend/a64/scalable/fp_format.h"
#include "frontend/a64/scalable/lanes.h"
#include "jit/reference/fp_call.h"
#include "jit/softfloat/convert.h"
#include "jit/softfloat/estimate.h"
#include "jit/softfloat/fixed.h"
#include "jit/softfloat/fused.h"
#include "jit/softfloat/multiply.h"

namespace arclight::frontend::a64::scalable {

namespace sf = jit::softfloat;
using jit::reference::Scope;

namespace {
template <typename F>
typename F::Uint identity(unsigned op) {
    switch (op) {
        case kFpSum: return F::zero(false);
        case kFpMax: return F::infinity(true);
        case kFpMin: return F::infinity(false);
        default: return F::default_nan();
    }
}

/// FPScale.
template <typename F>
typename F::Uint scaled(sf::Environment& env, typename F::Uint a, int64_t by) {
    const sf::Unpacked x = sf::unpack<F>(env, a);
    if (x.nan()) return sf::process_nan<F>(env, x.kind, a);
    if (x.zero()) return F::zero(x.sign);
    if (x.infinite()) return F::infinity(x.sign);
    constexpr int64_t kFar = 4 * F::kMaxBiasedExp;
    sf::note_denormals(env, x);
    return sf::round_pack<F>(env, x.sign, x.exp + static_cast<int>(std::clamp(by, -kFar, kFar)), x.mant,
                             env.rounding);
}
}  // namespace

/// Reduce() of the pseudocode: halves, and their halves.
void FpReduce(Machine& m) {
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(m.state);
        const Vector n = m.z(m.n);
        const uint64_t g = m.governing();
        std::array<T, kMaxBytes / 2> e{};
        unsigned count = m.elements();
        for (unsigned i = 0; i < count; ++i)
            e[i] = Machine::active(g, m.size, i) ? n.at<T>(i) : identity<F>(m.variant);
        // Pairs of neighbours first: the tree from below.
        for (; count > 1; count /= 2)
            for (unsigned i = 0; i < count / 2; ++i)
                e[i] = reduced<F>(env, m.variant, e[2 * i], e[2 * i + 1]);
        m.set_scalar(m.d, m.size, e[0]);
    });
}
/// One element after the other.
void FpReduceOrdered(Machine& m) {
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(m.state);
        const Vector v = m.z(m.m);
        const uint64_t g = m.governing();
        T sum = m.z(m.d).at<T>(0);
        for (unsigned i = 0; i < m.elements(); ++i)
            if (Machine::active(g, m.size, i)) sum = sf::add<F>(env, sum, v.at<T>(i));
        m.set_scalar(m.d, m.size, sum);
    });
}
void FpScale(Machine& m) {
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(m.state);
        const Vector a = m.z(m.d), by = m.z(m.m);
        merge(m, [&](unsigned i) { return scaled<F>(env, a.at<T>(i), by.get_signed(m.size, i)); });
    });
}
void FpReciprocalExponent(Machine& m) {
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(m.state);
        const Vector n = m.z(m.n);
        merge(m, [&](unsigned i) { return sf::recip_exponent<F>(env, n.at<T>(i)); });
    });
}

// ---- conversions: size is that of the larger one; variant: size of the source, and of the result << 4

namespace {
template <typename F>
void convert_each(Machine& m, F f) {
    const Vector n = m.z(m.n);
    merge(m, [&](unsigned i) { return f(n.get(m.size, i)); });
}
}  // namespace

/// FPConvertSVE: FPCR.AHP does not apply. x: rounded to odd.
void FpConvert(Machine& m) {
    Scope env(m.state);
    env.alternative_half = false;
    const sf::Rounding mode = m.x != 0 ? sf::Rounding::Odd : env.rounding;
    by_format(m.variant & 15, [&]<typename From>(From) {
        by_format(m.variant >> 4 & 15, [&]<typename To>(To) {
            if constexpr (!std::is_same_v<From, To>)
                convert_each(m, [&](uint64_t e) {
                    return uint64_t{sf::convert<To, From>(env, static_cast<typename From::Uint>(e), mode)};
                });
        });
    });
}
/// k: unsigned.
void FpToInteger(Machine& m) {
    Scope env(m.state);
    by_format(m.variant & 15, [&]<typename From>(From) {
        convert_each(m, [&](uint64_t e) {
            const auto a = static_cast<typename From::Uint>(e);
            constexpr auto kMode = sf::Rounding::Zero;
            const unsigned to = m.variant >> 4 & 15;
            // A narrow result is extended to its container as it is signed.
            if (m.k != 0) {
                if (to == 1) return uint64_t{sf::to_fixed<From, uint16_t>(env, a, 0, kMode)};
                if (to == 2) return uint64_t{sf::to_fixed<From, uint32_t>(env, a, 0, kMode)};
                return sf::to_fixed<From, uint64_t>(env, a, 0, kMode);
            }
            int64_t r = 0;
            if (to == 1)
                r = sf::to_fixed<From, int16_t>(env, a, 0, kMode);
            else if (to == 2)
                r = sf::to_fixed<From, int32_t>(env, a, 0, kMode);
            else
                r = sf::to_fixed<From, int64_t>(env, a, 0, kMode);
            return static_cast<uint64_t>(r);
        });
    });
}
void IntegerToFp(Machine& m) {
    Scope env(m.state);
    by_format(m.variant >> 4 & 15, [&]<typename To>(To) {
        convert_each(m, [&](uint64_t e) {
            const unsigned from = m.variant & 15;
            if (m.k != 0) return uint64_t{sf::from_fixed<To, uint64_t>(env, zero_extend(from, e), 0)};
            return uint64_t{sf::from_fixed<To, int64_t>(env, sign_extend(from, e), 0)};
        });
    });
}

// ---- complex numbers: pairs of real and imaginary part

/// k: 0 for a rotation of 90 degrees, 1 of 270.
void FpComplexAdd(Machine& m) {
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(m.state);
        const Vector a = m.z(m.d), b = m.z(m.m);
        merge(m, [&](unsigned i) {
            const T other = b.at<T>(i ^ 1);
            const bool negative = (i % 2 == 0) == (m.k == 0);
            return sf::add<F>(env, a.at<T>(i), negative ? sf::negated<F>(env, other) : other);
        });
    });
}
namespace {
/// d += n * m rotated by k quarters; x: the pair imm of each 128 bits of m, and no predicate.
void complex_multiply_add(Machine& m, uint64_t g) {
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(m.state);
        const Vector acc = m.z(m.d), n = m.z(m.n), v = m.z(m.m);
        const unsigned in_segment = 16u >> m.size;
        merge(m, g, [&](unsigned i) {
            const unsigned pair = i & ~1u, odd = i & 1;
            const unsigned from = m.x != 0 ? i / in_segment * in_segment + 2 * m.imm : pair;
            const unsigned swaps = m.k & 1;
            const T a = n.at<T>(pair + swaps);
            const T b = v.at<T>(from + (odd ^ swaps));
            const bool negative = odd != 0 ? m.k >= 2 : (m.k == 1 || m.k == 2);
            return sf::mul_add<F>(env, acc.at<T>(i), a, negative ? sf::negated<F>(env, b) : b);
        });
    });
}
}  // namespace
void FpComplexMultiplyAdd(Machine& m) { complex_multiply_add(m, m.governing()); }
void FpComplexMultiplyAddIndexed(Machine& m) { complex_multiply_add(m, m.all()); }

// ---- exponentials and sines

void FpTrigSelect(Machine& m) {
    const Vector n = m.z(m.n), quadrant = m.z(m.m);
    const unsigned sign = (8u << m.size) - 1;
    const Vector minus = negated(m, n);
    each(m, [&](unsigned i) {
        const uint64_t q = quadrant.get(m.size, i);
        if ((q & 1) == 0) return (q & 2) != 0 ? minus.get(m.size, i) : n.get(m.size, i);
        return fp_one(m.size) | (q >> 1 & 1) << sign;
    });
}
void FpTrigSquare(Machine& m) {
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(m.state);
        const Vector n = m.z(m.n), quadrant = m.z(m.m);
        each(m, [&](unsigned i) {
            const T e = sf::mul<F>(env, n.at<T>(i), n.at<T>(i));
            if (F::is_nan(e)) return e;
            return static_cast<T>((e & ~F::kSignBit) | ((quadrant.at<T>(i) & 1) != 0 ? F::kSignBit : 0));
        });
    });
}
namespace {
/// FPTrigMAddCoefficient: of the series of sine, then of cosine.
constexpr uint64_t kHalfCoefficients[] = {0x3c00, 0xb155, 0x2030, 0, 0, 0, 0, 0,
                                          0x3c00, 0xb800, 0x293a, 0, 0, 0, 0, 0};
constexpr uint64_t kSingleCoefficients[] = {
    0x3f80'0000, 0xbe2a'aaab, 0x3c08'8886, 0xb950'08b9, 0x3636'9d6d, 0, 0, 0,
    0x3f80'0000, 0xbf00'0000, 0x3d2a'aaa6, 0xbab6'0705, 0x37cd'37cc, 0, 0, 0};
constexpr uint64_t kDoubleCoefficients[] = {
    0x3ff0'0000'0000'0000, 0xbfc5'5555'5555'5543, 0x3f81'1111'1110'f30c, 0xbf2a'01a0'19b9'2fc6,
    0x3ec7'1de3'51f3'd22b, 0xbe5a'e5e2'b60f'7b91, 0x3de5'd840'8868'552f, 0,
    0x3ff0'0000'0000'0000, 0xbfe0'0000'0000'0000, 0x3fa5'5555'5555'5536, 0xbf56'c16c'16c1'3a0b,
    0x3efa'01a0'19b1'e8d8, 0xbe92'7e4f'7282'f468, 0x3e21'ee96'd264'1b13, 0xbda8'f763'80fb'b401};
}  // namespace
void FpTrigMultiplyAdd(Machine& m) {
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(m.state);
        const uint64_t* table = m.size == 1   ? kHalfCoefficients
                                : m.size == 2 ? kSingleCoefficients
                                              : kDoubleCoefficients;
        const Vector a = m.z(m.d), b = m.z(m.m);
        each(m, [&](unsigned i) {
            const T x = b.at<T>(i);
            const auto coefficient = static_cast<T>(table[m.imm + (F::sign(x) ? 8 : 0)]);
            const T magnitude = F::sign(x) ? sf::negated<F>(env, x) : x;
            return sf::mul_add<F>(env, coefficient, a.at<T>(i), magnitude);
        });
    });
}
/// FPExpCoefficient: the fraction of 2^(i / count).
void FpExponential(Machine& m) {
    const unsigned fraction_bits = m.size == 1 ? 10 : m.size == 2 ? 23 : 52;
    const unsigned index_bits = m.size == 1 ? 5 : 6, exponent_bits = m.size == 1 ? 5 : m.size == 2 ? 8 : 11;
    const Vector n = m.z(m.n);
    each(m, [&](unsigned i) {
        const uint64_t e = n.get(m.size, i);
        const auto at = static_cast<long double>(e & ((1u << index_bits) - 1)) / (1u << index_bits);
        const long double fraction =
            (std::exp2(at) - 1) * static_cast<long double>(uint64_t{1} << fraction_bits);
        const uint64_t exponent = e >> index_bits & ((uint64_t{1} << exponent_bits) - 1);
        return exponent << fraction_bits | static_cast<uint64_t>(std::llrint(fraction));
    });
}

}  // namespace arclight::frontend::a64::scalable
