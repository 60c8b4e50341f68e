// Operations of the IR on each 128 bits of scalable vectors.
#pragma once

#include "frontend/a64/scalable/immediates.h"
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

}  // namespace arclight::frontend::a64::scalable
