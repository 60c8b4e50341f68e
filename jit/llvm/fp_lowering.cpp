#include "jit/llvm/fp_lowering.h"

#include <llvm/IR/Intrinsics.h>

#include <algorithm>
#include <numeric>

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;

namespace intrinsic = llvm::Intrinsic;
using P = llvm::CmpInst::Predicate;

Value* FpLowering::strict(llvm::Intrinsic::ID id, llvm::Type* type, std::initializer_list<Value*> args) {
    std::vector<Value*> all(args);
    const auto word = [&](const char* text) {
        return llvm::MetadataAsValue::get(b_.getContext(), llvm::MDString::get(b_.getContext(), text));
    };
    std::vector<llvm::Type*> types{type};
    switch (id) {
        case intrinsic::experimental_constrained_fptosi:
        case intrinsic::experimental_constrained_fpext: types.push_back(all[0]->getType()); break;
        case intrinsic::experimental_constrained_ceil:
        case intrinsic::experimental_constrained_floor:
        case intrinsic::experimental_constrained_trunc:
        case intrinsic::experimental_constrained_roundeven: break;
        case intrinsic::experimental_constrained_fptrunc:
        case intrinsic::experimental_constrained_sitofp: types.push_back(all[0]->getType()); [[fallthrough]];
        default: all.push_back(word("round.dynamic")); break;
    }
    all.push_back(word("fpexcept.strict"));
    return b_.CreateIntrinsic(id, types, all);
}

Value* FpLowering::strict_compare(llvm::CmpInst::Predicate p, Value* a, Value* b, bool signalling) {
    const auto word = [&](llvm::StringRef text) {
        return llvm::MetadataAsValue::get(b_.getContext(), llvm::MDString::get(b_.getContext(), text));
    };
    return b_.CreateIntrinsic(
        signalling ? intrinsic::experimental_constrained_fcmps : intrinsic::experimental_constrained_fcmp,
        {a->getType()}, {a, b, word(llvm::CmpInst::getPredicateName(p)), word("fpexcept.strict")});
}

/// x86 detects underflow after rounding, ARM before: they differ only where the result is the smallest normal
/// number, which only products can round to. One comparison finds that, and NaNs: "equal or unordered". That
/// a sum may be that number too costs a needless region exit at most.
Value* FpLowering::is_bad(Value* v) {
    const llvm::APFloat least =
        llvm::APFloat::getSmallestNormalized(v->getType()->getScalarType()->getFltSemantics());
    Value* magnitude = b_.CreateIntrinsic(llvm::Intrinsic::fabs, {v->getType()}, {v});
    return b_.CreateFCmpUEQ(magnitude, llvm::ConstantFP::get(v->getType(), least));
}

/// Takes the side exit if `bad`, or any lane of it.
void FpLowering::leave_if_any(Value* bad) {
    if (auto* t = llvm::dyn_cast<llvm::FixedVectorType>(bad->getType())) {
        llvm::Type* bits = b_.getIntNTy(t->getNumElements());
        bad = b_.CreateICmpNE(b_.CreateBitCast(bad, bits), llvm::ConstantInt::get(bits, 0));
    }
    exits_.guard(b_.CreateNot(bad));
}

/// Checks as many as a comparison takes: four doubles or eight singles.
void FpLowering::check_tiny(std::vector<Value*>& scalars, std::vector<Value*>& vectors) {
    if (scalars.size() == 1 && vectors.empty()) {
        leave_if_any(is_bad(scalars.front()));
        return;
    }
    for (size_t k = 0; k < scalars.size();) {
        const unsigned lanes = 128 / scalars[k]->getType()->getScalarSizeInBits();
        // A full one: an empty lane would be computed with, too.
        Value* v = llvm::PoisonValue::get(llvm::FixedVectorType::get(scalars[k]->getType(), lanes));
        for (unsigned n = 0; n < lanes; ++n, k += k < scalars.size())
            v = b_.CreateInsertElement(v, scalars[std::min(k, scalars.size() - 1)], n);
        vectors.push_back(v);
    }
    Value* any = nullptr;
    for (size_t k = 0; k + 1 < vectors.size(); k += 2) {
        const auto* type = llvm::cast<llvm::FixedVectorType>(vectors[k]->getType());
        std::vector<int> all(2 * type->getNumElements());
        std::iota(all.begin(), all.end(), 0);
        Value* bad = is_bad(b_.shuffle(vectors[k], vectors[k + 1], all));
        any = any != nullptr ? b_.CreateOr(any, bad) : bad;
    }
    if (any != nullptr) leave_if_any(any);
    if (vectors.size() % 2 != 0) leave_if_any(is_bad(vectors.back()));
}

