#include "jit/ir/spin_loop.h"

#include <bitset>

#include "jit/ir/register_slots.h"

namespace arclight::jit::ir {

namespace {
constexpr uint64_t kPageOffset = 0xfff;

/// Stores only what a lock is taken by: the loop goes on because the value was somebody else's.
bool takes_a_lock(const Inst& i) {
    return i.op == Op::Cas || (i.op == Op::AtomicRmw && static_cast<AtomicKind>(i.imm) == AtomicKind::Swap);
}

bool is_load(Op op) {
    switch (op) {
        case Op::Load:
        case Op::LoadPair:
        case Op::LoadV:
        case Op::LoadPairV:
        case Op::LoadEx:
        case Op::LoadExPair: return true;
        default: return false;
    }
}
}  // namespace

bool spins(const Block& block) {
    std::bitset<kSlots> read, written;
    const uint64_t start = block.pa & kPageOffset;
    bool looks = false;
    for (const Inst& i : block.insts) {
        switch (i.op) {
            case Op::GetX:
            case Op::GetV:
            case Op::GetFlags: read.set(slot_of(i)); continue;
            case Op::SetX:
            case Op::SetV:
            case Op::SetFlags: written.set(slot_of(i)); continue;
            case Op::InsnStart:
            case Op::Fence:
            case Op::CheckStack: continue;
            case Op::ExitIf:
            case Op::Exit:
                if (looks && i.imm == start && (read & written).none()) return true;
                continue;
            default: break;
        }
        if (is_load(i.op) || takes_a_lock(i)) {
            looks = true;
        } else if (info(i.op).effects != 'P') {
            return false;  // from here on something else may have changed
        }
    }
    return false;
}

}  // namespace arclight::jit::ir
