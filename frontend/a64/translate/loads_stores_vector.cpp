// Loads and stores of one SIMD&FP register (ARM ARM C4.1.94).
#include "frontend/a64/translate/addressing.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

constexpr unsigned kOffset = 0, kUnallocatedMode = 2;  ///< modes of the nine-bit forms; 2 would be LDTR
constexpr unsigned kMaxSize = 4;                       ///< Q

/// opc<1>:size, which may be reserved.
unsigned access_size(Imm<2> size, Imm<1> opc) { return concat(opc, size); }

bool load_to(TranslationContext& t, unsigned size, const Address& a, Vec r) {
    t.ir.set_v(index(r), load_v(t, a.address, mem_aux(t, size, a)));
    write_back(t, a);
    return true;
}

bool store_from(TranslationContext& t, unsigned size, const Address& a, Vec r) {
    store_v(t, a.address, t.ir.get_v(Type::V128, index(r)), mem_aux(t, size, a));
    write_back(t, a);
    return true;
}

}  // namespace

bool LDR_lit_fp(TranslationContext& t, Imm<2> opc, Imm<19> offset, Vec r) {
    const unsigned size = 2 + opc;
    if (size > kMaxSize) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const Ref address =
        t.ir.emit(Op::PcRel, Type::I64, {}, static_cast<uint64_t>(t.offset + offset.sign_extend() * 4));
    t.ir.set_v(index(r), load_v(t, address, mem_aux(t, size, unchecked_if(t, true))));
    return true;
}

bool STR_imm9_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<9> offset, Imm<2> mode, Reg n, Vec r) {
    const unsigned size = access_size(z, opc);
    if (size > kMaxSize || mode == kUnallocatedMode) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return store_from(t, size, address_imm(t, n, offset.sign_extend(), mode), r);
}

bool LDR_imm9_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<9> offset, Imm<2> mode, Reg n, Vec r) {
    const unsigned size = access_size(z, opc);
    if (size > kMaxSize || mode == kUnallocatedMode) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return load_to(t, size, address_imm(t, n, offset.sign_extend(), mode), r);
}

bool STR_reg_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Reg m, Imm<3> option, bool S, Reg n, Vec r) {
    const unsigned size = access_size(z, opc);
    if (size > kMaxSize || !option.bit(1)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return store_from(t, size, *address_reg(t, n, m, option, S ? size : 0), r);
}

bool LDR_reg_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Reg m, Imm<3> option, bool S, Reg n, Vec r) {
    const unsigned size = access_size(z, opc);
    if (size > kMaxSize || !option.bit(1)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return load_to(t, size, *address_reg(t, n, m, option, S ? size : 0), r);
}

bool STLUR_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<9> offset, Reg n, Vec r) {
    const unsigned size = access_size(z, opc);
    if (size > kMaxSize) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    check_sp(t, n);
    const Ref address = offset_by(t, xsp(t, n), offset.sign_extend());
    begin_release(t);
    store_v(t, address, t.ir.get_v(Type::V128, index(r)),
            mem_aux(t, size, ir::kMemAligned | unchecked_at_sp(t, n)));
    end_release(t);
    return true;
}

bool LDAPUR_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<9> offset, Reg n, Vec r) {
    const unsigned size = access_size(z, opc);
    if (size > kMaxSize) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    check_sp(t, n);
    const Ref address = offset_by(t, xsp(t, n), offset.sign_extend());
    const Ref value = load_v(t, address, mem_aux(t, size, ir::kMemAligned | unchecked_at_sp(t, n)));
    acquire(t);
    t.ir.set_v(index(r), value);
    return true;
}

bool STR_uimm_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<12> offset, Reg n, Vec r) {
    const unsigned size = access_size(z, opc);
    if (size > kMaxSize) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return store_from(t, size, address_imm(t, n, uint64_t{offset} << size, kOffset), r);
}

bool LDR_uimm_fp(TranslationContext& t, Imm<2> z, Imm<1> opc, Imm<12> offset, Reg n, Vec r) {
    const unsigned size = access_size(z, opc);
    if (size > kMaxSize) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return load_to(t, size, address_imm(t, n, uint64_t{offset} << size, kOffset), r);
}

}  // namespace arclight::frontend::a64::translate
