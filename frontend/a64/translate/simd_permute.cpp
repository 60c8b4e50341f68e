// Advanced SIMD permute, extract, table lookup, copy and modified immediate (ARM ARM C4.1.96).
#include <utility>

#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
// The lowest set bit of imm5 gives the element size, the bits above it the lane.
constexpr unsigned copy_size(Imm<5> imm5) {
    return static_cast<unsigned>(std::countr_zero(imm5.value | 0x10u));
}
constexpr bool copy_reserved(Imm<5> imm5) { return (imm5 & 0xf) == 0; }
constexpr unsigned copy_lane(Imm<5> imm5) { return imm5 >> (copy_size(imm5) + 1); }

constexpr uint64_t replicate32(uint64_t value) { return value << 32 | value; }
constexpr uint64_t replicate16(uint64_t value) { return replicate32(value << 16 | value); }
constexpr uint64_t shifted32(Imm<8> imm8, Imm<2> shift) { return replicate32(uint64_t{imm8} << (8 * shift)); }
constexpr uint64_t shifted16(Imm<8> imm8, bool shift) {
    return replicate16(uint64_t{imm8} << (shift ? 8 : 0));
}
/// MSL: ones shifted in.
constexpr uint64_t shifted_ones(Imm<8> imm8, bool shift) {
    return replicate32(shift ? uint64_t{imm8} << 16 | 0xffff : uint64_t{imm8} << 8 | 0xff);
}
constexpr uint64_t byte_mask(Imm<8> imm8) {
    uint64_t mask = 0;
    for (unsigned i = 0; i < 8; ++i)
        if (imm8.bit(i)) mask |= uint64_t{0xff} << (8 * i);
    return mask;
}

bool move_immediate(TranslationContext& t, bool q, uint64_t value, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(Op::VConst, Type::V128, {}, value, ir::vec_aux(3, q)));
}
bool modified_immediate(TranslationContext& t, ImmediateOp op, bool q, uint64_t value, Vec d) {
    const auto combine = [&](Op with) {
        return vector_op(t, q, 0, kB, d, [&](const Lanes& o) {
            return o(with, {o[d], o.full()(Op::VConst, {}, value)});
        });
    };
    switch (op) {
        case ImmediateOp::Move: return move_immediate(t, q, value, d);
        case ImmediateOp::MoveNot: return move_immediate(t, q, ~value, d);
        case ImmediateOp::Or: return combine(Op::VOr);
        case ImmediateOp::BitClear: return combine(Op::VAndNot);
    }
    std::unreachable();
}
}  // namespace

bool permute(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return vector_op(t, q, size, kBHSD, d, [&](const Lanes& o) { return o(op, {o[n], o[m]}); });
}

/// Looks `m` up in the table of registers n, n+1, ... (modulo 32). Indexes past the end keep the destination
/// (TBX) or give zero. Each register looks up the indexes less 16 for every register before it: an index
/// below that wraps to above 15 and is out of range, like one beyond.
bool table_lookup(TranslationContext& t, bool extend, bool q, Vec m, Imm<2> len, Vec n, Vec d) {
    return vector_op(t, q, 0, kB, d, [&](const Lanes& o) {
        const Ref sixteen = len == 0 ? ir::kNoRef : o.full()(Op::VConst, {}, 0x1010101010101010);
        Ref indexes = o[m], result = extend ? o[d] : ir::kNoRef;
        for (unsigned r = 0; r <= len; ++r) {
            const Ref table = o[static_cast<Vec>((index(n) + r) % 32)];
            if (r != 0) indexes = o(Op::VSub, {indexes, sixteen});
            if (extend) {
                result = o(Op::VTbx, {result, table, indexes});
            } else {
                const Ref part = o(Op::VTbl, {table, indexes});
                result = r == 0 ? part : o(Op::VOr, {result, part});
            }
        }
        return result;
    });
}

