// Scalar floating point: opcodes FAdd to FToInt.
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

template <typename F>
typename F::Uint low(const V128& v) {
    return static_cast<typename F::Uint>(v.d[0]);
}

// A reference function from a function of the softfloat folder, by its arity.
#define UNARY(name)                                       \
    [](GuestState& s, VectorCall& c) {                    \
        by_format(c, [&]<typename F>(F) {                 \
            Scope env(s);                                 \
            set_scalar(c, sf::name<F>(env, low<F>(c.a))); \
        });                                               \
    }
/// imm 1: FEAT_RPRES.
#define ESTIMATE(name)                                                \
    [](GuestState& s, VectorCall& c) {                                \
        by_format(c, [&]<typename F>(F) {                             \
            Scope env(s);                                             \
            set_scalar(c, sf::name<F>(env, low<F>(c.a), c.imm != 0)); \
        });                                                           \
    }
#define BINARY(name)                                                   \
    [](GuestState& s, VectorCall& c) {                                 \
        by_format(c, [&]<typename F>(F) {                              \
            Scope env(s);                                              \
            set_scalar(c, sf::name<F>(env, low<F>(c.a), low<F>(c.b))); \
        });                                                            \
    }

void fmuladd(GuestState& s, VectorCall& c) {
    by_format(c, [&]<typename F>(F) {
        Scope env(s);
        set_scalar(c, sf::mul_add<F>(env, low<F>(c.a), low<F>(c.b), low<F>(c.c)));
    });
}
void fneg(GuestState&, VectorCall& c) {
    by_format(c, [&]<typename F>(F) { set_scalar(c, sf::neg<F>(low<F>(c.a))); });
}
void fabs(GuestState&, VectorCall& c) {
    by_format(c, [&]<typename F>(F) { set_scalar(c, sf::abs<F>(low<F>(c.a))); });
}
void frint(GuestState& s, VectorCall& c) {
    by_format(c, [&]<typename F>(F) {
        Scope env(s);
        const auto mode = static_cast<RoundMode>(c.aux & 7);
        set_scalar(c, sf::round_int<F>(env, low<F>(c.a), env.resolve(mode), mode == RoundMode::Exact));
    });
}

void frint_within(GuestState& s, VectorCall& c) {
    by_format(c, [&]<typename F>(F) {
        Scope env(s);
        const Rounding rounding = env.resolve(static_cast<RoundMode>(c.aux & 7));
        set_scalar(c, sf::round_int_within<F>(env, low<F>(c.a), rounding, c.aux >> 8));
    });
}

template <typename To, typename From>
void fcvt(GuestState& s, VectorCall& c) {
    Scope env(s);
    set_scalar(c, sf::convert<To, From>(env, low<From>(c.a), env.rounding));
}
void fcvtxn(GuestState& s, VectorCall& c) {
    Scope env(s);
    set_scalar(c, sf::convert<Single, Double>(env, low<Double>(c.a), Rounding::Odd));
}

template <bool kSigned>
void ftoint(GuestState& s, VectorCall& c) {
    Scope env(s);
    const Rounding mode = env.resolve(static_cast<RoundMode>(c.aux & 7));
    const auto fraction_bits = static_cast<unsigned>(c.imm & 0xff);
    const auto to = [&]<typename Int>(Int) -> Int {
        if ((c.aux >> 4 & 3) == 3)
            return sf::to_fixed<Double, Int>(env, low<Double>(c.a), fraction_bits, mode);
        if ((c.aux >> 4 & 3) == 1) return sf::to_fixed<Half, Int>(env, low<Half>(c.a), fraction_bits, mode);
        return sf::to_fixed<Single, Int>(env, low<Single>(c.a), fraction_bits, mode);
    };
    using Narrow = std::conditional_t<kSigned, int32_t, uint32_t>;
    using Wide = std::conditional_t<kSigned, int64_t, uint64_t>;
    set_scalar(c, c.esize == 3 ? static_cast<uint64_t>(to(Wide{})) : static_cast<uint32_t>(to(Narrow{})));
}
template <bool kSigned, typename F>
void int_to(GuestState& s, VectorCall& c) {
    using Narrow = std::conditional_t<kSigned, int32_t, uint32_t>;
    using Wide = std::conditional_t<kSigned, int64_t, uint64_t>;
    Scope env(s);
    const Wide value = c.aux == 64 ? static_cast<Wide>(c.a.d[0]) : static_cast<Narrow>(c.a.d[0]);
    set_scalar(c, sf::from_fixed<F, Wide>(env, value, static_cast<unsigned>(c.imm & 0xff)));
}
template <bool kSigned>
void inttof(GuestState& s, VectorCall& c) {
    by_format(c, [&]<typename F>(F) { int_to<kSigned, F>(s, c); });
}
void to_javascript(GuestState& s, VectorCall& c) {
    Scope env(s);
    set_scalar(c, sf::to_javascript(env, low<Double>(c.a)));
}

