// Handlers of the base instruction set and of the loads and stores of SIMD registers. Those with small
// letters are families: the row of the instruction table binds the arguments in front of the fields.
#pragma once

#include "frontend/a64/system/block_operation.h"
#include "frontend/a64/system/sysregs.h"
#include "frontend/a64/translate/common.h"

namespace arclight::frontend::a64::translate {

using ir::AtomicKind;
using ir::BranchKind;

/// Of pointer authentication, in the order of GuestState::pac_keys.
enum class PacKey : uint8_t { IA, IB, DA, DB, GA };
/// The pointer and the modifier of a hint.
enum class PacOperands : uint8_t { LrSp, LrZero, X17X16 };

// data_processing_imm.cpp
bool add_sub_imm(TranslationContext& t, Op op, bool sf, bool shift, Imm<12> imm12, Reg n, Reg d);
bool add_sub_imm_flags(TranslationContext& t, Op op, bool sf, bool shift, Imm<12> imm12, Reg n, Reg d);
bool logical_imm(TranslationContext& t, Op op, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool bitfield(TranslationContext& t, bool is_signed, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool min_max_imm(TranslationContext& t, Pick pick, bool sf, Imm<8> imm8, Reg n, Reg d);
bool ADR(TranslationContext& t, Imm<2> immlo, Imm<19> immhi, Reg d);
bool ADRP(TranslationContext& t, Imm<2> immlo, Imm<19> immhi, Reg d);
bool ANDS_imm(TranslationContext& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool MOVN(TranslationContext& t, bool sf, Imm<2> hw, Imm<16> imm16, Reg d);
bool MOVZ(TranslationContext& t, bool sf, Imm<2> hw, Imm<16> imm16, Reg d);
bool MOVK(TranslationContext& t, bool sf, Imm<2> hw, Imm<16> imm16, Reg d);
bool BFM(TranslationContext& t, bool sf, bool N, Imm<6> immr, Imm<6> imms, Reg n, Reg d);
bool EXTR(TranslationContext& t, bool sf, bool N, Reg m, Imm<6> imms, Reg n, Reg d);

// data_processing_reg.cpp
bool logical_shift(TranslationContext& t, Op op, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool logical_shift_flags(TranslationContext& t, Op op, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n,
                         Reg d);
bool add_sub_shift(TranslationContext& t, Op op, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool add_sub_shift_flags(TranslationContext& t, Op op, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n,
                         Reg d);
bool add_sub_ext(TranslationContext& t, Op op, bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n, Reg d);
bool add_sub_ext_flags(TranslationContext& t, Op op, bool sf, Reg m, Imm<3> option, Imm<3> amount, Reg n,
                       Reg d);
bool multiply_long(TranslationContext& t, Op op, Op extension, Reg m, Reg a, Reg n, Reg d);
bool two_sources(TranslationContext& t, Op op, bool sf, Reg m, Reg n, Reg d);
bool crc32(TranslationContext& t, bool castagnoli, bool sf, Reg m, Imm<2> size, Reg n, Reg d);
bool one_source(TranslationContext& t, Op op, bool sf, Reg n, Reg d);
bool min_max_reg(TranslationContext& t, Pick pick, bool sf, Reg m, Reg n, Reg d);
bool set_flags_from(TranslationContext& t, unsigned width, Reg n);
bool CTZ(TranslationContext& t, bool sf, Reg n, Reg d);
bool CNT_int(TranslationContext& t, bool sf, Reg n, Reg d);
bool ABS_int(TranslationContext& t, bool sf, Reg n, Reg d);
bool RMIF(TranslationContext& t, Imm<6> amount, Reg n, Imm<4> mask);
bool ORR_shift(TranslationContext& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool ORN_shift(TranslationContext& t, bool sf, Imm<2> kind, Reg m, Imm<6> amount, Reg n, Reg d);
bool ADC(TranslationContext& t, bool sf, Reg m, Reg n, Reg d);
bool ADCS(TranslationContext& t, bool sf, Reg m, Reg n, Reg d);
bool SBC(TranslationContext& t, bool sf, Reg m, Reg n, Reg d);
bool SBCS(TranslationContext& t, bool sf, Reg m, Reg n, Reg d);
bool CCMN_reg(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Imm<4> nzcv);
bool CCMP_reg(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Imm<4> nzcv);
bool CCMN_imm(TranslationContext& t, bool sf, Imm<5> imm5, Imm<4> cc, Reg n, Imm<4> nzcv);
bool CCMP_imm(TranslationContext& t, bool sf, Imm<5> imm5, Imm<4> cc, Reg n, Imm<4> nzcv);
bool CSEL(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d);
bool CSINC(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d);
bool CSINV(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d);
bool CSNEG(TranslationContext& t, bool sf, Reg m, Imm<4> cc, Reg n, Reg d);
bool MADD(TranslationContext& t, bool sf, Reg m, Reg a, Reg n, Reg d);
bool MSUB(TranslationContext& t, bool sf, Reg m, Reg a, Reg n, Reg d);

// branches.cpp
bool B_cond(TranslationContext& t, Imm<19> offset, Imm<4> cc);
bool B(TranslationContext& t, Imm<26> offset);
bool BL(TranslationContext& t, Imm<26> offset);
bool CBZ(TranslationContext& t, bool sf, Imm<19> offset, Reg r);
bool CBNZ(TranslationContext& t, bool sf, Imm<19> offset, Reg r);
bool TBZ(TranslationContext& t, Imm<1> b5, Imm<5> b40, Imm<14> offset, Reg r);
bool TBNZ(TranslationContext& t, Imm<1> b5, Imm<5> b40, Imm<14> offset, Reg r);
/// `address` is that of the register, or what became of it.
bool branch_register(TranslationContext& t, Reg n, Ref address, ir::BranchKind kind);
bool BR(TranslationContext& t, Reg n);
bool BLR(TranslationContext& t, Reg n);
bool RET(TranslationContext& t, Reg n);

// pointer_auth.cpp
bool pac_sign(TranslationContext& t, PacKey key, Reg n, Reg d);
bool pac_sign_zero(TranslationContext& t, PacKey key, Reg d);
bool pac_authenticate(TranslationContext& t, PacKey key, Reg n, Reg d);
bool pac_authenticate_zero(TranslationContext& t, PacKey key, Reg d);
bool pac_strip(TranslationContext& t, bool data, Reg d);
bool pac_hint(TranslationContext& t, bool signs, PacKey key, PacOperands operands);
bool branch_authenticated(TranslationContext& t, PacKey key, ir::BranchKind kind, Reg n, Reg m);
bool branch_authenticated_zero(TranslationContext& t, PacKey key, ir::BranchKind kind, Reg n);
bool return_authenticated(TranslationContext& t, PacKey key);
bool eret_authenticated(TranslationContext& t, PacKey key);
bool PACGA(TranslationContext& t, Reg m, Reg n, Reg d);
bool XPACLRI(TranslationContext& t);
bool LDRA(TranslationContext& t, bool key_b, Imm<1> s, Imm<9> imm9, bool pre_index, Reg n, Reg r);

// tags.cpp
bool tag_offset(TranslationContext& t, Op op, Imm<6> offset, Imm<4> tag, Reg n, Reg d);
bool IRG(TranslationContext& t, Reg m, Reg n, Reg d);
bool GMI(TranslationContext& t, Reg m, Reg n, Reg d);
bool SUBP(TranslationContext& t, Reg m, Reg n, Reg d);
bool SUBPS(TranslationContext& t, Reg m, Reg n, Reg d);
bool LDG(TranslationContext& t, Imm<9> offset, Reg n, Reg r);
bool tag_store(TranslationContext& t, unsigned granules, bool zero, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool STGP(TranslationContext& t, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r);
bool LDGM(TranslationContext& t, Reg n, Reg r);
bool STGM(TranslationContext& t, Reg n, Reg r);
bool STZGM(TranslationContext& t, Reg n, Reg r);

// exceptions.cpp
bool SVC(TranslationContext& t, Imm<16> imm16);
bool HVC(TranslationContext& t, Imm<16> imm16);
bool SMC(TranslationContext& t, Imm<16>);
bool BRK(TranslationContext& t, Imm<16> imm16);
bool HLT(TranslationContext& t, Imm<16>);
bool DCPS(TranslationContext& t, Imm<16>, Imm<2>);
bool ERET(TranslationContext& t);

// system.cpp
bool YIELD(TranslationContext& t);
bool WFE(TranslationContext& t);
bool WFI(TranslationContext& t);
bool WFET(TranslationContext& t, Reg r);
bool WFIT(TranslationContext& t, Reg r);
bool SEV(TranslationContext& t);
bool SEVL(TranslationContext& t);
bool HINT(TranslationContext&, Imm<4>, Imm<3>);
bool CLREX(TranslationContext& t);
bool DMB(TranslationContext& t, Imm<4> crm);
bool DSB(TranslationContext& t, Imm<4> crm);
bool ISB(TranslationContext& t);
bool SB(TranslationContext& t);
bool CFINV(TranslationContext& t);
bool XAFLAG(TranslationContext& t);
bool AXFLAG(TranslationContext& t);
bool pstate_at_el1(TranslationContext& t, PstateField field, Imm<4> crm);
bool MSR_SSBS(TranslationContext& t, Imm<4> crm);
bool MSR_DIT(TranslationContext& t, Imm<4> crm);
bool MSR_TCO(TranslationContext& t, Imm<4> crm);
bool MSR_DAIFSet(TranslationContext& t, Imm<4> crm);
bool MSR_DAIFClr(TranslationContext& t, Imm<4> crm);
bool MRS(TranslationContext& t, Imm<1> o0, Imm<3> op1, Imm<4> crn, Imm<4> crm, Imm<3> op2, Reg r);
bool MSR_reg(TranslationContext& t, Imm<1> o0, Imm<3> op1, Imm<4> crn, Imm<4> crm, Imm<3> op2, Reg r);
bool SYS(TranslationContext& t, Imm<3> op1, Imm<4> crn, Imm<4> crm, Imm<3> op2, Reg r);
bool SYSL(TranslationContext& t, Imm<3>, Imm<4>, Imm<4>, Imm<3>, Reg);

// loads_stores.cpp
bool LDR_lit(TranslationContext& t, bool sf, Imm<19> offset, Reg r);
bool LDRSW_lit(TranslationContext& t, Imm<19> offset, Reg r);
bool PRFM_lit(TranslationContext&, Imm<19>, Imm<5>);
bool STR_imm9(TranslationContext& t, Imm<2> size, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool LDR_imm9(TranslationContext& t, Imm<2> size, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool LDRSB_imm9(TranslationContext& t, bool word, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool LDRSH_imm9(TranslationContext& t, bool word, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool LDRSW_imm9(TranslationContext& t, Imm<9> offset, Imm<2> mode, Reg n, Reg r);
bool PRFUM(TranslationContext&);
bool STR_reg(TranslationContext& t, Imm<2> size, Reg m, Imm<3> option, bool S, Reg n, Reg r);
bool LDR_reg(TranslationContext& t, Imm<2> size, Reg m, Imm<3> option, bool S, Reg n, Reg r);
bool LDRSB_reg(TranslationContext& t, bool word, Reg m, Imm<3> option, bool S, Reg n, Reg r);
bool LDRSH_reg(TranslationContext& t, bool word, Reg m, Imm<3> option, bool S, Reg n, Reg r);
bool LDRSW_reg(TranslationContext& t, Reg m, Imm<3> option, bool S, Reg n, Reg r);
bool PRFM_reg(TranslationContext& t, Imm<3> option);
bool STR_uimm(TranslationContext& t, Imm<2> size, Imm<12> offset, Reg n, Reg r);
bool LDR_uimm(TranslationContext& t, Imm<2> size, Imm<12> offset, Reg n, Reg r);
bool LDRSB_uimm(TranslationContext& t, bool word, Imm<12> offset, Reg n, Reg r);
bool LDRSH_uimm(TranslationContext& t, bool word, Imm<12> offset, Reg n, Reg r);
bool LDRSW_uimm(TranslationContext& t, Imm<12> offset, Reg n, Reg r);
bool PRFM_uimm(TranslationContext&);

// loads_stores_pair.cpp
bool STP(TranslationContext& t, bool sf, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r);
bool LDP(TranslationContext& t, bool sf, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r);
bool LDPSW(TranslationContext& t, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r);
bool STP_fp(TranslationContext& t, Imm<2> opc, Imm<2> mode, Imm<7> offset, Vec r2, Reg n, Vec r);
bool LDP_fp(TranslationContext& t, Imm<2> opc, Imm<2> mode, Imm<7> offset, Vec r2, Reg n, Vec r);

// loads_stores_vector.cpp
bool LDR_lit_fp(TranslationContext& t, Imm<2> opc, Imm<19> offset, Vec r);
bool STR_imm9_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<9> offset, Imm<2> mode, Reg n, Vec r);
bool LDR_imm9_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<9> offset, Imm<2> mode, Reg n, Vec r);
bool STR_reg_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Reg m, Imm<3> option, bool S, Reg n, Vec r);
bool LDR_reg_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Reg m, Imm<3> option, bool S, Reg n, Vec r);
bool STR_uimm_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<12> offset, Reg n, Vec r);
bool LDR_uimm_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<12> offset, Reg n, Vec r);
bool STLUR_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<9> offset, Reg n, Vec r);
bool LDAPUR_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<9> offset, Reg n, Vec r);

// block_memory.cpp
bool memory_copy(TranslationContext& t, BlockKind kind, BlockStage stage, Reg s, Imm<4> options, Reg n,
                 Reg d);
bool memory_set(TranslationContext& t, BlockStage stage, Reg s, Imm<2> options, Reg n, Reg d);

// atomics.cpp
bool store_exclusive(TranslationContext& t, bool release, Imm<2> size, Reg s, Reg n, Reg r);
bool store_exclusive_pair(TranslationContext& t, bool release, bool wide, Reg s, Reg r2, Reg n, Reg r);
bool load_exclusive(TranslationContext& t, bool acquire, Imm<2> size, Reg n, Reg r);
bool load_exclusive_pair(TranslationContext& t, bool acquire, bool wide, Reg r2, Reg n, Reg r);
bool load_ordered(TranslationContext& t, Imm<2> size, Reg n, Reg r);
bool store_ordered(TranslationContext& t, Imm<2> size, Reg n, Reg r);
bool load_ordered_signed(TranslationContext& t, unsigned size, bool word, Imm<9> offset, Reg n, Reg r);
bool LDAPURSW(TranslationContext& t, Imm<9> offset, Reg n, Reg r);
bool STLUR(TranslationContext& t, Imm<2> size, Imm<9> offset, Reg n, Reg r);
bool LDAPUR(TranslationContext& t, Imm<2> size, Imm<9> offset, Reg n, Reg r);
bool atomic(TranslationContext& t, AtomicKind kind, Imm<2> size, bool acquire, bool release, Reg s, Reg n,
            Reg r);
bool STLR_pre(TranslationContext& t, bool wide, Reg n, Reg r);
bool LDAPR_post(TranslationContext& t, bool wide, Reg n, Reg r);
bool STILP(TranslationContext& t, bool wide, Reg r2, bool in_place, Reg n, Reg r);
bool LDIAPP(TranslationContext& t, bool wide, Reg r2, bool in_place, Reg n, Reg r);
bool atomic_pair(TranslationContext& t, AtomicKind kind, bool, bool, Reg r2, Reg n, Reg r);
bool CASP(TranslationContext& t, bool wide, bool acquire, Reg s, bool release, Reg n, Reg r);
bool CAS(TranslationContext& t, Imm<2> size, bool acquire, Reg s, bool release, Reg n, Reg r);

}  // namespace arclight::frontend::a64::translate
