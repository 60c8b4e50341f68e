// Emitters of element-wise integer operations on vectors.
#pragma once

#include "backend/x64/simd_emitter.h"

namespace arclight::backend {

class VectorIntegerEmitter : public SimdEmitter {
  public:
    using SimdEmitter::SimdEmitter;

    // ---- emit_vector_arithmetic.cpp
    void emit_vadd(const Inst& i);
    void emit_vsub(const Inst& i);
    bool emit_vmul(const Inst& i);
    void emit_vneg(const Inst& i);
    void emit_vabs(const Inst& i);
    bool emit_vextremum(const Inst& i);
    bool emit_vabd(const Inst& i);
    bool emit_vhalving(const Inst& i);
    void emit_vcount_bits(const Inst& i);

    // ---- emit_vector_dot.cpp
    void emit_vdot(const Inst& i);
    void emit_vmatrix_multiply(const Inst& i);

    // ---- emit_vector_compare.cpp
    void emit_vcompare(const Inst& i);

    // ---- emit_vector_saturate.cpp
    void emit_vqabs_or_neg(const Inst& i);
    bool emit_vqd_mul_h(const Inst& i);
    bool emit_vqxtn(const Inst& i);
    bool emit_vqadd(const Inst& i);

    // ---- emit_vector_shift.cpp
    void emit_vshl_imm(const Inst& i);
    void emit_vshr_imm(const Inst& i);
    void emit_vrshr_imm(const Inst& i);
    void emit_vshift_insert(const Inst& i);
    bool emit_vshift_by_register(const Inst& i);

  private:
    /// The lower or upper eight bytes as halfwords; `d` may be `x` only if it is the lower ones.
    void extend_bytes(const Xmm& d, const Xmm& x, bool upper, bool is_signed);
    void add_products(Op op, const Xmm& acc, const Xmm& a, const Xmm& b, const Xmm& t);
    void jump_if_saturated(const Inst& i, const Xmm& equal);
    void emit_vqnarrow(const Inst& i);
    void shift_left(const Xmm& d, const Xmm& a, unsigned esize, unsigned count);
    void shift_right(const Xmm& d, const Xmm& a, unsigned esize, unsigned count, bool is_signed);
};

}  // namespace arclight::backend