void FpLowering::begin_block() {
    unchecked_.clear();
    numbers_.clear();
    bits_read_ = false;
}

void FpLowering::before(Op op) {
    // Comparisons know NaNs, but which NaN it is may be wrong; and what is executed on a wrong path might
    // leave sticky flags behind.
    const bool reads_bits = op == Op::FToInt || op == Op::VExtractU || op == Op::VExtractS;
    if (reads_bits && !unchecked_.empty()) bits_read_ = true;
    if (op == Op::ExitIf && bits_read_) check_results();
}

void FpLowering::check_results() {
    if (unchecked_.empty()) return;
    struct Lanes {
        std::vector<Value*> scalars, vectors;
    };
    for (llvm::Type* type : {b_.getDoubleTy(), b_.getFloatTy()}) {
        Lanes tiny, others;
        for (const Unchecked& u : unchecked_) {
            if (u.value->getType()->getScalarType() != type) continue;
            Lanes& lanes = u.tiny ? tiny : others;
            (u.value->getType()->isVectorTy() ? lanes.vectors : lanes.scalars).push_back(u.value);
        }
        const auto move_one = [](std::vector<Value*>& from, std::vector<Value*>& to) {
            to.push_back(from.back());
            from.pop_back();
        };
        // Into what is computed with anyway.
        const unsigned lanes = 128 / type->getScalarSizeInBits();
        while (tiny.scalars.size() % lanes != 0 && !others.scalars.empty())
            move_one(others.scalars, tiny.scalars);
        const size_t vectors = tiny.vectors.size() + (tiny.scalars.size() + lanes - 1) / lanes;
        if (vectors % 2 != 0 && !others.vectors.empty()) move_one(others.vectors, tiny.vectors);
        check_tiny(tiny.scalars, tiny.vectors);
        // Comparing quiet NaNs signals nothing, and what comes out of an operation is quiet.
        for (const auto* values : {&others.scalars, &others.vectors})
            for (size_t k = 0; k < values->size(); k += 2)
                leave_if_any(b_.CreateFCmpUNO((*values)[k], (*values)[std::min(k + 1, values->size() - 1)]));
    }
    for (const Unchecked& u : unchecked_) numbers_.insert(u.ref);
    unchecked_.clear();
    bits_read_ = false;
}

/// Whether a scalar operand is no NaN, or the next check of results finds out that it is.
bool FpLowering::is_number(Ref r, Value* v) const {
    if (const auto* c = llvm::dyn_cast<llvm::ConstantFP>(v)) return !c->isNaN();
    return v == values_.get(r) &&
           (numbers_.contains(r) ||
            std::ranges::any_of(unchecked_, [&](const Unchecked& u) { return u.ref == r; }));
}

/// Goes on if neither operand is a NaN.
void FpLowering::guard_numbers(Ref a, Value* x, Ref b, Value* y) {
    const bool known_x = is_number(a, x), known_y = is_number(b, y);
    if (known_x && known_y) return;
    exits_.guard(b_.CreateFCmpORD(known_x ? y : x, known_y ? x : y));
}

/// The lane that is a NaN if lane 0 of `r` is, as a number of 1 << esize bytes.
FpLowering::Lane FpLowering::number_of(Ref r, unsigned esize) const {
    for (unsigned lane = 0;;) {
        const Inst& i = values_.inst(r);
        bool same = false;
        switch (i.op) {
            case Op::FNeg:
            case Op::FAbs: same = i.type == (esize == 3 ? Type::F64 : Type::F32); break;
            case Op::VFNeg:
            case Op::VFAbs: same = ir::vec_esize(i.aux) == esize; break;
            case Op::VZext32: same = lane == 0 && esize == 2; break;
            case Op::VZext64: same = lane == 0 && esize == 3; break;
            case Op::VDupLane:
                same = ir::vec_esize(i.aux) == esize;
                if (same) lane = static_cast<unsigned>(i.imm);
                break;
            default: break;
        }
        if (!same) return {r, lane};
        r = i.args[0];
    }
}

