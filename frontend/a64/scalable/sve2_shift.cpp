// SVE2: shifts that round, saturate, accumulate; by what variants say, see ShiftBits.
#include "frontend/a64/scalable/variants.h"
#include "frontend/a64/scalable/wide.h"

namespace arclight::frontend::a64::scalable {

namespace {
uint64_t shifted_element(const Machine& m, const Vector& v, unsigned i, int by) {
    const bool is_unsigned = (m.variant & kShiftUnsigned) != 0;
    const int width = 8 << m.size;
    const Wide e = read(v, m.size, i, is_unsigned);
    if ((m.variant & kShiftSaturate) == 0 && by >= width) return 0;
    const Wide r = shifted(e, by, (m.variant & kShiftRound) != 0);
    if ((m.variant & kShiftSaturate) == 0) return static_cast<uint64_t>(r);
    return saturated(m.size, is_unsigned || (m.variant & kShiftToUnsigned) != 0, r);
}
void shift_by(Machine& m, const Vector& v, const Vector& by) {
    const int64_t most = (8 << m.size) + 1;
    merge(m, [&](unsigned i) {
        const int64_t count = std::clamp(by.get_signed(m.size, i), -most, most);
        return shifted_element(m, v, i, static_cast<int>(count));
    });
}
/// x: to the right.
int immediate_shift(const Machine& m) {
    return m.x != 0 ? -static_cast<int>(m.imm) : static_cast<int>(m.imm);
}
}  // namespace

/// To the left by the elements of m, which are signed.
void ShiftBy(Machine& m) { shift_by(m, m.z(m.d), m.z(m.m)); }
void ShiftByReversed(Machine& m) { shift_by(m, m.z(m.m), m.z(m.d)); }
void ShiftByImmediate(Machine& m) {
    const Vector d = m.z(m.d);
    merge(m, [&](unsigned i) { return shifted_element(m, d, i, immediate_shift(m)); });
}
void ShiftAccumulate(Machine& m) {
    const Vector d = m.z(m.d), n = m.z(m.n);
    each(m, [&](unsigned i) { return d.get(m.size, i) + shifted_element(m, n, i, immediate_shift(m)); });
}

}  // namespace arclight::frontend::a64::scalable
