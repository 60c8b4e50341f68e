// LLVM's x86 intrinsics: the only ones here that other hosts do not have.
#pragma once

#include "jit/llvm/region_ir_builder.h"

namespace arclight::jit::tier2 {

/// CRC-32C of 1 << log2 bytes, the lowest of `data` (i64), on top of `crc` (i32).
Value* crc32c(RegionIrBuilder& b, Value* crc, Value* data, unsigned log2);

/// Bytes of `table`, those that the lower 4 bits of the bytes of `indices` number; 0 where bit 7 is set. Vectors of
/// 16 bytes.
Value* shuffle_bytes(RegionIrBuilder& b, Value* table, Value* indices);

// Vectors of 2 x i64.
/// ShiftRows and SubBytes of AES, or their inverses.
Value* aes_last_round(RegionIrBuilder& b, Value* v, bool inverse);
Value* aes_mix_columns(RegionIrBuilder& b, Value* v);
Value* aes_inverse_mix_columns(RegionIrBuilder& b, Value* v);
/// The 128-bit carry-less product of the lower halves.
Value* carryless_multiply(RegionIrBuilder& b, Value* v, Value* w);

}  // namespace arclight::jit::tier2
