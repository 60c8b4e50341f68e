// Dot products and matrix products of bytes. Hosts with VNNI have sums of four products of unsigned and signed bytes (vpdpbusd); where both
// are alike, 128 is taken from or added to those of one operand, and 128 times the other ones' sum is put right. On others bytes become
// halfwords, whose products are added in pairs (vpmaddwd).
#include "backend/x64/simd.h"
#include "backend/x64/vector_integer_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr bool first_is_signed(Op op) { return op == Op::VSDot || op == Op::VSMmla; }
constexpr bool second_is_signed(Op op) { return op != Op::VUDot && op != Op::VUMmla; }
constexpr uint64_t kBytesOf128 = simd::bytes(0x80);

bool host_has_vnni() {
    static const bool has =
        __builtin_cpu_supports("avx512vnni") != 0 && __builtin_cpu_supports("avx512vl") != 0;
    return has;
}
}  // namespace

/// acc += products of `a` and `b`. `t` and xmm15 are clobbered.
void VectorIntegerEmitter::add_products(Op op, const Xmm& acc, const Xmm& a, const Xmm& b, const Xmm& t) {
    if (first_is_signed(op) != second_is_signed(op)) return as_.vpdpbusd(acc, a, b);
    const bool is_signed = first_is_signed(op);
    as_.vmovdqa(xmm15, constant(kBytesOf128));
    as_.vpxor(t, is_signed ? a : b, xmm15);
    is_signed ? as_.vpdpbusd(acc, t, b) : as_.vpdpbusd(acc, a, t);
    // 128 times the sum of b, or -128 times that of a: too much in both.
    as_.vpxor(t, t, t);
    is_signed ? as_.vpdpbusd(t, xmm15, b) : as_.vpdpbusd(t, a, xmm15);
    as_.vpsubd(acc, acc, t);
}

void VectorIntegerEmitter::extend_bytes(const Xmm& d, const Xmm& x, bool upper, bool is_signed) {
    if (upper) as_.vpunpckhqdq(d, x, x);
    is_signed ? as_.vpmovsxbw(d, upper ? d : x) : as_.vpmovzxbw(d, upper ? d : x);
}

void VectorIntegerEmitter::emit_vdot(const Inst& i) {
    const Xmm acc = regs_.use_xmm(i.args[0]), a = regs_.use_xmm(i.args[1]), b = regs_.use_xmm(i.args[2]);
    if (host_has_vnni()) {
        const ScratchXmm t(regs_);
        const Xmm d = regs_.def_xmm(cur());
        as_.vmovdqa(d, acc);
        add_products(i.op, d, a, b, t);
        return;
    }
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
    if (host_has_vnni()) {
        const ScratchXmm t(regs_), u(regs_), v(regs_);
        const Xmm d = regs_.def_xmm(cur());
        as_.vmovdqa(d, acc);
        // Four bytes of each row of a, twice, and of each row of b, in turns: the lower ones, then the upper ones.
        for (const bool upper : {false, true}) {
            as_.vpshufd(u, a, upper ? 0xf5 : 0xa0);
            as_.vpshufd(v, b, upper ? 0xdd : 0x88);
            add_products(i.op, d, u, v, t);
        }
        return;
    }
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
