// Exclusive, ordered and atomic memory accesses (ARM ARM C4.1.94, C3.2.6, C3.2.12).
#include "frontend/a64/translate/addressing.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

Type register_type(unsigned size) { return int_type(size == 3); }

uint32_t atomic_aux(TranslationContext& t, unsigned size, Reg n, bool acquire, bool release) {
    check_sp(t, n);
    return mem_aux(t, size,
                   ir::kMemAligned | (acquire ? ir::kMemAcquire : 0) | (release ? ir::kMemRelease : 0) |
                       unchecked_at_sp(t, n));
}
/// With writeback tags are checked, whatever the base is.
constexpr uint32_t with_writeback(uint32_t aux) { return aux & ~ir::kMemUnchecked; }

}  // namespace

// ---- Families

bool store_exclusive(TranslationContext& t, bool release, Imm<2> size, Reg s, Reg n, Reg r) {
    const Ref address = xsp(t, n), value = x(t, r);
    set_x(t, s,
          t.ir.emit(Op::StoreEx, Type::I32, {address, value}, 0, atomic_aux(t, size, n, false, release)));
    return true;
}

bool store_exclusive_pair(TranslationContext& t, bool release, bool wide, Reg s, Reg r2, Reg n, Reg r) {
    const Ref address = xsp(t, n), first = x(t, r), second = x(t, r2);
    const uint32_t aux = atomic_aux(t, wide ? 3 : 2, n, false, release);
    set_x(t, s, t.ir.emit(Op::StoreExPair, Type::I32, {address, first, second}, 0, aux));
    return true;
}

bool load_exclusive(TranslationContext& t, bool acquire, Imm<2> size, Reg n, Reg r) {
    const uint32_t aux = atomic_aux(t, size, n, acquire, false);
    set_x(t, r, t.ir.emit(Op::LoadEx, register_type(size), {xsp(t, n)}, 0, aux));
    return true;
}

bool load_exclusive_pair(TranslationContext& t, bool acquire, bool wide, Reg r2, Reg n, Reg r) {
    const uint32_t aux = atomic_aux(t, wide ? 3 : 2, n, acquire, false);
    const Ref first = t.ir.emit(Op::LoadExPair, int_type(wide), {xsp(t, n)}, 0, aux);
    const Ref second = t.ir.emit(Op::PairSecond, int_type(wide), {first});
    set_x(t, r, first);
    set_x(t, r2, second);
    return true;
}

bool load_ordered(TranslationContext& t, Imm<2> size, Reg n, Reg r) {
    set_x(t, r, load(t, register_type(size), xsp(t, n), atomic_aux(t, size, n, true, false)));
    return true;
}

bool store_ordered(TranslationContext& t, Imm<2> size, Reg n, Reg r) {
    const Ref address = xsp(t, n), value = x(t, r);
    store(t, address, value, atomic_aux(t, size, n, false, true));
    return true;
}

// ---- Ordered, with an offset

namespace {
Ref offset_address(TranslationContext& t, Reg n, Imm<9> offset) {
    return offset_by(t, xsp(t, n), offset.sign_extend());
}
}  // namespace

bool STLUR(TranslationContext& t, Imm<2> size, Imm<9> offset, Reg n, Reg r) {
    const uint32_t aux = atomic_aux(t, size, n, false, true);
    const Ref address = offset_address(t, n, offset), value = x(t, r);
    store(t, address, value, aux);
    return true;
}

bool LDAPUR(TranslationContext& t, Imm<2> size, Imm<9> offset, Reg n, Reg r) {
    const uint32_t aux = atomic_aux(t, size, n, true, false);
    set_x(t, r, load(t, register_type(size), offset_address(t, n, offset), aux));
    return true;
}

bool load_ordered_signed(TranslationContext& t, unsigned size, bool word, Imm<9> offset, Reg n, Reg r) {
    const uint32_t aux = atomic_aux(t, size, n, true, false) | ir::kMemSigned;
    set_x(t, r, load(t, int_type(!word), offset_address(t, n, offset), aux));
    return true;
}

bool LDAPURSW(TranslationContext& t, Imm<9> offset, Reg n, Reg r) {
    return load_ordered_signed(t, 2, false, offset, n, r);
}

// ---- Ordered, with writeback, and pairs

bool STLR_pre(TranslationContext& t, bool wide, Reg n, Reg r) {
    const unsigned size = wide ? 3 : 2;
    const uint32_t aux = with_writeback(atomic_aux(t, size, n, false, true));
    const Address a = address_imm(t, n, -(1 << size), kPreIndex);
    store(t, a.address, x(t, r), aux);
    write_back(t, a);
    return true;
}

bool LDAPR_post(TranslationContext& t, bool wide, Reg n, Reg r) {
    const unsigned size = wide ? 3 : 2;
    const uint32_t aux = with_writeback(atomic_aux(t, size, n, true, false));
    const Address a = address_imm(t, n, 1 << size, kPostIndex);
    set_x(t, r, load(t, int_type(wide), a.address, aux));
    write_back(t, a);
    return true;
}

