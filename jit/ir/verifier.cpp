#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::jit::ir {

namespace {

bool is_int(Type t) { return t == Type::I32 || t == Type::I64; }
bool is_fp(Type t) { return t == Type::F32 || t == Type::F64; }

bool result_fits(const char* result, Type t) {
    if (std::strcmp(result, "int") == 0) return is_int(t);
    if (std::strcmp(result, "i64") == 0) return t == Type::I64;
    if (std::strcmp(result, "i1") == 0) return t == Type::I1;
    if (std::strcmp(result, "flags") == 0) return t == Type::Flags;
    if (std::strcmp(result, "fp") == 0) return is_fp(t);
    if (std::strcmp(result, "vec") == 0) return t == Type::V128;
    if (std::strcmp(result, "void") == 0) return t == Type::Void;
    return true;
}

bool arg_fits(char kind, Type t) {
    switch (kind) {
        case 'i': return is_int(t);
        case 'c': return t == Type::I1;
        case 'f': return t == Type::Flags;
        case 'F': return is_fp(t) || t == Type::V128;
        case 'V': return t == Type::V128;
        default: return t != Type::Void;
    }
}

bool is_terminator(const Inst& i) {
    return i.op == Op::Exit || i.op == Op::ExitIndirect || i.op == Op::ExitRuntime ||
           (i.op == Op::CallRuntime && (i.aux & kCallEndsBlock) != 0);
}

bool makes_flags(Op op) {
    return op == Op::Add || op == Op::Sub || op == Op::Adc || op == Op::Sbc || op == Op::And ||
           op == Op::AndNot;
}

/// What is wrong with one instruction, or nullptr.
const char* check(const Block& block, Ref index) {
    const Inst& i = block[index];
    const OpInfo& op = info(i.op);
    const bool variadic = i.op == Op::CallRuntime;
    if (variadic ? i.nargs > 3 : i.nargs != std::strlen(op.args)) return "wrong number of operands";
    if (!result_fits(op.result, i.type)) return "result type does not fit the operation";
    for (unsigned k = 0; k < i.nargs; ++k) {
        if (i.args[k] >= index) return "operand is not an earlier instruction";
        const Inst& arg = block[i.args[k]];
        if (!arg_fits(variadic ? 'i' : op.args[k], arg.type))
            return "operand type does not fit the operation";
    }
    const unsigned width = i.type == Type::I32 ? 32 : 64;
    switch (i.op) {
        case Op::CallRuntime:
            if (call_condition(i.aux) != 0 &&
                (i.nargs != 0 || i.type != Type::Void || (i.aux & (kCallWritesState | kCallEndsBlock)) != 0))
                return "a call on condition has operands, a result or effects";
            break;
        case Op::FlagsOf:
            if (i.args[0] + 1 != index) return "FlagsOf does not follow its operation";
            if (!makes_flags(block[i.args[0]].op)) return "FlagsOf of an operation without flags";
            break;
        case Op::PairSecond: {
            if (i.args[0] + 1 != index) return "PairSecond does not follow its load";
            const Op of = block[i.args[0]].op;
            if (of != Op::LoadPair && of != Op::LoadPairV && of != Op::LoadExPair)
                return "PairSecond of something that is no pair";
            break;
        }
        case Op::GetX:
        case Op::SetX:
        case Op::GetV:
        case Op::SetV:
            if (i.imm > 31) return "register number out of range";
            break;
        case Op::IsZero:
        case Op::IsNotZero:
            if (i.aux != 32 && i.aux != 64) return "width is not 32 or 64";
            break;
        case Op::CondCompare:
            if ((i.aux & ~1u) != 32 && (i.aux & ~1u) != 64) return "width is not 32 or 64";
            break;
        case Op::TestBit:
            if (i.imm > 63) return "bit number out of range";
            break;
        case Op::Cond:
            if (i.imm > 13) return "condition code out of range";
            break;
        case Op::Extr:
            if (i.imm >= width) return "shift out of range";
            break;
        case Op::BitInsert:
        case Op::BitExtractU:
        case Op::BitExtractS: {
            const uint64_t lsb = i.imm & 0xff, bits = i.imm >> 8;
            if (bits == 0 || bits > width || lsb + bits > width) return "bit field out of range";
            break;
        }
        case Op::Select: {
            const Type a = block[i.args[1]].type, b = block[i.args[2]].type;
            const bool ok = is_int(i.type)
                                ? is_int(a) && is_int(b)
                                : (is_fp(i.type) || i.type == Type::V128) && !is_int(a) && !is_int(b);
            if (!ok) return "operand type does not fit the operation";
            break;
        }
        case Op::Load:
        case Op::Store:
        case Op::LoadV:
        case Op::StoreV:
        case Op::LoadPair:
        case Op::StorePair:
        case Op::LoadPairV:
        case Op::StorePairV:
            if ((i.aux & kMemSpBase) != 0 && (i.aux & kMemAligned) != 0) return "kMemSpBase with kMemAligned";
            break;
        case Op::LoadEx:
        case Op::LoadExPair:
        case Op::StoreEx:
        case Op::StoreExPair:
        case Op::AtomicRmw:
        case Op::Cas:
            if ((i.aux & kMemSpBase) != 0) return "kMemSpBase without a plain access";
            break;
        case Op::StoreField:
            if (i.aux == 64) {
                const Inst& zeros = block[i.args[0]];
                if (zeros.op != Op::VConst || zeros.imm != 0) return "64 bytes that are not zeros";
            } else if (i.aux != 4 && i.aux != 8 && i.aux != 16) {
                return "size is not 4, 8, 16 or 64";
            }
            [[fallthrough]];
        case Op::LoadField:
            if (i.imm >= sizeof(GuestState)) return "field out of range";
            if (i.imm < offsetof(GuestState, flags) + 8 ||
                (i.imm >= offsetof(GuestState, v) && i.imm < offsetof(GuestState, v) + sizeof(GuestState::v)))
                return "guest registers are not fields";
            break;
        case Op::InsnStart:
            if (i.imm >= kPageSize) return "instruction offset out of range";
            break;
        default: break;
    }
    const bool last = index + 1 == block.insts.size() ||
                      std::ranges::find(block.sides, index + 1, &SidePath::begin) != block.sides.end();
    if (last != is_terminator(i)) return last ? "block does not end" : "instruction after the end";
    return nullptr;
}

/// What is wrong with a side path, or nullptr.
const char* check(const Block& block, const SidePath& side, Ref after) {
    if (side.begin <= after || side.begin >= block.insts.size()) return "side path out of order";
    if (side.exit >= side.begin || block[side.exit].op != Op::ExitIf) return "side path without an exit";
    return nullptr;
}

}  // namespace

std::string verify(const Block& block) {
    if (block.insts.empty()) return "empty block";
    Ref after = 0;
    for (const SidePath& side : block.sides) {
        if (const char* wrong = check(block, side, after)) return fmt::format("%{}: {}", side.begin, wrong);
        after = side.begin;
    }
    for (Ref k = 0; k < block.insts.size(); ++k) {
        if (const char* wrong = check(block, k))
            return fmt::format("%{} {}: {}", k, info(block[k].op).name, wrong);
    }
    return {};
}

}  // namespace arclight::jit::ir
