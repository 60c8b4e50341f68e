// Branches (ARM ARM C4.1.93).
#include "frontend/a64/translate/common.h"
#include "frontend/a64/translate/handlers_integer.h"

namespace arclight::frontend::a64::translate {

namespace {

/// Page-relative target of a branch with the given offset in instructions.
int64_t target(const TranslationContext& t, int64_t words) { return int64_t{t.offset} + words * 4; }

void link(TranslationContext& t) { t.ir.set_x(30, t.ir.emit(Op::PcRel, Type::I64, {}, t.offset + 4)); }

bool branch_to(TranslationContext& t, Ref address, ir::BranchKind kind) {
    t.ir.emit(Op::ExitIndirect, Type::Void, {address}, 0, static_cast<uint32_t>(kind));
    t.ended = true;
    return false;
}

/// CBZ, or CBNZ with Op::IsNotZero.
bool compare_and_branch(TranslationContext& t, Op test, bool sf, Imm<19> offset, Reg r) {
    const Ref condition = t.ir.emit(test, Type::I1, {x(t, r)}, 0, int_width(sf));
    return exit_if(t, condition, target(t, offset.sign_extend()));
}

}  // namespace

// ---- Immediate

bool B_cond(TranslationContext& t, Imm<19> offset, Imm<4> cc) {
    const int64_t taken = target(t, offset.sign_extend());
    return cc >= 14 ? exit_to(t, taken) : exit_if(t, t.ir.cond(cc), taken);
}

bool B(TranslationContext& t, Imm<26> offset) { return exit_to(t, target(t, offset.sign_extend())); }

bool BL(TranslationContext& t, Imm<26> offset) {
    link(t);
    return exit_to(t, target(t, offset.sign_extend()), ir::BranchKind::Call);
}

bool CBZ(TranslationContext& t, bool sf, Imm<19> offset, Reg r) {
    return compare_and_branch(t, Op::IsZero, sf, offset, r);
}

bool CBNZ(TranslationContext& t, bool sf, Imm<19> offset, Reg r) {
    return compare_and_branch(t, Op::IsNotZero, sf, offset, r);
}

bool TBZ(TranslationContext& t, Imm<1> b5, Imm<5> b40, Imm<14> offset, Reg r) {
    const Ref set = t.ir.emit(Op::TestBit, Type::I1, {x(t, r)}, concat(b5, b40));
    return exit_if(t, t.ir.un(Op::Not1, Type::I1, set), target(t, offset.sign_extend()));
}

bool TBNZ(TranslationContext& t, Imm<1> b5, Imm<5> b40, Imm<14> offset, Reg r) {
    const Ref set = t.ir.emit(Op::TestBit, Type::I1, {x(t, r)}, concat(b5, b40));
    return exit_if(t, set, target(t, offset.sign_extend()));
}

// ---- Register

bool BR(TranslationContext& t, Reg n) { return branch_to(t, x(t, n), ir::BranchKind::Jump); }

bool BLR(TranslationContext& t, Reg n) {
    const Ref address = x(t, n);  // before the link: it may be x30
    link(t);
    return branch_to(t, address, ir::BranchKind::Call);
}

bool RET(TranslationContext& t, Reg n) { return branch_to(t, x(t, n), ir::BranchKind::Return); }

}  // namespace arclight::frontend::a64::translate
