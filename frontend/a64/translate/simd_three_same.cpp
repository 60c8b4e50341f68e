// Advanced SIMD three same, integer and logical (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
/// d = mask ? one : other, bit by bit
bool select_bits(TranslationContext& t, bool q, Vec mask, Vec one, Vec other, Vec d) {
    return vector_op(t, q, 0, kB, d, [&](const Lanes& o) {
        return o(Op::VBitSelect, {o[mask], o[one], o[other]});
    });
}
}  // namespace

bool three_same(TranslationContext& t, Op op, unsigned sizes, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return vector_op(t, q, size, sizes, d, [&](const Lanes& o) { return o(op, {o[n], o[m]}); });
}

/// d = d combine (n op m)
bool three_same_accumulate(TranslationContext& t, Op combine, Op op, unsigned sizes, bool q, Imm<2> size,
                           Vec m, Vec n, Vec d) {
    return vector_op(t, q, size, sizes, d, [&](const Lanes& o) {
        return o(combine, {o[d], o(op, {o[n], o[m]})});
    });
}

bool three_same_logical(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d) {
    return three_same(t, op, kB, q, Imm<2>{0}, m, n, d);
}

bool three_same_fused(TranslationContext& t, Op op, bool q, Imm<2> size, Vec m, Vec n, Vec d) {
    return vector_op(t, q, size, kHS, d, [&](const Lanes& o) { return o(op, {o[d], o[n], o[m]}); });
}

bool three_same_dot(TranslationContext& t, Op op, bool q, Vec m, Vec n, Vec d) {
    return vector_op(t, q, 2, kS, d, [&](const Lanes& o) { return o(op, {o[d], o[n], o[m]}); });
}

bool ORR_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) {
    // MOV (vector)
    if (m == n) return vector_op(t, Q, 0, kB, d, [&](const Lanes& o) { return o[n]; });
    return three_same_logical(t, Op::VOr, Q, m, n, d);
}
bool BSL_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) { return select_bits(t, Q, d, n, m, d); }
bool BIT_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) { return select_bits(t, Q, m, n, d, d); }
bool BIF_vector(TranslationContext& t, bool Q, Vec m, Vec n, Vec d) { return select_bits(t, Q, m, d, n, d); }

}  // namespace arclight::frontend::a64::translate
