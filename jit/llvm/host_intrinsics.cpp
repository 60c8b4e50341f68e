#include "jit/llvm/host_intrinsics.h"

#include <llvm/IR/IntrinsicsX86.h>

namespace arclight::jit::tier2 {

namespace intrinsic = llvm::Intrinsic;

Value* crc32c(RegionIrBuilder& b, Value* crc, Value* data, unsigned log2) {
    constexpr intrinsic::ID kBySize[] = {intrinsic::x86_sse42_crc32_32_8, intrinsic::x86_sse42_crc32_32_16,
                                         intrinsic::x86_sse42_crc32_32_32};
    if (log2 < 3)
        return b.CreateIntrinsic(b.getInt32Ty(), kBySize[log2],
                                 {crc, b.CreateTrunc(data, b.getIntNTy(8u << log2))});
    Value* wide = b.CreateIntrinsic(b.getInt64Ty(), intrinsic::x86_sse42_crc32_64_64,
                                    {b.CreateZExt(crc, b.getInt64Ty()), data});
    return b.CreateTrunc(wide, b.getInt32Ty());
}

Value* shuffle_bytes(RegionIrBuilder& b, Value* table, Value* indices) {
    return b.CreateIntrinsic(table->getType(), intrinsic::x86_ssse3_pshuf_b_128, {table, indices});
}

Value* aes_last_round(RegionIrBuilder& b, Value* v, bool inverse) {
    const auto id = inverse ? intrinsic::x86_aesni_aesdeclast : intrinsic::x86_aesni_aesenclast;
    return b.CreateIntrinsic(v->getType(), id, {v, llvm::Constant::getNullValue(v->getType())});
}

Value* aes_mix_columns(RegionIrBuilder& b, Value* v) {
    // A round does ShiftRows and SubBytes first: the inverse of those is undone by it.
    return b.CreateIntrinsic(v->getType(), intrinsic::x86_aesni_aesenc,
                             {aes_last_round(b, v, true), llvm::Constant::getNullValue(v->getType())});
}

Value* aes_inverse_mix_columns(RegionIrBuilder& b, Value* v) {
    return b.CreateIntrinsic(v->getType(), intrinsic::x86_aesni_aesimc, {v});
}

Value* carryless_multiply(RegionIrBuilder& b, Value* v, Value* w) {
    return b.CreateIntrinsic(v->getType(), intrinsic::x86_pclmulqdq, {v, w, b.getInt8(0)});
}

}  // namespace arclight::jit::tier2
