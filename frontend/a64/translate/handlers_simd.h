// Handlers of scalar floating point, Advanced SIMD and cryptography. Most are families: the arguments up to
// the first field are bound by the row of the instruction table (a64_fp.inc, a64_simd.inc, a64_crypto.inc),
// as in `three_same, Op::VAdd, kBHSD`.
#pragma once

#include "frontend/a64/translate/common.h"

namespace arclight::frontend::a64::translate {

using ir::RoundMode;

// ---- element sizes that an encoding allows: bit n for 8 << n bits
inline constexpr unsigned kB = 1, kH = 2, kS = 4, kD = 8;
inline constexpr unsigned kBHS = kB | kH | kS, kHS = kH | kS, kBHSD = kBHS | kD;

/// What the modified immediate instructions do with their constant.
enum class ImmediateOp : uint8_t { Move, MoveNot, Or, BitClear };

// simd_three_same.cpp: three same
bool three_same(TranslationContext& t, Op op, unsigned sizes, bool q, Imm<2> size, Vec m, Vec n, Vec d);
bool three_same_accumulate(TranslationContext& t, Op combine, Op op, unsigned sizes, bool q, Imm<2> size,
                           Vec m, Vec n, Vec d);
bool three_same_logical(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d);
bool three_same_fused(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d);
bool three_same_dot(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d);
bool ORR_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool BSL_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool BIT_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool BIF_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);

// simd_three_different.cpp: three different: widening and narrowing
bool three_different_long(TranslationContext& t, Op widen, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d);
bool three_different_wide(TranslationContext& t, Op widen, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d);
bool long_multiply(TranslationContext& t, Op multiply, unsigned sizes, bool q, Imm<2> size, Vec m, Vec n,
                   Vec d);
bool long_multiply_accumulate(TranslationContext& t, Op multiply, Op combine, unsigned sizes, bool q,
                              Imm<2> size, Vec m, Vec n, Vec d);
bool long_multiply_polynomial(TranslationContext& t, Op multiply, unsigned size, bool q, Vec m, Vec n, Vec d);
bool long_difference(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d);
bool long_difference_accumulate(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d);
bool high_half_narrow(TranslationContext& t, Op op, bool rounding, bool q, Imm<2> size, Vec m, Vec n, Vec d);

// simd_complex.cpp: complex numbers (FEAT_FCMA)
bool FCADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, bool rot, Vec n, Vec d);
bool FCMLA_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Imm<2> rot, Vec n, Vec d);
bool FCMLA_element(TranslationContext& t, bool Q, Imm<2> size, bool l, bool m_bit, Imm<4> m, Imm<2> rot,
                   bool h, Vec n, Vec d);

// simd_mixed.cpp: products of narrow elements added to wider ones (FEAT_I8MM, FEAT_FHM, FEAT_BF16)
bool matrix_multiply(TranslationContext& t, Op op, Vec m, Vec n, Vec d);
bool multiply_add_halves(TranslationContext& t, bool negate, bool upper, bool q, Vec m, Vec n, Vec d);
bool multiply_add_halves_by_element(TranslationContext& t, bool negate, bool upper, bool q, bool l,
                                    bool m_bit, Imm<4> m, bool h, Vec n, Vec d);
bool SUDOT_element(TranslationContext& t, bool Q, bool l, bool m_bit, Imm<4> m, bool h, Vec n, Vec d);
bool BFMLAL_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool BFMLAL_element(TranslationContext& t, bool Q, bool l, bool m_bit, Imm<4> m, bool h, Vec n, Vec d);
bool BFCVTN_vector(TranslationContext& t, bool Q, Vec n, Vec d);
bool BFCVT_float(TranslationContext& t, Vec n, Vec d);

// simd_misc.cpp: two-register miscellaneous and across lanes
bool two_register(TranslationContext& t, Op op, unsigned sizes, bool q, Imm<2> size, Vec n, Vec d);
bool two_register_bits(TranslationContext& t, Op op, bool q, Vec n, Vec d);
bool two_register_accumulate(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d);
bool two_register_compare_zero(TranslationContext& t, Op op, bool swapped, bool q, Imm<2> size, Vec n, Vec d);
bool two_register_reverse(TranslationContext& t, unsigned bits, unsigned sizes, bool q, Imm<2> size, Vec n,
                          Vec d);
bool pairwise_long_accumulate(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d);
bool two_register_narrow(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d);
bool across_lanes(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d);
bool SHLL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);

