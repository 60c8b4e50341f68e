// Handlers of scalar floating point, Advanced SIMD and the cryptographic extension.
#pragma once

#include "frontend/a64/translate/translator.h"

namespace arclight::frontend::a64::translate {

// Floating-point data-processing (1 source)
bool FMOV_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FABS_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FNEG_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FSQRT_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FRINTN_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FRINTP_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FRINTM_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FRINTZ_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FRINTA_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FRINTX_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FRINTI_float(TranslationContext& t, bool dbl, Vec n, Vec d);
bool FCVT_single_to_double(TranslationContext& t, Vec n, Vec d);
bool FCVT_single_to_half(TranslationContext& t, Vec n, Vec d);
bool FCVT_double_to_single(TranslationContext& t, Vec n, Vec d);
bool FCVT_double_to_half(TranslationContext& t, Vec n, Vec d);
bool FCVT_half_to_single(TranslationContext& t, Vec n, Vec d);
bool FCVT_half_to_double(TranslationContext& t, Vec n, Vec d);

// Floating-point data-processing (2 source)
bool FMUL_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d);
bool FDIV_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d);
bool FADD_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d);
bool FSUB_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d);
bool FMAX_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d);
bool FMIN_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d);
bool FMAXNM_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d);
bool FMINNM_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d);
bool FNMUL_float(TranslationContext& t, bool dbl, Vec m, Vec n, Vec d);

// Floating-point data-processing (3 source)
bool FMADD_float(TranslationContext& t, bool dbl, Vec m, Vec a, Vec n, Vec d);
bool FMSUB_float(TranslationContext& t, bool dbl, Vec m, Vec a, Vec n, Vec d);
bool FNMADD_float(TranslationContext& t, bool dbl, Vec m, Vec a, Vec n, Vec d);
bool FNMSUB_float(TranslationContext& t, bool dbl, Vec m, Vec a, Vec n, Vec d);

// Floating-point immediate, compare, conditional compare, conditional select
bool FMOV_float_imm(TranslationContext& t, bool dbl, Imm<8> imm, Vec d);
bool FCMP_float(TranslationContext& t, bool dbl, Vec m, Vec n);
bool FCMP_zero_float(TranslationContext& t, bool dbl, Vec n);
bool FCMPE_float(TranslationContext& t, bool dbl, Vec m, Vec n);
bool FCMPE_zero_float(TranslationContext& t, bool dbl, Vec n);
bool FCCMP_float(TranslationContext& t, bool dbl, Vec m, Imm<4> cond, Vec n, Imm<4> nzcv);
bool FCCMPE_float(TranslationContext& t, bool dbl, Vec m, Imm<4> cond, Vec n, Imm<4> nzcv);
bool FCSEL_float(TranslationContext& t, bool dbl, Vec m, Imm<4> cond, Vec n, Vec d);

// Conversion between floating-point and integer
bool FCVTNS_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTNU_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTAS_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTAU_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTPS_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTPU_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTMS_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTMU_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTZS_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTZU_float_int(TranslationContext& t, bool sf, bool dbl, Vec n, Reg d);
bool SCVTF_float_int(TranslationContext& t, bool sf, bool dbl, Reg n, Vec d);
bool UCVTF_float_int(TranslationContext& t, bool sf, bool dbl, Reg n, Vec d);
bool FMOV_single_to_gen(TranslationContext& t, Vec n, Reg d);
bool FMOV_gen_to_single(TranslationContext& t, Reg n, Vec d);
bool FMOV_double_to_gen(TranslationContext& t, Vec n, Reg d);
bool FMOV_gen_to_double(TranslationContext& t, Reg n, Vec d);
bool FMOV_upper_to_gen(TranslationContext& t, Vec n, Reg d);
bool FMOV_gen_to_upper(TranslationContext& t, Reg n, Vec d);

// Conversion between floating-point and fixed-point
bool SCVTF_float_fix(TranslationContext& t, bool sf, bool dbl, Imm<6> scale, Reg n, Vec d);
bool UCVTF_float_fix(TranslationContext& t, bool sf, bool dbl, Imm<6> scale, Reg n, Vec d);
bool FCVTZS_float_fix(TranslationContext& t, bool sf, bool dbl, Imm<6> scale, Vec n, Reg d);
bool FCVTZU_float_fix(TranslationContext& t, bool sf, bool dbl, Imm<6> scale, Vec n, Reg d);

