#include "guestos/prepare/translated.h"

#include <array>
#include <cstring>

#include "frontend/a64/translation_flags.h"
#include "jit/guest_state.h"

namespace arclight::guestos::prepare {

const Translated::Answer& Translated::of(uint32_t insn) {
    const auto [entry, added] = answers_.try_emplace(insn);
    if (!added) return entry->second;
    Answer& answer = entry->second;
    answer.kind = sensitive_kind(insn);
    namespace flag = frontend::a64::translation_flag;
    std::array<std::byte, sizeof insn> code;
    std::memcpy(code.data(), &insn, sizeof insn);
    jit::ir::Block block;
    frontend_.translate(block, code, 0, flag::kEl1 | flag::kSpElx, 1);
    for (const jit::ir::Inst& i : block.insts) {
        answer.access |= jit::ir::is_plain_access(i.op);
        answer.inlined &= i.op != jit::ir::Op::CallRuntime && i.op != jit::ir::Op::ExitRuntime;
        answer.defined &= i.op != jit::ir::Op::ExitRuntime ||
                          static_cast<uint32_t>(i.imm) != static_cast<uint32_t>(jit::ExitReason::Undefined);
    }
    return answer;
}

}  // namespace arclight::guestos::prepare
