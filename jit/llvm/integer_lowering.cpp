#include "jit/llvm/integer_lowering.h"

#include <llvm/IR/Intrinsics.h>

#include "jit/guest_state.h"
#include "jit/llvm/host_intrinsics.h"

namespace arclight::jit::tier2 {

using ir::Inst;
using ir::Op;
using ir::Ref;
using ir::Type;

namespace intrinsic = llvm::Intrinsic;

Value* IntegerLowering::bit_field(const Inst& i, bool is_signed) {
    const unsigned lsb = i.imm & 0xff, width = i.imm >> 8 & 0xff, size = i.type == Type::I32 ? 32 : 64;
    Value* v = b_.CreateShl(values_.integer(i.args[0], i.type), size - lsb - width);
    return is_signed ? b_.CreateAShr(v, size - width) : b_.CreateLShr(v, size - width);
}

Value* IntegerLowering::crc32(const Inst& i) {
    const unsigned log2 = i.aux & 3;
    if ((i.aux & 8) == 0) throw Unsupported{};
    return crc32c(b_, values_.i32(i.args[0]), values_.i64(i.args[1]), log2);
}

bool IntegerLowering::lower(const Inst& i, Ref index) {
    const bool wide = i.type == Type::I64;
    const unsigned size = wide ? 64 : 32;
    llvm::Type* type = wide ? b_.getInt64Ty() : b_.getInt32Ty();
    const auto arg = [&](unsigned k) { return values_.integer(i.args[k], i.type); };
    const auto constant = [&](uint64_t v) { return llvm::ConstantInt::get(type, v); };
    const auto count = [&] { return b_.CreateAnd(arg(1), constant(size - 1)); };
    const auto extend = [&](unsigned bits, bool is_signed) {
        Value* v = b_.CreateTrunc(values_.i64(i.args[0]), b_.getIntNTy(bits));
        return is_signed ? b_.CreateSExt(v, type) : b_.CreateZExt(v, type);
    };
    switch (i.op) {
        case Op::Add: values_.def(index, b_.CreateAdd(arg(0), arg(1))); return true;
        case Op::Sub: values_.def(index, b_.CreateSub(arg(0), arg(1))); return true;
        case Op::And: values_.def(index, b_.CreateAnd(arg(0), arg(1))); return true;
        case Op::Or: values_.def(index, b_.CreateOr(arg(0), arg(1))); return true;
        case Op::Xor: values_.def(index, b_.CreateXor(arg(0), arg(1))); return true;
        case Op::AndNot: values_.def(index, b_.CreateAnd(arg(0), b_.CreateNot(arg(1)))); return true;
        case Op::OrNot: values_.def(index, b_.CreateOr(arg(0), b_.CreateNot(arg(1)))); return true;
        case Op::XorNot: values_.def(index, b_.CreateXor(arg(0), b_.CreateNot(arg(1)))); return true;
        case Op::Mul: values_.def(index, b_.CreateMul(arg(0), arg(1))); return true;
        case Op::UMulHigh:
        case Op::SMulHigh: {
            llvm::Type* t = b_.getInt128Ty();
            const bool u = i.op == Op::UMulHigh;
            Value* a =
                u ? b_.CreateZExt(values_.i64(i.args[0]), t) : b_.CreateSExt(values_.i64(i.args[0]), t);
            Value* b =
                u ? b_.CreateZExt(values_.i64(i.args[1]), t) : b_.CreateSExt(values_.i64(i.args[1]), t);
            values_.def(index, b_.CreateTrunc(b_.CreateLShr(b_.CreateMul(a, b), 64), b_.getInt64Ty()));
            return true;
        }
        case Op::UDiv:
        case Op::SDiv: {
            // x / 0 = 0, and MIN / -1 = MIN, which is what 0 - MIN gives.
            Value *a = arg(0), *b = arg(1), *zero = constant(0);
            Value* by_zero = b_.CreateICmpEQ(b, zero);
            if (i.op == Op::UDiv) {
                Value* q = b_.CreateUDiv(a, b_.CreateSelect(by_zero, constant(1), b));
                values_.def(index, b_.CreateSelect(by_zero, zero, q));
                return true;
            }
            Value* minus_one = b_.CreateICmpEQ(b, constant(~uint64_t{0}));
            Value* q = b_.CreateSDiv(a, b_.CreateSelect(b_.CreateOr(by_zero, minus_one), constant(1), b));
            q = b_.CreateSelect(minus_one, b_.CreateNeg(a), q);
            values_.def(index, b_.CreateSelect(by_zero, zero, q));
            return true;
        }
        case Op::Shl: values_.def(index, b_.CreateShl(arg(0), count())); return true;
        case Op::Shr: values_.def(index, b_.CreateLShr(arg(0), count())); return true;
        case Op::Sar: values_.def(index, b_.CreateAShr(arg(0), count())); return true;
        case Op::Ror:
            values_.def(index, b_.CreateIntrinsic(intrinsic::fshr, {type}, {arg(0), arg(0), arg(1)}));
            return true;
        case Op::SExt8: values_.def(index, extend(8, true)); return true;
        case Op::SExt16: values_.def(index, extend(16, true)); return true;
        case Op::SExt32: values_.def(index, b_.CreateSExt(values_.i32(i.args[0]), type)); return true;
        case Op::ZExt8: values_.def(index, extend(8, false)); return true;
        case Op::ZExt16: values_.def(index, extend(16, false)); return true;
        case Op::ZExt32:
            values_.def(index, b_.CreateZExt(values_.i32(i.args[0]), b_.getInt64Ty()));
            return true;
        case Op::Clz:
            values_.def(index, b_.CreateIntrinsic(intrinsic::ctlz, {type}, {arg(0), b_.getFalse()}));
            return true;
        case Op::Cls: {
            Value* x = arg(0);
            Value* y = b_.CreateXor(x, b_.CreateAShr(x, size - 1));
            Value* n = b_.CreateIntrinsic(intrinsic::ctlz, {type}, {y, b_.getFalse()});
            values_.def(index, b_.CreateSub(n, constant(1)));
            return true;
        }
        case Op::Rbit:
            values_.def(index, b_.CreateIntrinsic(intrinsic::bitreverse, {type}, {arg(0)}));
            return true;
        case Op::Rev: values_.def(index, b_.CreateIntrinsic(intrinsic::bswap, {type}, {arg(0)})); return true;
        case Op::Rev16: {
            const uint64_t mask = 0x00ff'00ff'00ff'00ff;
            Value* x = arg(0);
            values_.def(index, b_.CreateOr(b_.CreateAnd(b_.CreateLShr(x, 8), constant(mask)),
                                           b_.CreateShl(b_.CreateAnd(x, constant(mask)), 8)));
            return true;
        }
        case Op::Rev32: {
            Value* x = b_.CreateIntrinsic(intrinsic::bswap, {b_.getInt64Ty()}, {values_.i64(i.args[0])});
            values_.def(index, b_.CreateIntrinsic(intrinsic::fshl, {b_.getInt64Ty()}, {x, x, b_.c64(32)}));
            return true;
        }
        case Op::Extr:
            if (i.imm == 0) {
                values_.def(index, arg(1));
            } else {
                values_.def(index,
                            b_.CreateIntrinsic(intrinsic::fshr, {type}, {arg(0), arg(1), constant(i.imm)}));
            }
            return true;
        case Op::BitInsert: {
            const unsigned lsb = i.imm & 0xff, width = i.imm >> 8 & 0xff;
            const uint64_t ones = width >= 64 ? ~uint64_t{0} : (uint64_t{1} << width) - 1, mask = ones << lsb;
            Value* field = b_.CreateShl(b_.CreateAnd(arg(1), constant(ones)), lsb);
            values_.def(index, b_.CreateOr(b_.CreateAnd(arg(0), constant(~mask)), field));
            return true;
        }
        case Op::BitExtractU: values_.def(index, bit_field(i, false)); return true;
        case Op::BitExtractS: values_.def(index, bit_field(i, true)); return true;
        case Op::Crc32: values_.def(index, crc32(i)); return true;
        case Op::BoolToInt: values_.def(index, b_.CreateZExt(values_.boolean(i.args[0]), type)); return true;
        case Op::IsZero:
        case Op::IsNotZero: {
            Value* v = i.aux == 32 ? values_.i32(i.args[0]) : values_.i64(i.args[0]);
            Value* zero = llvm::Constant::getNullValue(v->getType());
            values_.def(index, i.op == Op::IsZero ? b_.CreateICmpEQ(v, zero) : b_.CreateICmpNE(v, zero));
            return true;
        }
        case Op::TestBit:
            values_.def(index,
                        b_.CreateICmpNE(b_.CreateAnd(values_.i64(i.args[0]), b_.c64(uint64_t{1} << i.imm)),
                                        b_.c64(0)));
            return true;
        case Op::Not1: values_.def(index, b_.CreateNot(values_.boolean(i.args[0]))); return true;

        case Op::Adc:
        case Op::Sbc: {
            Value* b = i.op == Op::Sbc ? b_.CreateNot(arg(1)) : arg(1);
            Value* c = b_.CreateZExt(flags_.carry(values_.flags(i.args[2])), type);
            values_.def(index, b_.CreateAdd(b_.CreateAdd(arg(0), b), c));
            return true;
        }
        case Op::FlagsOf: values_.flags(index) = flags_.flags_of(values_, i.args[0]); return true;
        case Op::Cond:
            values_.def(index, flags_.condition(values_.flags(i.args[0]), static_cast<unsigned>(i.imm)));
            return true;
        case Op::CondCompare: {
            Flags f;
            f.kind = Flags::CondCompare;
            f.wide = (i.aux & ~1u) == 64;
            f.add = (i.aux & 1) != 0;
            f.c = values_.boolean(i.args[0]);
            f.a = values_.i64(i.args[1]);
            f.b = values_.i64(i.args[2]);
            f.imm = i.imm & 15;
            values_.flags(index) = f;
            return true;
        }
        case Op::FlagsFromNzcv: {
            Value* v = values_.i64(i.args[0]);
            const auto move = [&](unsigned from, unsigned to) {
                return b_.CreateShl(b_.CreateAnd(b_.CreateLShr(v, from), b_.c64(1)), to);
            };
            Flags f;
            f.kind = Flags::Packed;
            f.a = b_.CreateOr(b_.CreateOr(move(31, kFlagNBit), move(30, kFlagZBit)),
                              b_.CreateOr(move(29, kFlagCBit), move(28, kFlagVBit)));
            values_.flags(index) = f;
            return true;
        }
        case Op::NzcvFromFlags: {
            const GuestFlags::Bits x = flags_.bits(values_.flags(i.args[0]));
            const auto place = [&](Value* bit, unsigned n) {
                return b_.CreateShl(b_.CreateZExt(bit, b_.getInt64Ty()), b_.c64(n));
            };
            values_.def(index, b_.CreateOr(b_.CreateOr(place(x.n, 31), place(x.z, 30)),
                                           b_.CreateOr(place(x.c, 29), place(x.v, 28))));
            return true;
        }
        default: return false;
    }
}

}  // namespace arclight::jit::tier2
