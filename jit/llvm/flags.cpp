#include "jit/llvm/flags.h"

#include "jit/guest_state.h"
#include "jit/ir/condition.h"
#include "jit/llvm/block_values.h"

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;

using P = llvm::CmpInst::Predicate;

void GuestFlags::declare() {
    kind_ = b_.CreateAlloca(b_.getInt32Ty());
    operand_a_ = b_.CreateAlloca(b_.getInt64Ty());
    operand_b_ = b_.CreateAlloca(b_.getInt64Ty());
    b_.CreateStore(b_.getInt32(static_cast<unsigned>(Flags::Packed)), kind_);
    b_.CreateStore(
        b_.CreateZExt(b_.load_state(offsetof(GuestState, flags), b_.getInt16Ty(), 2), b_.getInt64Ty()),
        operand_a_);
    b_.CreateStore(b_.c64(0), operand_b_);
}

Flags GuestFlags::flags_of(BlockValues& values, Ref arg) {
    const Inst& p = values.inst(arg);
    Flags f;
    f.wide = p.type == Type::I64;
    switch (p.op) {
        case Op::Add:
        case Op::Sub:
            f.kind = p.op == Op::Add ? (f.wide ? Flags::Add64 : Flags::Add32)
                                     : (f.wide ? Flags::Sub64 : Flags::Sub32);
            f.a = values.i64(p.args[0]);
            f.b = values.i64(p.args[1]);
            return f;
        case Op::And:
        case Op::AndNot:
            f.kind = f.wide ? Flags::Logic64 : Flags::Logic32;
            f.a = values.i64(arg);
            f.b = b_.c64(0);
            return f;
        case Op::Adc:
        case Op::Sbc:
            f.kind = Flags::Carry;
            f.a = values.integer(p.args[0], p.type);
            f.b = values.integer(p.args[1], p.type);
            if (p.op == Op::Sbc) f.b = b_.CreateNot(f.b);
            f.c = carry(values.flags(p.args[2]));
            return f;
        default: throw Unsupported{};
    }
}

namespace {
/// For a - b; BAD: not one comparison of a and b.
constexpr P kSubPredicate[14] = {P::ICMP_EQ,
                                 P::ICMP_NE,
                                 P::ICMP_UGE,
                                 P::ICMP_ULT,
                                 P::BAD_ICMP_PREDICATE,
                                 P::BAD_ICMP_PREDICATE,
                                 P::BAD_ICMP_PREDICATE,
                                 P::BAD_ICMP_PREDICATE,
                                 P::ICMP_UGT,
                                 P::ICMP_ULE,
                                 P::ICMP_SGE,
                                 P::ICMP_SLT,
                                 P::ICMP_SGT,
                                 P::ICMP_SLE};
/// After a comparison of numbers: less N, equal ZC, greater C, unordered CV.
constexpr P kFpPredicate[14] = {P::FCMP_OEQ, P::FCMP_UNE, P::FCMP_UGE, P::FCMP_OLT, P::FCMP_OLT,
                                P::FCMP_UGE, P::FCMP_UNO, P::FCMP_ORD, P::FCMP_UGT, P::FCMP_OLE,
                                P::FCMP_OGE, P::FCMP_ULT, P::FCMP_OGT, P::FCMP_ULE};
}  // namespace

