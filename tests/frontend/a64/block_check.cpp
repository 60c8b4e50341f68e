#include "tests/frontend/a64/block_check.h"

#include <fmt/format.h>

#include <cstring>

namespace arclight::frontend::a64 {

using namespace jit::ir;

namespace {
bool is_int(Type t) { return t == Type::I32 || t == Type::I64; }

bool argument_fits(char kind, Type t) {
    switch (kind) {
        case 'i': return is_int(t);
        case 'c': return t == Type::I1;
        case 'f': return t == Type::Flags;
        case 'F': return t == Type::F32 || t == Type::F64 || t == Type::V128;
        case 'V': return t == Type::V128;
        default: return t != Type::Void;
    }
}

bool result_fits(const std::string& kind, Type t) {
    if (kind == "void") return t == Type::Void;
    if (kind == "int") return is_int(t);
    if (kind == "i64") return t == Type::I64;
    if (kind == "i1") return t == Type::I1;
    if (kind == "flags") return t == Type::Flags;
    if (kind == "fp") return t == Type::F32 || t == Type::F64;
    if (kind == "vec") return t == Type::V128;
    return true;
}

bool is_terminator(const Inst& i) {
    return i.op == Op::Exit || i.op == Op::ExitIndirect || i.op == Op::ExitRuntime ||
           (i.op == Op::CallRuntime && (i.aux & kCallEndsBlock) != 0);
}

bool sets_flags(Op op) {
    return op == Op::Add || op == Op::Sub || op == Op::Adc || op == Op::Sbc || op == Op::And ||
           op == Op::AndNot;
}

bool is_pair_load(Op op) { return op == Op::LoadPair || op == Op::LoadPairV || op == Op::LoadExPair; }

/// May fault or leave: nothing of its guest instruction may be visible before it.
bool may_fault(const Inst& i) { return info(i.op).effects == 'M'; }

std::string check_inst(const Block& block, Ref r) {
    const Inst& i = block[r];
    const OpInfo& op = info(i.op);
    if (!result_fits(op.result, i.type)) return "result type";
    const size_t expected = std::strlen(op.args);
    if (i.nargs != expected && !(i.op == Op::CallRuntime && i.nargs <= 3)) return "number of arguments";
    for (unsigned a = 0; a < i.nargs; ++a) {
        if (i.args[a] >= r) return "argument is not earlier";
        if (!argument_fits(op.args[a], block[i.args[a]].type)) return "argument type";
    }
    if (i.op == Op::FlagsOf && (i.args[0] + 1 != r || !sets_flags(block[i.args[0]].op)))
        return "FlagsOf placement";
    if (i.op == Op::PairSecond && (i.args[0] + 1 != r || !is_pair_load(block[i.args[0]].op)))
        return "PairSecond placement";
    if ((i.op == Op::GetX || i.op == Op::SetX || i.op == Op::GetV || i.op == Op::SetV) && i.imm > 31)
        return "register number";
    if (is_terminator(i) != (r + 1 == block.insts.size())) return "terminator";
    return "";
}
}  // namespace

std::string check_block(const Block& block) {
    if (block.insts.empty() || block.insts[0].op != Op::InsnStart) return "does not start with InsnStart";
    bool state_written = false;  // by the current guest instruction
    uint32_t starts = 0;
    for (Ref r = 0; r < block.insts.size(); ++r) {
        const Inst& i = block[r];
        if (const std::string wrong = check_inst(block, r); !wrong.empty())
            return fmt::format("%{} {}: {}", r, info(i.op).name, wrong);
        if (i.op == Op::InsnStart) {
            state_written = false;
            ++starts;
        }
        if (i.op == Op::SetX || i.op == Op::SetV || i.op == Op::SetFlags) state_written = true;
        if (may_fault(i) && state_written)
            return fmt::format("%{} {}: faults after a write", r, info(i.op).name);
    }
    if (starts != block.guest_insns || block.guest_bytes != 4 * starts) return "guest instruction count";
    return "";
}

}  // namespace arclight::frontend::a64
