// Advanced SIMD two-register miscellaneous and across lanes, integer (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

bool two_register(TranslationContext& t, Op op, unsigned sizes, bool q, Imm<2> size, Vec n, Vec d) {
    return vector_op(t, q, size, sizes, d, [&](const Lanes& o) { return o(op, {o[n]}); });
}

/// The same for an operation on bits, where elements do not matter.
bool two_register_bits(TranslationContext& t, Op op, bool q, Vec n, Vec d) {
    return two_register(t, op, kB, q, Imm<2>{0}, n, d);
}

/// d op n: the destination is the first operand too.
bool two_register_accumulate(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d) {
    return vector_op(t, q, size, kBHSD, d, [&](const Lanes& o) { return o(op, {o[d], o[n]}); });
}

bool two_register_compare_zero(TranslationContext& t, Op op, bool swapped, bool q, Imm<2> size, Vec n,
                               Vec d) {
    return vector_op(t, q, size, kBHSD, d, [&](const Lanes& o) {
        const Ref value = o[n], none = zero(t);
        return swapped ? o(op, {none, value}) : o(op, {value, none});
    });
}

/// Reverses the elements inside containers of `bits`.
bool two_register_reverse(TranslationContext& t, unsigned bits, unsigned sizes, bool q, Imm<2> size, Vec n,
                          Vec d) {
    return vector_op(t, q, size, sizes, d, [&](const Lanes& o) { return o(Op::VRev, {o[n]}, bits); });
}

bool pairwise_long_accumulate(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d) {
    return vector_op(t, q, size, kBHS, d, [&](const Lanes& o) {
        return Lanes{t, size + 1, q}(Op::VAdd, {o[d], o(op, {o[n]})});
    });
}

bool two_register_narrow(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d) {
    return narrowing_op(t, q, size, kBHS, d, [&](const Lanes& o) { return o(op, {o[n]}); });
}

/// The result is the lowest element, with zeros above it as it comes. 2S is too short for these.
bool across_lanes(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d) {
    if (!size_allowed(q ? kBHS : kB | kH, size)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return write(t, d, Lanes{t, size, q}(op, {v(t, n)}));
}

bool SHLL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) {
        return o.wide()(Op::VShlImm, {o(Op::VUxtl, {half(t, Q, n)})}, 8u << size);
    });
}

}  // namespace arclight::frontend::a64::translate
