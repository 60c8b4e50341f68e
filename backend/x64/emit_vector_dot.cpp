// Dot products and matrix products of bytes: bytes become halfwords, whose products are added in pairs (vpmaddwd).
#include "backend/x64/simd.h"
#include "backend/x64/vector_integer_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr bool first_is_signed(Op op) { return op == Op::VSDot || op == Op::VSMmla; }
constexpr bool second_is_signed(Op op) { return op != Op::VUDot && op != Op::VUMmla; }
}  // namespace

void VectorIntegerEmitter::extend_bytes(const Xmm& d, const Xmm& x, bool upper, bool is_signed) {
    if (upper) as_.vpunpckhqdq(d, x, x);
    is_signed ? as_.vpmovsxbw(d, upper ? d : x) : as_.vpmovzxbw(d, upper ? d : x);
}

void VectorIntegerEmitter::emit_vdot(const Inst& i) {
    const Xmm acc = regs_.use_xmm(i.args[0]), a = regs_.use_xmm(i.args[1]), b = regs_.use_xmm(i.args[2]);
    const ScratchXmm t(regs_), u(regs_);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1], i.args[2]});
    const auto products = [&](const Xmm& to, bool upper) {
        extend_bytes(to, a, upper, first_is_signed(i.op));
        extend_bytes(xmm15, b, upper, second_is_signed(i.op));
        as_.vpmaddwd(to, to, xmm15);
    };
    products(t, false);
    products(u, true);
    as_.vphaddd(t, t, u);
    as_.vpaddd(d, acc, t);
}

void VectorIntegerEmitter::emit_vmatrix_multiply(const Inst& i) {
    const Xmm acc = regs_.use_xmm(i.args[0]), a = regs_.use_xmm(i.args[1]), b = regs_.use_xmm(i.args[2]);
    const ScratchXmm t(regs_), u(regs_), v(regs_), w(regs_);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1], i.args[2]});
    extend_bytes(v, b, false, second_is_signed(i.op));
    extend_bytes(w, b, true, second_is_signed(i.op));
    // Row by row of a: the sums of pairs of its products with both rows of b.
    const auto row = [&](const Xmm& to, bool upper) {
        extend_bytes(xmm15, a, upper, first_is_signed(i.op));
        as_.vpmaddwd(to, xmm15, v);
        as_.vpmaddwd(xmm15, xmm15, w);
        as_.vphaddd(to, to, xmm15);
    };
    row(t, false);
    row(u, true);
    as_.vphaddd(t, t, u);
    as_.vpaddd(d, acc, t);
}

}  // namespace arclight::backend
