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

  private:
    void emit_vfp_binary(const Inst& i, VexFp3 single, VexFp3 dbl, FpRisk risk);
    void emit_vfmuladd(const Inst& i);
    void emit_vfp_compare(const Inst& i, uint8_t predicate);
    void extremum(const Xmm& d, const Xmm& a, const Xmm& b, bool is_double, bool maximum);
    void emit_vfp_extremum(const Inst& i, bool maximum);
    void emit_vfp_pairwise_extremum(const Inst& i, bool maximum);
    void emit_vfp_extremum_across(const Inst& i, bool maximum);
};

}  // namespace arclight::backend
