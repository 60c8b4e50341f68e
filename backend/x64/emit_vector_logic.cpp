// Bitwise operations, constants and clearing of upper parts.
#include "backend/x64/simd.h"
#include "backend/x64/vector_lane_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

void VectorLaneEmitter::emit_vconst(const Inst& i) {
    const uint64_t high = ir::vec_q(i.aux) ? i.imm : 0;
    const Xmm d = regs_.def_xmm(cur());
    if (i.imm == 0) {
        as_.vpxor(d, d, d);
    } else if (i.imm == high && ~i.imm == 0) {
        as_.vpcmpeqd(d, d, d);
    } else if (ctx_.constants.has_room_for(i.imm, high)) {
        as_.vmovaps(d, constant(i.imm, high));
    } else {  // leaves room for the emitters' own constants
        as_.mov(rax, i.imm);
        as_.vmovq(d, rax);
        if (high != 0) as_.vpunpcklqdq(d, d, d);
    }
}

void VectorLaneEmitter::emit_vand(const Inst& i) { emit_vex(i, &Cg::vpand); }

void VectorLaneEmitter::emit_vor(const Inst& i) { emit_vex(i, &Cg::vpor); }

void VectorLaneEmitter::emit_vxor(const Inst& i) { emit_vex(i, &Cg::vpxor); }

void VectorLaneEmitter::emit_vand_not(const Inst& i) {
    // x86 inverts the first operand
    const Xmm b = regs_.use_xmm(i.args[1]);
    const Operand& a = regs_.use_xmm_rm(i.args[0]);
    as_.vpandn(regs_.def_xmm_over(cur(), {i.args[0], i.args[1]}), b, a);
}

void VectorLaneEmitter::emit_vor_not(const Inst& i) {
    const Xmm a = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1]});
    as_.vpcmpeqd(xmm15, xmm15, xmm15);
    as_.vpxor(xmm15, xmm15, b);
    as_.vpor(d, a, xmm15);
}

void VectorLaneEmitter::emit_vnot(const Inst& i) {
    const Xmm a = regs_.use_xmm(i.args[0]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    as_.vpcmpeqd(xmm15, xmm15, xmm15);
    as_.vpxor(d, a, xmm15);
}

void VectorLaneEmitter::emit_vbit_select(const Inst& i) {
    const Xmm mask = regs_.use_xmm(i.args[0]), b = regs_.use_xmm(i.args[1]);
    const Operand& c = regs_.use_xmm_rm(i.args[2]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0], i.args[1], i.args[2]});
    as_.vpand(xmm15, mask, b);
    as_.vpandn(d, mask, c);
    as_.vpor(d, d, xmm15);
}

void VectorLaneEmitter::emit_vzext64(const Inst& i) {
    const Ref r = i.args[0];
    if (upper_is_zero(r)) {
        regs_.def_copy_xmm(cur(), r);
    } else if (values_[r].reg == kNone && values_.in_memory(r)) {
        as_.vmovq(regs_.def_xmm(cur()), qword[at(regs_.memory_disp(r))]);
    } else {
        const Xmm x = regs_.use_xmm(r);
        as_.vmovq(regs_.def_xmm_over(cur(), {r}), x);
    }
}

void VectorLaneEmitter::emit_vzext32(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    as_.vinsertps(regs_.def_xmm_over(cur(), {i.args[0]}), x, x, 0x0e);
}

void VectorLaneEmitter::emit_vzext_small(const Inst& i) {
    const Xmm x = regs_.use_xmm(i.args[0]);
    const Xmm d = regs_.def_xmm_over(cur(), {i.args[0]});
    as_.vpand(d, x, constant(i.op == Op::VZext16 ? 0xffff : 0xff, 0));
}

}  // namespace arclight::backend
