// Vector floating point: opcodes VFAdd to VBfCvtN.
#include "jit/reference/fp_call.h"
#include "jit/reference/groups.h"
#include "jit/softfloat/add.h"
#include "jit/softfloat/compare.h"
#include "jit/softfloat/convert.h"
#include "jit/softfloat/divide.h"
#include "jit/softfloat/estimate.h"
#include "jit/softfloat/fixed.h"
#include "jit/softfloat/fused.h"
#include "jit/softfloat/minmax.h"
#include "jit/softfloat/multiply.h"
#include "jit/softfloat/round_int.h"
#include "jit/softfloat/sqrt.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;
using ir::RoundMode;
namespace sf = softfloat;

// A reference function from a function of the softfloat folder, by its shape.
#define UNARY(name)                                                      \
    [](GuestState& s, VectorCall& c) {                                   \
        by_lane_format(c, [&]<typename F>(F) {                           \
            using T = typename F::Uint;                                  \
            Scope env(s);                                                \
            map1_active<T>(c, [&](T a) { return sf::name<F>(env, a); }); \
        });                                                              \
    }
/// imm 1: FEAT_RPRES.
#define ESTIMATE(name)                                                               \
    [](GuestState& s, VectorCall& c) {                                               \
        by_lane_format(c, [&]<typename F>(F) {                                       \
            using T = typename F::Uint;                                              \
            Scope env(s);                                                            \
            map1_active<T>(c, [&](T a) { return sf::name<F>(env, a, c.imm != 0); }); \
        });                                                                          \
    }
#define BINARY(name)                                                             \
    [](GuestState& s, VectorCall& c) {                                           \
        by_lane_format(c, [&]<typename F>(F) {                                   \
            using T = typename F::Uint;                                          \
            Scope env(s);                                                        \
            map2_active<T>(c, [&](T a, T b) { return sf::name<F>(env, a, b); }); \
        });                                                                      \
    }
#define COMPARE(name)                                                                           \
    [](GuestState& s, VectorCall& c) {                                                          \
        by_lane_format(c, [&]<typename F>(F) {                                                  \
            using T = typename F::Uint;                                                         \
            Scope env(s);                                                                       \
            map2_active<T>(c, [&](T a, T b) { return sf::name<F>(env, a, b) ? ~T{0} : T{0}; }); \
        });                                                                                     \
    }
#define PAIRWISE(name)                                                              \
    [](GuestState& s, VectorCall& c) {                                              \
        by_lane_format(c, [&]<typename F>(F) {                                      \
            Scope env(s);                                                           \
            pairwise<F>(c, [&](auto a, auto b) { return sf::name<F>(env, a, b); }); \
        });                                                                         \
    }
#define ACROSS(name)                                                              \
    [](GuestState& s, VectorCall& c) {                                            \
        by_lane_format(c, [&]<typename F>(F) {                                    \
            Scope env(s);                                                         \
            across<F>(c, [&](auto a, auto b) { return sf::name<F>(env, a, b); }); \
        });                                                                       \
    }

template <typename F, typename Fn>
void pairwise(VectorCall& c, Fn f) {
    using T = typename F::Uint;
    const auto a = lanes<T>(c.a), b = lanes<T>(c.b);
    Lanes<T> r{};
    const unsigned half = active<T>(c) / 2;
    for (unsigned i = 0; i < half; ++i) r[i] = f(a[2 * i], a[2 * i + 1]);
    for (unsigned i = 0; i < half; ++i) r[half + i] = f(b[2 * i], b[2 * i + 1]);
    c.out = pack(r);
}
/// Reduce() of the pseudocode: a tree of halves, which decides which NaN wins.
template <typename F, typename Fn>
void across(VectorCall& c, Fn f) {
    using T = typename F::Uint;
    const auto a = lanes<T>(c.a);
    const unsigned count = active<T>(c);  // halves have no such operation
    if (count == 4) return set_scalar(c, f(f(a[0], a[1]), f(a[2 % a.kCount], a[3 % a.kCount])));
    set_scalar(c, count == 2 ? f(a[0], a[1]) : a[0]);
}

