#include "frontend/a64/system/branch_type.h"

#include <utility>

#include "frontend/a64/system/cpu.h"
#include "jit/ir/ir.h"
#include "mmu/bits.h"

namespace arclight::frontend::a64 {

namespace {
constexpr uint64_t kSctlrBt0 = bit(35), kSctlrBt1 = bit(36);
}

// BranchTargetCheck
bool accepts_branch_type(const Cpu& cpu, uint32_t insn, uint64_t type) {
    if (saves_branch_type(insn)) return true;
    if ((insn & 0xffff'f01f) != 0xd503'201f) return false;
    switch (insn >> 5 & 0x7f) {
        case 0x19:    // PACIASP
        case 0x1b: {  // PACIBSP
            if (!cpu.config.features.has(Feature::PAuth)) return false;
            const uint64_t strict = cpu.el == 0 ? kSctlrBt0 : kSctlrBt1;
            return type != branch_type::kJump || (cpu.translation.sctlr & strict) == 0;
        }
        case 0x22: return type != branch_type::kJump;  // BTI c
        case 0x24: return type != branch_type::kCall;  // BTI j
        case 0x26: return true;                        // BTI jc
        default: return false;
    }
}

void take_branch_type(Cpu& cpu) {
    jit::GuestState& s = cpu.state;
    cpu.btype = 0;
    if (cpu.guarded_pages) {
        const uint64_t type = s.pc & branch_type::kMask;
        if (type == 0 || s.pc != branch_type::mark(s.branch_target, type)) return;
        s.pc = s.branch_target;
        cpu.btype = static_cast<uint8_t>(type);
    } else if (s.exit_info == (jit::kIndirectExit | std::to_underlying(jit::ir::BranchKind::Call))) {
        cpu.btype = branch_type::kCall;
    } else if (s.exit_info == (jit::kIndirectExit | std::to_underlying(jit::ir::BranchKind::Jump))) {
        cpu.btype = branch_type::kJumpToCall;  // no page is guarded yet
    }
}

}  // namespace arclight::frontend::a64
