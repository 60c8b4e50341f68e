// Advanced SIMD scalar three same, three different, two-register miscellaneous and pairwise (ARM ARM
// C4.1.96).
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
/// The comparison is a vector one, so a neighbouring single must not raise flags.
Ref compare_lowest(TranslationContext& t, Op op, bool sz, auto&& first, auto&& second) {
    const unsigned size = sz ? 3 : 2;
    const Lanes o{t, size, false};
    const Ref a = first(o), b = second(o);
    return zext(t, size, o(op, {a, b}));
}
auto low(bool sz, Vec r) {
    return [=](const Lanes& o) { return sz ? o[r] : zext(o.t, 2, fp(o.t, false, r)); };
}
auto low_abs(bool sz, Vec r) {
    return [=](const Lanes& o) { return o(Op::VFAbs, {low(sz, r)(o)}); };
}
auto nothing() {
    return [](const Lanes& o) { return zero(o.t); };
}
}  // namespace

// ---- integer
bool scalar_three_same(TranslationContext& t, Op op, Vec m, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) { return o(op, {o[n], o[m]}); });
}

bool scalar_two_register(TranslationContext& t, Op op, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) { return o(op, {o[n]}); });
}

bool scalar_compare_zero(TranslationContext& t, Op op, bool swapped, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) {
        const Ref value = o[n], none = zero(t);
        return swapped ? o(op, {none, value}) : o(op, {value, none});
    });
}

bool scalar_three_same_saturating(TranslationContext& t, Op op, unsigned sizes, Imm<2> size, Vec m, Vec n,
                                  Vec d) {
    return scalar_sat(t, size, sizes, d, [&](const ScalarLanes& o) { return o(op, {o.in(n), o.in(m)}); });
}

/// d op n
bool scalar_accumulate_saturating(TranslationContext& t, Op op, Imm<2> size, Vec n, Vec d) {
    return scalar_sat(t, size, kBHSD, d, [&](const ScalarLanes& o) { return o(op, {o.in(d), o.in(n)}); });
}

bool scalar_saturating(TranslationContext& t, Op op, Imm<2> size, Vec n, Vec d) {
    return scalar_sat(t, size, kBHSD, d, [&](const ScalarLanes& o) { return o(op, {o.in(n)}); });
}

bool scalar_narrow(TranslationContext& t, Op op, Imm<2> size, Vec n, Vec d) {
    return scalar_sat(t, size, kBHS, d,
                      [&](const ScalarLanes& o) { return o(op, {zext(t, o.size + 1, o[n])}); });
}

bool scalar_fused_saturating(TranslationContext& t, Op op, Imm<2> size, Vec m, Vec n, Vec d) {
    return scalar_sat(t, size, kHS, d, [&](const ScalarLanes& o) {
        return o(op, {o.in(d), o.in(n), o.in(m)});
    });
}

bool scalar_doubling_accumulate(TranslationContext& t, Op combine, Imm<2> size, Vec m, Vec n, Vec d) {
    return scalar_sat(t, size, kHS, d, [&](const ScalarLanes& o) {
        return o.wide()(combine, {zext(t, o.size + 1, o[d]), o(Op::VQDMull, {o.in(n), o.in(m)})});
    });
}

// ---- floating point
/// n op m, or with `absolute` |n| op |m|.
bool scalar_fp_compare(TranslationContext& t, Op op, bool absolute, bool sz, Vec m, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref mask = absolute ? compare_lowest(t, op, sz, low_abs(sz, n), low_abs(sz, m))
                              : compare_lowest(t, op, sz, low(sz, n), low(sz, m));
    return write_scalar(t, sz ? 3 : 2, m, d, mask);
}

/// n op 0, or with `swapped` 0 op n. FPCR.NEP is not about it.
bool scalar_fp_compare_zero(TranslationContext& t, Op op, bool swapped, bool sz, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d,
                 swapped ? compare_lowest(t, op, sz, nothing(), low(sz, n))
                         : compare_lowest(t, op, sz, low(sz, n), nothing()));
}

bool scalar_fp_to_int(TranslationContext& t, Op op, RoundMode mode, bool sz, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref value = t.ir.emit(op, int_type(sz), {fp(t, sz, n)}, 0, to_int_aux(mode, sz));
    return write_scalar(t, sz ? 3 : 2, d, d, t.ir.emit(Op::IntToF, fp_type(sz), {value}));
}

bool scalar_fp_from_int(TranslationContext& t, Op op, bool sz, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref value = t.ir.emit(Op::FToInt, int_type(sz), {fp(t, sz, n)});
    return write_scalar(t, sz ? 3 : 2, d, d, t.ir.emit(op, fp_type(sz), {value}, 0, int_width(sz)));
}

bool scalar_fp_pairwise(TranslationContext& t, Op op, bool sz, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;  // and NEP is not about it
    const Lanes lanes{t, sz ? 3u : 2u, true};
    return write(t, d, Scalar{t, sz}(op, {lanes[n], lanes(Op::VDupLane, {lanes[n]}, 1)}));
}

bool FCVTXN_scalar(TranslationContext& t, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write_scalar(t, 2, d, d, t.ir.emit(Op::FCvtXN, Type::F32, {fp(t, true, n)}));
}
bool ADDP_scalar(TranslationContext& t, Vec n, Vec d) {
    return scalar_d(t, d, [&](const Lanes& o) { return o(Op::VAdd, {o[n], o(Op::VHighToLow, {o[n]})}); });
}

}  // namespace arclight::frontend::a64::translate
