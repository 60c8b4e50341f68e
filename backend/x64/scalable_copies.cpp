#include "backend/x64/scalable_copies.h"

#include <algorithm>
#include <cstring>

namespace arclight::backend {

void ScalableCopies::note(const Inst& i) {
    constexpr uint64_t kUpper = offsetof(jit::GuestState, z_upper),
                       kPredicates = offsetof(jit::GuestState, p);
    switch (i.op) {
        case Op::Scalable:
        case Op::ScalableAccess: return;
        case Op::SetV: return forget_vector(static_cast<unsigned>(i.imm));
        case Op::StoreField:
            if (i.imm >= kPredicates && i.imm < kPredicates + sizeof(jit::GuestState::p)) {
                forget_predicate(static_cast<unsigned>((i.imm - kPredicates) / sizeof(uint64_t)));
            } else if (i.imm >= kUpper && i.imm < kUpper + sizeof(jit::GuestState::z_upper)) {
                const auto z = static_cast<unsigned>((i.imm - kUpper) / sizeof(jit::ScalableUpper));
                forget_vector(z);
                set_above(z, true);
            }
            return;
        case Op::InsnStart:
        case Op::GetX:
        case Op::SetX:
        case Op::GetFlags:
        case Op::SetFlags:
        case Op::GetV:
        case Op::LoadField:
        case Op::CheckZero:  // what it calls in C++ does not come back
        case Op::ExitIf: return;
        case Op::CallRuntime: return clear();
        default:
            // Others may have paths through C++.
            if (ir::info(i.op).effects != 'P') clobber();
    }
}

uint8_t ScalableCopies::vector(unsigned z) {
    const auto at = std::ranges::find(vectors_, static_cast<uint8_t>(z));
    if (at == vectors_.end()) return kNone;
    const auto k = static_cast<unsigned>(at - vectors_.begin());
    pinned_ |= 1u << (kFirst + k);
    asked_[k] = ++questions_;
    return static_cast<uint8_t>(kFirst + k);
}

uint8_t ScalableCopies::take() {
    // One that holds nothing, else the one that has not been asked for the longest.
    unsigned taken = kEnd - kFirst;
    for (unsigned k = 0; k < vectors_.size(); ++k) {
        if ((pinned_ >> (kFirst + k) & 1) != 0) continue;
        const auto age = [&](unsigned n) { return vectors_[n] == kNone ? 0 : asked_[n]; };
        if (taken == vectors_.size() || age(k) < age(taken)) taken = k;
    }
    vectors_[taken] = kNone;
    used_ = true;
    pinned_ |= 1u << (kFirst + taken);
    asked_[taken] = ++questions_;
    return static_cast<uint8_t>(kFirst + taken);
}

void ScalableCopies::set_vector(unsigned z, uint8_t reg) {
    forget_vector(z);
    vectors_[reg - kFirst] = static_cast<uint8_t>(z);
}

void ScalableCopies::forget_vector(unsigned z) {
    std::ranges::replace(vectors_, static_cast<uint8_t>(z), kNone);
}

uint8_t ScalableCopies::mask(unsigned predicate, unsigned size) const {
    for (uint8_t k = 0; k < kMasks; ++k)
        if (masks_[k].predicate == predicate && masks_[k].size == size)
            return static_cast<uint8_t>(kFirstMask + k);
    return kNone;
}

uint8_t ScalableCopies::take_mask(unsigned predicate, unsigned size) {
    const uint8_t k = next_mask_;
    used_ = true;
    next_mask_ = (next_mask_ + 1) % kMasks;
    masks_[k] = {static_cast<uint8_t>(predicate), static_cast<uint8_t>(size)};
    return static_cast<uint8_t>(kFirstMask + k);
}

void ScalableCopies::forget_predicate(unsigned predicate) {
    for (Mask& m : masks_)
        if (m.predicate == predicate) m.predicate = kNone;
}

}  // namespace arclight::backend
