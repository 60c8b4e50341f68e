// Emitters of scalar floating point.
#pragma once

#include "backend/x64/simd_emitter.h"

namespace arclight::backend {

class FpEmitter : public SimdEmitter {
  public:
    using SimdEmitter::SimdEmitter;

    // ---- emit_fp.cpp
    void emit_fp_from_bits(const Inst& i);
    void emit_fp_to_bits(const Inst& i);
    void emit_fadd(const Inst& i);
    void emit_fsub(const Inst& i);
    void emit_fmul(const Inst& i);
    void emit_fdiv(const Inst& i);
    void emit_fsqrt(const Inst& i);
    void emit_fmax(const Inst& i);
    void emit_fmin(const Inst& i);
    void emit_fmuladd(const Inst& i);
    void emit_fp_sign(const Inst& i);
    void emit_frecpstep(const Inst& i);
    void emit_frint(const Inst& i);
    void emit_frint_within(const Inst& i);
    void emit_fcmp(const Inst& i);
    void emit_fcondcompare(const Inst& i);

    // ---- emit_fp_convert.cpp
    void emit_fcvt32_to64(const Inst& i);
    void emit_fcvt64_to32(const Inst& i);
    void emit_fcvt_from_half(const Inst& i);
    void emit_fcvt32_to16(const Inst& i);
    bool emit_fto_s_int(const Inst& i);
    void emit_fto_javascript(const Inst& i);
    void emit_int_to_f(const Inst& i);
    bool emit_int_to_half(const Inst& i);
    void cold_large_unsigned(const ColdArgs& args);

  private:
    void emit_fp_binary(const Inst& i, VexFp3 single, VexFp3 dbl, FpRisk risk);
    void emit_fp_extremum(const Inst& i, bool maximum);
    /// x rounded to an integral value as FRINT* does, without signalling Inexact; xmm15 is clobbered. For
    /// TieAway, which jumps to a cold path for large numbers and NaNs, `t` is clobbered too.
    void round_scalar(const Xmm& d, const Xmm& x, bool dbl, ir::RoundMode mode, const Xmm& t);
    /// ucomis or comis of two numbers of 1 << size bytes; halves by way of singles in `t` and xmm15.
    void compare(const Xmm& a, const Operand& b, uint32_t aux, const Xmm& t);
    void convert_int(const Inst& i, const Xmm& d, const Reg64& r, bool dbl);
    bool prefers_reversed_fcmp() const;
    void emit_f_to_int(const Inst& i);
};

}  // namespace arclight::backend
