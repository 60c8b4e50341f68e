// Vectors of integers: plain LLVM vector operations.
#include "jit/llvm/vector_lowering.h"

#include <llvm/IR/Intrinsics.h>

#include "jit/guest_state.h"
#include "jit/llvm/host_intrinsics.h"
#include "jit/softfloat/environment.h"

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;

namespace intrinsic = llvm::Intrinsic;

/// FPSR.QC, if any lane of `saturated` differs from `exact`.
void VectorLowering::note_saturation(Value* saturated, Value* exact) {
    Value* differ = b_.CreateICmpNE(saturated, exact);
    const unsigned lanes = llvm::cast<llvm::FixedVectorType>(differ->getType())->getNumElements();
    Value* any = b_.CreateICmpNE(b_.CreateBitCast(differ, b_.getIntNTy(lanes)),
                                 llvm::ConstantInt::get(b_.getIntNTy(lanes), 0));
    BasicBlock *set = b_.new_block(), *next = b_.new_block();
    b_.CreateCondBr(any, set, next, b_.unlikely());
    b_.SetInsertPoint(set);
    Value* fpsr = b_.load_state(offsetof(GuestState, fpsr), b_.getInt32Ty(), 4);
    b_.store_state(offsetof(GuestState, fpsr), b_.CreateOr(fpsr, b_.getInt32(softfloat::kQc)), 4);
    b_.CreateBr(next);
    b_.SetInsertPoint(next);
}

/// By the signed low byte of each element of `by`, to the right if it is negative.
Value* VectorLowering::shift_by_register(Value* x, Value* by, unsigned esize, bool is_signed) {
    const unsigned bits = 8u << esize;
    llvm::Type* t = x->getType();
    Value* n = bits == 8
                   ? by
                   : b_.CreateAShr(b_.CreateShl(by, b_.splat(esize, bits - 8)), b_.splat(esize, bits - 8));
    Value *zero = llvm::Constant::getNullValue(t), *most = b_.splat(esize, bits - 1),
          *size = b_.splat(esize, bits);
    const auto at_most = [&](Value* v) { return b_.CreateIntrinsic(intrinsic::umin, {t}, {v, most}); };
    Value* left = b_.CreateShl(x, at_most(n));
    left = b_.CreateSelect(b_.CreateICmpULT(n, size), left, zero);
    Value* m = b_.CreateNeg(n);
    Value* right;
    if (is_signed) {
        right = b_.CreateAShr(x, at_most(m));
    } else {
        right = b_.CreateSelect(b_.CreateICmpULT(m, size), b_.CreateLShr(x, at_most(m)), zero);
    }
    return b_.CreateSelect(b_.CreateICmpSLT(n, zero), right, left);
}

bool VectorLowering::lower_shift(const Inst& i, Ref index) {
    const unsigned esize = ir::vec_esize(i.aux), bits = 8u << esize, n = static_cast<unsigned>(i.imm & 0xff);
    const auto a = [&] { return values_.vec(i.args[0], esize); };
    const auto b = [&] { return values_.vec(i.args[1], esize); };
    const uint64_t ones = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
    const auto right = [&](Value* x, bool is_signed) -> Value* {
        if (is_signed) return b_.CreateAShr(x, b_.splat(esize, std::min(n, bits - 1)));
        if (n == bits) return llvm::Constant::getNullValue(x->getType());
        return b_.CreateLShr(x, b_.splat(esize, n));
    };
    switch (i.op) {
        case Op::VShlImm: values_.def_vec(index, b_.CreateShl(a(), b_.splat(esize, n))); return true;
        case Op::VShrSImm: values_.def_vec(index, right(a(), true)); return true;
        case Op::VShrUImm: values_.def_vec(index, right(a(), false)); return true;
        case Op::VRShrSImm:
        case Op::VRShrUImm: {
            Value* x = a();
            Value* round = b_.CreateAnd(b_.CreateLShr(x, b_.splat(esize, n - 1)), b_.splat(esize, 1));
            values_.def_vec(index, b_.CreateAdd(right(x, i.op == Op::VRShrSImm), round));
            return true;
        }
        case Op::VSliImm: {
            const uint64_t keep = n == 0 ? 0 : (uint64_t{1} << n) - 1;
            values_.def_vec(index, b_.CreateOr(b_.CreateShl(b(), b_.splat(esize, n)),
                                               b_.CreateAnd(a(), b_.splat(esize, keep))));
            return true;
        }
        case Op::VSriImm: {
            const uint64_t moved = n == bits ? 0 : ones >> n;
            values_.def_vec(
                index, b_.CreateOr(right(b(), false), b_.CreateAnd(a(), b_.splat(esize, ones & ~moved))));
            return true;
        }
        case Op::VShlS:
        case Op::VShlU:
            values_.def_vec(index, shift_by_register(a(), b(), esize, i.op == Op::VShlS));
            return true;
        default: return false;
    }
}

