// Handlers of scalar floating point, Advanced SIMD and the cryptographic extension.
#pragma once

#include "frontend/a64/translate/translator.h"

namespace arclight::frontend::a64::translate {

// Floating-point data-processing (1 source)
bool FMOV_float(Translator& t, bool dbl, Vec n, Vec d);
bool FABS_float(Translator& t, bool dbl, Vec n, Vec d);
bool FNEG_float(Translator& t, bool dbl, Vec n, Vec d);
bool FSQRT_float(Translator& t, bool dbl, Vec n, Vec d);
bool FRINTN_float(Translator& t, bool dbl, Vec n, Vec d);
bool FRINTP_float(Translator& t, bool dbl, Vec n, Vec d);
bool FRINTM_float(Translator& t, bool dbl, Vec n, Vec d);
bool FRINTZ_float(Translator& t, bool dbl, Vec n, Vec d);
bool FRINTA_float(Translator& t, bool dbl, Vec n, Vec d);
bool FRINTX_float(Translator& t, bool dbl, Vec n, Vec d);
bool FRINTI_float(Translator& t, bool dbl, Vec n, Vec d);
bool FCVT_single_to_double(Translator& t, Vec n, Vec d);
bool FCVT_single_to_half(Translator& t, Vec n, Vec d);
bool FCVT_double_to_single(Translator& t, Vec n, Vec d);
bool FCVT_double_to_half(Translator& t, Vec n, Vec d);
bool FCVT_half_to_single(Translator& t, Vec n, Vec d);
bool FCVT_half_to_double(Translator& t, Vec n, Vec d);

// Floating-point data-processing (2 source)
bool FMUL_float(Translator& t, bool dbl, Vec m, Vec n, Vec d);
bool FDIV_float(Translator& t, bool dbl, Vec m, Vec n, Vec d);
bool FADD_float(Translator& t, bool dbl, Vec m, Vec n, Vec d);
bool FSUB_float(Translator& t, bool dbl, Vec m, Vec n, Vec d);
bool FMAX_float(Translator& t, bool dbl, Vec m, Vec n, Vec d);
bool FMIN_float(Translator& t, bool dbl, Vec m, Vec n, Vec d);
bool FMAXNM_float(Translator& t, bool dbl, Vec m, Vec n, Vec d);
bool FMINNM_float(Translator& t, bool dbl, Vec m, Vec n, Vec d);
bool FNMUL_float(Translator& t, bool dbl, Vec m, Vec n, Vec d);

// Floating-point data-processing (3 source)
bool FMADD_float(Translator& t, bool dbl, Vec m, Vec a, Vec n, Vec d);
bool FMSUB_float(Translator& t, bool dbl, Vec m, Vec a, Vec n, Vec d);
bool FNMADD_float(Translator& t, bool dbl, Vec m, Vec a, Vec n, Vec d);
bool FNMSUB_float(Translator& t, bool dbl, Vec m, Vec a, Vec n, Vec d);

// Floating-point immediate, compare, conditional compare, conditional select
bool FMOV_float_imm(Translator& t, bool dbl, Imm<8> imm, Vec d);
bool FCMP_float(Translator& t, bool dbl, Vec m, Vec n);
bool FCMP_zero_float(Translator& t, bool dbl, Vec n);
bool FCMPE_float(Translator& t, bool dbl, Vec m, Vec n);
bool FCMPE_zero_float(Translator& t, bool dbl, Vec n);
bool FCCMP_float(Translator& t, bool dbl, Vec m, Imm<4> cond, Vec n, Imm<4> nzcv);
bool FCCMPE_float(Translator& t, bool dbl, Vec m, Imm<4> cond, Vec n, Imm<4> nzcv);
bool FCSEL_float(Translator& t, bool dbl, Vec m, Imm<4> cond, Vec n, Vec d);

// Conversion between floating-point and integer
bool FCVTNS_float_int(Translator& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTNU_float_int(Translator& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTAS_float_int(Translator& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTAU_float_int(Translator& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTPS_float_int(Translator& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTPU_float_int(Translator& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTMS_float_int(Translator& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTMU_float_int(Translator& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTZS_float_int(Translator& t, bool sf, bool dbl, Vec n, Reg d);
bool FCVTZU_float_int(Translator& t, bool sf, bool dbl, Vec n, Reg d);
bool SCVTF_float_int(Translator& t, bool sf, bool dbl, Reg n, Vec d);
bool UCVTF_float_int(Translator& t, bool sf, bool dbl, Reg n, Vec d);
bool FMOV_single_to_gen(Translator& t, Vec n, Reg d);
bool FMOV_gen_to_single(Translator& t, Reg n, Vec d);
bool FMOV_double_to_gen(Translator& t, Vec n, Reg d);
bool FMOV_gen_to_double(Translator& t, Reg n, Vec d);
bool FMOV_upper_to_gen(Translator& t, Vec n, Reg d);
bool FMOV_gen_to_upper(Translator& t, Reg n, Vec d);

// Conversion between floating-point and fixed-point
bool SCVTF_float_fix(Translator& t, bool sf, bool dbl, Imm<6> scale, Reg n, Vec d);
bool UCVTF_float_fix(Translator& t, bool sf, bool dbl, Imm<6> scale, Reg n, Vec d);
bool FCVTZS_float_fix(Translator& t, bool sf, bool dbl, Imm<6> scale, Vec n, Reg d);
bool FCVTZU_float_fix(Translator& t, bool sf, bool dbl, Imm<6> scale, Vec n, Reg d);

// Advanced SIMD three same
bool SHADD_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQADD_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SRHADD_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SHSUB_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQSUB_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMGT_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMGE_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SSHL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQSHL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SRSHL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQRSHL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMAX_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMIN_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SABD_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SABA_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool ADD_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMTST_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool MLA_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool MUL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMAXP_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMINP_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMULH_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool ADDP_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool AND_vector(Translator& t, bool Q, Vec m, Vec n, Vec d);
bool BIC_vector(Translator& t, bool Q, Vec m, Vec n, Vec d);
bool ORR_vector(Translator& t, bool Q, Vec m, Vec n, Vec d);
bool ORN_vector(Translator& t, bool Q, Vec m, Vec n, Vec d);
bool UHADD_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UQADD_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool URHADD_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UHSUB_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UQSUB_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMHI_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMHS_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool USHL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UQSHL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool URSHL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UQRSHL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMAX_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMIN_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UABD_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UABA_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SUB_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool CMEQ_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool MLS_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool PMUL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMAXP_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMINP_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQRDMULH_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool EOR_vector(Translator& t, bool Q, Vec m, Vec n, Vec d);
bool BSL_vector(Translator& t, bool Q, Vec m, Vec n, Vec d);
bool BIT_vector(Translator& t, bool Q, Vec m, Vec n, Vec d);
bool BIF_vector(Translator& t, bool Q, Vec m, Vec n, Vec d);
bool FMAXNM_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMLA_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FADD_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMULX_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FCMEQ_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMAX_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FRECPS_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMINNM_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMLS_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FSUB_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMIN_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FRSQRTS_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMAXNMP_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FADDP_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMUL_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FCMGE_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FACGE_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMAXP_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FDIV_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMINNMP_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FABD_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FCMGT_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FACGT_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);
bool FMINP_vector(Translator& t, bool Q, bool sz, Vec m, Vec n, Vec d);

// Advanced SIMD three same extra
bool SQRDMLAH_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQRDMLSH_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SDOT_vector(Translator& t, bool Q, Vec m, Vec n, Vec d);
bool UDOT_vector(Translator& t, bool Q, Vec m, Vec n, Vec d);

// Advanced SIMD three different
bool SADDL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UADDL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SADDW_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UADDW_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SSUBL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool USUBL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SSUBW_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool USUBW_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool ADDHN_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool RADDHN_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SABAL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UABAL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SUBHN_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool RSUBHN_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SABDL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UABDL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMLAL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMLAL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMLSL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMLSL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SMULL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UMULL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMLAL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMLSL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMULL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool PMULL_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);

// Advanced SIMD two-register miscellaneous
bool REV64_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool REV16_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SADDLP_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SUQADD_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CLS_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CNT_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SADALP_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SQABS_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CMGT_zero_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CMEQ_zero_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CMLT_zero_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool ABS_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool XTN_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SQXTN_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool REV32_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UADDLP_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool USQADD_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CLZ_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UADALP_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SQNEG_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CMGE_zero_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool CMLE_zero_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool NEG_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SQXTUN_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SHLL_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UQXTN_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool NOT_vector(Translator& t, bool Q, Vec n, Vec d);
bool RBIT_vector(Translator& t, bool Q, Vec n, Vec d);
bool FRINTN_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTM_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTNS_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTMS_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTAS_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool SCVTF_int_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCMGT_zero_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCMEQ_zero_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCMLT_zero_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FABS_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTP_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTZ_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTPS_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTZS_int_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FRECPE_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTA_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTX_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTNU_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTMU_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTAU_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool UCVTF_int_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCMGE_zero_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCMLE_zero_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FNEG_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FRINTI_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTPU_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTZU_int_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FRSQRTE_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FSQRT_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTN_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTL_vector(Translator& t, bool Q, bool sz, Vec n, Vec d);
bool FCVTXN_vector(Translator& t, bool Q, Vec n, Vec d);
bool URECPE_vector(Translator& t, bool Q, Vec n, Vec d);
bool URSQRTE_vector(Translator& t, bool Q, Vec n, Vec d);

// Advanced SIMD across lanes
bool SADDLV_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SMAXV_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool SMINV_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool ADDV_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UADDLV_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UMAXV_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool UMINV_vector(Translator& t, bool Q, Imm<2> size, Vec n, Vec d);
bool FMAXNMV_vector(Translator& t, Vec n, Vec d);
bool FMAXV_vector(Translator& t, Vec n, Vec d);
bool FMINNMV_vector(Translator& t, Vec n, Vec d);
bool FMINV_vector(Translator& t, Vec n, Vec d);

// Advanced SIMD permute, extract and table lookup
bool UZP1_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool TRN1_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool ZIP1_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool UZP2_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool TRN2_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool ZIP2_vector(Translator& t, bool Q, Imm<2> size, Vec m, Vec n, Vec d);
bool EXT_vector(Translator& t, bool Q, Vec m, Imm<4> imm, Vec n, Vec d);
bool TBL_vector(Translator& t, bool Q, Vec m, Imm<2> len, Vec n, Vec d);
bool TBX_vector(Translator& t, bool Q, Vec m, Imm<2> len, Vec n, Vec d);

// Advanced SIMD copy
bool DUP_element(Translator& t, bool Q, Imm<5> imm5, Vec n, Vec d);
bool DUP_general(Translator& t, bool Q, Imm<5> imm5, Reg n, Vec d);
bool SMOV_vector(Translator& t, bool Q, Imm<5> imm5, Vec n, Reg d);
bool UMOV_vector(Translator& t, bool Q, Imm<5> imm5, Vec n, Reg d);
bool INS_general(Translator& t, Imm<5> imm5, Reg n, Vec d);
bool INS_element(Translator& t, Imm<5> imm5, Imm<4> imm4, Vec n, Vec d);

// Advanced SIMD modified immediate
bool MOVI_32(Translator& t, bool Q, Imm<3> abc, Imm<2> cmode, Imm<5> defgh, Vec d);
bool ORR_imm_32(Translator& t, bool Q, Imm<3> abc, Imm<2> cmode, Imm<5> defgh, Vec d);
bool MOVI_16(Translator& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool ORR_imm_16(Translator& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool MOVI_ones(Translator& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool MOVI_8(Translator& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d);
bool FMOV_vector_imm_single(Translator& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d);
bool MVNI_32(Translator& t, bool Q, Imm<3> abc, Imm<2> cmode, Imm<5> defgh, Vec d);
bool BIC_imm_32(Translator& t, bool Q, Imm<3> abc, Imm<2> cmode, Imm<5> defgh, Vec d);
bool MVNI_16(Translator& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool BIC_imm_16(Translator& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool MVNI_ones(Translator& t, bool Q, Imm<3> abc, bool cmode, Imm<5> defgh, Vec d);
bool MOVI_64(Translator& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d);
bool FMOV_vector_imm_double(Translator& t, Imm<3> abc, Imm<5> defgh, Vec d);

// Advanced SIMD shift by immediate (immh = 0000 is the group above or reserved)
bool SSHR_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SSRA_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SRSHR_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SRSRA_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SHL_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHL_imm_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SHRN_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool RSHRN_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHRN_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQRSHRN_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SSHLL_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SCVTF_fix_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool FCVTZS_fix_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool USHR_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool USRA_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool URSHR_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool URSRA_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SRI_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SLI_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHLU_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQSHL_imm_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHRUN_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQRSHRUN_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQSHRN_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQRSHRN_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool USHLL_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UCVTF_fix_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool FCVTZU_fix_vector(Translator& t, bool Q, Imm<4> immh, Imm<3> immb, Vec n, Vec d);

// Advanced SIMD vector x indexed element
bool SMLAL_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQDMLAL_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SMLSL_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQDMLSL_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool MUL_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SMULL_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQDMULL_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQDMULH_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQRDMULH_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool MLA_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool UMLAL_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool MLS_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool UMLSL_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool UMULL_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQRDMLAH_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQRDMLSH_element(Translator& t, bool Q, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMLA_element(Translator& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMLS_element(Translator& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMUL_element(Translator& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMULX_element(Translator& t, bool Q, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SDOT_element(Translator& t, bool Q, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool UDOT_element(Translator& t, bool Q, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);

// Advanced SIMD scalar three same
bool SQADD_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SQSUB_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool CMGT_scalar(Translator& t, Vec m, Vec n, Vec d);
bool CMGE_scalar(Translator& t, Vec m, Vec n, Vec d);
bool SSHL_scalar(Translator& t, Vec m, Vec n, Vec d);
bool SQSHL_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SRSHL_scalar(Translator& t, Vec m, Vec n, Vec d);
bool SQRSHL_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool ADD_scalar(Translator& t, Vec m, Vec n, Vec d);
bool CMTST_scalar(Translator& t, Vec m, Vec n, Vec d);
bool SQDMULH_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool UQADD_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool UQSUB_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool CMHI_scalar(Translator& t, Vec m, Vec n, Vec d);
bool CMHS_scalar(Translator& t, Vec m, Vec n, Vec d);
bool USHL_scalar(Translator& t, Vec m, Vec n, Vec d);
bool UQSHL_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool URSHL_scalar(Translator& t, Vec m, Vec n, Vec d);
bool UQRSHL_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SUB_scalar(Translator& t, Vec m, Vec n, Vec d);
bool CMEQ_scalar(Translator& t, Vec m, Vec n, Vec d);
bool SQRDMULH_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool FMULX_scalar(Translator& t, bool sz, Vec m, Vec n, Vec d);
bool FCMEQ_scalar(Translator& t, bool sz, Vec m, Vec n, Vec d);
bool FRECPS_scalar(Translator& t, bool sz, Vec m, Vec n, Vec d);
bool FRSQRTS_scalar(Translator& t, bool sz, Vec m, Vec n, Vec d);
bool FCMGE_scalar(Translator& t, bool sz, Vec m, Vec n, Vec d);
bool FACGE_scalar(Translator& t, bool sz, Vec m, Vec n, Vec d);
bool FABD_scalar(Translator& t, bool sz, Vec m, Vec n, Vec d);
bool FCMGT_scalar(Translator& t, bool sz, Vec m, Vec n, Vec d);
bool FACGT_scalar(Translator& t, bool sz, Vec m, Vec n, Vec d);
bool SQRDMLAH_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SQRDMLSH_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);

// Advanced SIMD scalar three different
bool SQDMLAL_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMLSL_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);
bool SQDMULL_scalar(Translator& t, Imm<2> size, Vec m, Vec n, Vec d);

// Advanced SIMD scalar two-register miscellaneous
bool SUQADD_scalar(Translator& t, Imm<2> size, Vec n, Vec d);
bool SQABS_scalar(Translator& t, Imm<2> size, Vec n, Vec d);
bool CMGT_zero_scalar(Translator& t, Vec n, Vec d);
bool CMEQ_zero_scalar(Translator& t, Vec n, Vec d);
bool CMLT_zero_scalar(Translator& t, Vec n, Vec d);
bool ABS_scalar(Translator& t, Vec n, Vec d);
bool SQXTN_scalar(Translator& t, Imm<2> size, Vec n, Vec d);
bool USQADD_scalar(Translator& t, Imm<2> size, Vec n, Vec d);
bool SQNEG_scalar(Translator& t, Imm<2> size, Vec n, Vec d);
bool CMGE_zero_scalar(Translator& t, Vec n, Vec d);
bool CMLE_zero_scalar(Translator& t, Vec n, Vec d);
bool NEG_scalar(Translator& t, Vec n, Vec d);
bool SQXTUN_scalar(Translator& t, Imm<2> size, Vec n, Vec d);
bool UQXTN_scalar(Translator& t, Imm<2> size, Vec n, Vec d);
bool FCVTNS_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCVTMS_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCVTAS_scalar(Translator& t, bool sz, Vec n, Vec d);
bool SCVTF_int_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCMGT_zero_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCMEQ_zero_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCMLT_zero_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCVTPS_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCVTZS_int_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FRECPE_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCVTNU_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCVTMU_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCVTAU_scalar(Translator& t, bool sz, Vec n, Vec d);
bool UCVTF_int_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCMGE_zero_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCMLE_zero_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCVTPU_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCVTZU_int_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FRSQRTE_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FRECPX_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FCVTXN_scalar(Translator& t, Vec n, Vec d);

// Advanced SIMD scalar pairwise
bool ADDP_scalar(Translator& t, Vec n, Vec d);
bool FMAXNMP_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FADDP_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FMAXP_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FMINNMP_scalar(Translator& t, bool sz, Vec n, Vec d);
bool FMINP_scalar(Translator& t, bool sz, Vec n, Vec d);

// Advanced SIMD scalar copy
bool DUP_element_scalar(Translator& t, Imm<5> imm5, Vec n, Vec d);

// Advanced SIMD scalar shift by immediate
bool SSHR_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool SSRA_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool SRSHR_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool SRSRA_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool SHL_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool SQSHL_imm_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHRN_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQRSHRN_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SCVTF_fix_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool FCVTZS_fix_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool USHR_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool USRA_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool URSHR_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool URSRA_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool SRI_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool SLI_scalar(Translator& t, Imm<6> imm, Vec n, Vec d);
bool SQSHLU_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQSHL_imm_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQSHRUN_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool SQRSHRUN_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQSHRN_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UQRSHRN_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool UCVTF_fix_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);
bool FCVTZU_fix_scalar(Translator& t, Imm<4> immh, Imm<3> immb, Vec n, Vec d);

// Advanced SIMD scalar x indexed element
bool SQDMLAL_element_scalar(Translator& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQDMLSL_element_scalar(Translator& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQDMULL_element_scalar(Translator& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQDMULH_element_scalar(Translator& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQRDMULH_element_scalar(Translator& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQRDMLAH_element_scalar(Translator& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool SQRDMLSH_element_scalar(Translator& t, Imm<2> size, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMLA_element_scalar(Translator& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMLS_element_scalar(Translator& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMUL_element_scalar(Translator& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);
bool FMULX_element_scalar(Translator& t, bool sz, bool L, bool M, Imm<4> m, bool H, Vec n, Vec d);

// Advanced SIMD load/store multiple structures (w: post-indexed)
bool ST1_multiple_1(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST1_multiple_2(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST1_multiple_3(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST1_multiple_4(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST2_multiple(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST3_multiple(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool ST4_multiple(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD1_multiple_1(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD1_multiple_2(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD1_multiple_3(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD1_multiple_4(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD2_multiple(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD3_multiple(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD4_multiple(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);

// Advanced SIMD load single structure and replicate
bool LD1R_vector(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD2R_vector(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD3R_vector(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);
bool LD4R_vector(Translator& t, bool Q, bool wback, Reg m, Imm<2> size, Reg n, Vec d);

// Advanced SIMD load/store single structure (cc = 11 is the group above or reserved)
bool ST1_single(Translator& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n, Vec d);
bool ST2_single(Translator& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n, Vec d);
bool ST3_single(Translator& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n, Vec d);
bool ST4_single(Translator& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n, Vec d);
bool LD1_single(Translator& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n, Vec d);
bool LD2_single(Translator& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n, Vec d);
bool LD3_single(Translator& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n, Vec d);
bool LD4_single(Translator& t, bool Q, bool wback, Reg m, Imm<2> scale, bool S, Imm<2> size, Reg n, Vec d);

// Cryptographic AES
bool AESE(Translator& t, Vec n, Vec d);
bool AESD(Translator& t, Vec n, Vec d);
bool AESMC(Translator& t, Vec n, Vec d);
bool AESIMC(Translator& t, Vec n, Vec d);

// Cryptographic three-register SHA
bool SHA1C(Translator& t, Vec m, Vec n, Vec d);
bool SHA1P(Translator& t, Vec m, Vec n, Vec d);
bool SHA1M(Translator& t, Vec m, Vec n, Vec d);
bool SHA1SU0(Translator& t, Vec m, Vec n, Vec d);
bool SHA256H(Translator& t, Vec m, Vec n, Vec d);
bool SHA256H2(Translator& t, Vec m, Vec n, Vec d);
bool SHA256SU1(Translator& t, Vec m, Vec n, Vec d);

// Cryptographic two-register SHA
bool SHA1H(Translator& t, Vec n, Vec d);
bool SHA1SU1(Translator& t, Vec n, Vec d);
bool SHA256SU0(Translator& t, Vec n, Vec d);

}  // namespace arclight::frontend::a64::translate
