#include "jit/llvm/block_values.h"

namespace arclight::jit::tier2 {

using ir::Ref;
using ir::Type;

void BlockValues::begin_block(const ir::Block& block) {
    block_ = &block;
    values_.assign(block.insts.size(), nullptr);
    flags_.assign(block.insts.size(), {});
}

Value* BlockValues::i64(Ref r) {
    Value* v = values_[r];
    llvm::Type* t = v->getType();
    if (t->isIntegerTy(64)) return v;
    if (t->isIntegerTy()) return b_.CreateZExt(v, b_.getInt64Ty());
    throw Unsupported{};
}

Value* BlockValues::i32(Ref r) {
    Value* v = values_[r];
    llvm::Type* t = v->getType();
    if (t->isIntegerTy(32)) return v;
    if (t->isIntegerTy(64)) return b_.CreateTrunc(v, b_.getInt32Ty());
    throw Unsupported{};
}

Value* BlockValues::fp(Ref r, Type t) {
    Value* v = values_[r];
    llvm::Type* want = t == Type::F64 ? b_.getDoubleTy() : b_.getFloatTy();
    if (v->getType() == want) return v;
    if (v->getType() == b_.v128()) {
        if (t == Type::F64) return b_.CreateExtractElement(v, uint64_t{0});
        return b_.CreateExtractElement(b_.CreateBitCast(v, b_.fp_vector(2)), uint64_t{0});
    }
    // A single out of a double register and the other way round: bits, where they are.
    if (t == Type::F32 && v->getType()->isDoubleTy()) {
        Value* whole = b_.CreateInsertElement(llvm::PoisonValue::get(b_.v128()), v, uint64_t{0});
        return b_.CreateExtractElement(b_.CreateBitCast(whole, b_.fp_vector(2)), uint64_t{0});
    }
    if (t == Type::F64 && v->getType()->isFloatTy())
        return b_.CreateExtractElement(b_.zext_lane(v), uint64_t{0});
    throw Unsupported{};
}

}  // namespace arclight::jit::tier2