// simd_fp.cpp: floating point on lanes
bool fp_lanes_unary(TranslationContext& t, Op op, bool q, bool sz, Vec n, Vec d);
bool fp_lanes_binary(TranslationContext& t, Op op, bool q, bool sz, Vec m, Vec n, Vec d);
bool fp_lanes_compare_absolute(TranslationContext& t, Op op, bool q, bool sz, Vec m, Vec n, Vec d);
bool fp_lanes_compare_zero(TranslationContext& t, Op op, bool swapped, bool q, bool sz, Vec n, Vec d);
bool fp_lanes_round(TranslationContext& t, RoundMode mode, bool q, bool sz, Vec n, Vec d);
bool fp_lanes_round_within(TranslationContext& t, RoundMode mode, unsigned bits, bool q, bool sz, Vec n,
                           Vec d);
bool fp_lanes_to_int(TranslationContext& t, Op op, RoundMode mode, bool q, bool sz, Vec n, Vec d);
bool fp_lanes_multiply_add(TranslationContext& t, bool negate, bool q, bool sz, Vec m, Vec n, Vec d);
bool fixed_point_estimate(TranslationContext& t, Op op, bool q, Vec n, Vec d);
bool fp_across_lanes(TranslationContext& t, Op op, Vec n, Vec d);
bool FABD_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FCVTL_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTN_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTXN_vector(TranslationContext& t, bool Q, Vec n, Vec d);

// simd_permute.cpp: permute, table lookup, copy, modified immediate
bool permute(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d);
bool table_lookup(TranslationContext& t, bool extend, bool q, Vec m, Imm<2> len, Vec n, Vec d);
bool move_to_general(TranslationContext& t, Op op, unsigned sizes_x, unsigned sizes_w, bool q, Imm<5> imm5,
                     Vec n, Reg d);
bool modified_immediate_32(TranslationContext& t, ImmediateOp op, bool q, Imm<3> abc, Imm<2> cmode,
                           Imm<5> defgh, Vec d);
bool modified_immediate_16(TranslationContext& t, ImmediateOp op, bool q, Imm<3> abc, bool cmode,
                           Imm<5> defgh, Vec d);
bool modified_immediate_ones(TranslationContext& t, ImmediateOp op, bool q, Imm<3> abc, bool cmode,
                             Imm<5> defgh, Vec d);
bool EXT_vector(TranslationContext& t, bool Q, Vec m, Imm<4> imm, Vec n, Vec d);
bool DUP_element(TranslationContext& t, bool Q, Imm<5> imm5, Vec n, Vec d);
bool DUP_element_scalar(TranslationContext& t, Imm<5> imm5, Vec n, Vec d);
bool DUP_general(TranslationContext& t, bool Q, Imm<5> imm5, Reg n, Vec d);
bool INS_general(TranslationContext& t, Imm<5> imm5, Reg n, Vec d);
bool INS_element(TranslationContext& t, Imm<5> imm5, Imm<4> imm4, Vec n, Vec d);
bool MOVI_8(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d);
bool MOVI_64(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d);
bool FMOV_vector_imm_single(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d);
bool FMOV_vector_imm_double(TranslationContext& t, Imm<3> abc, Imm<5> defgh, Vec d);

// simd_shift.cpp: shift by immediate
bool shift_right(TranslationContext& t, Op op, bool accumulate, bool q, Imm<4> immh, Imm<3> immb, Vec n,
                 Vec d);
