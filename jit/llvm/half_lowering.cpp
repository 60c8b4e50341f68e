// Half precision as singles, fused operations as doubles: backend/x64/emit_vector_half.cpp says why that is right.
// What host and ARM might disagree on is looked for after each operation.
#include <llvm/IR/Intrinsics.h>

#include <numeric>

#include "jit/llvm/fp_lowering.h"

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;

namespace intrinsic = llvm::Intrinsic;
using P = llvm::CmpInst::Predicate;

namespace {
llvm::Type* with_lane(llvm::Type* like, llvm::Type* lane) {
    const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(like);
    return vector != nullptr ? llvm::FixedVectorType::get(lane, vector->getNumElements()) : lane;
}
unsigned lanes_of(const Inst& i) { return ir::vec_scalar(i.aux) ? 1 : ir::vec_q(i.aux) ? 8 : 4; }
}  // namespace

/// The lowest halves of a value; one is no vector.
Value* FpLowering::half_lanes(Ref r, unsigned lanes) {
    Value* all = values_.fvec(r, 1);
    if (lanes == 1) return b_.CreateExtractElement(all, uint64_t{0});
    if (lanes == 8) return all;
    std::vector<int> low(lanes);
    std::iota(low.begin(), low.end(), 0);
    return b_.CreateShuffleVector(all, low);
}

Value* FpLowering::widened(Value* v, llvm::Type* lane) {
    return strict(intrinsic::experimental_constrained_fpext, with_lane(v->getType(), lane), {v});
}

/// Rounded to half precision.
Value* FpLowering::narrowed(Value* v) {
    return strict(intrinsic::experimental_constrained_fptrunc, with_lane(v->getType(), b_.getHalfTy()), {v});
}

/// Halves, or integers of their size; zeros above.
void FpLowering::define_halves(Ref index, Value* halves) {
    Value* bits = b_.CreateBitCast(halves, with_lane(halves->getType(), b_.getInt16Ty()));
    Value* none = llvm::Constant::getNullValue(b_.int_vector(1));
    const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(bits->getType());
    if (vector == nullptr) {
        values_.def_vec(index, b_.CreateInsertElement(none, bits, uint64_t{0}));
        return;
    }
    if (vector->getNumElements() < 8) {
        std::vector<int> all(8);
        std::iota(all.begin(), all.end(), 0);
        bits = b_.shuffle(bits, llvm::Constant::getNullValue(bits->getType()), all);
    }
    values_.def_vec(index, bits);
}

/// Takes the side exit for NaNs and the smallest normal number, see is_bad().
void FpLowering::leave_for_halves(Value* halves) {
    llvm::Type* type = with_lane(halves->getType(), b_.getInt16Ty());
    const auto each = [&](uint64_t v) { return llvm::ConstantInt::get(type, v); };
    Value* magnitude = b_.CreateShl(b_.CreateBitCast(halves, type), each(1));
    leave_if_any(
        b_.CreateOr(b_.CreateICmpUGT(magnitude, each(0xf800)), b_.CreateICmpEQ(magnitude, each(0x0800))));
}

Value* FpLowering::half_fused(const Inst& i, unsigned lanes) {
    const auto arg = [&](unsigned k) {
        return widened(widened(half_lanes(i.args[k], lanes), b_.getFloatTy()), b_.getDoubleTy());
    };
    Value *addend = arg(0), *x = arg(1), *y = arg(2);
    Value* sum = strict(intrinsic::experimental_constrained_fma, x->getType(), {x, y, addend});
    // To a single, rounded to odd.
    llvm::Type* type = with_lane(sum->getType(), b_.getInt64Ty());
    Value* lost = llvm::ConstantInt::get(type, (uint64_t{1} << 29) - 1);
    Value* bits = b_.CreateBitCast(sum, type);
    bits = b_.CreateOr(bits, b_.CreateAdd(b_.CreateAnd(bits, lost), lost));
    bits = b_.CreateAnd(bits, b_.CreateNot(lost));
    return strict(intrinsic::experimental_constrained_fptrunc, with_lane(sum->getType(), b_.getFloatTy()),
                  {b_.CreateBitCast(bits, sum->getType())});
}

/// See FMax in lower_scalar().
Value* FpLowering::half_extremum(Value* a, Value* b, bool max) {
    leave_if_any(b_.CreateFCmpUNO(a, b));
    llvm::Type* bits = with_lane(a->getType(), b_.getInt32Ty());
    const auto pick = [&](Value* x, Value* y) {
        Value* c = strict_compare(max ? P::FCMP_OGT : P::FCMP_OLT, x, y, /*signalling=*/false);
        return b_.CreateBitCast(b_.CreateSelect(c, x, y), bits);
    };
    Value *p = pick(a, b), *q = pick(b, a);
    return b_.CreateBitCast(max ? b_.CreateAnd(p, q) : b_.CreateOr(p, q), a->getType());
}

