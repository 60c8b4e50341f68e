// Loads and stores of register pairs (ARM ARM C4.1.94).
#include "frontend/a64/translate/addressing.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

// Mode 0, non-temporal, is an offset too.
Address pair_address(TranslationContext& t, unsigned size, Imm<2> mode, Imm<7> offset, Reg n) {
    return address_imm(t, n, offset.sign_extend() * (1 << size), mode);
}

bool load_pair_to(TranslationContext& t, Type type, unsigned size, uint32_t flags, Imm<2> mode, Imm<7> offset,
                  Reg r2, Reg n, Reg r) {
    const Address a = pair_address(t, size, mode, offset, n);
    const Pair v = load_pair(t, type, a.address, mem_aux(t, size, a, flags));
    set_x(t, r, v.first);
    set_x(t, r2, v.second);
    write_back(t, a);
    return true;
}

constexpr unsigned kReservedSize = 3;  ///< the opc field of the SIMD&FP forms

}  // namespace

bool STP(TranslationContext& t, bool sf, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r) {
    const unsigned size = sf ? 3 : 2;
    const Address a = pair_address(t, size, mode, offset, n);
    const Pair values{x(t, r), x(t, r2)};
    store_pair(t, a.address, values, mem_aux(t, size, a));
    write_back(t, a);
    return true;
}

bool LDP(TranslationContext& t, bool sf, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r) {
    return load_pair_to(t, int_type(sf), sf ? 3 : 2, 0, mode, offset, r2, n, r);
}

bool LDPSW(TranslationContext& t, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r) {
    if (mode == 0) return undefined(t);
    return load_pair_to(t, Type::I64, 2, ir::kMemSigned, mode, offset, r2, n, r);
}

bool STP_fp(TranslationContext& t, Imm<2> opc, Imm<2> mode, Imm<7> offset, Vec r2, Reg n, Vec r) {
    if (opc == kReservedSize) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const unsigned size = 2 + opc;
    const Address a = pair_address(t, size, mode, offset, n);
    const Pair values{t.ir.get_v(Type::V128, index(r)), t.ir.get_v(Type::V128, index(r2))};
    store_pair_v(t, a.address, values, mem_aux(t, size, a));
    write_back(t, a);
    return true;
}

bool LDP_fp(TranslationContext& t, Imm<2> opc, Imm<2> mode, Imm<7> offset, Vec r2, Reg n, Vec r) {
    if (opc == kReservedSize) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const unsigned size = 2 + opc;
    const Address a = pair_address(t, size, mode, offset, n);
    const Pair v = load_pair_v(t, a.address, mem_aux(t, size, a));
    t.ir.set_v(index(r), v.first);
    t.ir.set_v(index(r2), v.second);
    write_back(t, a);
    return true;
}

}  // namespace arclight::frontend::a64::translate
