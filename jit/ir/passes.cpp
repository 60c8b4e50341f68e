#include <bitset>

#include "jit/ir/ir.h"

namespace arclight::jit::ir {

namespace {
constexpr unsigned kVSlot = 32, kFlagsSlot = 64, kSlots = 65;

unsigned slot_of(const Inst& i) {
    switch (i.op) {
        case Op::SetX:
        case Op::GetX: return static_cast<unsigned>(i.imm);
        case Op::SetV:
        case Op::GetV: return kVSlot + static_cast<unsigned>(i.imm);
        default: return kFlagsSlot;
    }
}
}  // namespace

void eliminate_dead(Block& block) {
    std::vector<bool> used(block.insts.size());
    std::bitset<kSlots>
        overwritten;  // by a later instruction, with nothing in between that may see the register
    for (Ref index = static_cast<Ref>(block.insts.size()); index-- > 0;) {
        Inst& i = block.insts[index];
        const char effects = info(i.op).effects;
        bool dead = false;
        switch (i.op) {
            case Op::SetX:
            case Op::SetV:
            case Op::SetFlags:
                dead = overwritten[slot_of(i)];
                overwritten.set(slot_of(i));
                break;
            case Op::GetX:
            case Op::GetV:
            case Op::GetFlags:
                dead = !used[index];
                if (!dead) overwritten.reset(slot_of(i));
                break;
            default: dead = effects == 'P' && !used[index]; break;
        }
        if (dead) {
            i = Inst{.op = Op::Const, .type = Type::Void};
            continue;
        }
        if (effects == 'M' || effects == 'X') overwritten.reset();
        for (unsigned k = 0; k < i.nargs; ++k) used[i.args[k]] = true;
    }
}

}  // namespace arclight::jit::ir
