#include "backend/x64/scalable_copies.h"

#include <algorithm>
#include <cstring>

namespace arclight::backend {

void ScalableCopies::forget_changed(const Inst& i) {
    constexpr uint64_t kUpper = offsetof(jit::GuestState, z_upper),
                       kPredicates = offsetof(jit::GuestState, p);
    switch (i.op) {
        case Op::Scalable:
        case Op::ScalableAccess: return;
        case Op::SetV: return forget_vector(static_cast<unsigned>(i.imm));
        case Op::StoreField:
            if (i.imm >= kPredicates && i.imm < kPredicates + sizeof(jit::GuestState::p))
                forget_predicate(static_cast<unsigned>((i.imm - kPredicates) / sizeof(uint64_t)));
            else if (i.imm >= kUpper && i.imm < kUpper + sizeof(jit::GuestState::z_upper))
                forget_vector(static_cast<unsigned>((i.imm - kUpper) / sizeof(jit::ScalableUpper)));
            return;
        case Op::InsnStart:
        case Op::GetX:
        case Op::SetX:
        case Op::GetFlags:
        case Op::SetFlags:
        case Op::GetV:
        case Op::LoadField:
        case Op::ExitIf: return;
        default:
            // Others may have paths through C++.
            if (ir::info(i.op).effects != 'P') clear();
    }
}

uint8_t ScalableCopies::vector(unsigned z) {
    const auto at = std::ranges::find(vectors_, static_cast<uint8_t>(z));
    if (at == vectors_.end()) return kNone;
    const auto reg = static_cast<uint8_t>(kFirst + (at - vectors_.begin()));
    pinned_ |= 1u << reg;
    return reg;
}

uint8_t ScalableCopies::take() {
    // In turn, but those that hold nothing first.
    const auto is_free = [&](unsigned k) { return (pinned_ >> (kFirst + k) & 1) == 0; };
    constexpr unsigned kCount = kEnd - kFirst;
    unsigned taken = kCount;
    for (unsigned n = 0; n < kCount && taken == kCount; ++n)
        if (vectors_[n] == kNone && is_free(n)) taken = n;
    while (taken == kCount) {
        if (is_free(next_)) taken = next_;
        next_ = static_cast<uint8_t>((next_ + 1u) % kCount);
    }
    vectors_[taken] = kNone;
    used_ = true;
    pinned_ |= 1u << (kFirst + taken);
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