/// imm 1: of BFloat16 (Environment::of_estimates()).
void vfmuladd(GuestState& s, VectorCall& c) {
    by_lane_format(c, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope scope(s);
        Environment env = c.imm != 0 ? scope.of_estimates() : scope;
        map3_active<T>(c, [&](T acc, T a, T b) { return sf::mul_add<F>(env, acc, a, b); });
        scope.flags |= env.flags;
    });
}
/// Singles and the halves at the low end.
void vfmuladd_halves(GuestState& s, VectorCall& c) {
    Scope env(s);
    const auto acc = lanes<uint32_t>(c.a);
    const auto a = lanes<uint16_t>(c.b), b = lanes<uint16_t>(c.c);
    Lanes<uint32_t> r{};
    for (unsigned i = 0; i < active<uint32_t>(c); ++i)
        r[i] = sf::mul_add<Single, Half>(env, acc[i], a[i], b[i]);
    c.out = pack(r);
}
void vfneg(GuestState&, VectorCall& c) {
    by_lane_format(c,
                   [&]<typename F>(F) { map1<typename F::Uint>(c, [](auto a) { return sf::neg<F>(a); }); });
}
void vfabs(GuestState&, VectorCall& c) {
    by_lane_format(c,
                   [&]<typename F>(F) { map1<typename F::Uint>(c, [](auto a) { return sf::abs<F>(a); }); });
}
void vfrint(GuestState& s, VectorCall& c) {
    by_lane_format(c, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(s);
        const auto mode = static_cast<RoundMode>(c.imm & 7);
        const Rounding rounding = env.resolve(mode);
        map1_active<T>(c, [&](T a) { return sf::round_int<F>(env, a, rounding, mode == RoundMode::Exact); });
    });
}
void vfrint_within(GuestState& s, VectorCall& c) {
    by_format(c, [&]<typename F>(F) {
        using T = typename F::Uint;
        Scope env(s);
        const Rounding rounding = env.resolve(static_cast<RoundMode>(c.imm & 7));
        const auto bits = static_cast<unsigned>(c.imm >> 8);
        map1_active<T>(c, [&](T a) { return sf::round_int_within<F>(env, a, rounding, bits); });
    });
}

template <bool kSigned>
void vftoint(GuestState& s, VectorCall& c) {
    by_lane_format(c, [&]<typename F>(F) {
        using T = typename F::Uint;
        using Int = std::conditional_t<kSigned, std::make_signed_t<T>, T>;
        Scope env(s);
        const Rounding rounding = env.resolve(static_cast<RoundMode>(c.imm & 7));
        const auto fraction_bits = static_cast<unsigned>(c.imm >> 8 & 0xff);
        map1_active<T>(c, [&](T a) { return sf::to_fixed<F, Int>(env, a, fraction_bits, rounding); });
    });
}
template <bool kSigned>
void vinttof(GuestState& s, VectorCall& c) {
    by_lane_format(c, [&]<typename F>(F) {
        using T = typename F::Uint;
        using Int = std::conditional_t<kSigned, std::make_signed_t<T>, T>;
        Scope env(s);
        const auto fraction_bits = static_cast<unsigned>(c.imm & 0xff);
        map1_active<T>(c,
                       [&](T a) { return sf::from_fixed<F, Int>(env, static_cast<Int>(a), fraction_bits); });
    });
}

