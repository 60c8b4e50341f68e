// NZCV of comparisons that nobody uses any more but who looks at guest registers is not stored, if another one follows in the block. The
// operands are kept instead, and exits and faults make it again of them. So it is in superblocks whatever follows: most of their ways out are
// hardly taken.
#include "backend/x64/guest_slots.h"
#include "backend/x64/host_flags.h"
#include "backend/x64/register_allocator.h"

namespace arclight::backend {

using namespace Xbyak::util;

std::array<Ref, 2> GuestSlots::compared() const {
    const Inst& i = values_.inst(values_.inst(newest_.slot[kFlagsSlot]).args[0]);
    return {i.args[0], i.args[1]};
}

bool GuestSlots::can_be_found(Ref operand) const {
    const Value& v = values_[operand];
    if (v.last_need < newest_.observed[kFlagsSlot] || values_.inst(operand).op == Op::PcRel) return false;
    return values_.is_const(operand) || v.reg != kNone || values_.in_memory(operand);
}

bool GuestSlots::can_defer(Ref flags) const {
    const ir::Block& block = values_.block();
    const bool overwritten = newest_.observed[kFlagsSlot] + 1 < block.insts.size();
    // An operand whose guest register lives in a vector register has no memory that a recipe could name.
    if (in_vectors_ || (!block.superblock && !overwritten) || !flags_pending() ||
        newest_.slot[kFlagsSlot] != flags || flags_.value() != flags || values_[flags].next_use != kNever ||
        values_.inst(flags).op != Op::FlagsOf)
        return false;
    const Inst& i = values_.inst(values_.inst(flags).args[0]);
    if (i.op != Op::Sub && i.op != Op::Add && i.op != Op::And) return false;
    int32_t imm = 0;
    return can_be_found(i.args[0]) && can_be_found(i.args[1]) &&
           (!values_.is_const(i.args[1]) || values_.imm32(i.args[1], i.type, imm));
}

void GuestSlots::defer_or_write_flags() {
    if (!flags_pending()) return;
    if (!can_defer(newest_.slot[kFlagsSlot])) return write_back_flags();
    for (const Ref operand : compared()) values_[operand].kept = true;
    newest_.deferred = true;
    flags_.forget();
}

SavedLocation GuestSlots::operand_location(Ref operand, bool second) const {
    SavedLocation where{.slot = second ? kSecondOperand : kFirstOperand,
                        .kind = SavedLocation::Gpr,
                        .reg = values_[operand].reg};
    if (where.reg != kNone) return where;
    where.reg = 0;
    where.kind = SavedLocation::Constant;
    if (values_.is_const(operand)) {
        where.value = static_cast<int64_t>(values_.inst(operand).imm);
    } else {
        where.slot = second ? kSecondInMemory : kFirstInMemory;
        where.value = regs_.memory_disp(operand);
    }
    return where;
}

std::array<SavedLocation, 3> GuestSlots::flags_recipe() const {
    const Inst& i = values_.inst(values_.inst(newest_.slot[kFlagsSlot]).args[0]);
    const int64_t op = i.op == Op::Sub ? kFlagsOfSub : i.op == Op::Add ? kFlagsOfAdd : kFlagsOfAnd;
    const int64_t wide = i.type == Type::I64 ? int64_t{kFlagsWide} : 0;
    return {operand_location(i.args[0], false), operand_location(i.args[1], true),
            SavedLocation{.slot = kFlagsSlot, .kind = SavedLocation::Constant, .value = op + wide}};
}

/// NZCV in its slot. Clobbers EFLAGS.
void GuestSlots::make_flags(const SavedLocation& a, const SavedLocation& b, int64_t recipe) {
    const ClassScope scope(as_, jit::HostClass::Flags);
    const int64_t op = recipe % kFlagsWide;
    const Type type = recipe >= kFlagsWide ? Type::I64 : Type::I32;
    const auto memory = [&](const SavedLocation& where) {
        const Xbyak::RegExp place = at(static_cast<int>(where.value));
        return type == Type::I64 ? qword[place] : dword[place];
    };
    Reg first = sized(rax, type);
    if (a.kind == SavedLocation::Gpr && op != kFlagsOfAdd) {
        first = sized(Reg64(a.reg), type);
    } else if (a.kind == SavedLocation::Gpr) {
        as_.mov(first, sized(Reg64(a.reg), type));
    } else if (a.slot == kFirstInMemory) {
        as_.mov(first, memory(a));
    } else {
        as_.mov(rax, static_cast<uint64_t>(a.value));
    }
    const auto combine = [&](const auto& second) {
        switch (op) {
            case kFlagsOfSub: as_.cmp(first, second); break;
            case kFlagsOfAdd: as_.add(first, second); break;
            default: as_.test(first, second); break;
        }
    };
    if (b.kind == SavedLocation::Gpr) {
        combine(sized(Reg64(b.reg), type));
    } else if (b.slot != kSecondInMemory) {
        combine(static_cast<uint32_t>(b.value));
    } else if (op == kFlagsOfAnd) {
        as_.test(memory(b), first);
    } else if (op == kFlagsOfSub) {
        as_.cmp(first, memory(b));
    } else {
        as_.add(first, memory(b));
    }
    flags_.store(slot_disp(kFlagsSlot), op == kFlagsOfSub ? Sense::Sub : Sense::Add);
}

}  // namespace arclight::backend