// Advanced SIMD three same
bool SHADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SRHADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SHSUB_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQSUB_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMGT_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMGE_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SRSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQRSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMAX_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMIN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SABD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SABA_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool ADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMTST_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool MLA_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool MUL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMAXP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMINP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMULH_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool ADDP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool AND_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool BIC_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool ORR_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool ORN_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool UHADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UQADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool URHADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UHSUB_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UQSUB_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMHI_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMHS_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool USHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UQSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool URSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UQRSHL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMAX_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMIN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UABD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UABA_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SUB_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMEQ_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool MLS_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool PMUL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMAXP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMINP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQRDMULH_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool EOR_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool BSL_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool BIT_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool BIF_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool FMAXNM_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMLA_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FADD_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMULX_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FCMEQ_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMAX_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FRECPS_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMINNM_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMLS_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FSUB_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMIN_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FRSQRTS_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMAXNMP_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FADDP_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMUL_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FCMGE_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FACGE_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMAXP_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FDIV_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMINNMP_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FABD_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FCMGT_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FACGT_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMINP_vector(TranslationContext& t, bool Q, bool sz, Vec m, Vec n, Vec d);

// Advanced SIMD three same extra
bool SQRDMLAH_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQRDMLSH_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SDOT_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);
bool UDOT_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d);

// Advanced SIMD three different
bool SADDL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UADDL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SADDW_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UADDW_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SSUBL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool USUBL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SSUBW_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool USUBW_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool ADDHN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool RADDHN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SABAL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UABAL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SUBHN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool RSUBHN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SABDL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UABDL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMLAL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMLAL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMLSL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMLSL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMULL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMULL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMLAL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMLSL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMULL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool PMULL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);

// Advanced SIMD two-register miscellaneous
bool REV64_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool REV16_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SADDLP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SUQADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CLS_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CNT_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SADALP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SQABS_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CMGT_zero_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CMEQ_zero_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CMLT_zero_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool ABS_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool XTN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SQXTN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool REV32_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UADDLP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool USQADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CLZ_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UADALP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SQNEG_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CMGE_zero_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CMLE_zero_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool NEG_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SQXTUN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SHLL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UQXTN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool NOT_vector(TranslationContext& t, bool Q, Vec n, Vec d);
bool RBIT_vector(TranslationContext& t, bool Q, Vec n, Vec d);
bool FRINTN_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTM_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTNS_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTMS_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTAS_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool SCVTF_int_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCMGT_zero_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCMEQ_zero_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCMLT_zero_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FABS_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTP_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTZ_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTPS_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTZS_int_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FRECPE_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTA_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTX_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTNU_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTMU_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTAU_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool UCVTF_int_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCMGE_zero_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCMLE_zero_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FNEG_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTI_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTPU_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTZU_int_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FRSQRTE_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FSQRT_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTN_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTL_vector(TranslationContext& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTXN_vector(TranslationContext& t, bool Q, Vec n, Vec d);
bool URECPE_vector(TranslationContext& t, bool Q, Vec n, Vec d);
bool URSQRTE_vector(TranslationContext& t, bool Q, Vec n, Vec d);

// Advanced SIMD across lanes
bool SADDLV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SMAXV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SMINV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool ADDV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UADDLV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UMAXV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UMINV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d);
bool FMAXNMV_vector(TranslationContext& t, Vec n, Vec d);
bool FMAXV_vector(TranslationContext& t, Vec n, Vec d);
bool FMINNMV_vector(TranslationContext& t, Vec n, Vec d);
bool FMINV_vector(TranslationContext& t, Vec n, Vec d);