bool shift_left(TranslationContext& t, Op op, bool q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool shift_insert(TranslationContext& t, Op op, bool right, bool q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool shift_right_narrow(TranslationContext& t, Op shift_op, Op narrow_op, bool q, Imm<4> immh, Imm<3> immb,
                        Vec n, Vec d);
bool shift_left_long(TranslationContext& t, Op widen, bool q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool fixed_point_convert(TranslationContext& t, Op op, bool to_int, bool q, Imm<4> immh, Imm<3> immb, Vec n,
                         Vec d);
bool scalar_shift_right(TranslationContext& t, Op op, bool accumulate, Imm<6> imm, Vec n, Vec d);
bool scalar_shift_insert(TranslationContext& t, Op op, bool right, Imm<6> imm, Vec n, Vec d);
bool scalar_shift_left_saturating(TranslationContext& t, Op op, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool scalar_shift_right_narrow(TranslationContext& t, Op shift_op, Op narrow_op, Imm<4> immh, Imm<3> immb,
                               Vec n, Vec d);
bool scalar_fixed_point_convert(TranslationContext& t, Op op, bool to_int, Imm<4> immh, Imm<3> immb, Vec n,
                                Vec d);
bool SHL_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);

// simd_by_element.cpp: vector x indexed element
bool by_element(TranslationContext& t, Op op, bool q, Imm<2> size, bool l, bool m_bit, Imm<4> m, bool h,
                Vec n, Vec d);
bool by_element_accumulate(TranslationContext& t, Op combine, bool q, Imm<2> size, bool l, bool m_bit,
                           Imm<4> m, bool h, Vec n, Vec d);
bool by_element_fused(TranslationContext& t, Op op, bool q, Imm<2> size, bool l, bool m_bit, Imm<4> m, bool h,
                      Vec n, Vec d);
bool by_element_long(TranslationContext& t, Op op, bool q, Imm<2> size, bool l, bool m_bit, Imm<4> m, bool h,
                     Vec n, Vec d);
bool by_element_long_accumulate(TranslationContext& t, Op op, Op combine, bool q, Imm<2> size, bool l,
                                bool m_bit, Imm<4> m, bool h, Vec n, Vec d);
bool scalar_by_element(TranslationContext& t, Op op, Imm<2> size, bool l, bool m_bit, Imm<4> m, bool h, Vec n,
                       Vec d);
bool scalar_by_element_fused(TranslationContext& t, Op op, Imm<2> size, bool l, bool m_bit, Imm<4> m, bool h,
                             Vec n, Vec d);
bool scalar_by_element_accumulate(TranslationContext& t, Op combine, Imm<2> size, bool l, bool m_bit,
                                  Imm<4> m, bool h, Vec n, Vec d);
bool by_element_dot(TranslationContext& t, Op op, bool q, bool l, bool m_bit, Imm<4> m, bool h, Vec n, Vec d);
bool fp_by_element(TranslationContext& t, Op op, bool q, bool sz, bool l, bool m_bit, Imm<4> m, bool h, Vec n,
                   Vec d);
bool fp_by_element_multiply_add(TranslationContext& t, bool negate, bool q, bool sz, bool l, bool m_bit,
                                Imm<4> m, bool h, Vec n, Vec d);
bool scalar_fp_by_element(TranslationContext& t, Op op, bool sz, bool l, bool m_bit, Imm<4> m, bool h, Vec n,
                          Vec d);
bool scalar_fp_by_element_multiply_add(TranslationContext& t, bool negate, bool sz, bool l, bool m_bit,
                                       Imm<4> m, bool h, Vec n, Vec d);

// simd_scalar.cpp: scalar
bool scalar_three_same(TranslationContext& t, Op op, Vec m, Vec n, Vec d);
bool scalar_two_register(TranslationContext& t, Op op, Vec n, Vec d);
bool scalar_compare_zero(TranslationContext& t, Op op, bool swapped, Vec n, Vec d);
bool scalar_three_same_saturating(TranslationContext& t, Op op, unsigned sizes, Imm<2> size, Vec m, Vec n,
                                  Vec d);
bool scalar_accumulate_saturating(TranslationContext& t, Op op, Imm<2> size, Vec n, Vec d);
bool scalar_saturating(TranslationContext& t, Op op, Imm<2> size, Vec n, Vec d);
bool scalar_narrow(TranslationContext& t, Op op, Imm<2> size, Vec n, Vec d);
bool scalar_fused_saturating(TranslationContext& t, Op op, Imm<2> size, Vec m, Vec n, Vec d);
bool scalar_doubling_accumulate(TranslationContext& t, Op combine, Imm<2> size, Vec m, Vec n, Vec d);
bool scalar_fp_compare(TranslationContext& t, Op op, bool absolute, bool sz, Vec m, Vec n, Vec d);
bool scalar_fp_compare_zero(TranslationContext& t, Op op, bool swapped, bool sz, Vec n, Vec d);
bool scalar_fp_to_int(TranslationContext& t, Op op, RoundMode mode, bool sz, Vec n, Vec d);
bool scalar_fp_from_int(TranslationContext& t, Op op, bool sz, Vec n, Vec d);
bool scalar_fp_pairwise(TranslationContext& t, Op op, bool sz, Vec n, Vec d);
bool FCVTXN_scalar(TranslationContext& t, Vec n, Vec d);
bool ADDP_scalar(TranslationContext& t, Vec n, Vec d);

// simd_load_store.cpp: load and store structures
bool load_multiple(TranslationContext& t, unsigned count, unsigned members, bool q, bool wback, Reg m,
                   Imm<2> size, Reg n, Vec d);
bool store_multiple(TranslationContext& t, unsigned count, unsigned members, bool q, bool wback, Reg m,
                    Imm<2> size, Reg n, Vec d);
bool LDAP1_single(TranslationContext& t, bool lane, Reg n, Vec d);
bool STL1_single(TranslationContext& t, bool lane, Reg n, Vec d);
bool load_single(TranslationContext& t, unsigned members, bool q, bool wback, Reg m, Imm<2> scale, bool S,
                 Imm<2> size, Reg n, Vec d);
bool store_single(TranslationContext& t, unsigned members, bool q, bool wback, Reg m, Imm<2> scale, bool S,
                  Imm<2> size, Reg n, Vec d);
bool load_replicate(TranslationContext& t, unsigned members, bool q, bool wback, Reg m, Imm<2> size, Reg n,
                    Vec d);

// fp.cpp: scalar floating point
bool fp_unary(TranslationContext& t, Op op, bool dbl, Vec n, Vec d);
bool fp_binary(TranslationContext& t, Op op, bool dbl, Vec m, Vec n, Vec d);
bool fp_binary_then(TranslationContext& t, Op op, Op then, bool dbl, Vec m, Vec n, Vec d);
bool fp_round(TranslationContext& t, RoundMode mode, bool dbl, Vec n, Vec d);
bool fp_round_within(TranslationContext& t, RoundMode mode, unsigned bits, bool dbl, Vec n, Vec d);
bool fp_multiply_add(TranslationContext& t, bool negate_addend, bool negate_product, bool dbl, Vec m, Vec a,
                     Vec n, Vec d);
bool fp_compare(TranslationContext& t, bool signalling, bool dbl, Vec m, Vec n);
bool fp_compare_zero(TranslationContext& t, bool signalling, bool dbl, Vec n);
bool fp_conditional_compare(TranslationContext& t, bool signalling, bool dbl, Vec m, Imm<4> cond, Vec n,
                            Imm<4> nzcv);
bool FMOV_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FMOV_float_imm(TranslationContext& t, bool dbl, Imm<8> imm, Vec d);
bool FCSEL_float(TranslationContext& t, bool dbl, Vec m, Imm<4> cond, Vec n, Vec d);

// fp_convert.cpp: scalar conversions and moves
bool fp_change_precision(TranslationContext& t, Op op, Type to, bool from_double, Vec n, Vec d);
bool fp_to_int(TranslationContext& t, Op op, RoundMode mode, bool sf, bool dbl, Vec n, Reg d);
bool fp_from_int(TranslationContext& t, Op op, bool sf, bool dbl, Reg n, Vec d);
bool fp_to_fixed_point(TranslationContext& t, Op op, bool sf, bool dbl, Imm<6> scale, Vec n, Reg d);
bool fp_from_fixed_point(TranslationContext& t, Op op, bool sf, bool dbl, Imm<6> scale, Reg n, Vec d);
bool FJCVTZS_float_int(TranslationContext& t, Vec n, Reg d);
bool fp_to_general(TranslationContext& t, bool dbl, Vec n, Reg d);
bool general_to_fp(TranslationContext& t, bool dbl, Reg n, Vec d);
bool FMOV_upper_to_gen(TranslationContext& t, Vec n, Reg d);
bool FMOV_gen_to_upper(TranslationContext& t, Reg n, Vec d);

// crypto.cpp
bool crypto_unary(TranslationContext& t, Op op, Vec n, Vec d);
bool crypto_accumulate(TranslationContext& t, Op op, Vec n, Vec d);
bool crypto_three_register(TranslationContext& t, Op op, Vec m, Vec n, Vec d);
bool crypto_four_register(TranslationContext& t, Op op, Vec m, Vec a, Vec n, Vec d);
bool SHA1H(TranslationContext& t, Vec n, Vec d);
bool SHA512H(TranslationContext& t, Vec m, Vec n, Vec d);
bool SHA512H2(TranslationContext& t, Vec m, Vec n, Vec d);
bool SHA512SU0(TranslationContext& t, Vec n, Vec d);
bool SHA512SU1(TranslationContext& t, Vec m, Vec n, Vec d);
bool RAX1(TranslationContext& t, Vec m, Vec n, Vec d);
bool XAR(TranslationContext& t, Vec m, Imm<6> imm6, Vec n, Vec d);
bool sm3_round(TranslationContext& t, unsigned which, bool later, Vec m, Imm<2> lane, Vec n, Vec d);
bool SM3SS1(TranslationContext& t, Vec m, Vec a, Vec n, Vec d);
bool SM3PARTW1(TranslationContext& t, Vec m, Vec n, Vec d);
bool SM3PARTW2(TranslationContext& t, Vec m, Vec n, Vec d);
bool SM4E(TranslationContext& t, Vec n, Vec d);
bool SM4EKEY(TranslationContext& t, Vec m, Vec n, Vec d);

}  // namespace arclight::frontend::a64::translate
