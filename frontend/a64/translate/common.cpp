#include "frontend/a64/translate/common.h"

namespace arclight::frontend::a64::translate {

Ref truncate(TranslationContext& t, Type type, Ref v) {
    if (type == Type::I64 || t.ir.block()[v].type == Type::I32) return v;
    if (t.ir.is_const(v)) return t.ir.i32(static_cast<uint32_t>(t.ir.const_value(v)));
    return t.ir.un(Op::ZExt32, Type::I64, v);
}

bool raise(TranslationContext& t, jit::ExitReason reason, uint32_t info) {
    t.ir.emit(Op::ExitRuntime, Type::Void, {}, static_cast<uint64_t>(reason) | uint64_t{info} << 32);
    t.ended = true;
    return false;
}

bool undefined(TranslationContext& t) { return raise(t, jit::ExitReason::Undefined); }

bool exit_to(TranslationContext& t, int64_t target, ir::BranchKind kind) {
    t.ir.emit(Op::Exit, Type::Void, {}, static_cast<uint64_t>(target), static_cast<uint32_t>(kind));
    t.ended = true;
    return false;
}

bool exit_if(TranslationContext& t, Ref condition, int64_t target) {
    t.ir.emit(Op::ExitIf, Type::Void, {condition}, static_cast<uint64_t>(target));
    ++t.side_exits;
    return true;
}

bool check_fp_enabled(TranslationContext& t) {
    if ((t.translation_flags & translation_flag::kFpTrap) == 0) return true;
    return raise(t, jit::ExitReason::Undefined, kUndefinedFpTrap);
}

namespace {
bool checks_sp(const TranslationContext& t, Reg base) {
    return index(base) == 31 && (t.translation_flags & translation_flag::kSpAlignCheck) != 0;
}
}  // namespace

uint32_t mem_aux(const TranslationContext& t, unsigned size, uint32_t flags) {
    return size | flags | ((t.translation_flags & translation_flag::kAlignCheck) != 0 ? ir::kMemAligned : 0);
}

uint32_t mem_aux(TranslationContext& t, unsigned size, Reg base, uint64_t offset, uint32_t flags) {
    const uint32_t aux = mem_aux(t, size, flags);
    if ((aux & ir::kMemAligned) != 0) {
        check_sp(t, base);
        return aux;
    }
    if (!checks_sp(t, base)) return aux;
    return aux | ir::kMemSpBase | static_cast<uint32_t>(offset & 15) << ir::kMemSpOffsetShift;
}

uint32_t unchecked_if(const TranslationContext& t, bool form) {
    return form && t.decoder.features().has(Feature::Mte) ? ir::kMemUnchecked : 0;
}

void check_sp(TranslationContext& t, Reg base) {
    if (checks_sp(t, base)) t.ir.emit(Op::CheckStack, Type::Void, {xsp(t, base)});
}

namespace {
/// FEAT_LSE2 (B2.2.1.1): pairs of general registers within 16 aligned bytes are single-copy atomic. Where there is one CPU alone,
/// nobody sees a difference.
bool pairs_are_whole(const TranslationContext& t) {
    return t.decoder.features().has(Feature::Lse2) && (t.translation_flags & translation_flag::kSerial) == 0;
}
/// MemAux of two words as one doubleword.
uint32_t as_doubleword(uint32_t aux) { return (aux & ~ir::kMemSizeMask) | 3; }
}  // namespace

// SCTLR_EL1.A asks that each register of a pair be aligned, but kMemAligned speaks of the whole access. It
// is rarely set, so a pair is then two accesses; if the first is aligned, so is the second.
Pair load_pair(TranslationContext& t, Type type, Ref address, uint32_t aux) {
    if (aux & ir::kMemAligned) {
        const Ref first = load(t, type, address, aux);
        return {first, load(t, type, offset_by(t, address, 1 << ir::mem_size_log2(aux)), aux)};
    }
    if (pairs_are_whole(t)) {
        if (ir::mem_size_log2(aux) == 2) {
            const bool is_signed = (aux & ir::kMemSigned) != 0;
            const Ref both = load(t, Type::I64, address, as_doubleword(aux & ~ir::kMemSigned));
            const Ref first = is_signed ? t.ir.un(Op::SExt32, Type::I64, both) : truncate(t, Type::I32, both);
            return {first, t.ir.bin(is_signed ? Op::Sar : Op::Shr, Type::I64, both, t.ir.i64(32))};
        }
        aux |= ir::kMemWhole;
    }
    const Ref first = t.ir.emit(Op::LoadPair, type, {address}, 0, aux);
    return {first, t.ir.emit(Op::PairSecond, type, {first})};
}

void store_pair(TranslationContext& t, Ref address, Pair values, uint32_t aux) {
    if (aux & ir::kMemAligned) {
        store(t, address, values.first, aux);
        store(t, offset_by(t, address, 1 << ir::mem_size_log2(aux)), values.second, aux);
        return;
    }
    if (pairs_are_whole(t)) {
        if (ir::mem_size_log2(aux) == 2) {
            const Ref both = t.ir.emit(Op::BitInsert, Type::I64, {values.first, values.second}, 32 | 32 << 8);
            return store(t, address, both, as_doubleword(aux));
        }
        aux |= ir::kMemWhole;
    }
    t.ir.emit(Op::StorePair, Type::Void, {address, values.first, values.second}, 0, aux);
}

Pair load_pair_v(TranslationContext& t, Ref address, uint32_t aux) {
    if (aux & ir::kMemAligned) {
        const Ref first = load_v(t, address, aux);
        return {first, load_v(t, offset_by(t, address, 1 << ir::mem_size_log2(aux)), aux)};
    }
    const Ref first = t.ir.emit(Op::LoadPairV, Type::V128, {address}, 0, aux);
    return {first, t.ir.emit(Op::PairSecond, Type::V128, {first})};
}

void store_pair_v(TranslationContext& t, Ref address, Pair values, uint32_t aux) {
    if (aux & ir::kMemAligned) {
        store_v(t, address, values.first, aux);
        store_v(t, offset_by(t, address, 1 << ir::mem_size_log2(aux)), values.second, aux);
        return;
    }
    t.ir.emit(Op::StorePairV, Type::Void, {address, values.first, values.second}, 0, aux);
}

bool min_max(TranslationContext& t, Pick pick, Type type, Ref a, Ref b, Reg d) {
    const Ref flags = t.ir.flags_of(t.ir.bin_raw(Op::Sub, type, a, b));
    const Ref first = t.ir.emit(Op::Cond, Type::I1, {flags}, static_cast<uint64_t>(pick));
    set_x(t, d, t.ir.select(type, first, a, b));
    return true;
}

Ref extend(TranslationContext& t, Type type, Reg m, unsigned option, unsigned shift) {
    const bool wide = type == Type::I64;
    Ref v = x(t, m);
    if (t.ir.is_const(v) && t.ir.const_value(v) == 0) return v;
    switch (option) {
        case 0: v = t.ir.un(Op::ZExt8, type, v); break;
        case 1: v = t.ir.un(Op::ZExt16, type, v); break;
        case 2: v = wide ? truncate(t, Type::I32, v) : v; break;
        case 4: v = t.ir.un(Op::SExt8, type, v); break;
        case 5: v = t.ir.un(Op::SExt16, type, v); break;
        case 6: v = wide ? t.ir.un(Op::SExt32, type, v) : v; break;
        default: break;  // UXTX and SXTX
    }
    return shift == 0 ? v : t.ir.bin(Op::Shl, type, v, t.ir.i64(shift));
}

}  // namespace arclight::frontend::a64::translate