/// The result of an instruction whose result is a NaN if one of its operands is.
void FpLowering::define_checked(const Inst& i, Ref index, Value* v, bool may_be_tiny) {
    // A NaN in an operand shows here too.
    const bool is_vector = v->getType()->isVectorTy(), all_lanes = !is_vector || ir::vec_q(i.aux);
    const unsigned esize = v->getType()->getScalarType()->isDoubleTy() ? 3 : 2;
    std::erase_if(unchecked_, [&](Unchecked& u) {
        if (u.tiny || u.value->getType()->getScalarType() != v->getType()->getScalarType()) return false;
        const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(u.value->getType());
        const unsigned lanes = vector != nullptr ? vector->getNumElements() : 1;
        for (unsigned k = 0; k < i.nargs; ++k) {
            if (all_lanes && is_vector && vector != nullptr && i.args[k] == u.ref) u.shown = ~0u;
            if (const Lane from = number_of(i.args[k], esize); from.ref == u.ref) u.shown |= 1u << from.lane;
        }
        return (~u.shown & ((1u << lanes) - 1)) == 0;
    });
    unchecked_.push_back({index, v, may_be_tiny});
    if (v->getType()->isVectorTy())
        define_vector_fp(i, index, v);
    else
        values_.def(index, v);
}

/// x rounded to an integral value without signalling Inexact.
Value* FpLowering::integral(Value* x, ir::RoundMode mode) {
    switch (mode) {
        case ir::RoundMode::TieEven:
            return strict(intrinsic::experimental_constrained_roundeven, x->getType(), {x});
        case ir::RoundMode::Up: return strict(intrinsic::experimental_constrained_ceil, x->getType(), {x});
        case ir::RoundMode::Down: return strict(intrinsic::experimental_constrained_floor, x->getType(), {x});
        case ir::RoundMode::Zero: return strict(intrinsic::experimental_constrained_trunc, x->getType(), {x});
        case ir::RoundMode::Current:
            return strict(intrinsic::experimental_constrained_nearbyint, x->getType(), {x});
        case ir::RoundMode::Exact: return strict(intrinsic::experimental_constrained_rint, x->getType(), {x});
        default: throw Unsupported{};
    }
}

/// Only what needs no saturation and no rounding other than towards zero.
void FpLowering::to_integer(const Inst& i, Ref index) {
    const auto mode = static_cast<ir::RoundMode>(i.aux & 7);
    const bool dbl = (i.aux >> 4 & 3) == 3, wide = i.type == Type::I64;
    if (mode != ir::RoundMode::Zero || (i.imm & 0xff) != 0) throw Unsupported{};
    Value* x = (i.aux >> 4 & 3) == 1 ? widened(half_lanes(i.args[0], 1), b_.getFloatTy())
                                     : values_.fp(i.args[0], dbl ? Type::F64 : Type::F32);
    if (i.op == Op::FToSInt) {
        // x86 answers with the smallest integer whatever does not fit, and raises Invalid as ARM does.
        llvm::Type* type = wide ? b_.getInt64Ty() : b_.getInt32Ty();
        Value* v = strict(intrinsic::experimental_constrained_fptosi, type, {x});
        exits_.guard(
            b_.CreateICmpNE(v, llvm::ConstantInt::get(type, wide ? uint64_t{1} << 63 : uint64_t{1} << 31)));
        values_.def(index, v);
        return;
    }
    // Out of range must raise Invalid alone, so the range comes first. A NaN fails the comparison.
    const auto number = [&](double v) { return llvm::ConstantFP::get(x->getType(), v); };
    exits_.guard(
        b_.CreateAnd(b_.CreateFCmpOGT(x, number(-1)), b_.CreateFCmpOLT(x, number(wide ? 0x1p63 : 0x1p32))));
    Value* v = strict(intrinsic::experimental_constrained_fptosi, b_.getInt64Ty(), {x});
    values_.def(index, wide ? v : b_.CreateTrunc(v, b_.getInt32Ty()));
}

