// Bitwise operations, constants and clearing of upper parts.
#include "backend/x64/simd.h"

namespace arclight::backend {

using namespace Xbyak::util;
using namespace simd;

bool BlockEmitter::emit_vector_logic(const Inst& i) {
    switch (i.op) {
        case Op::VConst: {
            const uint64_t high = ir::vec_q(i.aux) ? i.imm : 0;
            const Xmm d = def_xmm(cur_);
            if (i.imm == 0) {
                vpxor(d, d, d);
            } else if (i.imm == high && ~i.imm == 0) {
                vpcmpeqd(d, d, d);
            } else if (constants_.size() < kConstants / 2 || constants_.contains({i.imm, high})) {
                vmovaps(d, constant(i.imm, high));
            } else {  // leaves room for the emitters' own constants
                mov(rax, i.imm);
                vmovq(d, rax);
                if (high != 0) vpunpcklqdq(d, d, d);
            }
            return true;
        }
        case Op::VAnd: emit_vex(i, &Cg::vpand); return true;
        case Op::VOr: emit_vex(i, &Cg::vpor); return true;
        case Op::VXor: emit_vex(i, &Cg::vpxor); return true;
        case Op::VAndNot: {  // x86 inverts the first operand
            const Xmm b = use_xmm(i.args[1]);
            const Operand& a = use_xmm_rm(i.args[0]);
            vpandn(def_xmm_over(cur_, {i.args[0], i.args[1]}), b, a);
            return true;
        }
        case Op::VOrNot: {
            const Xmm a = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
            const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1]});
            vpcmpeqd(xmm15, xmm15, xmm15);
            vpxor(xmm15, xmm15, b);
            vpor(d, a, xmm15);
            return true;
        }
        case Op::VNot: {
            const Xmm a = use_xmm(i.args[0]);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            vpcmpeqd(xmm15, xmm15, xmm15);
            vpxor(d, a, xmm15);
            return true;
        }
        case Op::VBitSelect: {
            const Xmm mask = use_xmm(i.args[0]), b = use_xmm(i.args[1]);
            const Operand& c = use_xmm_rm(i.args[2]);
            const Xmm d = def_xmm_over(cur_, {i.args[0], i.args[1], i.args[2]});
            vpand(xmm15, mask, b);
            vpandn(d, mask, c);
            vpor(d, d, xmm15);
            return true;
        }
        case Op::VZext64: {
            const Ref r = i.args[0];
            if (upper_is_zero(r)) {
                def_copy_xmm(cur_, r);
            } else if (values_[r].reg == kNone && in_memory(r)) {
                vmovq(def_xmm(cur_), qword[at(memory_disp(r))]);
            } else {
                const Xmm x = use_xmm(r);
                vmovq(def_xmm_over(cur_, {r}), x);
            }
            return true;
        }
        case Op::VZext32: {
            const Xmm x = use_xmm(i.args[0]);
            vinsertps(def_xmm_over(cur_, {i.args[0]}), x, x, 0x0e);
            return true;
        }
        case Op::VZext16:
        case Op::VZext8: {
            const Xmm x = use_xmm(i.args[0]);
            const Xmm d = def_xmm_over(cur_, {i.args[0]});
            vpand(d, x, constant(i.op == Op::VZext16 ? 0xffff : 0xff, 0));
            return true;
        }
        default: return false;
    }
}

}  // namespace arclight::backend
