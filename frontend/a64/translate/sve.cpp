// SVE: operations of registers (scalable/operation.h), which the runtime carries out.
#include <bit>

#include "frontend/a64/scalable/immediates.h"
#include "frontend/a64/translate/simd_common.h"
#include "frontend/a64/translate/sve_common.h"
#include "jit/ir/scalable.h"

namespace arclight::frontend::a64::translate {

/// CheckSVEEnabled: the trap of SVE comes before that of floating point.
bool check_sve_enabled(TranslationContext& t) {
    // Nothing changes it in the middle of a block: a write of CPACR_EL1 ends one.
    if (!t.scalable_checked) {
        const Ref trapped = t.ir.load_field(Type::I32, offsetof(jit::GuestState, scalable_trap));
        t.ir.emit(Op::CheckZero, Type::Void, {trapped}, 0, ir::kCheckScalableTrap);
        t.scalable_checked = true;
    }
    return check_fp_enabled(t);
}

Operation operation_of(Scalable kind, unsigned with, const Fields& f) {
    const auto byte = [](unsigned value) { return static_cast<uint8_t>(value); };
    Operation o;
    o.kind = kind;
    o.variant = static_cast<uint16_t>(with);
    o.d = byte(f['d']), o.n = byte(f['n']), o.m = byte(f['m']), o.a = byte(f['a']), o.g = byte(f['g']);
    o.size = byte((with >> 22 & 15) != 0 ? (with >> 22 & 15) - 1 : f['z']);
    o.imm = f['i'] | with >> 26;
    o.k = byte(f['k'] | (with >> 18 & 15));
    o.s = byte(f['s'] | (with >> 17 & 1));
    o.x = byte(f['x'] | (with >> 16 & 1));
    return o;
}

bool emit(TranslationContext& t, const Operation& o) {
    if (emit_scalar(t, o) || emit_lanes(t, o)) return true;
    call(t, Helper::Scalable, {t.ir.i64(o.first()), t.ir.i64(o.second())});
    return true;
}

bool emit_access(TranslationContext& t, const Operation& o) {
    if (emit_predicate_access(t, o) || emit_contiguous(t, o)) return true;
    call(t, Helper::ScalableMemory, {t.ir.i64(o.first()), t.ir.i64(o.second())});
    return true;
}

bool sve(TranslationContext& t, Scalable kind, unsigned sizes, unsigned with, Fields f) {
    if (!size_allowed(sizes, f['z'])) return undefined(t);
    if (!check_sve_enabled(t)) return false;
    return emit(t, operation_of(kind, with, f));
}

bool sve_lanes(TranslationContext& t, Scalable kind, Op op, unsigned sizes, unsigned with, Fields f) {
    return sve(t, kind, sizes, with | static_cast<unsigned>(op), f);
}

bool sve_shift(TranslationContext& t, Scalable kind, Op op, bool left, unsigned with, Fields f) {
    if (f['t'] == 0) return undefined(t);
    if (!check_sve_enabled(t)) return false;
    const unsigned size = std::bit_width(f['t']) - 1, width = 8u << size, total = f['t'] << 3 | f['i'];
    Operation o = operation_of(kind, with | static_cast<unsigned>(op), f);
    o.size = static_cast<uint8_t>(size);
    o.imm = left ? total - width : 2 * width - total;
    return emit(t, o);
}

bool sve_narrow(TranslationContext& t, unsigned with, Fields f) {
    if (!std::has_single_bit(f['t'])) return undefined(t);
    return sve(t, Scalable::NarrowShift, kAnySize, with | with_size(std::bit_width(f['t']) - 1), f);
}

bool sve_add_carry(TranslationContext& t, unsigned with, Fields f) {
    return sve(t, Scalable::AddCarry, kAnySize, with | with_size(2 + f['z']), f);
}

bool sve_if_long(TranslationContext& t, Scalable kind, unsigned with, Fields f) {
    if (!check_sve_enabled(t)) return false;
    return emit_access(t, operation_of(kind, with, f));
}

bool sve_immediate(TranslationContext& t, Scalable kind, Op op, unsigned with, Fields f) {
    if (f['z'] == 0 && f['s'] != 0) return undefined(t);
    if (!check_sve_enabled(t)) return false;
    return emit(t, operation_of(kind, with | static_cast<unsigned>(op), f));
}

bool sve_bitwise_immediate(TranslationContext& t, Op op, Fields f) {
    if (!scalable::bitwise_immediate(f['i'])) return undefined(t);
    if (!check_sve_enabled(t)) return false;
    return emit(t, operation_of(Scalable::BitwiseImmediate, static_cast<unsigned>(op) | with_size(3), f));
}

bool sve_duplicate_element(TranslationContext& t, Fields f) {
    if (f['t'] == 0) return undefined(t);
    if (!check_sve_enabled(t)) return false;
    const unsigned size = static_cast<unsigned>(std::countr_zero(f['t']));
    Operation o = operation_of(Scalable::DuplicateElement, 0, f);
    o.size = static_cast<uint8_t>(size);
    o.imm = (f['i'] << 5 | f['t']) >> (size + 1);
    return emit(t, o);
}

bool sve_nothing(TranslationContext& t, Fields) { return check_sve_enabled(t); }

void clear_upper(TranslationContext& t, size_t first) {
    const ir::Block& block = t.ir.block();
    const size_t end = block.insts.size();
    for (size_t i = first; i < end; ++i) {
        const auto index = static_cast<unsigned>(block.insts[i].imm);
        if (block.insts[i].op != Op::SetV || ir::is_clear_above(block, index)) continue;
        constexpr size_t kBytes = sizeof(jit::ScalableUpper);
        t.ir.store_field(zero(t), offsetof(jit::GuestState, z_upper) + index * kBytes, kBytes);
    }
}

}  // namespace arclight::frontend::a64::translate
