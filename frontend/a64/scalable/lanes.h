// Operations of the IR on each 128 bits of scalable vectors.
#pragma once

#include "frontend/a64/scalable/machine.h"

namespace arclight::frontend::a64::scalable {

/// What `op` makes of up to three vectors of elements of 8 << size bits. SVE's saturation sets no flag (FPSR.QC).
Vector map(Machine& m, jit::ir::Op op, const Vector& a, const Vector& b, const Vector& c, uint64_t imm = 0);
inline Vector map(Machine& m, jit::ir::Op op, const Vector& a, const Vector& b, uint64_t imm = 0) {
    return map(m, op, a, b, a, imm);
}
inline Vector map(Machine& m, jit::ir::Op op, const Vector& a, uint64_t imm = 0) {
    return map(m, op, a, a, a, imm);
}

/// Operands of a predicated floating-point operation, of which inactive elements must raise nothing: those are 1.
Vector harmless(const Machine& m, uint64_t predicate, const Vector& v);

/// Each element is `value`.
Vector repeated(const Machine& m, unsigned size, uint64_t value);

/// -x, but with FPCR.AH of a NaN the NaN.
Vector negated(const Machine& m, const Vector& v);

/// One, and a half, of elements of 8 << size bits.
constexpr uint64_t fp_one(unsigned size) {
    return size == 3 ? 0x3ff0'0000'0000'0000 : size == 2 ? 0x3f80'0000 : 0x3c00;
}
constexpr uint64_t fp_half(unsigned size) {
    return size == 3 ? 0x3fe0'0000'0000'0000 : size == 2 ? 0x3f00'0000 : 0x3800;
}
constexpr uint64_t fp_two(unsigned size) {
    return size == 3 ? 0x4000'0000'0000'0000 : size == 2 ? 0x4000'0000 : 0x4000;
}

}  // namespace arclight::frontend::a64::scalable