bool VectorLowering::lower_permute(const Inst& i, Ref index) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    const int n = (q ? 16 : 8) >> esize, all = 16 >> esize;
    const auto define = [&](Value* v) {
        values_.def_vec(index, q ? v : b_.clear_upper(b_.CreateBitCast(v, b_.v128())));
    };
    // Of the first n elements of each operand.
    const auto permute = [&](auto&& source) {
        std::vector<int> mask;
        for (int k = 0; k < all; ++k) mask.push_back(k < n ? source(k) : -1);
        define(b_.shuffle(values_.vec(i.args[0], esize), values_.vec(i.args[1], esize), mask));
    };
    const auto of = [&](int k) { return k < n ? k : all + k - n; };
    switch (i.op) {
        case Op::VZip1: permute([&](int k) { return (k & 1) * all + k / 2; }); return true;
        case Op::VZip2: permute([&](int k) { return (k & 1) * all + n / 2 + k / 2; }); return true;
        case Op::VUzp1: permute([&](int k) { return of(2 * k); }); return true;
        case Op::VUzp2: permute([&](int k) { return of(2 * k + 1); }); return true;
        case Op::VTrn1: permute([&](int k) { return (k & 1) * all + (k & ~1); }); return true;
        case Op::VTrn2: permute([&](int k) { return (k & 1) * all + (k | 1); }); return true;
        case Op::VExt: {
            const int bytes = q ? 16 : 8;
            std::vector<int> mask;
            for (int k = 0; k < 16; ++k) {
                const int at = k + static_cast<int>(i.imm);
                mask.push_back(k >= bytes ? -1 : at < bytes ? at : 16 + at - bytes);
            }
            define(b_.shuffle(values_.vec(i.args[0], 0), values_.vec(i.args[1], 0), mask));
            return true;
        }
        case Op::VRev: {
            const int per = static_cast<int>(i.imm) >> (3 + esize);
            std::vector<int> mask;
            for (int k = 0; k < all; ++k) mask.push_back(k / per * per + per - 1 - k % per);
            Value* v = values_.vec(i.args[0], esize);
            values_.def_vec(index, b_.CreateShuffleVector(v, mask));
            return true;
        }
        case Op::VDup: {
            Value* v = b_.CreateZExtOrTrunc(values_.i64(i.args[0]), b_.getIntNTy(8u << esize));
            define(b_.CreateVectorSplat(static_cast<unsigned>(all), v));
            return true;
        }
        case Op::VDupLane: {
            const std::vector<int> mask(static_cast<size_t>(all), static_cast<int>(i.imm));
            values_.def_vec(index, b_.CreateShuffleVector(values_.vec(i.args[0], esize), mask));
            return true;
        }
        case Op::VTbl:
        case Op::VTbx: {
            const bool keep = i.op == Op::VTbx;
            Value *table = values_.vec(i.args[keep ? 1 : 0], 0), *by = values_.vec(i.args[keep ? 2 : 1], 0);
            Value* wanted = b_.CreateIntrinsic(intrinsic::uadd_sat, {by->getType()}, {by, b_.splat(0, 0x70)});
            Value* v = shuffle_bytes(b_, table, wanted);
            if (keep)
                v = b_.CreateSelect(b_.CreateICmpUGT(by, b_.splat(0, 15)), values_.vec(i.args[0], 0), v);
            values_.def_vec(index, v);
            return true;
        }
        case Op::VHighToLow: {
            Value* v = values_.vec(i.args[0], 3);
            values_.def_vec(index, b_.shuffle(v, llvm::Constant::getNullValue(v->getType()), {1, 2}));
            return true;
        }
        case Op::VCombine:
            values_.def_vec(index, b_.shuffle(values_.vec(i.args[0], 3), values_.vec(i.args[1], 3), {0, 2}));
            return true;
        case Op::VExtractU:
        case Op::VExtractS: {
            Value* v = b_.CreateExtractElement(values_.vec(i.args[0], esize), i.imm);
            llvm::Type* t = i.type == Type::I32 ? b_.getInt32Ty() : b_.getInt64Ty();
            values_.def(index,
                        i.op == Op::VExtractS ? b_.CreateSExtOrTrunc(v, t) : b_.CreateZExtOrTrunc(v, t));
            return true;
        }
        case Op::VInsert: {
            Value* v = b_.CreateZExtOrTrunc(values_.i64(i.args[1]), b_.getIntNTy(8u << esize));
            values_.def_vec(index, b_.CreateInsertElement(values_.vec(i.args[0], esize), v, i.imm));
            return true;
        }
        case Op::VInsertLane: {
            Value* v = b_.CreateExtractElement(values_.vec(i.args[1], esize), i.imm >> 4);
            values_.def_vec(index, b_.CreateInsertElement(values_.vec(i.args[0], esize), v, i.imm & 15));
            return true;
        }
        default: return false;
    }
}

