// Handlers of the base instruction set and of the loads and stores of SIMD registers.
#pragma once

#include "frontend/a64/translate/translator.h"

namespace arclight::frontend::a64::translate {

// data_processing_imm.cpp
bool ADR(Translator& t, Imm<2> immlo, Imm<19> immhi, Reg d);
bool ADRP(Translator& t, Imm<2> immlo, Imm<19> immhi, Reg d);
bool ADD_imm(Translator& t, bool sf, bool shift, Imm<12> imm12, Reg n, Reg d);
bool ADDS_imm(Translator& t, bool sf, bool shift, Imm<12> imm12, Reg n, Reg d);
bool SUB_imm(Translator& t, bool sf, bool shift, Imm<12> imm12, Reg n, Reg d);
bool SUBS_imm(Translator& t, bool sf, bool shift, Imm<12> imm12, Reg n, Reg d);
bool AND_imm(Translator& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool ORR_imm(Translator& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool EOR_imm(Translator& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool ANDS_imm(Translator& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool MOVN(Translator& t, bool sf, Imm<2> hw, Imm<16> imm16, Reg d);
bool MOVZ(Translator& t, bool sf, Imm<2> hw, Imm<16> imm16, Reg d);
bool MOVK(Translator& t, bool sf, Imm<2> hw, Imm<16> imm16, Reg d);
bool SBFM(Translator& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool UBFM(Translator& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool BFM(Translator& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool EXTR(Translator& t, bool sf, bool N, Reg m, Imm<6> imms, Reg n, Reg d);

// data_processing_reg.cpp
bool AND_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool BIC_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool ORR_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool ORN_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool EOR_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool EON_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool ANDS_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool BICS_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool ADD_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool ADDS_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool SUB_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool SUBS_shift(Translator& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool ADD_ext(Translator& t, bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n, Reg d);
bool ADDS_ext(Translator& t, bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n, Reg d);
bool SUB_ext(Translator& t, bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n, Reg d);
bool SUBS_ext(Translator& t, bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n, Reg d);
bool ADC(Translator& t, bool sf, Reg m, Reg n, Reg d);
bool ADCS(Translator& t, bool sf, Reg m, Reg n, Reg d);
bool SBC(Translator& t, bool sf, Reg m, Reg n, Reg d);
bool SBCS(Translator& t, bool sf, Reg m, Reg n, Reg d);
bool CCMN_reg(Translator& t, bool sf, Reg m, Imm<4> cc, Reg n, Imm<4> nzcv);
bool CCMP_reg(Translator& t, bool sf, Reg m, Imm<4> cc, Reg n, Imm<4> nzcv);
bool CCMN_imm(Translator& t, bool sf, Imm<5> imm5, Imm<4> cc, Reg n, Imm<4> nzcv);
bool CCMP_imm(Translator& t, bool sf, Imm<5> imm5, Imm<4> cc, Reg n, Imm<4> nzcv);
bool CSEL(Translator& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d);
bool CSINC(Translator& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d);
bool CSINV(Translator& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d);
bool CSNEG(Translator& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d);
bool MADD(Translator& t, bool sf, Reg m, Reg a, Reg n, Reg d);
bool MSUB(Translator& t, bool sf, Reg m, Reg a, Reg n, Reg d);
bool SMADDL(Translator& t, Reg m, Reg a, Reg n, Reg d);
bool SMSUBL(Translator& t, Reg m, Reg a, Reg n, Reg d);
bool SMULH(Translator& t, Reg m, Reg n, Reg d);
bool UMADDL(Translator& t, Reg m, Reg a, Reg n, Reg d);
bool UMSUBL(Translator& t, Reg m, Reg a, Reg n, Reg d);
bool UMULH(Translator& t, Reg m, Reg n, Reg d);
bool UDIV(Translator& t, bool sf, Reg m, Reg n, Reg d);
bool SDIV(Translator& t, bool sf, Reg m, Reg n, Reg d);
bool LSLV(Translator& t, bool sf, Reg m, Reg n, Reg d);
bool LSRV(Translator& t, bool sf, Reg m, Reg n, Reg d);
bool ASRV(Translator& t, bool sf, Reg m, Reg n, Reg d);
bool RORV(Translator& t, bool sf, Reg m, Reg n, Reg d);
bool CRC32(Translator& t, bool sf, Reg m, Imm<2> size, Reg n, Reg d);
bool CRC32C(Translator& t, bool sf, Reg m, Imm<2> size, Reg n, Reg d);
bool RBIT_int(Translator& t, bool sf, Reg n, Reg d);
bool REV16_int(Translator& t, bool sf, Reg n, Reg d);
bool REV_w(Translator& t, Reg n, Reg d);
bool REV32_int(Translator& t, Reg n, Reg d);
bool REV_x(Translator& t, Reg n, Reg d);
bool CLZ_int(Translator& t, bool sf, Reg n, Reg d);
bool CLS_int(Translator& t, bool sf, Reg n, Reg d);

// branches.cpp
bool B_cond(Translator& t, Imm<19> offset, Imm<4> cc);
bool B(Translator& t, Imm<26> offset);
bool BL(Translator& t, Imm<26> offset);
bool CBZ(Translator& t, bool sf, Imm<19> offset, Reg r);
bool CBNZ(Translator& t, bool sf, Imm<19> offset, Reg r);
bool TBZ(Translator& t, Imm<1> b5, Imm<5> b40, Imm<14> offset, Reg r);
bool TBNZ(Translator& t, Imm<1> b5, Imm<5> b40, Imm<14> offset, Reg r);
bool BR(Translator& t, Reg n);
bool BLR(Translator& t, Reg n);
bool RET(Translator& t, Reg n);

// exceptions.cpp
bool SVC(Translator& t, Imm<16> imm16);
bool HVC(Translator& t, Imm<16> imm16);
bool SMC(Translator& t, Imm<16>);
bool BRK(Translator& t, Imm<16> imm16);
bool HLT(Translator& t, Imm<16>);
bool DCPS(Translator& t, Imm<16>, Imm<2>);
bool ERET(Translator& t);

// system.cpp
bool YIELD(Translator& t);
bool WFE(Translator& t);
bool WFI(Translator& t);
bool SEV(Translator& t);
bool SEVL(Translator& t);
bool HINT(Translator&, Imm<4>, Imm<3>);
bool CLREX(Translator& t);
bool DMB(Translator& t, Imm<4> crm);
bool DSB(Translator& t, Imm<4> crm);
bool ISB(Translator& t);
bool MSR_imm(Translator& t, Imm<3> op1, Imm<4> crm, Imm<3> op2);
bool MRS(Translator& t, Imm<1> o0, Imm<3> op1, Imm<4> crn, Imm<4> crm, Imm<3> op2, Reg r);
bool MSR_reg(Translator& t, Imm<1> o0, Imm<3> op1, Imm<4> crn, Imm<4> crm, Imm<3> op2, Reg r);
bool SYS(Translator& t, Imm<3> op1, Imm<4> crn, Imm<4> crm, Imm<3> op2, Reg r);
bool SYSL(Translator& t, Imm<3>, Imm<4>, Imm<4>, Imm<3>, Reg);

// loads_stores.cpp
bool LDR_lit(Translator& t, bool sf, Imm<19> offset, Reg r);
bool LDRSW_lit(Translator& t, Imm<19> offset, Reg r);
bool PRFM_lit(Translator&, Imm<19>, Imm<5>);
bool STR_imm9(Translator& t, Imm<2> size, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool LDR_imm9(Translator& t, Imm<2> size, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool LDRSB_imm9(Translator& t, bool word, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool LDRSH_imm9(Translator& t, bool word, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool LDRSW_imm9(Translator& t, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool PRFUM(Translator&);
bool STR_reg(Translator& t, Imm<2> size, Reg m, Imm<3> option, bool S, Reg n, Reg r);
bool LDR_reg(Translator& t, Imm<2> size, Reg m, Imm<3> option, bool S, Reg n, Reg r);
bool LDRSB_reg(Translator& t, bool word, Reg m, Imm<3> option, bool S, Reg n, Reg r);
bool LDRSH_reg(Translator& t, bool word, Reg m, Imm<3> option, bool S, Reg n, Reg r);
bool LDRSW_reg(Translator& t, Reg m, Imm<3> option, bool S, Reg n, Reg r);
bool PRFM_reg(Translator& t, Imm<3> option);
bool STR_uimm(Translator& t, Imm<2> size, Imm<12> offset, Reg n, Reg r);
bool LDR_uimm(Translator& t, Imm<2> size, Imm<12> offset, Reg n, Reg r);
bool LDRSB_uimm(Translator& t, bool word, Imm<12> offset, Reg n, Reg r);
bool LDRSH_uimm(Translator& t, bool word, Imm<12> offset, Reg n, Reg r);
bool LDRSW_uimm(Translator& t, Imm<12> offset, Reg n, Reg r);
bool PRFM_uimm(Translator&);

// loads_stores_pair.cpp
bool STP(Translator& t, bool sf, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r);
bool LDP(Translator& t, bool sf, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r);
bool LDPSW(Translator& t, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r);
bool STP_fp(Translator& t, Imm<2> opc, Imm<2> mode, Imm<7> offset, Vec r2, Reg n, Vec r);
bool LDP_fp(Translator& t, Imm<2> opc, Imm<2> mode, Imm<7> offset, Vec r2, Reg n, Vec r);

// loads_stores_vector.cpp
bool LDR_lit_fp(Translator& t, Imm<2> opc, Imm<19> offset, Vec r);
bool STR_imm9_fp(Translator& t, Imm<2> z, Imm<1> opc, Imm<9> offset, Imm<2> mode, Reg n, Vec r);
bool LDR_imm9_fp(Translator& t, Imm<2> z, Imm<1> opc, Imm<9> offset, Imm<2> mode, Reg n, Vec r);
bool STR_reg_fp(Translator& t, Imm<2> z, Imm<1> opc, Reg m, Imm<3> option, bool S, Reg n, Vec r);
bool LDR_reg_fp(Translator& t, Imm<2> z, Imm<1> opc, Reg m, Imm<3> option, bool S, Reg n, Vec r);
bool STR_uimm_fp(Translator& t, Imm<2> z, Imm<1> opc, Imm<12> offset, Reg n, Vec r);
bool LDR_uimm_fp(Translator& t, Imm<2> z, Imm<1> opc, Imm<12> offset, Reg n, Vec r);

// atomics.cpp
bool STXR(Translator& t, Imm<2> size, Reg s, Reg n, Reg r);
bool STLXR(Translator& t, Imm<2> size, Reg s, Reg n, Reg r);
bool LDXR(Translator& t, Imm<2> size, Reg n, Reg r);
bool LDAXR(Translator& t, Imm<2> size, Reg n, Reg r);
bool STXP(Translator& t, bool wide, Reg s, Reg r2, Reg n, Reg r);
bool STLXP(Translator& t, bool wide, Reg s, Reg r2, Reg n, Reg r);
bool LDXP(Translator& t, bool wide, Reg r2, Reg n, Reg r);
bool LDAXP(Translator& t, bool wide, Reg r2, Reg n, Reg r);
bool STLLR(Translator& t, Imm<2> size, Reg n, Reg r);
bool STLR(Translator& t, Imm<2> size, Reg n, Reg r);
bool LDLAR(Translator& t, Imm<2> size, Reg n, Reg r);
bool LDAR(Translator& t, Imm<2> size, Reg n, Reg r);
bool LDAPR(Translator& t, Imm<2> size, Reg n, Reg r);
bool CASP(Translator& t, bool wide, bool acquire, Reg s, bool release, Reg n, Reg r);
bool CAS(Translator& t, Imm<2> size, bool acquire, Reg s, bool release, Reg n, Reg r);
bool LDADD(Translator& t, Imm<2> size, bool acquire, bool release, Reg s, Reg n, Reg r);
bool LDCLR(Translator& t, Imm<2> size, bool acquire, bool release, Reg s, Reg n, Reg r);
bool LDEOR(Translator& t, Imm<2> size, bool acquire, bool release, Reg s, Reg n, Reg r);
bool LDSET(Translator& t, Imm<2> size, bool acquire, bool release, Reg s, Reg n, Reg r);
bool LDSMAX(Translator& t, Imm<2> size, bool acquire, bool release, Reg s, Reg n, Reg r);
bool LDSMIN(Translator& t, Imm<2> size, bool acquire, bool release, Reg s, Reg n, Reg r);
bool LDUMAX(Translator& t, Imm<2> size, bool acquire, bool release, Reg s, Reg n, Reg r);
bool LDUMIN(Translator& t, Imm<2> size, bool acquire, bool release, Reg s, Reg n, Reg r);
bool SWP(Translator& t, Imm<2> size, bool acquire, bool release, Reg s, Reg n, Reg r);

}  // namespace arclight::frontend::a64::translate
