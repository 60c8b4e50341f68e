// Handlers of half precision (FEAT_FP16): the families that the rows of a64_fp16.inc name. A scalar is a vector of which
// lane 0 alone takes part (ir::kVecScalar).
#pragma once

#include "frontend/a64/translate/common.h"

namespace arclight::frontend::a64::translate {

using ir::RoundMode;

// half.cpp: scalar floating point
bool half_unary(TranslationContext& t, Op op, Vec n, Vec d);
bool half_binary(TranslationContext& t, Op op, Vec m, Vec n, Vec d);
bool half_binary_then(TranslationContext& t, Op op, Op then, Vec m, Vec n, Vec d);
bool half_round(TranslationContext& t, RoundMode mode, Vec n, Vec d);
bool half_multiply_add(TranslationContext& t, bool negate_addend, bool negate_product, Vec m, Vec a, Vec n,
                       Vec d);
bool half_compare(TranslationContext& t, bool signalling, Vec m, Vec n);
bool half_compare_zero(TranslationContext& t, bool signalling, Vec n);
bool half_conditional_compare(TranslationContext& t, bool signalling, Vec m, Imm<4> cond, Vec n, Imm<4> nzcv);
bool half_to_int(TranslationContext& t, Op op, RoundMode mode, bool sf, Vec n, Reg d);
bool half_from_int(TranslationContext& t, Op op, bool sf, Reg n, Vec d);
bool half_to_fixed_point(TranslationContext& t, Op op, bool sf, Imm<6> scale, Vec n, Reg d);
bool half_from_fixed_point(TranslationContext& t, Op op, bool sf, Imm<6> scale, Reg n, Vec d);
bool FMOV_half(TranslationContext& t, Vec n, Vec d);
bool FMOV_half_imm(TranslationContext& t, Imm<8> imm, Vec d);
bool FMOV_half_to_gen(TranslationContext& t, bool sf, Vec n, Reg d);
bool FMOV_gen_to_half(TranslationContext& t, bool sf, Reg n, Vec d);
bool FCSEL_half(TranslationContext& t, Vec m, Imm<4> cond, Vec n, Vec d);

// half_simd.cpp: Advanced SIMD, lanes
bool half_lanes_unary(TranslationContext& t, Op op, bool q, Vec n, Vec d);
bool half_lanes_binary(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d);
bool half_lanes_pairwise(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d);
bool half_lanes_compare_absolute(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d);
bool half_lanes_compare_zero(TranslationContext& t, Op op, bool swapped, bool q, Vec n, Vec d);
bool half_lanes_round(TranslationContext& t, RoundMode mode, bool q, Vec n, Vec d);
bool half_lanes_to_int(TranslationContext& t, Op op, RoundMode mode, bool q, Vec n, Vec d);
bool half_lanes_multiply_add(TranslationContext& t, bool negate, bool q, Vec m, Vec n, Vec d);
bool half_lanes_fixed_point(TranslationContext& t, Op op, bool to_int, bool q, Imm<4> imm, Vec n, Vec d);
bool half_across_lanes(TranslationContext& t, Op op, bool q, Vec n, Vec d);
bool half_by_element(TranslationContext& t, Op op, bool q, bool l, bool m_bit, Imm<4> m, bool h, Vec n,
                     Vec d);
bool half_by_element_multiply_add(TranslationContext& t, bool negate, bool q, bool l, bool m_bit, Imm<4> m,
                                  bool h, Vec n, Vec d);
bool FABD_vector_half(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool FMOV_vector_imm_half(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d);

// half_simd.cpp: Advanced SIMD scalar
bool half_scalar_compare(TranslationContext& t, Op op, bool absolute, Vec m, Vec n, Vec d);
bool half_scalar_compare_zero(TranslationContext& t, Op op, bool swapped, Vec n, Vec d);
bool half_scalar_to_int(TranslationContext& t, Op op, RoundMode mode, Vec n, Vec d);
bool half_scalar_fixed_point(TranslationContext& t, Op op, bool to_int, Imm<4> imm, Vec n, Vec d);
bool half_scalar_pairwise(TranslationContext& t, Op op, Vec n, Vec d);
bool half_scalar_by_element(TranslationContext& t, Op op, bool l, bool m_bit, Imm<4> m, bool h, Vec n, Vec d);
bool half_scalar_by_element_multiply_add(TranslationContext& t, bool negate, bool l, bool m_bit, Imm<4> m,
                                         bool h, Vec n, Vec d);

}  // namespace arclight::frontend::a64::translate
