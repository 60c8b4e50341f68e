// Loads and stores of one general-purpose register (ARM ARM C4.1.94).
#include "frontend/a64/translate/addressing.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

constexpr unsigned kOffset = 0, kUnprivileged = 2;  ///< modes of the nine-bit forms
constexpr bool kWord = true;                        ///< as the `w` field: the result is a W register

Type register_type(unsigned size) { return int_type(size == 3); }

bool load_to(TranslationContext& t, Type type, unsigned size, const Address& a, Reg r, uint32_t flags) {
    set_x(t, r, load(t, type, a.address, mem_aux(t, size, a, flags)));
    write_back(t, a);
    return true;
}

bool store_from(TranslationContext& t, unsigned size, const Address& a, Reg r, uint32_t flags) {
    store(t, a.address, x(t, r), mem_aux(t, size, a, flags));
    write_back(t, a);
    return true;
}

// LDTR and STTR executed at EL0, or with PSTATE.UAO, are plain accesses.
uint32_t imm9_flags(const TranslationContext& t, unsigned mode) {
    const bool as_el0 =
        (t.translation_flags & (translation_flag::kEl1 | translation_flag::kUao)) == translation_flag::kEl1;
    return mode == kUnprivileged && as_el0 ? ir::kMemUnprivileged : 0;
}

bool load_signed_imm9(TranslationContext& t, unsigned size, bool word, Imm<9> offset, Imm<2> mode, Reg n,
                      Reg r) {
    return load_to(t, int_type(!word), size, address_imm(t, n, offset.sign_extend(), mode), r,
                   imm9_flags(t, mode) | ir::kMemSigned);
}

bool load_reg(TranslationContext& t, Type type, unsigned size, uint32_t flags, Reg m, Imm<3> option, bool S,
              Reg n, Reg r) {
    const auto a = address_reg(t, n, m, option, S ? size : 0);
    return a ? load_to(t, type, size, *a, r, flags) : undefined(t);
}

bool load_signed_uimm(TranslationContext& t, unsigned size, bool word, Imm<12> offset, Reg n, Reg r) {
    return load_to(t, int_type(!word), size, address_imm(t, n, uint64_t{offset} << size, kOffset), r,
                   ir::kMemSigned);
}

Ref literal(TranslationContext& t, Imm<19> offset) {
    return t.ir.emit(Op::PcRel, Type::I64, {}, static_cast<uint64_t>(t.offset + offset.sign_extend() * 4));
}

}  // namespace

// ---- Literal

bool LDR_lit(TranslationContext& t, bool sf, Imm<19> offset, Reg r) {
    set_x(t, r, load(t, int_type(sf), literal(t, offset), mem_aux(t, sf ? 3 : 2, unchecked_if(t, true))));
    return true;
}

bool LDRSW_lit(TranslationContext& t, Imm<19> offset, Reg r) {
    set_x(t, r,
          load(t, Type::I64, literal(t, offset), mem_aux(t, 2, ir::kMemSigned | unchecked_if(t, true))));
    return true;
}

bool PRFM_lit(TranslationContext&, Imm<19>, Imm<5>) { return true; }

// ---- Immediate, unscaled

bool STR_imm9(TranslationContext& t, Imm<2> size, Imm<9> offset, Imm<2> mode, Reg n, Reg r) {
    return store_from(t, size, address_imm(t, n, offset.sign_extend(), mode), r, imm9_flags(t, mode));
}

bool LDR_imm9(TranslationContext& t, Imm<2> size, Imm<9> offset, Imm<2> mode, Reg n, Reg r) {
    return load_to(t, register_type(size), size, address_imm(t, n, offset.sign_extend(), mode), r,
                   imm9_flags(t, mode));
}

bool LDRSB_imm9(TranslationContext& t, bool word, Imm<9> offset, Imm<2> mode, Reg n, Reg r) {
    return load_signed_imm9(t, 0, word, offset, mode, n, r);
}

bool LDRSH_imm9(TranslationContext& t, bool word, Imm<9> offset, Imm<2> mode, Reg n, Reg r) {
    return load_signed_imm9(t, 1, word, offset, mode, n, r);
}

bool LDRSW_imm9(TranslationContext& t, Imm<9> offset, Imm<2> mode, Reg n, Reg r) {
    return load_signed_imm9(t, 2, !kWord, offset, mode, n, r);
}

bool PRFUM(TranslationContext&) { return true; }

// ---- Register offset

bool STR_reg(TranslationContext& t, Imm<2> size, Reg m, Imm<3> option, bool S, Reg n, Reg r) {
    const auto a = address_reg(t, n, m, option, S ? size : 0u);
    return a ? store_from(t, size, *a, r, 0) : undefined(t);
}

bool LDR_reg(TranslationContext& t, Imm<2> size, Reg m, Imm<3> option, bool S, Reg n, Reg r) {
    return load_reg(t, register_type(size), size, 0, m, option, S, n, r);
}

bool LDRSB_reg(TranslationContext& t, bool word, Reg m, Imm<3> option, bool S, Reg n, Reg r) {
    return load_reg(t, int_type(!word), 0, ir::kMemSigned, m, option, S, n, r);
}

bool LDRSH_reg(TranslationContext& t, bool word, Reg m, Imm<3> option, bool S, Reg n, Reg r) {
    return load_reg(t, int_type(!word), 1, ir::kMemSigned, m, option, S, n, r);
}

bool LDRSW_reg(TranslationContext& t, Reg m, Imm<3> option, bool S, Reg n, Reg r) {
    return load_reg(t, Type::I64, 2, ir::kMemSigned, m, option, S, n, r);
}

bool PRFM_reg(TranslationContext& t, Imm<3> option) { return option.bit(1) ? true : undefined(t); }

// ---- Immediate, scaled and unsigned

bool STR_uimm(TranslationContext& t, Imm<2> size, Imm<12> offset, Reg n, Reg r) {
    return store_from(t, size, address_imm(t, n, uint64_t{offset} << size, kOffset), r, 0);
}

bool LDR_uimm(TranslationContext& t, Imm<2> size, Imm<12> offset, Reg n, Reg r) {
    return load_to(t, register_type(size), size, address_imm(t, n, uint64_t{offset} << size, kOffset), r, 0);
}

bool LDRSB_uimm(TranslationContext& t, bool word, Imm<12> offset, Reg n, Reg r) {
    return load_signed_uimm(t, 0, word, offset, n, r);
}

bool LDRSH_uimm(TranslationContext& t, bool word, Imm<12> offset, Reg n, Reg r) {
    return load_signed_uimm(t, 1, word, offset, n, r);
}

bool LDRSW_uimm(TranslationContext& t, Imm<12> offset, Reg n, Reg r) {
    return load_signed_uimm(t, 2, !kWord, offset, n, r);
}

bool PRFM_uimm(TranslationContext&) { return true; }

}  // namespace arclight::frontend::a64::translate