// Two words are one doubleword, two doublewords one access of 16 bytes: more than the order that is asked for. Both must be
// aligned as a whole, or with FEAT_LSE2 within 16 bytes.
bool STILP(TranslationContext& t, bool wide, Reg r2, bool in_place, Reg n, Reg r) {
    const uint32_t common = atomic_aux(t, 3, n, false, true),
                   aux = in_place ? common : with_writeback(common);
    const Address a = address_imm(t, n, in_place ? 0 : wide ? -16 : -8, in_place ? 0 : kPreIndex);
    const Ref first = x(t, r), second = x(t, r2);
    if (wide) {
        begin_release(t);
        t.ir.emit(Op::StorePair, Type::Void, {a.address, first, second}, 0,
                  (aux & ~ir::kMemRelease) | ir::kMemWhole);
        end_release(t);
    } else {
        store(t, a.address, t.ir.emit(Op::BitInsert, Type::I64, {first, second}, 32 | 32 << 8), aux);
    }
    write_back(t, a);
    return true;
}

bool LDIAPP(TranslationContext& t, bool wide, Reg r2, bool in_place, Reg n, Reg r) {
    const uint32_t common = atomic_aux(t, 3, n, true, false),
                   aux = in_place ? common : with_writeback(common);
    const Address a = address_imm(t, n, in_place ? 0 : wide ? 16 : 8, in_place ? 0 : kPostIndex);
    if (wide) {
        const Ref first = t.ir.emit(Op::LoadPair, Type::I64, {a.address}, 0, aux | ir::kMemWhole);
        const Ref second = t.ir.emit(Op::PairSecond, Type::I64, {first});
        acquire(t);
        set_x(t, r, first);
        set_x(t, r2, second);
    } else {
        const Ref both = load(t, Type::I64, a.address, aux);
        set_x(t, r, truncate(t, Type::I32, both));
        set_x(t, r2, t.ir.bin(Op::Shr, Type::I64, both, t.ir.i64(32)));
    }
    write_back(t, a);
    return true;
}

// ---- Read, modify, write

bool atomic(TranslationContext& t, AtomicKind kind, Imm<2> size, bool acquire, bool release, Reg s, Reg n,
            Reg r) {
    const Ref address = xsp(t, n), operand = x(t, s);
    set_x(t, r,
          t.ir.emit(Op::AtomicRmw, register_type(size), {address, operand}, static_cast<uint64_t>(kind),
                    atomic_aux(t, size, n, acquire, release)));
    return true;
}

bool atomic_pair(TranslationContext& t, AtomicKind kind, bool, bool, Reg r2, Reg n, Reg r) {
    if (index(r) == 31 || index(r2) == 31) return undefined(t);
    constexpr size_t kValues = offsetof(jit::GuestState, access_value);
    check_sp(t, n);
    t.ir.store_field(x(t, r), kValues, 8);
    t.ir.store_field(x(t, r2), kValues + 8, 8);
    call(t, Helper::AtomicPair,
         {xsp(t, n), t.ir.i64(static_cast<uint64_t>(kind)), t.ir.i64(unchecked_at_sp(t, n))});
    const Ref first = t.ir.load_field(Type::I64, kValues), second = t.ir.load_field(Type::I64, kValues + 8);
    set_x(t, r, first);
    set_x(t, r2, second);
    return true;
}

// ---- Compare and swap

bool CASP(TranslationContext& t, bool wide, bool acquire, Reg s, bool release, Reg n, Reg r) {
    if ((index(s) & 1) != 0 || (index(r) & 1) != 0) return undefined(t);
    constexpr size_t kValues = offsetof(jit::GuestState, access_value);
    const Reg operands[] = {s, Reg(index(s) + 1), r, Reg(index(r) + 1)};
    for (size_t i = 0; i < 4; ++i) t.ir.store_field(x(t, operands[i]), kValues + i * 8, 8);
    const Ref address = xsp(t, n), aux = t.ir.i64(atomic_aux(t, wide ? 3 : 2, n, acquire, release));
    call(t, Helper::CompareAndSwapPair, {address, aux});
    const Ref first = t.ir.load_field(int_type(wide), kValues);
    const Ref second = t.ir.load_field(int_type(wide), kValues + 8);
    set_x(t, s, first);
    set_x(t, operands[1], second);
    return true;
}

bool CAS(TranslationContext& t, Imm<2> size, bool acquire, Reg s, bool release, Reg n, Reg r) {
    const Ref address = xsp(t, n), expected = x(t, s), desired = x(t, r);
    set_x(t, s,
          t.ir.emit(Op::Cas, register_type(size), {address, expected, desired}, 0,
                    atomic_aux(t, size, n, acquire, release)));
    return true;
}

}  // namespace arclight::frontend::a64::translate
