// Advanced SIMD two-register miscellaneous and across lanes, integer (ARM ARM C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
bool unary(TranslationContext& t, Op op, unsigned sizes, bool q, unsigned size, Vec n, Vec d) {
    return vector_op(t, q, size, sizes, d, [&](const Lanes& o) { return o(op, {o[n]}); });
}
/// d op n: the destination is the first operand too.
bool accumulate(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d) {
    return vector_op(t, q, size, kBHSD, d, [&](const Lanes& o) { return o(op, {o[d], o[n]}); });
}
bool compare_zero(TranslationContext& t, Op op, bool swapped, bool q, Imm<2> size, Vec n, Vec d) {
    return vector_op(t, q, size, kBHSD, d, [&](const Lanes& o) {
        const Ref value = o[n], none = zero(t);
        return swapped ? o(op, {none, value}) : o(op, {value, none});
    });
}
/// Reverses the elements inside containers of `bits`.
bool reverse(TranslationContext& t, unsigned bits, unsigned sizes, bool q, Imm<2> size, Vec n, Vec d) {
    return vector_op(t, q, size, sizes, d, [&](const Lanes& o) { return o(Op::VRev, {o[n]}, bits); });
}
bool pairwise_long_accumulate(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d) {
    return vector_op(t, q, size, kBHS, d, [&](const Lanes& o) {
        return Lanes{t, size + 1, q}(Op::VAdd, {o[d], o(op, {o[n]})});
    });
}
bool narrow(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d) {
    return narrowing_op(t, q, size, kBHS, d, [&](const Lanes& o) { return o(op, {o[n]}); });
}
/// The result is the lowest element, with zeros above it as it comes. 2S is too short for these.
bool across(TranslationContext& t, Op op, bool q, Imm<2> size, Vec n, Vec d) {
    if (!size_allowed(q ? kBHS : kB | kH, size)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    return write(t, d, Lanes{t, size, q}(op, {v(t, n)}));
}
}  // namespace

bool REV64_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return reverse(t, 64, kBHS, Q, size, n, d);
}
bool REV32_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return reverse(t, 32, kB | kH, Q, size, n, d);
}
bool REV16_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return reverse(t, 16, kB, Q, size, n, d);
}
bool CLS_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return unary(t, Op::VCls, kBHS, Q, size, n, d);
}
bool CLZ_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return unary(t, Op::VClz, kBHS, Q, size, n, d);
}
bool CNT_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return unary(t, Op::VCnt, kB, Q, size, n, d);
}
bool SQABS_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return unary(t, Op::VQAbs, kBHSD, Q, size, n, d);
}
bool SQNEG_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return unary(t, Op::VQNeg, kBHSD, Q, size, n, d);
}
bool ABS_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return unary(t, Op::VAbs, kBHSD, Q, size, n, d);
}
bool NEG_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return unary(t, Op::VNeg, kBHSD, Q, size, n, d);
}
bool SADDLP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return unary(t, Op::VAddlPS, kBHS, Q, size, n, d);
}
bool UADDLP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return unary(t, Op::VAddlPU, kBHS, Q, size, n, d);
}
bool NOT_vector(TranslationContext& t, bool Q, Vec n, Vec d) { return unary(t, Op::VNot, kB, Q, 0, n, d); }
bool RBIT_vector(TranslationContext& t, bool Q, Vec n, Vec d) { return unary(t, Op::VRbit, kB, Q, 0, n, d); }
bool SUQADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return accumulate(t, Op::VSuqadd, Q, size, n, d);
}
bool USQADD_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return accumulate(t, Op::VUsqadd, Q, size, n, d);
}
bool SADALP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return pairwise_long_accumulate(t, Op::VAddlPS, Q, size, n, d);
}
bool UADALP_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return pairwise_long_accumulate(t, Op::VAddlPU, Q, size, n, d);
}
bool CMEQ_zero_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return compare_zero(t, Op::VCmpEq, false, Q, size, n, d);
}
bool CMGE_zero_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return compare_zero(t, Op::VCmpGeS, false, Q, size, n, d);
}
bool CMGT_zero_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return compare_zero(t, Op::VCmpGtS, false, Q, size, n, d);
}
bool CMLE_zero_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return compare_zero(t, Op::VCmpGeS, true, Q, size, n, d);
}
bool CMLT_zero_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return compare_zero(t, Op::VCmpGtS, true, Q, size, n, d);
}
bool XTN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return narrow(t, Op::VXtn, Q, size, n, d);
}
bool SQXTN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return narrow(t, Op::VQXtnS, Q, size, n, d);
}
bool UQXTN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return narrow(t, Op::VQXtnU, Q, size, n, d);
}
bool SQXTUN_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return narrow(t, Op::VQXtun, Q, size, n, d);
}
bool SHLL_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return widening_op(t, size, kBHS, d, [&](const Lanes& o) {
        return o.wide()(Op::VShlImm, {o(Op::VUxtl, {half(t, Q, n)})}, 8u << size);
    });
}
bool SADDLV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return across(t, Op::VAddlVS, Q, size, n, d);
}
bool UADDLV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return across(t, Op::VAddlVU, Q, size, n, d);
}
bool SMAXV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return across(t, Op::VMaxVS, Q, size, n, d);
}
bool UMAXV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return across(t, Op::VMaxVU, Q, size, n, d);
}
bool SMINV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return across(t, Op::VMinVS, Q, size, n, d);
}
bool UMINV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return across(t, Op::VMinVU, Q, size, n, d);
}
bool ADDV_vector(TranslationContext& t, bool Q, Imm<2> size, Vec n, Vec d) {
    return across(t, Op::VAddV, Q, size, n, d);
}

}  // namespace arclight::frontend::a64::translate