// Advanced SIMD permute, extract and table lookup
bool UZP1_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool TRN1_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool ZIP1_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UZP2_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool TRN2_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool ZIP2_vector(TranslationContext& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool EXT_vector(TranslationContext& t, bool Q, Vec m, Imm<4> imm, Vec n, Vec d);
bool TBL_vector(TranslationContext& t, bool Q, Vec m, Imm<2> len, Vec n, Vec d);
bool TBX_vector(TranslationContext& t, bool Q, Vec m, Imm<2> len, Vec n, Vec d);

// Advanced SIMD copy
bool DUP_element(TranslationContext& t, bool Q, Imm<5> imm5, Vec n, Vec d);
bool DUP_general(TranslationContext& t, bool Q, Imm<5> imm5, Reg n, Vec d);
bool SMOV_vector(TranslationContext& t, bool Q, Imm<5> imm5, Vec n, Reg d);
bool UMOV_vector(TranslationContext& t, bool Q, Imm<5> imm5, Vec n, Reg d);
bool INS_general(TranslationContext& t, Imm<5> imm5, Reg n, Vec d);
bool INS_element(TranslationContext& t, Imm<5> imm5, Imm<4> imm4, Vec n, Vec d);

// Advanced SIMD modified immediate
bool MOVI_32(TranslationContext& t, bool Q, Imm<3> abc, Imm<2> cmode, Imm<5> defgh, Vec d);
bool ORR_imm_32(TranslationContext& t, bool Q, Imm<3> abc, Imm<2> cmode, Imm<5> defgh, Vec d);
bool MOVI_16(TranslationContext& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool ORR_imm_16(TranslationContext& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool MOVI_ones(TranslationContext& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool MOVI_8(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d);
bool FMOV_vector_imm_single(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d);
bool MVNI_32(TranslationContext& t, bool Q, Imm<3> abc, Imm<2> cmode, Imm<5> defgh, Vec d);
bool BIC_imm_32(TranslationContext& t, bool Q, Imm<3> abc, Imm<2> cmode, Imm<5> defgh, Vec d);
bool MVNI_16(TranslationContext& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool BIC_imm_16(TranslationContext& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool MVNI_ones(TranslationContext& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool MOVI_64(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d);
bool FMOV_vector_imm_double(TranslationContext& t, Imm<3> abc, Imm<5> defgh, Vec d);

// Advanced SIMD shift by immediate (immh = 0000 is the group above or reserved)
bool SSHR_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SSRA_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SRSHR_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SRSRA_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SHL_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHL_imm_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool RSHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQRSHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SSHLL_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SCVTF_fix_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool FCVTZS_fix_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool USHR_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool USRA_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool URSHR_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool URSRA_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SRI_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SLI_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHLU_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQSHL_imm_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHRUN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQRSHRUN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQSHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQRSHRN_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool USHLL_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UCVTF_fix_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool FCVTZU_fix_vector(TranslationContext& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);

// Advanced SIMD vector x indexed element
bool SMLAL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d);
bool SQDMLAL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                     Vec d);
bool SMLSL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d);
bool SQDMLSL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                     Vec d);
bool MUL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SMULL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d);
bool SQDMULL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                     Vec d);
bool SQDMULH_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                     Vec d);
bool SQRDMULH_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                      Vec d);
bool MLA_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool UMLAL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d);
bool MLS_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool UMLSL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d);
bool UMULL_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                   Vec d);
bool SQRDMLAH_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                      Vec d);
bool SQRDMLSH_element(TranslationContext& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                      Vec d);
bool FMLA_element(TranslationContext& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMLS_element(TranslationContext& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMUL_element(TranslationContext& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMULX_element(TranslationContext& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SDOT_element(TranslationContext& t, bool Q, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool UDOT_element(TranslationContext& t, bool Q, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);

// Advanced SIMD scalar three same
bool SQADD_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SQSUB_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool CMGT_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool CMGE_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool SSHL_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool SQSHL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SRSHL_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool SQRSHL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool ADD_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool CMTST_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool SQDMULH_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool UQADD_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool UQSUB_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool CMHI_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool CMHS_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool USHL_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool UQSHL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool URSHL_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool UQRSHL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SUB_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool CMEQ_scalar(TranslationContext& t, Vec m, Vec n, Vec d);
bool SQRDMULH_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool FMULX_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d);
bool FCMEQ_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d);
bool FRECPS_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d);
bool FRSQRTS_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d);
bool FCMGE_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d);
bool FACGE_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d);
bool FABD_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d);
bool FCMGT_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d);
bool FACGT_scalar(TranslationContext& t, bool sz, Vec m, Vec n, Vec d);
bool SQRDMLAH_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SQRDMLSH_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);

// Advanced SIMD scalar three different
bool SQDMLAL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMLSL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMULL_scalar(TranslationContext& t, Imm<2> size, Vec m, Vec n, Vec d);

// Advanced SIMD scalar two-register miscellaneous
bool SUQADD_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d);
bool SQABS_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d);
bool CMGT_zero_scalar(TranslationContext& t, Vec n, Vec d);
bool CMEQ_zero_scalar(TranslationContext& t, Vec n, Vec d);
bool CMLT_zero_scalar(TranslationContext& t, Vec n, Vec d);
bool ABS_scalar(TranslationContext& t, Vec n, Vec d);
bool SQXTN_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d);
bool USQADD_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d);
bool SQNEG_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d);
bool CMGE_zero_scalar(TranslationContext& t, Vec n, Vec d);
bool CMLE_zero_scalar(TranslationContext& t, Vec n, Vec d);
bool NEG_scalar(TranslationContext& t, Vec n, Vec d);
bool SQXTUN_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d);
bool UQXTN_scalar(TranslationContext& t, Imm<2> size, Vec n, Vec d);
bool FCVTNS_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCVTMS_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCVTAS_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool SCVTF_int_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCMGT_zero_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCMEQ_zero_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCMLT_zero_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCVTPS_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCVTZS_int_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FRECPE_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCVTNU_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCVTMU_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCVTAU_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool UCVTF_int_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCMGE_zero_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCMLE_zero_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCVTPU_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCVTZU_int_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FRSQRTE_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FRECPX_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FCVTXN_scalar(TranslationContext& t, Vec n, Vec d);