GuestFlags::Bits GuestFlags::bits(const Flags& f) {
    const auto narrow = [&](Value* v, bool wide) {
        return wide || v->getType()->isIntegerTy(32) ? v : b_.CreateTrunc(v, b_.getInt32Ty());
    };
    const auto zero = [](Value* v) { return llvm::Constant::getNullValue(v->getType()); };
    const auto sum = [&](Value* a, Value* b, Value* r, Value* c) {
        Value* overflow = b_.CreateAnd(b_.CreateNot(b_.CreateXor(a, b)), b_.CreateXor(a, r));
        return Bits{b_.CreateICmpSLT(r, zero(r)), b_.CreateICmpEQ(r, zero(r)), c,
                    b_.CreateICmpSLT(overflow, zero(r))};
    };
    switch (f.kind) {
        case Flags::Packed: {
            const auto bit = [&](unsigned n) {
                return b_.CreateICmpNE(b_.CreateAnd(f.a, b_.c64(uint64_t{1} << n)), b_.c64(0));
            };
            return {bit(kFlagNBit), bit(kFlagZBit), bit(kFlagCBit), bit(kFlagVBit)};
        }
        case Flags::Add32:
        case Flags::Add64: {
            Value *a = narrow(f.a, f.kind == Flags::Add64), *b = narrow(f.b, f.kind == Flags::Add64);
            Value* r = b_.CreateAdd(a, b);
            return sum(a, b, r, b_.CreateICmpULT(r, a));
        }
        case Flags::Sub32:
        case Flags::Sub64: {
            Value *a = narrow(f.a, f.kind == Flags::Sub64), *b = narrow(f.b, f.kind == Flags::Sub64);
            Value* r = b_.CreateSub(a, b);
            Value* overflow = b_.CreateAnd(b_.CreateXor(a, b), b_.CreateXor(a, r));
            return {b_.CreateICmpSLT(r, zero(r)), b_.CreateICmpEQ(a, b), b_.CreateICmpUGE(a, b),
                    b_.CreateICmpSLT(overflow, zero(r))};
        }
        case Flags::Logic32:
        case Flags::Logic64: {
            Value* r = narrow(f.a, f.kind == Flags::Logic64);
            return {b_.CreateICmpSLT(r, zero(r)), b_.CreateICmpEQ(r, zero(r)), b_.getFalse(), b_.getFalse()};
        }
        case Flags::FCmp32:
        case Flags::FCmp64: return {condition(f, 4), condition(f, 0), condition(f, 2), condition(f, 6)};
        case Flags::Carry: {
            Value* extra = b_.CreateZExt(f.c, f.a->getType());
            Value* part = b_.CreateAdd(f.a, f.b);
            Value* r = b_.CreateAdd(part, extra);
            return sum(f.a, f.b, r, b_.CreateOr(b_.CreateICmpULT(part, f.a), b_.CreateICmpULT(r, part)));
        }
        case Flags::CondCompare:
        case Flags::CondFCmp: return {condition(f, 4), condition(f, 0), condition(f, 2), condition(f, 6)};
        case Flags::Dynamic: return bits(packed_variables());
    }
    return {};
}

Value* GuestFlags::condition(const Flags& f, unsigned cc) {
    switch (f.kind) {
        case Flags::Sub32:
        case Flags::Sub64:
            if (kSubPredicate[cc] != P::BAD_ICMP_PREDICATE) {
                Value *a = f.a, *b = f.b;
                if (f.kind == Flags::Sub32)
                    a = b_.CreateTrunc(a, b_.getInt32Ty()), b = b_.CreateTrunc(b, b_.getInt32Ty());
                return b_.CreateICmp(kSubPredicate[cc], a, b);
            }
            break;
        case Flags::FCmp32:
        case Flags::FCmp64: {
            llvm::Type* t = f.kind == Flags::FCmp64 ? b_.getDoubleTy() : b_.getFloatTy();
            const auto number = [&](Value* v) {
                return b_.CreateBitCast(f.kind == Flags::FCmp64 ? v : b_.CreateTrunc(v, b_.getInt32Ty()), t);
            };
            return b_.CreateFCmp(kFpPredicate[cc], number(f.a), number(f.b));
        }
        case Flags::CondCompare:
        case Flags::CondFCmp: {
            Flags inner = f;
            inner.c = nullptr;
            if (f.kind == Flags::CondFCmp) {
                inner.kind = f.wide ? Flags::FCmp64 : Flags::FCmp32;
            } else if (f.add) {
                inner.kind = f.wide ? Flags::Add64 : Flags::Add32;
            } else {
                inner.kind = f.wide ? Flags::Sub64 : Flags::Sub32;
            }
            return b_.CreateSelect(f.c, condition(inner, cc),
                                   b_.getInt1(ir::condition_holds(cc, static_cast<unsigned>(f.imm))));
        }
        case Flags::Dynamic: return condition(packed_variables(), cc);
        default: break;
    }
    const Bits x = bits(f);
    Value* r = nullptr;
    switch (cc >> 1) {
        case 0: r = x.z; break;
        case 1: r = x.c; break;
        case 2: r = x.n; break;
        case 3: r = x.v; break;
        case 4: r = b_.CreateAnd(x.c, b_.CreateNot(x.z)); break;
        case 5: r = b_.CreateICmpEQ(x.n, x.v); break;
        case 6: r = b_.CreateAnd(b_.CreateICmpEQ(x.n, x.v), b_.CreateNot(x.z)); break;
        default: return b_.getTrue();
    }
    return (cc & 1) != 0 ? b_.CreateNot(r) : r;
}

Value* GuestFlags::pack(const Flags& f) {
    if (f.kind == Flags::Packed) return f.a;
    if (f.kind == Flags::Dynamic) return (f.c != nullptr ? pack_dynamic(f) : packed_variables()).a;
    const Bits x = bits(f);
    const auto place = [&](Value* bit, unsigned n) {
        return b_.CreateShl(b_.CreateZExt(bit, b_.getInt64Ty()), b_.c64(n));
    };
    return b_.CreateOr(b_.CreateOr(place(x.n, kFlagNBit), place(x.z, kFlagZBit)),
                       b_.CreateOr(place(x.c, kFlagCBit), place(x.v, kFlagVBit)));
}