bool VectorLowering::lower_widen(const Inst& i, Ref index) {
    const unsigned esize = ir::vec_esize(i.aux), bits = 8u << esize;
    const auto wide = [&](Value* v, bool is_signed) {
        auto* t = llvm::VectorType::getExtendedElementVectorType(llvm::cast<llvm::VectorType>(v->getType()));
        return is_signed ? b_.CreateSExt(v, t) : b_.CreateZExt(v, t);
    };
    const auto define_narrow = [&](Value* half) {
        const unsigned n = llvm::cast<llvm::FixedVectorType>(half->getType())->getNumElements();
        std::vector<int> mask;
        for (unsigned k = 0; k < 2 * n; ++k) mask.push_back(static_cast<int>(k));
        values_.def_vec(index, b_.shuffle(half, llvm::Constant::getNullValue(half->getType()), mask));
    };
    switch (i.op) {
        case Op::VXtn: {
            if (esize > 2) return false;
            Value* v = values_.vec(i.args[0], esize + 1);
            auto* t = llvm::FixedVectorType::get(b_.getIntNTy(bits), 8u >> esize);
            define_narrow(b_.CreateTrunc(v, t));
            return true;
        }
        case Op::VQXtnS:
        case Op::VQXtnU:
        case Op::VQXtun: {
            if (esize > 2) return false;
            Value* v = values_.vec(i.args[0], esize + 1);
            llvm::Type* t = v->getType();
            const uint64_t half = uint64_t{1} << (bits - 1);
            Value* r;
            if (i.op == Op::VQXtnU) {
                r = b_.CreateIntrinsic(intrinsic::umin, {t}, {v, b_.splat(esize + 1, 2 * half - 1)});
            } else {
                const uint64_t high = i.op == Op::VQXtnS ? half - 1 : 2 * half - 1;
                const uint64_t low = i.op == Op::VQXtnS ? -half : 0;
                r = b_.CreateIntrinsic(intrinsic::smin, {t}, {v, b_.splat(esize + 1, high)});
                r = b_.CreateIntrinsic(intrinsic::smax, {t}, {r, b_.splat(esize + 1, low)});
            }
            note_saturation(r, v);
            define_narrow(b_.CreateTrunc(r, llvm::FixedVectorType::get(b_.getIntNTy(bits), 8u >> esize)));
            return true;
        }
        case Op::VSxtl:
        case Op::VUxtl:
            values_.def_vec(index, wide(b_.low_half(values_.vec(i.args[0], esize)), i.op == Op::VSxtl));
            return true;
        case Op::VMullS:
        case Op::VMullU: {
            const bool s = i.op == Op::VMullS;
            Value *a = wide(b_.low_half(values_.vec(i.args[0], esize)), s),
                  *b = wide(b_.low_half(values_.vec(i.args[1], esize)), s);
            values_.def_vec(index, b_.CreateMul(a, b));
            return true;
        }
        case Op::VAddlPS:
        case Op::VAddlPU: {
            std::vector<int> even, odd;
            for (int k = 0; k < 16 >> esize; k += 2) even.push_back(k), odd.push_back(k + 1);
            Value* v = values_.vec(i.args[0], esize);
            const bool s = i.op == Op::VAddlPS;
            values_.def_vec(index, b_.CreateAdd(wide(b_.CreateShuffleVector(v, even), s),
                                                wide(b_.CreateShuffleVector(v, odd), s)));
            return true;
        }
        case Op::VSDot:
        case Op::VUDot:
        case Op::VUSDot:
        case Op::VSMmla:
        case Op::VUMmla:
        case Op::VUSMmla: {
            const bool matrix = i.op == Op::VSMmla || i.op == Op::VUMmla || i.op == Op::VUSMmla;
            const bool first_signed = i.op == Op::VSDot || i.op == Op::VSMmla;
            const bool second_signed = i.op != Op::VUDot && i.op != Op::VUMmla;
            auto* t = llvm::FixedVectorType::get(b_.getInt32Ty(), 4);
            Value *a = values_.vec(i.args[1], 0), *b = values_.vec(i.args[2], 0),
                  *sum = values_.vec(i.args[0], 2);
            for (int part = 0; part < (matrix ? 8 : 4); ++part) {
                std::vector<int> first{part, 4 + part, 8 + part, 12 + part}, second = first;
                if (matrix) {
                    first = {part, part, 8 + part, 8 + part};
                    second = {part, 8 + part, part, 8 + part};
                }
                Value *x = b_.CreateShuffleVector(a, first), *y = b_.CreateShuffleVector(b, second);
                x = first_signed ? b_.CreateSExt(x, t) : b_.CreateZExt(x, t);
                y = second_signed ? b_.CreateSExt(y, t) : b_.CreateZExt(y, t);
                sum = b_.CreateAdd(sum, b_.CreateMul(x, y));
            }
            values_.def_vec(index, sum);
            return true;
        }
        default: return false;
    }
}

