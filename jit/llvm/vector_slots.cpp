// Vector registers that hold scalars: a double with zeros above is kept as what it is.
//
// Each vector register has two variables, one for all of it and one for its lower half. What is written with
// zeros above its lower half goes into both; a block reads only the one that is fit for what it knows, so
// that LLVM never makes the other one. Where two ways meet, what one of them has with an upper half is whole.
//
// Where the region is entered a register may hold anything. If its upper half was zero whenever that was
// looked at and a loop keeps it so, the region is entered only if it is. Then it is zero in GuestState as
// long as the region runs, and need not be cleared on the way out.
#include "jit/llvm/lowering.h"

namespace arclight::jit::tier2 {

namespace {
constexpr size_t offset_of(unsigned slot) { return offsetof(GuestState, v) + 16 * (slot - 32); }
}  // namespace

/// Whether what is written to a vector register is a lower half with zeros above. Not so single numbers: as
/// doubles they would have to be cleared of what lies above them all the same.
bool has_low_half_only(const ir::Block& block, Ref r) {
    const Inst& i = block[r];
    switch (i.op) {
        case Op::LoadV:
        case Op::LoadPairV: return ir::mem_size_log2(i.aux) == 3;
        case Op::PairSecond: return has_low_half_only(block, i.args[0]);
        case Op::VZext64: return true;
        case Op::VConst: return !ir::vec_q(i.aux);
        default: return i.type == Type::F64;
    }
}

/// Which registers have zeros above their lower halves where blocks begin, and for which of them that has to
/// be guessed where the region is entered.
void Lowering::find_low_slots(const std::vector<Edge>& edges) {
    const Slots vectors = Slots(~uint32_t{0}) << kVSlot & used_;
    const auto solve = [&](const Slots& at_entry) {
        std::vector<Slots> in(info_.size(), vectors);
        in[0] = at_entry;
        for (bool changed = true; changed;) {
            changed = false;
            for (const Edge& e : edges) {
                const Slots meet = in[e.to] & ((in[e.from] & ~e.written) | e.low);
                changed |= meet != in[e.to];
                in[e.to] = meet;
            }
        }
        return in;
    };
    const std::vector<Slots> certain = solve({});
    guessed_low_ = {};
    if ((region_.distrusted & kGuessAtEntry) == 0 && region_.narrow != 0) {
        const Slots possible = Slots(region_.narrow) << kVSlot & written_;
        const std::vector<Slots> guessed = solve(possible);
        // What is not written is as it was, and on no way out.
        for (size_t k = 0; k < info_.size(); ++k)
            guessed_low_ |= guessed[k] & ~certain[k] & info_[k].dirty_in & possible;
    }
    const std::vector<Slots> in = guessed_low_.any() ? solve(guessed_low_) : certain;
    for (size_t k = 0; k < info_.size(); ++k) info_[k].low_in = in[k];
}

void Lowering::declare_vector(unsigned slot) {
    variable_[slot] = b_.CreateAlloca(v128_);
    low_variable_[slot] = b_.CreateAlloca(b_.getDoubleTy());
    b_.CreateStore(load_state(offset_of(slot), v128_, 16), variable_[slot]);
    b_.CreateStore(load_state(offset_of(slot), b_.getDoubleTy()), low_variable_[slot]);
}

/// From the variables' first values to the first block.
void Lowering::enter() {
    Value* above = nullptr;
    for (unsigned slot = kVSlot; slot < kFlagsSlot; ++slot) {
        if (!guessed_low_[slot]) continue;
        Value* half = load_state(offset_of(slot) + 8, b_.getInt64Ty());
        above = above != nullptr ? b_.CreateOr(above, half) : half;
    }
    if (above == nullptr) {
        b_.CreateBr(info_[0].head);
        return;
    }
    BasicBlock* wrong = new_block("wrong_guess");
    b_.CreateCondBr(b_.CreateICmpEQ(above, c64(0)), info_[0].head, wrong, likely_);
    b_.SetInsertPoint(wrong);
    count_wrong_guesses(b_.getInt32(kWrongAtEntry), kGuessAtEntry);
    leave({}, false, {}, nullptr, region_.blocks[0].offset, kRegionStuck | kRegionSideExit);
}

void Lowering::get_vector(const Inst& i, Ref index) {
    const unsigned slot = kVSlot + static_cast<unsigned>(i.imm);
    // What nobody writes has both.
    const bool low = low_[slot] || (i.type != Type::V128 && !written_[slot]);
    def(index, low ? b_.CreateLoad(b_.getDoubleTy(), low_variable_[slot]) : slot_value(slot));
    if (i.type != Type::V128) def(index, fp(index, i.type));
}

void Lowering::set_vector(const Inst& i) {
    const Ref r = i.args[0];
    const bool low = get(r)->getType()->isDoubleTy() || has_low_half_only(*block_, r);
    pending_.push_back({kVSlot + static_cast<unsigned>(i.imm), vec(r), {}, low ? fp(r, Type::F64) : nullptr});
}

/// The lower half of a vector register, or what another one holds, as an integer.
Value* Lowering::low_bits(unsigned slot) {
    if (slot < kVSlot) return slot_value(slot);
    Value* v = to_leave_with(slot);
    if (v->getType() == v128_) v = b_.CreateExtractElement(v, uint64_t{0});
    return b_.CreateBitCast(v, b_.getInt64Ty());
}

/// What a dirty register holds, as ways out are told it.
Value* Lowering::to_leave_with(unsigned slot) {
    return low_[slot] ? b_.CreateLoad(b_.getDoubleTy(), low_variable_[slot]) : slot_value(slot);
}

}  // namespace arclight::jit::tier2
