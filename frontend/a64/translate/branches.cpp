// Branches (ARM ARM C4.1.93).
#include "frontend/a64/system/branch_type.h"
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

/// Where pages are guarded (FEAT_BTI), PSTATE.BTYPE is in the two bits of the address that are 0: see system/branch_type.h.
Ref with_branch_type(TranslationContext& t, Reg n, Ref address, ir::BranchKind kind) {
    if ((t.translation_flags & translation_flag::kBranchTypes) == 0) return address;
    t.ir.store_field(address, offsetof(jit::GuestState, branch_target), 8);
    if (kind == ir::BranchKind::Return) return address;
    const bool guarded = (t.translation_flags & translation_flag::kGuarded) != 0;
    const bool veneer = index(n) == 16 || index(n) == 17;
    const uint64_t type = kind == ir::BranchKind::Call ? branch_type::kCall
                          : veneer || !guarded         ? branch_type::kJumpToCall
                                                       : branch_type::kJump;
    const Ref misaligned = t.ir.bin(Op::And, Type::I64, address, t.ir.i64(3));
    const Ref moved = t.ir.bin(Op::Shl, Type::I64, misaligned, t.ir.i64(branch_type::kMisalignedShift));
    return t.ir.bin(Op::Or, Type::I64, t.ir.bin(Op::Xor, Type::I64, address, moved), t.ir.i64(type));
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

bool branch_register(TranslationContext& t, Reg n, Ref address, ir::BranchKind kind) {
    if (kind == ir::BranchKind::Call) link(t);
    return branch_to(t, with_branch_type(t, n, address, kind), kind);
}

bool BR(TranslationContext& t, Reg n) { return branch_register(t, n, x(t, n), ir::BranchKind::Jump); }
bool BLR(TranslationContext& t, Reg n) { return branch_register(t, n, x(t, n), ir::BranchKind::Call); }
bool RET(TranslationContext& t, Reg n) { return branch_register(t, n, x(t, n), ir::BranchKind::Return); }

}  // namespace arclight::frontend::a64::translate
