#include "jit/llvm/guest_registers.h"

#include "jit/guest_state.h"

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Ref;
using ir::Type;

namespace {
constexpr size_t offset_of(unsigned slot) {
    return slot < kVSlot ? offsetof(GuestState, x) + 8 * slot
                         : offsetof(GuestState, v) + 16 * (slot - kVSlot);
}
}  // namespace

void GuestRegisters::declare() {
    for (unsigned slot = 0; slot < kFlagsSlot; ++slot) {
        if (!plan_.used[slot]) continue;
        if (slot >= kVSlot) {
            declare_vector(slot);
            continue;
        }
        variable_[slot] = b_.CreateAlloca(b_.getInt64Ty());
        b_.CreateStore(b_.load_state(offset_of(slot), b_.getInt64Ty()), variable_[slot]);
    }
    flags_.declare();
}

void GuestRegisters::declare_vector(unsigned slot) {
    variable_[slot] = b_.CreateAlloca(b_.v128());
    low_variable_[slot] = b_.CreateAlloca(b_.getDoubleTy());
    b_.CreateStore(b_.load_state(offset_of(slot), b_.v128(), 16), variable_[slot]);
    b_.CreateStore(b_.load_state(offset_of(slot), b_.getDoubleTy()), low_variable_[slot]);
}

Value* GuestRegisters::entry_assumption() {
    Value* above = nullptr;
    for (unsigned slot = kVSlot; slot < kFlagsSlot; ++slot) {
        if (!plan_.assumed_low[slot]) continue;
        Value* half = b_.load_state(offset_of(slot) + 8, b_.getInt64Ty());
        above = above != nullptr ? b_.CreateOr(above, half) : half;
    }
    return above != nullptr ? b_.CreateICmpEQ(above, b_.c64(0)) : nullptr;
}

void GuestRegisters::begin_block(size_t block) {
    dirty_ = plan_.blocks[block].dirty;
    low_ = plan_.blocks[block].low;
    pending_.clear();
}

void GuestRegisters::load_known_flags(size_t block) {
    now_ = {};
    const EntryState& entry = plan_.blocks[block];
    if (!entry.flags_known || entry.flags.kind == Flags::Dynamic) return;
    const auto constant_or_register = [&](const KnownFlags::Source& s) -> Value* {
        switch (s.kind) {
            case KnownFlags::Source::Register: return low_bits(static_cast<unsigned>(s.value));
            case KnownFlags::Source::Constant: return b_.c64(s.value);
            case KnownFlags::Source::Nowhere: break;
        }
        return nullptr;
    };
    now_.kind = entry.flags.kind;
    now_.a = constant_or_register(entry.flags.a);
    if (now_.a == nullptr) now_.a = flags_.load_a();
    now_.b = constant_or_register(entry.flags.b);
    if (now_.b == nullptr) now_.b = flags_.load_b();
}

Value* GuestRegisters::value(unsigned slot) {
    return b_.CreateLoad(variable_[slot]->getAllocatedType(), variable_[slot]);
}

Value* GuestRegisters::value_at_exit(unsigned slot) {
    return low_[slot] ? b_.CreateLoad(b_.getDoubleTy(), low_variable_[slot]) : value(slot);
}

/// The register as an integer; the lower half of a vector register.
Value* GuestRegisters::low_bits(unsigned slot) {
    if (slot < kVSlot) return value(slot);
    Value* v = value_at_exit(slot);
    if (v->getType() == b_.v128()) v = b_.CreateExtractElement(v, uint64_t{0});
    return b_.CreateBitCast(v, b_.getInt64Ty());
}

SlotValues GuestRegisters::dirty_values() {
    SlotValues values;
    for (unsigned slot = 0; slot < kFlagsSlot; ++slot)
        if (dirty_[slot]) values.emplace_back(slot, value_at_exit(slot));
    return values;
}

void GuestRegisters::get_vector(Ref index) {
    const Inst& i = values_.inst(index);
    const unsigned slot = kVSlot + static_cast<unsigned>(i.imm);
    // A register that is never written has both variables.
    const bool low = low_[slot] || (i.type != Type::V128 && !plan_.written[slot]);
    values_.def(index, low ? b_.CreateLoad(b_.getDoubleTy(), low_variable_[slot]) : value(slot));
    if (i.type != Type::V128) values_.def(index, values_.fp(index, i.type));
}

void GuestRegisters::get_flags(Ref index) {
    values_.flags(index) = now_.kind == Flags::Dynamic ? flags_.packed_variables() : now_;
}

void GuestRegisters::set_x(const Inst& i) {
    pending_.push_back({static_cast<unsigned>(i.imm), values_.i64(i.args[0]), {}});
}

void GuestRegisters::set_vector(const Inst& i) {
    const Ref r = i.args[0];
    const bool low = values_.get(r)->getType()->isDoubleTy() || has_low_half_only(values_.block(), r);
    pending_.push_back({kVSlot + static_cast<unsigned>(i.imm),
                        values_.vec(r),
                        {},
                        low ? values_.fp(r, Type::F64) : nullptr});
}

void GuestRegisters::set_flags(const Inst& i) {
    pending_.push_back({kFlagsSlot, nullptr, values_.flags(i.args[0])});
}

void GuestRegisters::set(const Pending& p) {
    dirty_.set(p.slot);
    if (p.slot == kFlagsSlot) {
        now_ = p.flags;
        return;
    }
    b_.CreateStore(p.value, variable_[p.slot]);
    if (p.low != nullptr) b_.CreateStore(p.low, low_variable_[p.slot]);
    low_[p.slot] = p.low != nullptr;
}

void GuestRegisters::commit() {
    for (const Pending& p : pending_) set(p);
    pending_.clear();
}

}  // namespace arclight::jit::tier2
