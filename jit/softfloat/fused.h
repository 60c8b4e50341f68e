// FPMulAdd, FPMulAddH, FPRecipStepFused, FPRSqrtStepFused: one rounding after an exact product and sum.
#pragma once

#include "jit/softfloat/nan.h"
#include "jit/softfloat/round.h"

namespace arclight::jit::softfloat {

constexpr unsigned __int128 shift_right_jam128(unsigned __int128 mant, int shift) {
    if (shift == 0) return mant;
    if (shift > 127) return mant != 0;
    return mant >> shift | (mant << (128 - shift) != 0);
}

/// (addend + x * y) * 2^scale, rounded; all finite.
template <typename F>
typename F::Uint fused_values(Environment& env, const Unpacked& addend, const Unpacked& x, const Unpacked& y,
                              int scale = 0) {
    using Wide = unsigned __int128;  // value = wide * 2^(exp - 126): one bit of headroom for the carry
    Wide p = static_cast<Wide>(x.mant) * y.mant;
    int p_exp = kZeroExp;
    if (p != 0) {
        p_exp = x.exp + y.exp + 1;
        p >>= 1;  // the product of 53-bit numbers leaves the low bits clear
        if (!(p >> 126)) p <<= 1, --p_exp;
    }
    bool sign = x.sign != y.sign;
    Wide q = static_cast<Wide>(addend.mant) << 63;
    int q_exp = addend.exp;
    // Whichever has the smaller exponent may lose bits, and only when the other cannot cancel against it.
    if (p_exp >= q_exp) {
        q = shift_right_jam128(q, p_exp - q_exp);
    } else {
        p = shift_right_jam128(p, q_exp - p_exp);
        p_exp = q_exp;
    }
    if (sign == addend.sign) {
        p += q;
    } else if (p >= q) {
        p -= q;
    } else {
        p = q - p;
        sign = addend.sign;
    }
    if (p == 0) return exact_zero<F>(env.rounding);
    uint64_t high = static_cast<uint64_t>(p >> 64), low = static_cast<uint64_t>(p);
    int exp = p_exp + 1;
    if (high == 0) high = low, low = 0, exp -= 64;
    const int lead = std::countl_zero(high);
    if (lead != 0) high = high << lead | low >> (64 - lead), low <<= lead;
    return round_pack<F>(env, sign, exp - lead + scale, high | (low != 0), env.rounding);
}

/// FPMulAdd, or with factors of another format FPMulAddH.
template <typename F, typename Factor = F>
typename F::Uint mul_add(Environment& env, typename F::Uint addend, typename Factor::Uint a,
                         typename Factor::Uint b) {
    const Unpacked z = unpack<F>(env, addend), x = unpack<Factor>(env, a), y = unpack<Factor>(env, b);
    const bool undefined = (x.infinite() && y.zero()) || (x.zero() && y.infinite());
    typename F::Uint result;
    if (process_nans3<F, Factor>(env, z, x, y, addend, a, b, result)) {
        // A quiet NaN addend does not hide that the product is invalid, but with AH.
        return !env.alternative && z.kind == Kind::QuietNan && undefined ? invalid<F>(env) : result;
    }
    const bool sign = x.sign != y.sign;
    const bool infinite = x.infinite() || y.infinite();
    if (undefined || (z.infinite() && infinite && z.sign != sign)) return invalid<F>(env);
    note_denormals(env, z, x, y);
    if (z.infinite()) return F::infinity(z.sign);
    if (infinite) return F::infinity(sign);
    if (z.zero() && (x.zero() || y.zero()) && z.sign == sign) return F::zero(z.sign);
    return fused_values<F>(env, z, x, y);
}

/// Environment::of_estimates() for one operation.
class StepEnvironment : public Environment {
  public:
    explicit StepEnvironment(Environment& outer) : Environment(outer.of_estimates()), outer_(outer) {}
    ~StepEnvironment() { outer_.flags |= flags; }
    StepEnvironment(const StepEnvironment&) = delete;
    StepEnvironment& operator=(const StepEnvironment&) = delete;

  private:
    Environment& outer_;
};

/// FPNeg.
template <typename F>
typename F::Uint negated(const Environment& env, typename F::Uint a) {
    return env.alternative && F::is_nan(a) ? a : neg<F>(a);
}

/// FPRecipStepFused: 2 - a * b.
template <typename F>
typename F::Uint recip_step(Environment& outer, typename F::Uint a, typename F::Uint b) {
    StepEnvironment env(outer);
    a = negated<F>(env, a);  // before the NaN rules: a NaN comes out negated, but with AH
    const Unpacked x = unpack<F>(env, a), y = unpack<F>(env, b);
    typename F::Uint result;
    if (process_nans<F>(env, x, y, a, b, result)) return result;
    if ((x.infinite() && y.zero()) || (x.zero() && y.infinite())) return F::two(false);
    if (x.infinite() || y.infinite()) return F::infinity(x.sign != y.sign);
    return fused_values<F>(env, {Kind::Nonzero, false, 1, uint64_t{1} << 63}, x, y);
}

/// FPRSqrtStepFused: (3 - a * b) / 2.
template <typename F>
typename F::Uint rsqrt_step(Environment& outer, typename F::Uint a, typename F::Uint b) {
    StepEnvironment env(outer);
    a = negated<F>(env, a);
    const Unpacked x = unpack<F>(env, a), y = unpack<F>(env, b);
    typename F::Uint result;
    if (process_nans<F>(env, x, y, a, b, result)) return result;
    if ((x.infinite() && y.zero()) || (x.zero() && y.infinite())) return F::one_point_five(false);
    if (x.infinite() || y.infinite()) return F::infinity(x.sign != y.sign);
    return fused_values<F>(env, {Kind::Nonzero, false, 1, uint64_t{3} << 62}, x, y, -1);
}

}  // namespace arclight::jit::softfloat