/// Pairwise, and across all lanes.
bool VectorLowering::lower_reduce(const Inst& i, Ref index) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    const auto pairwise = [&](auto&& combine) {
        Value *a = values_.vec(i.args[0], esize), *b = values_.vec(i.args[1], esize);
        const int all = 16 >> esize, n = q ? all : all / 2;
        std::vector<int> even, odd;
        for (int k = 0; k < all; ++k) {
            const int at = 2 * k;
            even.push_back(k >= n ? -1 : at < n ? at : all + at - n);
            odd.push_back(k >= n ? -1 : even.back() + 1);
        }
        Value* r = b_.CreateBitCast(combine(b_.shuffle(a, b, even), b_.shuffle(a, b, odd)), b_.v128());
        values_.def(index, q ? r : b_.clear_upper(r));
    };
    const auto by = [&](intrinsic::ID id) {
        return [this, id](Value* x, Value* y) { return b_.CreateIntrinsic(id, {x->getType()}, {x, y}); };
    };
    const auto across = [&](Value* v, auto&& reduce) {
        if (!q) v = b_.low_half(v);
        values_.def(index, b_.zext_lane(reduce(v)));
    };
    const auto longer = [&](Value* v, bool is_signed) -> Value* {
        auto* t = llvm::VectorType::getExtendedElementVectorType(llvm::cast<llvm::VectorType>(v->getType()));
        return is_signed ? b_.CreateSExt(v, t) : b_.CreateZExt(v, t);
    };
    const auto a = [&] { return values_.vec(i.args[0], esize); };
    switch (i.op) {
        case Op::VAddP: pairwise([&](Value* x, Value* y) { return b_.CreateAdd(x, y); }); return true;
        case Op::VMaxPS: pairwise(by(intrinsic::smax)); return true;
        case Op::VMaxPU: pairwise(by(intrinsic::umax)); return true;
        case Op::VMinPS: pairwise(by(intrinsic::smin)); return true;
        case Op::VMinPU: pairwise(by(intrinsic::umin)); return true;
        case Op::VAddV: across(a(), [&](Value* v) { return b_.CreateAddReduce(v); }); return true;
        case Op::VMaxVS: across(a(), [&](Value* v) { return b_.CreateIntMaxReduce(v, true); }); return true;
        case Op::VMaxVU: across(a(), [&](Value* v) { return b_.CreateIntMaxReduce(v, false); }); return true;
        case Op::VMinVS: across(a(), [&](Value* v) { return b_.CreateIntMinReduce(v, true); }); return true;
        case Op::VMinVU: across(a(), [&](Value* v) { return b_.CreateIntMinReduce(v, false); }); return true;
        case Op::VAddlVS:
        case Op::VAddlVU:
            across(a(), [&](Value* v) { return b_.CreateAddReduce(longer(v, i.op == Op::VAddlVS)); });
            return true;
        default: return false;
    }
}