/// SMOV and UMOV; the sizes are those that the destination's width allows.
bool move_to_general(TranslationContext& t, Op op, unsigned sizes_x, unsigned sizes_w, bool q, Imm<5> imm5,
                     Vec n, Reg d) {
    if (copy_reserved(imm5) || !size_allowed(q ? sizes_x : sizes_w, copy_size(imm5))) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    set_x(t, d, t.ir.emit(op, int_type(q), {v(t, n)}, copy_lane(imm5), ir::vec_aux(copy_size(imm5))));
    return true;
}

bool modified_immediate_32(TranslationContext& t, ImmediateOp op, bool q, Imm<3> abc, Imm<2> cmode,
                           Imm<5> defgh, Vec d) {
    return modified_immediate(t, op, q, shifted32(concat(abc, defgh), cmode), d);
}

bool modified_immediate_16(TranslationContext& t, ImmediateOp op, bool q, Imm<3> abc, bool cmode,
                           Imm<5> defgh, Vec d) {
    return modified_immediate(t, op, q, shifted16(concat(abc, defgh), cmode), d);
}

bool modified_immediate_ones(TranslationContext& t, ImmediateOp op, bool q, Imm<3> abc, bool cmode,
                             Imm<5> defgh, Vec d) {
    return modified_immediate(t, op, q, shifted_ones(concat(abc, defgh), cmode), d);
}

bool EXT_vector(TranslationContext& t, bool Q, Vec m, Imm<4> imm, Vec n, Vec d) {
    if (!Q && imm.bit(3)) return undefined(t);
    return vector_op(t, Q, 0, kB, d, [&](const Lanes& o) { return o(Op::VExt, {o[n], o[m]}, imm); });
}
bool DUP_element(TranslationContext& t, bool Q, Imm<5> imm5, Vec n, Vec d) {
    if (copy_reserved(imm5)) return undefined(t);
    return vector_op(t, Q, copy_size(imm5), kBHSD, d,
                     [&](const Lanes& o) { return o(Op::VDupLane, {o[n]}, copy_lane(imm5)); });
}
bool DUP_element_scalar(TranslationContext& t, Imm<5> imm5, Vec n, Vec d) {
    if (copy_reserved(imm5)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const Lanes o{t, copy_size(imm5), true};
    const unsigned lane = copy_lane(imm5);
    return write(t, d, zext(t, o.size, lane == 0 ? o[n] : o(Op::VDupLane, {o[n]}, lane)));
}
bool DUP_general(TranslationContext& t, bool Q, Imm<5> imm5, Reg n, Vec d) {
    if (copy_reserved(imm5) || (copy_size(imm5) == 3 && !Q)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return write(t, d, Lanes{t, copy_size(imm5), Q}(Op::VDup, {x(t, n)}));
}
bool INS_general(TranslationContext& t, Imm<5> imm5, Reg n, Vec d) {
    if (copy_reserved(imm5)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return write(t, d, Lanes{t, copy_size(imm5), true}(Op::VInsert, {v(t, d), x(t, n)}, copy_lane(imm5)));
}
bool INS_element(TranslationContext& t, Imm<5> imm5, Imm<4> imm4, Vec n, Vec d) {
    if (copy_reserved(imm5)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const unsigned size = copy_size(imm5), from = imm4 >> size;
    return write(t, d,
                 Lanes{t, size, true}(Op::VInsertLane, {v(t, d), v(t, n)}, copy_lane(imm5) | from << 4));
}
bool MOVI_8(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d) {
    return move_immediate(t, Q, uint64_t{concat(abc, defgh)} * 0x0101010101010101, d);
}
bool MOVI_64(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d) {
    return move_immediate(t, Q, byte_mask(concat(abc, defgh)), d);
}
bool FMOV_vector_imm_single(TranslationContext& t, bool Q, Imm<3> abc, Imm<5> defgh, Vec d) {
    return move_immediate(t, Q, replicate32(expand_fp_imm(false, concat(abc, defgh))), d);
}
bool FMOV_vector_imm_double(TranslationContext& t, Imm<3> abc, Imm<5> defgh, Vec d) {
    return move_immediate(t, true, expand_fp_imm(true, concat(abc, defgh)), d);
}

}  // namespace arclight::frontend::a64::translate
