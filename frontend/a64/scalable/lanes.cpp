#include "frontend/a64/scalable/lanes.h"

#include "frontend/a64/scalable/wide.h"
#include "jit/reference/reference.h"

namespace arclight::frontend::a64::scalable {

using jit::ir::Op;

Vector map(Machine& m, Op op, const Vector& a, const Vector& b, const Vector& c, uint64_t imm) {
    const jit::VectorFn function = jit::reference_function(op);
    jit::VectorCall call{};
    jit::describe(call, {.op = op, .type = jit::ir::Type::V128, .aux = jit::ir::vec_aux(m.size), .imm = imm});
    constexpr uint32_t kQc = 1u << 27;
    const uint32_t qc = m.state.fpsr & kQc;
    Vector r;
    for (unsigned i = 0; i < m.segments(); ++i) {
        call.a = a.segment(i), call.b = b.segment(i), call.c = c.segment(i);
        function(m.state, call);
        r.put_segment(i, call.out);
    }
    m.state.fpsr = (m.state.fpsr & ~kQc) | qc;
    return r;
}

Vector harmless(const Machine& m, uint64_t predicate, const Vector& v) {
    return select(m, predicate, v, repeated(m, m.size, fp_one(m.size)));
}

Vector repeated(const Machine& m, unsigned size, uint64_t value) {
    Vector v;
    for (unsigned i = 0; i < m.bytes >> size; ++i) v.set(size, i, value);
    return v;
}

Vector negated(const Machine& m, const Vector& v) {
    const bool keeps_nans = (m.state.fpcr & 2) != 0;
    const uint64_t sign = uint64_t{1} << ((8u << m.size) - 1);
    const uint64_t infinity = m.size == 3 ? 0x7ff0'0000'0000'0000 : m.size == 2 ? 0x7f80'0000 : 0x7c00;
    Vector r;
    for (unsigned i = 0; i < m.elements(); ++i) {
        const uint64_t e = v.get(m.size, i);
        const bool nan = (e & ~sign) > infinity;
        r.set(m.size, i, nan && keeps_nans ? e : e ^ sign);
    }
    return r;
}

namespace {
Op lane_op(const Machine& m) { return static_cast<Op>(m.variant); }
bool is_fp(Op op) { return op >= Op::VFAdd && op <= Op::VBfMmla; }

Vector operand(const Machine& m, uint64_t g, const Vector& v) {
    return is_fp(lane_op(m)) ? harmless(m, g, v) : v;
}

void binary_merging(Machine& m, const Vector& a, const Vector& b, const Vector& otherwise) {
    const uint64_t g = m.governing();
    m.set_z(m.d, select(m, g, map(m, lane_op(m), operand(m, g, a), operand(m, g, b)), otherwise));
}
}  // namespace

void Binary(Machine& m) { m.set_z(m.d, map(m, lane_op(m), m.z(m.n), m.z(m.m))); }
void BinaryMerging(Machine& m) { binary_merging(m, m.z(m.d), m.z(m.m), m.z(m.d)); }
void BinaryMergingReversed(Machine& m) { binary_merging(m, m.z(m.m), m.z(m.d), m.z(m.d)); }
/// Of the destination, and one source.
void BinaryDestructive(Machine& m) { m.set_z(m.d, map(m, lane_op(m), m.z(m.d), m.z(m.m), m.imm)); }
void UnaryDestructive(Machine& m) { m.set_z(m.d, map(m, lane_op(m), m.z(m.d))); }
void UnaryOf(Machine& m) { m.set_z(m.d, map(m, lane_op(m), m.z(m.n), m.imm)); }
void UnaryMerging(Machine& m) {
    const uint64_t g = m.governing();
    m.set_z(m.d, select(m, g, map(m, lane_op(m), operand(m, g, m.z(m.n)), m.imm), m.z(m.d)));
}
/// The destination, shifted.
void ShiftMerging(Machine& m) {
    m.set_z(m.d, select(m, m.governing(), map(m, lane_op(m), m.z(m.d), m.imm), m.z(m.d)));
}
/// A signed immediate (k: an unsigned one; s: shifted by 8) as the second operand, or (x) the first one.
void BinaryImmediate(Machine& m) {
    uint64_t value = m.k != 0 ? m.imm : static_cast<uint64_t>(sign_extend(0, m.imm));
    if (m.s != 0) value <<= 8;
    const Vector imm = repeated(m, m.size, value), d = m.z(m.d);
    m.set_z(m.d, m.x != 0 ? map(m, lane_op(m), imm, d) : map(m, lane_op(m), d, imm));
}
/// addend + first * second with signs by k: bit 0 negates the product, bit 1 the addend.
namespace {
void multiply_add(Machine& m, const Vector& addend, const Vector& first, const Vector& second) {
    const uint64_t g = m.governing();
    Vector acc = harmless(m, g, addend), n = harmless(m, g, first);
    const Vector by = harmless(m, g, second);
    if ((m.k & 1) != 0) n = negated(m, n);
    if ((m.k & 2) != 0) acc = negated(m, acc);
    m.set_z(m.d, select(m, g, map(m, Op::VFMulAdd, acc, n, by), m.z(m.d)));
}
}  // namespace
void MultiplyAccumulateMerging(Machine& m) { multiply_add(m, m.z(m.d), m.z(m.n), m.z(m.m)); }
void MultiplyAddMerging(Machine& m) { multiply_add(m, m.z(m.a), m.z(m.d), m.z(m.m)); }
/// d += n * m, of three vectors without a predicate (dot products, matrices).
void Ternary(Machine& m) { m.set_z(m.d, map(m, lane_op(m), m.z(m.d), m.z(m.n), m.z(m.m))); }
/// Lanes that are all ones or zeros become a predicate; k: with the flags, s: of opposite operands, x: negated.
namespace {
void compare(Machine& m, const Vector& a, const Vector& b) {
    const uint64_t g = m.governing();
    const Vector x = operand(m, g, m.s != 0 ? b : a), y = operand(m, g, m.s != 0 ? a : b);
    const Vector lanes = map(m, lane_op(m), x, y);
    uint64_t result = 0;
    for (unsigned i = 0; i < m.elements(); ++i)
        if ((lanes.get(m.size, i) != 0) != (m.x != 0)) result |= uint64_t{1} << (i << m.size);
    result &= g;
    m.set_p(m.d, result);
    if (!is_fp(lane_op(m))) m.set_flags_by(g, result, m.size);
}
/// |v|, but with FPCR.AH of a NaN the NaN.
Vector magnitude(const Machine& m, const Vector& v) {
    const Vector n = negated(m, v);
    const unsigned sign = (8u << m.size) - 1;
    Vector r = v;
    for (unsigned i = 0; i < m.elements(); ++i)
        if ((v.get(m.size, i) >> sign & 1) != 0) r.set(m.size, i, n.get(m.size, i));
    return r;
}
}  // namespace
void Compare(Machine& m) { compare(m, m.z(m.n), m.z(m.m)); }
void CompareMagnitudes(Machine& m) { compare(m, magnitude(m, m.z(m.n)), magnitude(m, m.z(m.m))); }
void CompareZero(Machine& m) { compare(m, m.z(m.n), Vector{}); }
/// With an immediate of 5 signed bits, or 7 unsigned ones (k).
void CompareImmediate(Machine& m) {
    const int64_t value = m.k != 0 ? int64_t{m.imm} : static_cast<int64_t>(m.imm ^ 16) - 16;
    compare(m, m.z(m.n), repeated(m, m.size, static_cast<uint64_t>(value)));
}
/// NaN in either operand.
void CompareUnordered(Machine& m) {
    const uint64_t g = m.governing();
    const Vector a = harmless(m, g, m.z(m.n)), b = harmless(m, g, m.z(m.m));
    // FPCompareUN: signalling NaNs raise Invalid Operation, as those of FCMEQ.
    map(m, Op::VFCmpEq, a, b);
    const Vector x = map(m, Op::VFCmpEq, a, a), y = map(m, Op::VFCmpEq, b, b);
    uint64_t result = 0;
    for (unsigned i = 0; i < m.elements(); ++i)
        if (x.get(m.size, i) == 0 || y.get(m.size, i) == 0) result |= uint64_t{1} << (i << m.size);
    m.set_p(m.d, result & g);
}
void FpAbsoluteDifference(Machine& m) {
    const uint64_t g = m.governing();
    const Vector r = map(m, Op::VFSub, harmless(m, g, m.z(m.d)), harmless(m, g, m.z(m.m)));
    m.set_z(m.d, select(m, g, magnitude(m, r), m.z(m.d)));
}
void FpNegate(Machine& m) { m.set_z(m.d, select(m, m.governing(), negated(m, m.z(m.n)), m.z(m.d))); }
void FpMagnitude(Machine& m) { m.set_z(m.d, select(m, m.governing(), magnitude(m, m.z(m.n)), m.z(m.d))); }
/// With 0.5 or 1 (k = 0), 0.5 or 2 (1), 0 or 1 (2); x: as the first operand.
void FpImmediate(Machine& m) {
    const Vector imm = repeated(m, m.size, fp_operand(m.size, m.k, m.imm != 0));
    m.x != 0 ? binary_merging(m, imm, m.z(m.d), m.z(m.d)) : binary_merging(m, m.z(m.d), imm, m.z(m.d));
}
/// d = n * (element imm of each 128 bits of m); and d += or -= (k) that.
namespace {
Vector indexed(const Machine& m) {
    const Vector v = m.z(m.m);
    Vector r;
    for (unsigned i = 0; i < m.elements(); ++i)
        r.set(m.size, i, v.get(m.size, element_of_segment(m.size, i, m.imm)));
    return r;
}
}  // namespace
void FpMultiplyIndexed(Machine& m) { m.set_z(m.d, map(m, Op::VFMul, m.z(m.n), indexed(m))); }
/// d += n * (element imm of m), as Ternary.
void TernaryIndexed(Machine& m) { m.set_z(m.d, map(m, lane_op(m), m.z(m.d), m.z(m.n), indexed(m))); }
void FpMultiplyAddIndexed(Machine& m) {
    const Vector n = m.k != 0 ? negated(m, m.z(m.n)) : m.z(m.n);
    m.set_z(m.d, map(m, Op::VFMulAdd, m.z(m.d), n, indexed(m)));
}
/// Bits of all of the vector: as the table's rows of AND and others without a predicate.
void BitwiseImmediate(Machine& m) {
    const Vector imm = repeated(m, 3, *bitwise_immediate(m.imm));  // the handler has refused what is reserved
    m.set_z(m.d, m.variant == 0 ? imm : map(m, lane_op(m), m.z(m.d), imm));
}

}  // namespace arclight::frontend::a64::scalable
