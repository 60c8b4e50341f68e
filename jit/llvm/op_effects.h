// What an instruction does that decides where checkpoints lie.
#pragma once

#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::jit::tier2 {

/// It may not be done twice.
constexpr bool has_effects(const ir::Inst& i) {
    switch (i.op) {
        case ir::Op::Store:
        case ir::Op::StorePair:
        case ir::Op::StoreV:
        case ir::Op::StorePairV:
        case ir::Op::StoreEx:
        case ir::Op::StoreExPair:
        case ir::Op::LoadEx:
        case ir::Op::LoadExPair:
        case ir::Op::AtomicRmw:
        case ir::Op::Cas:
        case ir::Op::ZeroBlock: return true;
        // But zeros above a V register: nothing in a region reads what is there.
        case ir::Op::StoreField: return i.aux != sizeof(ScalableUpper);
        default: return false;
    }
}

/// It is more than one store, each of which may fault on its own where fastmem is used.
constexpr bool stores_twice(ir::Op op) {
    switch (op) {
        case ir::Op::StorePair:
        case ir::Op::StorePairV:
        case ir::Op::ZeroBlock: return true;
        default: return false;
    }
}

/// Its result is checked (fp_lowering.h), and it comes in runs that one checkpoint should cover: conversions
/// and roundings are checked too, but do not start such a run.
constexpr bool is_arithmetic(ir::Op op) {
    switch (op) {
        case ir::Op::FAdd:
        case ir::Op::FSub:
        case ir::Op::FMul:
        case ir::Op::FDiv:
        case ir::Op::FSqrt:
        case ir::Op::FMulAdd:
        case ir::Op::VFAdd:
        case ir::Op::VFSub:
        case ir::Op::VFMul:
        case ir::Op::VFDiv:
        case ir::Op::VFSqrt:
        case ir::Op::VFMulAdd: return true;
        default: return false;
    }
}

}  // namespace arclight::jit::tier2