template <typename To, typename From>
void widen(GuestState& s, VectorCall& c) {
    Scope env(s);
    const auto a = lanes<typename From::Uint>(c.a);
    Lanes<typename To::Uint> r;
    for (unsigned i = 0; i < r.kCount; ++i) r[i] = sf::convert<To, From>(env, a[i], env.rounding);
    c.out = pack(r);
}
void vfcvtl(GuestState& s, VectorCall& c) {
    c.esize == 1 ? widen<Single, Half>(s, c) : widen<Double, Single>(s, c);
}
template <typename To, typename From>
void narrow(Environment& env, VectorCall& c, Rounding rounding) {
    const auto a = lanes<typename From::Uint>(c.a);
    Lanes<typename To::Uint> r{};
    for (unsigned i = 0; i < a.kCount; ++i) r[i] = sf::convert<To, From>(env, a[i], rounding);
    c.out = pack(r);
}
void vfcvtn(GuestState& s, VectorCall& c) {
    Scope env(s);
    c.esize == 1 ? narrow<Half, Single>(env, c, env.rounding) : narrow<Single, Double>(env, c, env.rounding);
}
void vfcvtxn(GuestState& s, VectorCall& c) {
    Scope env(s);
    narrow<Single, Double>(env, c, Rounding::Odd);
}
void vbfcvtn(GuestState& s, VectorCall& c) {
    Scope env(s);
    const auto a = lanes<uint32_t>(c.a);
    Lanes<uint16_t> r{};
    for (unsigned i = 0; i < a.kCount; ++i) r[i] = sf::convert_to_bfloat(env, a[i]);
    c.out = pack(r);
}
}  // namespace

void add_vector_fp(Table& t) {
    t[Op::VFAdd] = BINARY(add);
    t[Op::VFSub] = BINARY(sub);
    t[Op::VFMul] = BINARY(mul);
    t[Op::VFMulX] = BINARY(mulx);
    t[Op::VFDiv] = BINARY(div);
    t[Op::VFSqrt] = UNARY(sqrt);
    t[Op::VFNeg] = vfneg;
    t[Op::VFAbs] = vfabs;
    t[Op::VFMulAdd] = vfmuladd;
    t[Op::VFMulAddH] = vfmuladd_halves;
    t[Op::VFMax] = BINARY(max);
    t[Op::VFMin] = BINARY(min);
    t[Op::VFMaxNum] = BINARY(max_num);
    t[Op::VFMinNum] = BINARY(min_num);
    t[Op::VFRecpStep] = BINARY(recip_step);
    t[Op::VFRsqrtStep] = BINARY(rsqrt_step);
    t[Op::VFRecpEst] = ESTIMATE(recip_estimate);
    t[Op::VFRsqrtEst] = ESTIMATE(rsqrt_estimate);
    t[Op::VFRecpExp] = UNARY(recip_exponent);
    t[Op::VFCmpEq] = COMPARE(compare_eq);
    t[Op::VFCmpGe] = COMPARE(compare_ge);
    t[Op::VFCmpGt] = COMPARE(compare_gt);
    t[Op::VFAddP] = PAIRWISE(add);
    t[Op::VFMaxP] = PAIRWISE(max);
    t[Op::VFMinP] = PAIRWISE(min);
    t[Op::VFMaxNumP] = PAIRWISE(max_num);
    t[Op::VFMinNumP] = PAIRWISE(min_num);
    t[Op::VFMaxV] = ACROSS(max);
    t[Op::VFMinV] = ACROSS(min);
    t[Op::VFMaxNumV] = ACROSS(max_num);
    t[Op::VFMinNumV] = ACROSS(min_num);
    t[Op::VFRint] = vfrint;
    t[Op::VFRintWithin] = vfrint_within;
    t[Op::VFToSInt] = vftoint<true>;
    t[Op::VFToUInt] = vftoint<false>;
    t[Op::VSIntToF] = vinttof<true>;
    t[Op::VUIntToF] = vinttof<false>;
    t[Op::VFCvtL] = vfcvtl;
    t[Op::VFCvtN] = vfcvtn;
    t[Op::VFCvtXN] = vfcvtxn;
    t[Op::VBfCvtN] = vbfcvtn;
}

}  // namespace arclight::jit::reference
