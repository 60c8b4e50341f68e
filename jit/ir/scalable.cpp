#include "jit/ir/scalable.h"

#include <algorithm>

#include "jit/guest_state.h"

namespace arclight::jit::ir {

namespace {
constexpr size_t kAbove = offsetof(GuestState, z_upper), kBytes = sizeof(ScalableUpper);
/// So far back it is looked for.
constexpr unsigned kReach = 1000;

/// Where the path begins on which instruction `at` is, and what comes before: an exit on another path, or nothing.
SidePath path_of(const Block& block, Ref at) {
    const auto behind = std::ranges::upper_bound(block.sides, at, {}, &SidePath::begin);
    return behind == block.sides.begin() ? SidePath{0, 0} : *(behind - 1);
}
}  // namespace

bool is_clear_above(const Block& block, unsigned index) {
    const size_t place = kAbove + index * kBytes;
    auto at = static_cast<Ref>(block.insts.size());
    SidePath path = path_of(block, at);
    for (unsigned n = 0; n < kReach; ++n) {
        if (at == path.begin) {
            if (at == 0) return false;
            at = path.exit;
            path = path_of(block, at);
            continue;
        }
        const Inst& i = block.insts[--at];
        switch (i.op) {
            case Op::StoreField:
                if (i.imm == place) return true;
                break;
            case Op::Scalable:
            case Op::ScalableAccess: {
                const Scalable s = Scalable::unpack(i.imm);
                if (s.d == index && !is_compare(s.op) && s.op != Lanes::Store) return false;
                break;
            }
            case Op::CallRuntime:
                if ((i.aux & kCallWritesState) != 0) return false;
                break;
            default: break;
        }
    }
    return false;
}

bool is_cleared(const Block& block, const Inst& store) {
    const size_t at = store.imm - kAbove;
    return store.imm >= kAbove && at < sizeof(GuestState::z_upper) &&
           is_clear_above(block, static_cast<unsigned>(at / kBytes));
}

}  // namespace arclight::jit::ir
