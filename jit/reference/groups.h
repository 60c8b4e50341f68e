// The groups of reference functions, one file each. Every group fills its rows of the table.
#pragma once

#include <array>

#include "jit/reference/reference.h"

namespace arclight::jit::reference {

struct Table {
    std::array<VectorFn, static_cast<size_t>(ir::Op::Count)> rows{};
    VectorFn& operator[](ir::Op op) { return rows[static_cast<size_t>(op)]; }
};

void add_scalar_fp(Table& table);
void add_vector_fp(Table& table);
void add_vector_logic(Table& table);
void add_vector_arithmetic(Table& table);
void add_vector_saturating(Table& table);
void add_vector_shift(Table& table);
void add_vector_widen(Table& table);
void add_vector_reduce(Table& table);
void add_vector_permute(Table& table);
void add_polynomial(Table& table);
void add_bfloat(Table& table);
void add_crc(Table& table);
void add_aes(Table& table);
void add_sha(Table& table);

}  // namespace arclight::jit::reference
