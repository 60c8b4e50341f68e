// SVE2: floating point that is pairwise, of two sizes or of matrices, and BFloat16.
#include <limits>

#include "frontend/a64/scalable/fp_format.h"
#include "frontend/a64/scalable/lanes.h"
#include "frontend/a64/scalable/wide.h"
#include "jit/reference/fp_call.h"
#include "jit/softfloat/convert.h"
#include "jit/softfloat/fused.h"
#include "jit/softfloat/multiply.h"

namespace arclight::frontend::a64::scalable {

namespace sf = jit::softfloat;
using jit::reference::Scope;

/// Of neighbours in d, then in m, by turns.
void FpPairwise(Machine& m) {
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(m.state);
        const Vector d = m.z(m.d), v = m.z(m.m);
        merge(m, [&](unsigned i) {
            const Vector& from = i % 2 != 0 ? v : d;
            return reduced<F>(env, m.variant, from.at<T>(i & ~1u), from.at<T>(i | 1));
        });
    });
}

/// FPLogB: an integer.
void FpLogarithm(Machine& m) {
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        using Int = std::make_signed_t<T>;
        Scope env(m.state);
        const Vector n = m.z(m.n);
        merge(m, [&](unsigned i) {
            const sf::Unpacked x = sf::unpack<F>(env, n.at<T>(i));
            if (x.infinite()) return static_cast<T>(std::numeric_limits<Int>::max());
            if (x.nan() || x.zero()) {
                env.raise(sf::kIoc);
                return static_cast<T>(std::numeric_limits<Int>::min());
            }
            return static_cast<T>(x.exp);
        });
    });
}

/// To the upper halves of elements, or from there; size: of the larger; variant: as FpConvert. x: rounded to odd.
void FpConvertTop(Machine& m) {
    Scope env(m.state);
    env.alternative_half = false;
    const unsigned from = m.variant & 15, to = m.variant >> 4 & 15;
    const Vector n = m.z(m.n), old = m.z(m.d);
    by_format(from, [&]<typename From>(From) {
        by_format(to, [&]<typename To>(To) {
            if constexpr (!std::is_same_v<From, To>)
                merge(m, [&](unsigned i) {
                    const uint64_t e = from < to ? n.get(from, 2 * i + 1) : n.get(from, i);
                    const uint64_t r = sf::convert<To, From>(env, static_cast<typename From::Uint>(e),
                                                             m.x != 0 ? sf::Rounding::Odd : env.rounding);
                    return from < to ? r : old.get(to, 2 * i) | r << (8u << to);
                });
        });
    });
}
/// Singles to the lower halves of elements, or (x) to the upper ones.
void BfloatConvert(Machine& m) {
    Scope env(m.state);
    const Vector n = m.z(m.n), old = m.z(m.d);
    merge(m, [&](unsigned i) -> uint64_t {
        const uint64_t r = sf::convert_to_bfloat(env, n.at<uint32_t>(i));
        return m.x != 0 ? old.get(1, 2 * i) | r << 16 : r;
    });
}

namespace {
/// f(acc, a, b) of singles, and the lower or (variant 1) upper halves of n and m; x: the half imm of each 128 bits of m.
template <typename F>
void long_multiply_add(Machine& m, F f) {
    const Vector acc = m.z(m.d), n = m.z(m.n), v = m.z(m.m);
    each(m, [&](unsigned i) {
        const unsigned at = 2 * i + m.variant;
        return f(acc.at<uint32_t>(i), n.at<uint16_t>(at),
                 v.at<uint16_t>(m.x != 0 ? element_of_segment(1, 2 * i, m.imm) : at));
    });
}
}  // namespace
/// k: minus the product.
void FpMultiplyAddLong(Machine& m) {
    Scope env(m.state);
    long_multiply_add(m, [&](uint32_t acc, uint16_t a, uint16_t b) {
        return sf::mul_add<sf::Single, sf::Half>(env, acc, m.k != 0 ? sf::negated<sf::Half>(env, a) : a, b);
    });
}
void BfloatMultiplyAddLong(Machine& m) {
    Scope outer(m.state);
    sf::StepEnvironment env(outer);
    long_multiply_add(m, [&](uint32_t acc, uint16_t a, uint16_t b) {
        return sf::mul_add<sf::Single>(env, acc, uint32_t{a} << 16, uint32_t{b} << 16);
    });
}

/// FPMatMulAdd: of matrices of 2 x 2, d += n times the transpose of m. Vectors that hold none do not have it.
void FpMatrix(Machine& m) {
    if (m.bytes < 4u << m.size) return m.memory->undefined();
    by_format(m.size, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(m.state);
        const Vector acc = m.z(m.d), n = m.z(m.n), v = m.z(m.m);
        each(m, [&](unsigned i) {
            const unsigned matrix = i & ~3u, row = matrix + (i & 2), column = matrix + 2 * (i & 1);
            const T first = sf::mul<F>(env, n.at<T>(row), v.at<T>(column));
            const T second = sf::mul<F>(env, n.at<T>(row + 1), v.at<T>(column + 1));
            return sf::add<F>(env, acc.at<T>(i), sf::add<F>(env, first, second));
        });
    });
}

}  // namespace arclight::frontend::a64::scalable
