#include "jit/ir/ir.h"

#include <algorithm>
#include <bit>

namespace arclight::jit::ir {

namespace {
constexpr char P = 'P', Q = 'Q', S = 'S', M = 'M', X = 'X';
constexpr OpInfo kInfo[] = {
#define OP(name, result, args, effects) {#name, #result, args, effects},
#include "jit/ir/opcodes.inc"
#undef OP
};
uint64_t truncate(Type t, uint64_t v) { return t == Type::I32 ? static_cast<uint32_t>(v) : v; }
}  // namespace

const OpInfo& info(Op op) { return kInfo[static_cast<size_t>(op)]; }

Displaced displaced(const Block& block, Ref r) {
    constexpr int64_t kMaxDisplacement = 1 << 20;
    Displaced d{r, 0};
    for (;;) {
        const Inst& sum = block[d.root];
        if ((sum.op != Op::Add && sum.op != Op::Sub) || sum.type != Type::I64) return d;
        const Inst& constant = block[sum.args[1]];
        if (constant.op != Op::Const) return d;
        const auto by = static_cast<int64_t>(constant.imm);
        if (by < -kMaxDisplacement || by > kMaxDisplacement) return d;
        d.by += sum.op == Op::Add ? by : -by;
        d.root = sum.args[0];
    }
}

void Builder::reset() {
    std::fill(std::begin(known_.x), std::end(known_.x), kNoRef);
    std::fill(std::begin(known_.v), std::end(known_.v), kNoRef);
    known_.flags = kNoRef;
}

Ref Builder::emit(Op op, Type type, std::initializer_list<Ref> args, uint64_t imm, uint32_t aux) {
    Inst inst{.op = op, .type = type, .nargs = static_cast<uint8_t>(args.size()), .aux = aux, .imm = imm};
    std::copy(args.begin(), args.end(), inst.args);
    block_.insts.push_back(inst);
    return static_cast<Ref>(block_.insts.size() - 1);
}

Ref Builder::constant(Type t, uint64_t v) { return emit(Op::Const, t, {}, truncate(t, v)); }

Ref Builder::fold(Op op, Type t, Ref a, Ref b) {
    const Inst &x = block_[a], &y = block_[b];
    const bool cx = x.op == Op::Const, cy = y.op == Op::Const;
    const unsigned width = t == Type::I32 ? 32 : 64;
    if (cx && cy) {
        const uint64_t p = truncate(t, x.imm), q = truncate(t, y.imm);
        switch (op) {
            case Op::Add: return constant(t, p + q);
            case Op::Sub: return constant(t, p - q);
            case Op::And: return constant(t, p & q);
            case Op::Or: return constant(t, p | q);
            case Op::Xor: return constant(t, p ^ q);
            case Op::AndNot: return constant(t, p & ~q);
            case Op::OrNot: return constant(t, p | ~q);
            case Op::XorNot: return constant(t, p ^ ~q);
            case Op::Mul: return constant(t, p * q);
            case Op::Shl: return constant(t, p << (q % width));
            case Op::Shr: return constant(t, p >> (q % width));
            default: return kNoRef;
        }
    }
    if (cy) {
        const uint64_t q = truncate(t, y.imm);
        // An I32 operation zero-extends, so it may stand for its operand only if that operand is I32 already.
        const bool same = t == Type::I64 || x.type == Type::I32;
        const bool neutral = q == 0 && (op == Op::Add || op == Op::Sub || op == Op::Or || op == Op::Xor ||
                                        op == Op::Shl || op == Op::Shr || op == Op::Sar || op == Op::Ror);
        if (neutral && same) return a;
        if (q == 0 && (op == Op::And || op == Op::Mul)) return constant(t, 0);
        if (op == Op::And && q == truncate(t, ~uint64_t{0}) && same) return a;
        // PcRel(c) + k and (x + c) + k collapse: ADRP + ADD is one constant.
        if (op == Op::Add && t == Type::I64 && x.op == Op::PcRel)
            return emit(Op::PcRel, Type::I64, {}, x.imm + q);
    }
    if (cx) {
        const uint64_t p = truncate(t, x.imm);
        const bool same = t == Type::I64 || y.type == Type::I32;
        if (p == 0 && same && (op == Op::Add || op == Op::Or || op == Op::Xor)) return b;
        if (p == 0 && (op == Op::And || op == Op::Mul || op == Op::AndNot)) return constant(t, 0);
    }
    return kNoRef;
}

Ref Builder::bin(Op op, Type t, Ref a, Ref b) {
    if (const Ref folded = fold(op, t, a, b); folded != kNoRef) return folded;
    return emit(op, t, {a, b});
}

Ref Builder::get_x(unsigned index) {
    if (known_.x[index] == kNoRef) known_.x[index] = emit(Op::GetX, Type::I64, {}, index);
    return known_.x[index];
}

void Builder::set_x(unsigned index, Ref value) {
    emit(Op::SetX, Type::Void, {value}, index);
    known_.x[index] = value;
}

Ref Builder::get_flags() {
    if (known_.flags == kNoRef) known_.flags = emit(Op::GetFlags, Type::Flags);
    return known_.flags;
}

void Builder::set_flags(Ref flags) {
    emit(Op::SetFlags, Type::Void, {flags});
    known_.flags = flags;
}

Ref Builder::get_v(Type t, unsigned index) {
    const Ref known = known_.v[index];
    if (known != kNoRef) {
        const Type have = block_[known].type;
        if (have == t || have == Type::V128 || (have == Type::F64 && t == Type::F32)) return known;
        if (t == Type::V128)
            return known_.v[index] = emit(have == Type::F64 ? Op::VZext64 : Op::VZext32, Type::V128, {known});
        // F64 of a register that holds a single: its upper half is zero.
        return emit(Op::VZext32, Type::V128, {known});
    }
    const Ref value = emit(Op::GetV, t, {}, index);
    // A narrow read says nothing of the upper bits, so only a full read may be forwarded.
    if (t == Type::V128) known_.v[index] = value;
    return value;
}

void Builder::set_v(unsigned index, Ref value) {
    emit(Op::SetV, Type::Void, {value}, index);
    known_.v[index] = value;
}

void Builder::insn_start(uint32_t offset, uint32_t encoding) {
    emit(Op::InsnStart, Type::Void, {}, offset, encoding);
}

void Builder::rebase_addresses(int64_t delta) {
    for (unsigned k = 0; k < 32; ++k)
        if (known_.x[k] != kNoRef && block_[known_.x[k]].op == Op::PcRel)
            set_x(k, emit(Op::PcRel, Type::I64, {}, block_[known_.x[k]].imm - static_cast<uint64_t>(delta)));
}

Ref Builder::call(Type result, uint64_t id, std::initializer_list<Ref> args, uint32_t aux) {
    const Ref r = emit(Op::CallRuntime, result, args, id, aux);
    if (aux & kCallWritesState) reset();
    return r;
}

void Builder::scalable(Op op, uint64_t operation, Ref first, Ref second, Ref scalar, uint32_t aux) {
    emit(op, Type::Void, {first, second, scalar}, operation, aux);
    forget_vectors();
}

void Builder::forget_vectors() { std::ranges::fill(known_.v, kNoRef); }

}  // namespace arclight::jit::ir
