// Emitters of vector floating point.
#pragma once

#include "backend/x64/simd_emitter.h"

namespace arclight::backend {

class VectorFpEmitter : public SimdEmitter {
  public:
    using SimdEmitter::SimdEmitter;

    // ---- emit_vector_convert.cpp
    void emit_vfcvt_l(const Inst& i);
    void emit_vfcvt_n(const Inst& i);
    void emit_vbfcvt_n(const Inst& i);
    bool emit_vf_to_int(const Inst& i);
    bool emit_vint_to_f(const Inst& i);

    // ---- emit_vector_fp.cpp
    void emit_vfp_sign(const Inst& i);
    bool emit_vfcmp_eq(const Inst& i);
    bool emit_vfcmp_ge(const Inst& i);
    bool emit_vfcmp_gt(const Inst& i);
    bool emit_vfadd(const Inst& i);
    bool emit_vfsub(const Inst& i);
    bool emit_vfmul(const Inst& i);
    bool emit_vfdiv(const Inst& i);
    bool emit_vfsqrt(const Inst& i);
    bool emit_vfmul_add(const Inst& i);
    bool emit_vfmax(const Inst& i);
    bool emit_vfmin(const Inst& i);
    bool emit_vfrecp_step(const Inst& i);
    bool emit_vfadd_p(const Inst& i);
    bool emit_vfmax_p(const Inst& i);
    bool emit_vfmin_p(const Inst& i);
    bool emit_vfmax_v(const Inst& i);
    bool emit_vfrint(const Inst& i);
    bool emit_vfrint_within(const Inst& i);
    void emit_vfmul_add_halves(const Inst& i);

  private:
    // ---- emit_vector_half.cpp
    /// The register as many singles wide as there are halves.
    static Xmm wide(const Xmm& x, const Inst& i);
    Xmm widen(const Inst& i, unsigned arg, const Xmm& t);
    void check_halves(const Xmm& d, FpRisk risk, const Xmm& t);
    size_t check_infinite_halves(const Inst& i, const Xmm& t);
    bool half_binary(const Inst& i, VexFp3 packed, VexFp3 scalar, FpRisk risk);
    bool half_sqrt(const Inst& i);
    bool half_fused(const Inst& i);
    bool half_extremum(const Inst& i, bool maximum);
    bool half_compare(const Inst& i, uint8_t predicate);
    bool half_round(const Inst& i);
    void round_halves(const Xmm& d, const Xmm& x, const Inst& i, ir::RoundMode mode);
    bool half_to_int(const Inst& i);
    bool int_to_half(const Inst& i);

    // ---- emit_vector_fp.cpp
    void emit_vfp_binary(const Inst& i, VexFp3 single, VexFp3 dbl, FpRisk risk);
    void emit_vfmuladd(const Inst& i);
    void fused_trial(unsigned n, unsigned m, bool is_double);
    void emit_vfp_compare(const Inst& i, uint8_t predicate);
    void extremum(const Xmm& d, const Xmm& a, const Xmm& b, bool is_double, bool maximum);
    void emit_vfp_extremum(const Inst& i, bool maximum);
    void emit_vfp_pairwise_extremum(const Inst& i, bool maximum);
    void emit_vfp_extremum_across(const Inst& i, bool maximum);
};

}  // namespace arclight::backend