FlagsAtExit GuestFlags::at_exit(const Flags& f, std::vector<Value*>& operands) {
    const auto wide = [&](Value* v) {
        return v->getType()->isIntegerTy(64) ? v : b_.CreateZExt(v, b_.getInt64Ty());
    };
    // Numbers stay where they are.
    const auto number = [&](Value* v) {
        if (auto* single = llvm::dyn_cast<llvm::ZExtInst>(v)) v = single->getOperand(0);
        auto* cast = llvm::dyn_cast<llvm::BitCastInst>(v);
        return cast != nullptr && cast->getSrcTy()->isFloatingPointTy() ? cast->getOperand(0) : wide(v);
    };
    static_assert(static_cast<unsigned>(Flags::FCmp64) == static_cast<unsigned>(FlagsAtExit::FCmp64) &&
                  static_cast<unsigned>(Flags::Packed) == static_cast<unsigned>(FlagsAtExit::Packed));
    switch (f.kind) {
        case Flags::Logic32:
        case Flags::Logic64: operands.push_back(wide(f.a)); break;
        case Flags::Add32:
        case Flags::Add64:
        case Flags::Sub32:
        case Flags::Sub64:
            operands.push_back(wide(f.a));
            operands.push_back(wide(f.b));
            break;
        case Flags::FCmp32:
        case Flags::FCmp64:
            operands.push_back(number(f.a));
            operands.push_back(number(f.b));
            break;
        case Flags::Dynamic:
            for (Value* v : {f.c, f.a, f.b}) operands.push_back(wide(v));
            return FlagsAtExit::Dynamic;
        case Flags::Packed:
        case Flags::Carry:
        case Flags::CondCompare:
        case Flags::CondFCmp: operands.push_back(pack(f)); return FlagsAtExit::Packed;
    }
    return static_cast<FlagsAtExit>(f.kind);
}

/// The variables' values, packed by a function that tells the kinds apart.
Flags GuestFlags::pack_dynamic(const Flags& read) {
    Flags f;
    f.kind = Flags::Packed;
    f.a = b_.CreateCall(pack_function(), {read.c, read.a, read.b});
    return f;
}

Flags GuestFlags::read_variables() {
    Flags f;
    f.kind = Flags::Dynamic;
    f.c = b_.CreateLoad(b_.getInt32Ty(), kind_);
    f.a = b_.CreateLoad(b_.getInt64Ty(), operand_a_);
    f.b = b_.CreateLoad(b_.getInt64Ty(), operand_b_);
    return f;
}

llvm::Function* GuestFlags::pack_function() {
    if (llvm::Function* known = b_.module().getFunction("pack_flags")) return known;
    const llvm::IRBuilder<>::InsertPointGuard keep(b_);
    auto* type =
        llvm::FunctionType::get(b_.getInt64Ty(), {b_.getInt32Ty(), b_.getInt64Ty(), b_.getInt64Ty()}, false);
    auto* f = llvm::Function::Create(type, llvm::Function::InternalLinkage, "pack_flags", b_.module());
    f->addFnAttr(llvm::Attribute::NoInline);
    f->addFnAttr(llvm::Attribute::NoUnwind);
    f->addFnAttr(llvm::Attribute::WillReturn);
    f->setMemoryEffects(llvm::MemoryEffects::none());
    auto* entry = BasicBlock::Create(b_.getContext(), "", f);
    auto* packed = BasicBlock::Create(b_.getContext(), "", f);
    b_.SetInsertPoint(packed);
    b_.CreateRet(f->getArg(1));
    b_.SetInsertPoint(entry);
    auto* choice = b_.CreateSwitch(f->getArg(0), packed);
    for (auto kind = static_cast<unsigned>(Flags::Add32); kind <= static_cast<unsigned>(kLastStoredFlags);
         ++kind) {
        auto* block = BasicBlock::Create(b_.getContext(), "", f);
        choice->addCase(b_.getInt32(kind), block);
        b_.SetInsertPoint(block);
        Flags flags;
        flags.kind = static_cast<FlagsKind>(kind);
        flags.a = f->getArg(1);
        flags.b = f->getArg(2);
        b_.CreateRet(pack(flags));
    }
    return f;
}

void GuestFlags::store(const Flags& f) {
    if (f.kind == Flags::Dynamic) return;
    Flags g = f;
    if (f.kind > kLastStoredFlags) {
        g.kind = Flags::Packed;
        g.a = pack(f);
        g.b = b_.c64(0);
    }
    b_.CreateStore(b_.getInt32(static_cast<unsigned>(g.kind)), kind_);
    b_.CreateStore(g.a, operand_a_);
    b_.CreateStore(g.b != nullptr ? g.b : b_.c64(0), operand_b_);
}

}  // namespace arclight::jit::tier2