bool FpLowering::lower_scalar(const Inst& i, Ref index) {
    const bool dbl = i.type == Type::F64;
    llvm::Type* type = dbl ? b_.getDoubleTy() : b_.getFloatTy();
    const auto arg = [&](unsigned k) { return values_.fp(i.args[k], i.type); };
    switch (i.op) {
        case Op::FNeg:
        case Op::FAbs: {
            llvm::Type* bits = dbl ? b_.getInt64Ty() : b_.getInt32Ty();
            const uint64_t sign = dbl ? uint64_t{1} << 63 : 0x8000'0000;
            Value* v = b_.CreateBitCast(arg(0), bits);
            v = i.op == Op::FNeg ? b_.CreateXor(v, llvm::ConstantInt::get(bits, sign))
                                 : b_.CreateAnd(v, llvm::ConstantInt::get(bits, sign - 1));
            values_.def(index, b_.CreateBitCast(v, type));
            return true;
        }
        case Op::IntToF:
            values_.def(index, b_.CreateBitCast(dbl ? values_.i64(i.args[0]) : values_.i32(i.args[0]), type));
            return true;
        case Op::FToInt:
            values_.def(index, i.type == Type::I32
                                   ? b_.CreateBitCast(values_.fp(i.args[0], Type::F32), b_.getInt32Ty())
                                   : b_.CreateBitCast(values_.fp(i.args[0], Type::F64), b_.getInt64Ty()));
            return true;
        default: break;
    }
    if (slow_) return false;
    switch (i.op) {
        case Op::FAdd:
            define_checked(i, index, strict(intrinsic::experimental_constrained_fadd, type, {arg(0), arg(1)}),
                           false);
            return true;
        case Op::FSub:
            define_checked(i, index, strict(intrinsic::experimental_constrained_fsub, type, {arg(0), arg(1)}),
                           false);
            return true;
        case Op::FMul:
            define_checked(i, index, strict(intrinsic::experimental_constrained_fmul, type, {arg(0), arg(1)}),
                           true);
            return true;
        case Op::FDiv:
            define_checked(i, index, strict(intrinsic::experimental_constrained_fdiv, type, {arg(0), arg(1)}),
                           false);
            return true;
        case Op::FSqrt:
            define_checked(i, index, strict(intrinsic::experimental_constrained_sqrt, type, {arg(0)}), false);
            return true;
        case Op::FMulAdd:
            define_checked(i, index,
                           strict(intrinsic::experimental_constrained_fma, type, {arg(1), arg(2), arg(0)}),
                           true);
            return true;
        case Op::FMax:
        case Op::FMaxNum:
        case Op::FMin:
        case Op::FMinNum: {
            // x86 gives the second operand for equal ones: both orders, combined bit by bit, give ARM's zero.
            Value *a = arg(0), *b = arg(1);
            guard_numbers(i.args[0], a, i.args[1], b);
            const bool max = i.op == Op::FMax || i.op == Op::FMaxNum;
            llvm::Type* bits = dbl ? b_.getInt64Ty() : b_.getInt32Ty();
            const auto pick = [&](Value* x, Value* y) {
                // A plain comparison might be made before the guard, and signal what is quiet.
                Value* c = strict_compare(max ? P::FCMP_OGT : P::FCMP_OLT, x, y, /*signalling=*/false);
                return b_.CreateBitCast(b_.CreateSelect(c, x, y), bits);
            };
            Value *p = pick(a, b), *q = pick(b, a);
            values_.def(index, b_.CreateBitCast(max ? b_.CreateAnd(p, q) : b_.CreateOr(p, q), type));
            return true;
        }
        case Op::FRint:
            define_checked(i, index, integral(arg(0), static_cast<ir::RoundMode>(i.aux & 7)), false);
            return true;
        case Op::FCmp: {
            const Type t = (i.aux & 3) == 3 ? Type::F64 : Type::F32;
            Value *a, *b;
            if ((i.aux & 3) == 1) {
                a = widened(half_lanes(i.args[0], 1), b_.getFloatTy());
                b = widened(half_lanes(i.args[1], 1), b_.getFloatTy());
                exits_.guard(b_.CreateFCmpORD(a, b));
            } else {
                a = values_.fp(i.args[0], t);
                b = values_.fp(i.args[1], t);
                guard_numbers(i.args[0], a, i.args[1], b);  // NaNs may signal
            }
            Flags f;
            f.kind = t == Type::F64 ? Flags::FCmp64 : Flags::FCmp32;
            const auto bits = [&](Value* v) -> Value* {
                if (t == Type::F64) return b_.CreateBitCast(v, b_.getInt64Ty());
                return b_.CreateZExt(b_.CreateBitCast(v, b_.getInt32Ty()), b_.getInt64Ty());
            };
            f.a = bits(a);
            f.b = bits(b);
            values_.flags(index) = f;
            return true;
        }
        case Op::FCvt32To64:
            define_checked(i, index,
                           strict(intrinsic::experimental_constrained_fpext, b_.getDoubleTy(),
                                  {values_.fp(i.args[0], Type::F32)}),
                           false);
            return true;
        case Op::FCvt64To32:
            define_checked(i, index,
                           strict(intrinsic::experimental_constrained_fptrunc, b_.getFloatTy(),
                                  {values_.fp(i.args[0], Type::F64)}),
                           true);
            return true;
        case Op::FToSInt:
        case Op::FToUInt: to_integer(i, index); return true;
        case Op::FToJavaScript: {
            Value* x = values_.fp(i.args[0], Type::F64);
            Value* v = strict(intrinsic::experimental_constrained_fptosi, b_.getInt32Ty(), {x});
            exits_.guard(b_.CreateICmpNE(v, b_.getInt32(0x8000'0000)));
            // Exact; and -0 is not what 0 becomes.
            Value* back = b_.CreateBitCast(b_.CreateSIToFP(v, b_.getDoubleTy()), b_.getInt64Ty());
            Value* same = b_.CreateICmpEQ(back, b_.CreateBitCast(x, b_.getInt64Ty()));
            values_.def(index, b_.CreateOr(b_.CreateZExt(v, b_.getInt64Ty()),
                                           b_.CreateShl(b_.CreateZExt(same, b_.getInt64Ty()), b_.c64(32))));
            return true;
        }
        case Op::SIntToF:
        case Op::UIntToF: {
            if ((i.imm & 0xff) != 0) return false;
            Value* v = i.aux == 64 ? values_.i64(i.args[0]) : values_.i32(i.args[0]);
            if (i.op == Op::UIntToF) {
                v = b_.CreateZExt(v, b_.getInt64Ty());
                if (i.aux == 64) exits_.guard(b_.CreateICmpSGE(v, b_.c64(0)));
            }
            values_.def(index, strict(intrinsic::experimental_constrained_sitofp, type, {v}));
            return true;
        }
        default: return false;
    }
}

// ---- Vectors

/// An operand whose upper half, if it takes no part, is one: no operation on ones raises a flag.
Value* FpLowering::quiet_operand(const Inst& i, unsigned arg) {
    const unsigned esize = ir::vec_esize(i.aux);
    Value* v = values_.fvec(i.args[arg], esize);
    if (ir::vec_q(i.aux)) return v;
    auto* t = b_.fp_vector(esize);
    Value* ones = llvm::ConstantFP::get(t, 1.0);
    return esize == 3 ? b_.shuffle(v, ones, {0, 2}) : b_.shuffle(v, ones, {0, 1, 4, 5});
}

void FpLowering::define_vector_fp(const Inst& i, Ref index, Value* v) {
    values_.def_vec(index, ir::vec_q(i.aux) ? v : b_.clear_upper(b_.CreateBitCast(v, b_.v128())));
}

bool FpLowering::lower_vector(const Inst& i, Ref index) {
    const unsigned esize = ir::vec_esize(i.aux);
    if (i.op == Op::VFNeg || i.op == Op::VFAbs) {
        const uint64_t sign = uint64_t{1} << ((8u << esize) - 1);
        Value* v = values_.vec(i.args[0], esize);
        values_.def_vec(index, i.op == Op::VFNeg ? b_.CreateXor(v, b_.splat(esize, sign))
                                                 : b_.CreateAnd(v, b_.splat(esize, sign - 1)));
        return true;
    }
    if (slow_ || esize < 2) return false;
    llvm::Type* type = b_.fp_vector(esize);
    const auto arg = [&](unsigned k) { return quiet_operand(i, k); };
    switch (i.op) {
        case Op::VFAdd:
            define_checked(i, index, strict(intrinsic::experimental_constrained_fadd, type, {arg(0), arg(1)}),
                           false);
            return true;
        case Op::VFSub:
            define_checked(i, index, strict(intrinsic::experimental_constrained_fsub, type, {arg(0), arg(1)}),
                           false);
            return true;
        case Op::VFMul:
            define_checked(i, index, strict(intrinsic::experimental_constrained_fmul, type, {arg(0), arg(1)}),
                           true);
            return true;
        case Op::VFDiv:
            define_checked(i, index, strict(intrinsic::experimental_constrained_fdiv, type, {arg(0), arg(1)}),
                           false);
            return true;
        case Op::VFSqrt:
            define_checked(i, index, strict(intrinsic::experimental_constrained_sqrt, type, {arg(0)}), false);
            return true;
        case Op::VFMulAdd:
            define_checked(i, index,
                           strict(intrinsic::experimental_constrained_fma, type, {arg(1), arg(2), arg(0)}),
                           true);
            return true;
        case Op::VFCmpEq:
        case Op::VFCmpGe:
        case Op::VFCmpGt: {
            const P p = i.op == Op::VFCmpEq ? P::FCMP_OEQ : i.op == Op::VFCmpGe ? P::FCMP_OGE : P::FCMP_OGT;
            Value* c = strict_compare(p, arg(0), arg(1), i.op != Op::VFCmpEq);
            define_vector_fp(i, index, b_.CreateSExt(c, b_.int_vector(esize)));
            return true;
        }
        default: return false;
    }
}

}  // namespace arclight::jit::tier2
