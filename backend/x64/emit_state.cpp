// Guest registers, fields of GuestState, the block's page, fences.
#include "backend/x64/state_emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

void StateEmitter::emit_pc_rel(const Inst& i) {
    if (values_.rematerialisable(cur())) return;
    const Reg64 d = regs_.def(cur());
    as_.mov(d, i.imm);
    as_.mov(rax, at(ARCLIGHT_STATE_DISP(page_base)));
    as_.lea(d, ptr[d + rax]);
}

void StateEmitter::emit_get_x(const Inst& i) { ctx_.slots.get_slot(static_cast<unsigned>(i.imm), cur()); }
void StateEmitter::emit_get_v(const Inst& i) {
    ctx_.slots.get_slot(kVSlot + static_cast<unsigned>(i.imm), cur());
}
void StateEmitter::emit_get_flags(const Inst&) { ctx_.slots.get_slot(kFlagsSlot, cur()); }
void StateEmitter::emit_set_x(const Inst& i) { ctx_.slots.set_slot(static_cast<unsigned>(i.imm), i.args[0]); }
void StateEmitter::emit_set_v(const Inst& i) {
    ctx_.slots.set_slot(kVSlot + static_cast<unsigned>(i.imm), i.args[0]);
}
void StateEmitter::emit_set_flags(const Inst& i) { ctx_.slots.set_slot(kFlagsSlot, i.args[0]); }

void StateEmitter::emit_load_field(const Inst& i) {
    const Mem where = at(field(i.imm));
    if (i.type == Type::V128) {
        as_.vmovups(regs_.def_xmm(cur()), ptr[where]);
    } else if (i.type == Type::I32) {
        as_.mov(regs_.def(cur()).cvt32(), where);
    } else {
        as_.mov(regs_.def(cur()), where);
    }
}

void StateEmitter::emit_store_field(const Inst& i) {
    const Mem where = at(field(i.imm));
    int32_t imm = 0;
    if (i.aux == sizeof(jit::ScalableUpper)) {
        const Xmm zeros = regs_.use_xmm(i.args[0]);
        // What makes 128 bits of zeros makes the whole register zero.
        if (ctx_.scalable_vectors) return as_.vmovups(ptr[where], Xbyak::Zmm(zeros.getIdx()));
        for (size_t k = 0; k < i.aux; k += sizeof(jit::V128)) as_.vmovups(ptr[at(field(i.imm + k))], zeros);
    } else if (is_vec(values_.inst(i.args[0]).type)) {
        as_.vmovups(ptr[where], regs_.use_xmm(i.args[0]));
    } else if (values_.imm32(i.args[0], i.aux == 4 ? Type::I32 : Type::I64, imm)) {
        as_.mov(i.aux == 4 ? dword[where] : qword[where], imm);
    } else if (i.aux == 4) {
        as_.mov(where, regs_.use(i.args[0]).cvt32());
    } else {
        as_.mov(where, regs_.use(i.args[0]));
    }
}

void StateEmitter::emit_fence(const Inst& i) {
    // With one CPU too: the devices' threads read and write rings in memory, and both sides depend on this order.
    if (static_cast<ir::FenceKind>(i.imm) != ir::FenceKind::Full) return;
    flags_.clobber();
    as_.lock();
    as_.or_(dword[rsp], 0);
}

}  // namespace arclight::backend