uint64_t compare_flags(GuestState& s, const VectorCall& c, const V128& a, const V128& b) {
    Scope env(s);
    const bool signal_all = (c.aux & 16) != 0;
    const auto compare = [&]<typename F>(F) { return sf::compare<F>(env, low<F>(a), low<F>(b), signal_all); };
    switch ((c.aux & 3) == 3 ? compare(Double{}) : (c.aux & 3) == 2 ? compare(Single{}) : compare(Half{})) {
        case sf::Order::Less: return flags_from_nzcv(0x8u << 28);
        case sf::Order::Equal: return flags_from_nzcv(0x6u << 28);
        case sf::Order::Greater: return flags_from_nzcv(0x2u << 28);
        case sf::Order::Unordered: break;
    }
    return flags_from_nzcv(0x3u << 28);
}
void fcmp(GuestState& s, VectorCall& c) { set_scalar(c, compare_flags(s, c, c.a, c.b)); }
void fcondcompare(GuestState& s, VectorCall& c) {
    set_scalar(c, c.a.d[0] & 1 ? compare_flags(s, c, c.b, c.c)
                               : flags_from_nzcv(static_cast<uint32_t>(c.imm & 15) << 28));
}

void move_bits(GuestState&, VectorCall& c) {
    set_scalar(c, c.esize == 3 ? c.a.d[0] : static_cast<uint32_t>(c.a.d[0]));
}
}  // namespace

void add_scalar_fp(Table& t) {
    t[Op::FAdd] = BINARY(add);
    t[Op::FSub] = BINARY(sub);
    t[Op::FMul] = BINARY(mul);
    t[Op::FMulX] = BINARY(mulx);
    t[Op::FDiv] = BINARY(div);
    t[Op::FSqrt] = UNARY(sqrt);
    t[Op::FMulAdd] = fmuladd;
    t[Op::FNeg] = fneg;
    t[Op::FAbs] = fabs;
    t[Op::FMax] = BINARY(max);
    t[Op::FMin] = BINARY(min);
    t[Op::FMaxNum] = BINARY(max_num);
    t[Op::FMinNum] = BINARY(min_num);
    t[Op::FRecpStep] = BINARY(recip_step);
    t[Op::FRsqrtStep] = BINARY(rsqrt_step);
    t[Op::FRecpEst] = ESTIMATE(recip_estimate);
    t[Op::FRsqrtEst] = ESTIMATE(rsqrt_estimate);
    t[Op::FRecpExp] = UNARY(recip_exponent);
    t[Op::FRint] = frint;
    t[Op::FRintWithin] = frint_within;
    t[Op::FCvt32To64] = fcvt<Double, Single>;
    t[Op::FCvt64To32] = fcvt<Single, Double>;
    t[Op::FCvt16To32] = fcvt<Single, Half>;
    t[Op::FCvt16To64] = fcvt<Double, Half>;
    t[Op::FCvt32To16] = fcvt<Half, Single>;
    t[Op::FCvt64To16] = fcvt<Half, Double>;
    t[Op::FCvtXN] = fcvtxn;
    t[Op::FToSInt] = ftoint<true>;
    t[Op::FToUInt] = ftoint<false>;
    t[Op::SIntToF] = inttof<true>;
    t[Op::UIntToF] = inttof<false>;
    t[Op::FToJavaScript] = to_javascript;
    t[Op::SIntToHalf] = int_to<true, Half>;
    t[Op::UIntToHalf] = int_to<false, Half>;
    t[Op::FCmp] = fcmp;
    t[Op::FCondCompare] = fcondcompare;
    t[Op::IntToF] = move_bits;
    t[Op::FToInt] = move_bits;
}

}  // namespace arclight::jit::reference