// Advanced SIMD scalar pairwise
bool ADDP_scalar(TranslationContext& t, Vec n, Vec d);
bool FMAXNMP_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FADDP_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FMAXP_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FMINNMP_scalar(TranslationContext& t, bool sz, Vec n, Vec d);
bool FMINP_scalar(TranslationContext& t, bool sz, Vec n, Vec d);

// Advanced SIMD scalar copy
bool DUP_element_scalar(TranslationContext& t, Imm<5> imm5, Vec n, Vec d);

// Advanced SIMD scalar shift by immediate
bool SSHR_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool SSRA_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool SRSHR_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool SRSRA_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool SHL_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool SQSHL_imm_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHRN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQRSHRN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SCVTF_fix_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool FCVTZS_fix_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool USHR_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool USRA_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool URSHR_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool URSRA_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool SRI_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool SLI_scalar(TranslationContext& t, Imm<6> imm, Vec n, Vec d);
bool SQSHLU_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQSHL_imm_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHRUN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQRSHRUN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQSHRN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQRSHRN_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UCVTF_fix_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool FCVTZU_fix_scalar(TranslationContext& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);

// Advanced SIMD scalar x indexed element
bool SQDMLAL_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                            Vec d);
bool SQDMLSL_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                            Vec d);
bool SQDMULL_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                            Vec d);
bool SQDMULH_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                            Vec d);
bool SQRDMULH_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                             Vec d);
bool SQRDMLAH_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                             Vec d);
bool SQRDMLSH_element_scalar(TranslationContext& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n,
                             Vec d);
bool FMLA_element_scalar(TranslationContext& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMLS_element_scalar(TranslationContext& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMUL_element_scalar(TranslationContext& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMULX_element_scalar(TranslationContext& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);

// Advanced SIMD load/store multiple structures (w: post-indexed)
bool ST1_multiple_1(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST1_multiple_2(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST1_multiple_3(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST1_multiple_4(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST2_multiple(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST3_multiple(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST4_multiple(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD1_multiple_1(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD1_multiple_2(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD1_multiple_3(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD1_multiple_4(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD2_multiple(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD3_multiple(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD4_multiple(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);

// Advanced SIMD load single structure and replicate
bool LD1R_vector(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD2R_vector(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD3R_vector(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD4R_vector(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);

// Advanced SIMD load/store single structure (cc = 11 is the group above or reserved)
bool ST1_single(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n,
                Vec d);
bool ST2_single(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n,
                Vec d);
bool ST3_single(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n,
                Vec d);
bool ST4_single(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n,
                Vec d);
bool LD1_single(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n,
                Vec d);
bool LD2_single(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n,
                Vec d);
bool LD3_single(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n,
                Vec d);
bool LD4_single(TranslationContext& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n,
                Vec d);

// Cryptographic AES
bool AESE(TranslationContext& t, Vec n, Vec d);
bool AESD(TranslationContext& t, Vec n, Vec d);
bool AESMC(TranslationContext& t, Vec n, Vec d);
bool AESIMC(TranslationContext& t, Vec n, Vec d);

// Cryptographic three-register SHA
bool SHA1C(TranslationContext& t, Vec m, Vec n, Vec d);
bool SHA1P(TranslationContext& t, Vec m, Vec n, Vec d);
bool SHA1M(TranslationContext& t, Vec m, Vec n, Vec d);
bool SHA1SU0(TranslationContext& t, Vec m, Vec n, Vec d);
bool SHA256H(TranslationContext& t, Vec m, Vec n, Vec d);
bool SHA256H2(TranslationContext& t, Vec m, Vec n, Vec d);
bool SHA256SU1(TranslationContext& t, Vec m, Vec n, Vec d);

// Cryptographic two-register SHA
bool SHA1H(TranslationContext& t, Vec n, Vec d);
bool SHA1SU1(TranslationContext& t, Vec n, Vec d);
bool SHA256SU0(TranslationContext& t, Vec n, Vec d);

}  // namespace arclight::frontend::a64::translate
