#include <fmt/format.h>

#include "jit/ir/ir.h"

namespace arclight::jit::ir {

namespace {
constexpr const char* kTypeNames[] = {"void", "i1", "i32", "i64", "f32", "f64", "v128", "flags"};
}

std::string print(const Block& block) {
    std::string text = fmt::format("block pa={:#x} flags={:#x} bytes={} insns={}\n", block.pa,
                                   block.translation_flags, block.guest_bytes, block.guest_insns);
    for (size_t k = 0; k < block.insts.size(); ++k) {
        const Inst& i = block.insts[k];
        if (i.type != Type::Void) text += fmt::format("%{} = ", k);
        text += info(i.op).name;
        if (i.type != Type::Void) text += fmt::format(".{}", kTypeNames[static_cast<size_t>(i.type)]);
        for (unsigned a = 0; a < i.nargs; ++a) text += fmt::format("{} %{}", a == 0 ? "" : ",", i.args[a]);
        if (i.imm != 0 || i.op == Op::Const || i.op == Op::GetX || i.op == Op::SetX || i.op == Op::InsnStart)
            text += fmt::format(" #{:#x}", i.imm);
        if (i.aux != 0) text += fmt::format(" aux={:#x}", i.aux);
        text += '\n';
    }
    return text;
}

}  // namespace arclight::jit::ir
