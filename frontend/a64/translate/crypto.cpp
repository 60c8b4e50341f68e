// AES, SHA1 and SHA256 (ARM ARM C4.1.96); PMULL is with the other products.
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
bool emit(TranslationContext& t, Vec d, Op op, auto... operands) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(op, Type::V128, {v(t, operands)...}, 0, ir::vec_aux(0)));
}
}  // namespace

bool crypto_unary(TranslationContext& t, Op op, Vec n, Vec d) { return emit(t, d, op, n); }

/// (d, n): the destination is the first operand too.
bool crypto_accumulate(TranslationContext& t, Op op, Vec n, Vec d) { return emit(t, d, op, d, n); }

bool crypto_three_register(TranslationContext& t, Op op, Vec m, Vec n, Vec d) {
    return emit(t, d, op, d, n, m);
}

bool SHA1H(TranslationContext& t, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, zext(t, 2, t.ir.emit(Op::VSha1H, Type::V128, {v(t, n)}, 0, ir::vec_aux(0))));
}

}  // namespace arclight::frontend::a64::translate
