// AES, SHA1 and SHA256 (ARM ARM C4.1.96); PMULL is with the other products.
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
bool emit(TranslationContext& t, Vec d, Op op, auto... operands) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(op, Type::V128, {v(t, operands)...}, 0, ir::vec_aux(0)));
}
}  // namespace

bool AESE(TranslationContext& t, Vec n, Vec d) { return emit(t, d, Op::VAesE, d, n); }
bool AESD(TranslationContext& t, Vec n, Vec d) { return emit(t, d, Op::VAesD, d, n); }
bool AESMC(TranslationContext& t, Vec n, Vec d) { return emit(t, d, Op::VAesMc, n); }
bool AESIMC(TranslationContext& t, Vec n, Vec d) { return emit(t, d, Op::VAesImc, n); }
bool SHA1C(TranslationContext& t, Vec m, Vec n, Vec d) { return emit(t, d, Op::VSha1C, d, n, m); }
bool SHA1P(TranslationContext& t, Vec m, Vec n, Vec d) { return emit(t, d, Op::VSha1P, d, n, m); }
bool SHA1M(TranslationContext& t, Vec m, Vec n, Vec d) { return emit(t, d, Op::VSha1M, d, n, m); }
bool SHA1SU0(TranslationContext& t, Vec m, Vec n, Vec d) { return emit(t, d, Op::VSha1Su0, d, n, m); }
bool SHA256H(TranslationContext& t, Vec m, Vec n, Vec d) { return emit(t, d, Op::VSha256H, d, n, m); }
bool SHA256H2(TranslationContext& t, Vec m, Vec n, Vec d) { return emit(t, d, Op::VSha256H2, d, n, m); }
bool SHA256SU1(TranslationContext& t, Vec m, Vec n, Vec d) { return emit(t, d, Op::VSha256Su1, d, n, m); }
bool SHA1H(TranslationContext& t, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, zext(t, 2, t.ir.emit(Op::VSha1H, Type::V128, {v(t, n)}, 0, ir::vec_aux(0))));
}
bool SHA1SU1(TranslationContext& t, Vec n, Vec d) { return emit(t, d, Op::VSha1Su1, d, n); }
bool SHA256SU0(TranslationContext& t, Vec n, Vec d) { return emit(t, d, Op::VSha256Su0, d, n); }

}  // namespace arclight::frontend::a64::translate
