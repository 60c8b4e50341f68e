// Allocation tags (FEAT_MTE, ARM ARM C3.2.15): by helpers, as far as tags in memory or registers of the CPU's are concerned.
#include "frontend/a64/system/tags.h"

#include "frontend/a64/translate/addressing.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

constexpr unsigned kAddressBits = 56;

/// Without the tag, as a signed number.
Ref address_of(TranslationContext& t, Reg r) {
    return t.ir.emit(Op::BitExtractS, Type::I64, {xsp(t, r)}, kAddressBits << 8);
}

void store_tags(TranslationContext& t, Ref address, Ref tag, const TagStore& what) {
    call(t, Helper::StoreTags, {address, tag, t.ir.i64(what.pack())});
}

}  // namespace

// ---- Pointers

bool tag_offset(TranslationContext& t, Op op, Imm<6> offset, Imm<4> tag, Reg n, Reg d) {
    const Ref base = xsp(t, n);
    const Ref address = t.ir.bin(op, Type::I64, base, t.ir.i64(uint64_t{offset} * mmu::kTagGranule));
    set_xsp(t, d, call(t, Helper::AddTag, {address, base, t.ir.i64(tag)}, Type::I64));
    return true;
}

bool IRG(TranslationContext& t, Reg m, Reg n, Reg d) {
    set_xsp(t, d, call(t, Helper::RandomTag, {xsp(t, n), x(t, m)}, Type::I64));
    return true;
}

bool GMI(TranslationContext& t, Reg m, Reg n, Reg d) {
    const Ref tag = t.ir.emit(Op::BitExtractU, Type::I64, {xsp(t, n)}, kTagShift | 4 << 8);
    const Ref mask = t.ir.bin(Op::Shl, Type::I64, t.ir.i64(1), tag);
    set_x(t, d, t.ir.bin(Op::Or, Type::I64, x(t, m), mask));
    return true;
}

bool SUBP(TranslationContext& t, Reg m, Reg n, Reg d) {
    set_x(t, d, t.ir.sub(Type::I64, address_of(t, n), address_of(t, m)));
    return true;
}

bool SUBPS(TranslationContext& t, Reg m, Reg n, Reg d) {
    const Ref a = address_of(t, n), b = address_of(t, m);
    const Ref difference = t.ir.bin_raw(Op::Sub, Type::I64, a, b);
    t.ir.set_flags(t.ir.flags_of(difference));
    set_x(t, d, difference);
    return true;
}

// ---- Memory

bool LDG(TranslationContext& t, Imm<9> offset, Reg n, Reg r) {
    check_sp(t, n);
    const Ref address = offset_by(t, xsp(t, n), offset.sign_extend() * int64_t{mmu::kTagGranule});
    const Ref tag = call(t, Helper::LoadTag, {address}, Type::I64);
    set_x(t, r, t.ir.emit(Op::BitInsert, Type::I64, {x(t, r), tag}, kTagShift | 4 << 8));
    return true;
}

bool tag_store(TranslationContext& t, unsigned granules, bool zero, Imm<9> offset, Imm<2> mode, Reg n,
               Reg r) {
    if (mode == 0) return undefined(t);
    check_sp(t, n);
    const Ref tag = xsp(t, r);
    const Address a = address_imm(t, n, offset.sign_extend() * int64_t{mmu::kTagGranule}, mode);
    store_tags(t, a.address, tag, {.granules = granules, .zero = zero});
    write_back(t, a);
    return true;
}

// The tag is that of the address, which the helper also finds to be aligned and writable.
bool STGP(TranslationContext& t, Imm<2> mode, Imm<7> offset, Reg r2, Reg n, Reg r) {
    if (mode == 0) return undefined(t);
    check_sp(t, n);
    const Pair values{x(t, r), x(t, r2)};
    const Address a = address_imm(t, n, offset.sign_extend() * int64_t{mmu::kTagGranule}, mode);
    store_tags(t, a.address, a.address, {});
    constexpr unsigned kDoubleword = 3;
    store_pair(t, a.address, values, mem_aux(t, kDoubleword, ir::kMemUnchecked));
    write_back(t, a);
    return true;
}

bool LDGM(TranslationContext& t, Reg n, Reg r) {
    if (!t.el1()) return undefined(t);
    check_sp(t, n);
    set_x(t, r, call(t, Helper::LoadTagBlock, {xsp(t, n)}, Type::I64));
    return true;
}

bool STGM(TranslationContext& t, Reg n, Reg r) {
    if (!t.el1()) return undefined(t);
    check_sp(t, n);
    call(t, Helper::StoreTagBlock, {xsp(t, n), x(t, r)});
    return true;
}

bool STZGM(TranslationContext& t, Reg n, Reg r) {
    if (!t.el1()) return undefined(t);
    check_sp(t, n);
    const Ref tag = t.ir.bin(Op::Shl, Type::I64, x(t, r), t.ir.i64(kTagShift));
    store_tags(t, xsp(t, n), tag, {.granules = 4, .zero = true, .block = true});
    return true;
}

}  // namespace arclight::frontend::a64::translate