bool FpLowering::lower_half(const Inst& i, Ref index) {
    if (slow_) return false;
    llvm::Type* single = b_.getFloatTy();
    const auto checked = [&](Value* singles) {
        Value* halves = narrowed(singles);
        leave_for_halves(halves);
        define_halves(index, halves);
        return true;
    };
    switch (i.op) {
        case Op::FCvt16To32:
        case Op::FCvt16To64: {
            Value* v = widened(half_lanes(i.args[0], 1), single);
            leave_if_any(b_.CreateFCmpUNO(v, v));
            values_.def(index, i.op == Op::FCvt16To64 ? widened(v, b_.getDoubleTy()) : v);
            return true;
        }
        case Op::FCvt32To16: return checked(values_.fp(i.args[0], Type::F32));
        case Op::SIntToHalf:
        case Op::UIntToHalf: {
            if ((i.imm & 0xff) != 0) return false;
            Value* v = i.aux == 64 ? values_.i64(i.args[0]) : values_.i32(i.args[0]);
            if (i.op == Op::UIntToHalf) {
                v = b_.CreateZExt(v, b_.getInt64Ty());
                if (i.aux == 64) exits_.guard(b_.CreateICmpSGE(v, b_.c64(0)));
            }
            define_halves(index, narrowed(strict(intrinsic::experimental_constrained_sitofp, single, {v})));
            return true;
        }
        default: break;
    }
    if (i.op < Op::VConst) return false;
    if (i.op == Op::VFMulAddH) {
        const unsigned lanes = ir::vec_q(i.aux) ? 4 : 2;
        Value *x = widened(half_lanes(i.args[1], lanes), single),
              *y = widened(half_lanes(i.args[2], lanes), single);
        Value* addend = values_.fvec(i.args[0], 2);
        if (lanes == 2) addend = b_.CreateShuffleVector(addend, {0, 1});
        Value* v = strict(intrinsic::experimental_constrained_fma, x->getType(), {x, y, addend});
        leave_if_any(is_bad(v));
        if (lanes == 2) v = b_.shuffle(v, llvm::Constant::getNullValue(v->getType()), {0, 1, 2, 3});
        values_.def_vec(index, v);
        return true;
    }
    if (ir::vec_esize(i.aux) != 1) return false;
    const unsigned lanes = lanes_of(i);
    const auto arg = [&](unsigned k) { return widened(half_lanes(i.args[k], lanes), single); };
    llvm::Type* type = lanes == 1 ? single : llvm::FixedVectorType::get(single, lanes);
    switch (i.op) {
        case Op::VFAdd:
            return checked(strict(intrinsic::experimental_constrained_fadd, type, {arg(0), arg(1)}));
        case Op::VFSub:
            return checked(strict(intrinsic::experimental_constrained_fsub, type, {arg(0), arg(1)}));
        case Op::VFMul:
            return checked(strict(intrinsic::experimental_constrained_fmul, type, {arg(0), arg(1)}));
        case Op::VFDiv:
            return checked(strict(intrinsic::experimental_constrained_fdiv, type, {arg(0), arg(1)}));
        case Op::VFSqrt: return checked(strict(intrinsic::experimental_constrained_sqrt, type, {arg(0)}));
        case Op::VFMulAdd: return checked(half_fused(i, lanes));
        case Op::VFMax:
        case Op::VFMaxNum:
        case Op::VFMin:
        case Op::VFMinNum: {
            const bool max = i.op == Op::VFMax || i.op == Op::VFMaxNum;
            Value *a = arg(0), *b = arg(1);
            define_halves(index, narrowed(half_extremum(a, b, max)));
            return true;
        }
        case Op::VFCmpEq:
        case Op::VFCmpGe:
        case Op::VFCmpGt: {
            const P p = i.op == Op::VFCmpEq ? P::FCMP_OEQ : i.op == Op::VFCmpGe ? P::FCMP_OGE : P::FCMP_OGT;
            Value *a = arg(0), *b = arg(1);
            Value* c = strict_compare(p, a, b, i.op != Op::VFCmpEq);
            define_halves(index, b_.CreateSExt(c, with_lane(type, b_.getInt16Ty())));
            return true;
        }
        case Op::VFRint: return checked(integral(arg(0), static_cast<ir::RoundMode>(i.imm & 7)));
        case Op::VSIntToF:
        case Op::VUIntToF: {
            if ((i.imm & 0xff) != 0) return false;
            llvm::Type* wide = with_lane(type, b_.getInt32Ty());
            Value* v = b_.CreateBitCast(half_lanes(i.args[0], lanes), with_lane(type, b_.getInt16Ty()));
            v = i.op == Op::VSIntToF ? b_.CreateSExt(v, wide) : b_.CreateZExt(v, wide);
            define_halves(index, narrowed(strict(intrinsic::experimental_constrained_sitofp, type, {v})));
            return true;
        }
        case Op::VFCvtL: {
            Value* v = widened(half_lanes(i.args[0], 4), single);
            leave_if_any(b_.CreateFCmpUNO(v, v));
            values_.def_vec(index, v);
            return true;
        }
        case Op::VFCvtN: return checked(values_.fvec(i.args[0], 2));
        default: return false;
    }
}

}  // namespace arclight::jit::tier2