bool VectorLowering::lower_crypto(const Inst& i, Ref index) {
    const auto arg = [&](unsigned k) { return values_.vec(i.args[k], 3); };
    switch (i.op) {
        case Op::VAesE:
        case Op::VAesD:
            values_.def_vec(index, aes_last_round(b_, b_.CreateXor(arg(0), arg(1)), i.op == Op::VAesD));
            return true;
        case Op::VAesMc: values_.def_vec(index, aes_mix_columns(b_, arg(0))); return true;
        case Op::VAesImc: values_.def_vec(index, aes_inverse_mix_columns(b_, arg(0))); return true;
        case Op::VPMull64: values_.def_vec(index, carryless_multiply(b_, arg(0), arg(1))); return true;
        default: return false;
    }
}

bool VectorLowering::lower(const Inst& i, Ref index) {
    const unsigned esize = ir::vec_esize(i.aux);
    const bool q = ir::vec_q(i.aux);
    const auto a = [&] { return values_.vec(i.args[0], esize); };
    const auto b = [&] { return values_.vec(i.args[1], esize); };
    const auto bits = [&](unsigned k) { return values_.vec(i.args[k], 3); };
    const auto two = [&](intrinsic::ID id) {
        Value *x = a(), *y = b();
        values_.def_vec(index, b_.CreateIntrinsic(id, {x->getType()}, {x, y}));
        return true;
    };
    const auto compare = [&](llvm::CmpInst::Predicate p) {
        Value *x = a(), *y = b();
        values_.def_vec(index, b_.CreateSExt(b_.CreateICmp(p, x, y), x->getType()));
        return true;
    };
    const auto halving = [&](bool is_signed, bool subtract, bool round) {
        if (esize > 2) throw Unsupported{};
        Value *x = a(), *y = b();
        auto* t = llvm::VectorType::getExtendedElementVectorType(llvm::cast<llvm::VectorType>(x->getType()));
        Value* wx = is_signed ? b_.CreateSExt(x, t) : b_.CreateZExt(x, t);
        Value* wy = is_signed ? b_.CreateSExt(y, t) : b_.CreateZExt(y, t);
        Value* r = subtract ? b_.CreateSub(wx, wy) : b_.CreateAdd(wx, wy);
        if (round) r = b_.CreateAdd(r, llvm::ConstantInt::get(t, 1));
        values_.def_vec(index, b_.CreateTrunc(b_.CreateLShr(r, llvm::ConstantInt::get(t, 1)), x->getType()));
        return true;
    };
    const auto saturating = [&](intrinsic::ID id, bool subtract) {
        const auto operand = [&](unsigned k) {
            Value* v = values_.vec(i.args[k]);
            return b_.CreateBitCast(q ? v : b_.clear_upper(v), b_.int_vector(esize));
        };
        Value *x = operand(0), *y = operand(1);
        Value* r = b_.CreateIntrinsic(id, {x->getType()}, {x, y});
        note_saturation(r, subtract ? b_.CreateSub(x, y) : b_.CreateAdd(x, y));
        values_.def_vec(index, r);
        return true;
    };
    using P = llvm::CmpInst::Predicate;
    switch (i.op) {
        case Op::VConst:
            values_.def(
                index,
                b_.CreateBitCast(llvm::ConstantVector::get({b_.getInt64(i.imm), b_.getInt64(q ? i.imm : 0)}),
                                 b_.v128()));
            return true;
        case Op::VAnd: values_.def_vec(index, b_.CreateAnd(bits(0), bits(1))); return true;
        case Op::VOr: values_.def_vec(index, b_.CreateOr(bits(0), bits(1))); return true;
        case Op::VXor: values_.def_vec(index, b_.CreateXor(bits(0), bits(1))); return true;
        case Op::VAndNot: values_.def_vec(index, b_.CreateAnd(bits(0), b_.CreateNot(bits(1)))); return true;
        case Op::VOrNot: values_.def_vec(index, b_.CreateOr(bits(0), b_.CreateNot(bits(1)))); return true;
        case Op::VNot: values_.def_vec(index, b_.CreateNot(bits(0))); return true;
        case Op::VBitSelect: {
            Value *mask = bits(0), *x = bits(1), *y = bits(2);
            values_.def_vec(index, b_.CreateOr(b_.CreateAnd(mask, x), b_.CreateAnd(b_.CreateNot(mask), y)));
            return true;
        }
        case Op::VZext64:
            values_.def(index, values_.get(i.args[0])->getType()->isDoubleTy()
                                   ? values_.get(i.args[0])
                                   : b_.clear_upper(values_.vec(i.args[0])));
            return true;
        case Op::VZext32:
        case Op::VZext16:
        case Op::VZext8: {
            const unsigned size = i.op == Op::VZext32 ? 2 : i.op == Op::VZext16 ? 1 : 0;
            values_.def(index,
                        b_.zext_lane(b_.CreateExtractElement(values_.vec(i.args[0], size), uint64_t{0})));
            return true;
        }
        case Op::VAdd: values_.def_vec(index, b_.CreateAdd(a(), b())); return true;
        case Op::VSub: values_.def_vec(index, b_.CreateSub(a(), b())); return true;
        case Op::VMul: values_.def_vec(index, b_.CreateMul(a(), b())); return true;
        case Op::VNeg: values_.def_vec(index, b_.CreateNeg(a())); return true;
        case Op::VAbs:
            values_.def_vec(index,
                            b_.CreateIntrinsic(intrinsic::abs, {b_.int_vector(esize)}, {a(), b_.getFalse()}));
            return true;
        case Op::VCmpEq: return compare(P::ICMP_EQ);
        case Op::VCmpGtS: return compare(P::ICMP_SGT);
        case Op::VCmpGeS: return compare(P::ICMP_SGE);
        case Op::VCmpGtU: return compare(P::ICMP_UGT);
        case Op::VCmpGeU: return compare(P::ICMP_UGE);
        case Op::VCmpTst: {
            Value* x = b_.CreateAnd(a(), b());
            values_.def_vec(
                index,
                b_.CreateSExt(b_.CreateICmpNE(x, llvm::Constant::getNullValue(x->getType())), x->getType()));
            return true;
        }
        case Op::VMaxS: return two(intrinsic::smax);
        case Op::VMaxU: return two(intrinsic::umax);
        case Op::VMinS: return two(intrinsic::smin);
        case Op::VMinU: return two(intrinsic::umin);
        case Op::VAbdS:
        case Op::VAbdU: {
            Value *x = a(), *y = b();
            const bool s = i.op == Op::VAbdS;
            Value* hi = b_.CreateIntrinsic(s ? intrinsic::smax : intrinsic::umax, {x->getType()}, {x, y});
            Value* lo = b_.CreateIntrinsic(s ? intrinsic::smin : intrinsic::umin, {x->getType()}, {x, y});
            values_.def_vec(index, b_.CreateSub(hi, lo));
            return true;
        }
        case Op::VHAddS: return halving(true, false, false);
        case Op::VHAddU: return halving(false, false, false);
        case Op::VRHAddS: return halving(true, false, true);
        case Op::VRHAddU: return halving(false, false, true);
        case Op::VHSubS: return halving(true, true, false);
        case Op::VHSubU: return halving(false, true, false);
        case Op::VQAddS: return saturating(intrinsic::sadd_sat, false);
        case Op::VQAddU: return saturating(intrinsic::uadd_sat, false);
        case Op::VQSubS: return saturating(intrinsic::ssub_sat, true);
        case Op::VQSubU: return saturating(intrinsic::usub_sat, true);
        case Op::VClz:
            values_.def_vec(
                index, b_.CreateIntrinsic(intrinsic::ctlz, {b_.int_vector(esize)}, {a(), b_.getFalse()}));
            return true;
        case Op::VCnt:
            values_.def_vec(
                index, b_.CreateIntrinsic(intrinsic::ctpop, {b_.int_vector(0)}, {values_.vec(i.args[0], 0)}));
            return true;
        case Op::VRbit:
            values_.def_vec(index, b_.CreateIntrinsic(intrinsic::bitreverse, {b_.int_vector(0)},
                                                      {values_.vec(i.args[0], 0)}));
            return true;
        default: break;
    }
    return lower_shift(i, index) || lower_permute(i, index) || lower_widen(i, index) ||
           lower_reduce(i, index) || lower_crypto(i, index);
}

}  // namespace arclight::jit::tier2
