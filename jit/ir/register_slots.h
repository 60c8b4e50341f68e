// Guest registers by number, for arrays and sets of them.
#pragma once

#include "jit/ir/ir.h"

namespace arclight::jit::ir {

/// 0..31 x0..x30 and sp, 32..63 v0..v31, 64 NZCV.
inline constexpr unsigned kVSlot = 32, kFlagsSlot = 64, kSlots = 65;

/// The register that a GetX, GetV, GetFlags, SetX, SetV or SetFlags reads or writes.
constexpr unsigned slot_of(const Inst& i) {
    switch (i.op) {
        case Op::SetX:
        case Op::GetX: return static_cast<unsigned>(i.imm);
        case Op::SetV:
        case Op::GetV: return kVSlot + static_cast<unsigned>(i.imm);
        default: return kFlagsSlot;
    }
}

}  // namespace arclight::jit::ir
