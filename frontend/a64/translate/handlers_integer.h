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

// exceptions.cpp

// system.cpp

// loads_stores.cpp

// loads_stores_pair.cpp

// loads_stores_vector.cpp

// atomics.cpp

}  // namespace arclight::frontend::a64::translate
