// Elements moved between and within vectors, and to and from scalars.
#include "frontend/a64/scalable/immediates.h"
#include "frontend/a64/scalable/machine.h"
#include "frontend/a64/scalable/variants.h"

namespace arclight::frontend::a64::scalable {

namespace {
/// The index of the last active element, or -1.
int last_active(const Machine& m, uint64_t g) { return g == 0 ? -1 : (63 - std::countl_zero(g)) >> m.size; }
}  // namespace

void Move(Machine& m) { m.set_z(m.d, m.z(m.n)); }
/// x: merging, else zeroing.
void MovePredicated(Machine& m) {
    m.set_z(m.d, select(m, m.governing(), m.z(m.n), m.x != 0 ? m.z(m.d) : Vector{}));
}
void Select(Machine& m) { m.set_z(m.d, select(m, m.governing(), m.z(m.n), m.z(m.m))); }
/// A signed immediate, shifted by 8 (s), with x: merging.
void CopyImmediate(Machine& m) {
    const auto value = static_cast<uint64_t>(sign_extend(0, m.imm)) << (m.s != 0 ? 8 : 0);
    const uint64_t g = m.governing();
    const Vector old = m.x != 0 ? m.z(m.d) : Vector{};
    each(m, [&](unsigned i) { return Machine::active(g, m.size, i) ? value : old.get(m.size, i); });
}
void DuplicateImmediate(Machine& m) {
    const auto value = static_cast<uint64_t>(sign_extend(0, m.imm)) << (m.s != 0 ? 8 : 0);
    each(m, [&](unsigned) { return value; });
}
void CopyFpImmediate(Machine& m) {
    const uint64_t g = m.governing(), value = fp_immediate(m.size, m.imm);
    const Vector old = m.z(m.d);
    each(m, [&](unsigned i) { return Machine::active(g, m.size, i) ? value : old.get(m.size, i); });
}
void DuplicateFpImmediate(Machine& m) {
    each(m, [&](unsigned) { return fp_immediate(m.size, m.imm); });
}
void DuplicateScalar(Machine& m) {
    each(m, [&](unsigned) { return m.x_or_sp(m.n); });
}
void CopyScalar(Machine& m) {
    const uint64_t g = m.governing(), value = m.x_or_sp(m.n);
    const Vector old = m.z(m.d);
    each(m, [&](unsigned i) { return Machine::active(g, m.size, i) ? value : old.get(m.size, i); });
}
void CopyElement(Machine& m) {
    const uint64_t g = m.governing(), value = m.z(m.n).get(m.size, 0);
    const Vector old = m.z(m.d);
    each(m, [&](unsigned i) { return Machine::active(g, m.size, i) ? value : old.get(m.size, i); });
}
/// Element imm, of any size up to 128 bits, or 0 if there is none.
void DuplicateElement(Machine& m) {
    const Vector n = m.z(m.n);
    Vector r;
    const size_t bytes = size_t{1} << m.size, at = size_t{m.imm} << m.size;
    for (size_t i = 0; i < m.bytes; i += bytes)
        if (at < m.bytes) std::memcpy(r.b + i, n.b + at, bytes);
    m.set_z(m.d, r);
}
/// x: from a vector's lowest element.
void Insert(Machine& m) {
    const uint64_t value = m.x != 0 ? m.z(m.m).get(m.size, 0) : m.x_or_zero(m.m);
    const Vector old = m.z(m.d);
    each(m, [&](unsigned i) { return i == 0 ? value : old.get(m.size, i - 1); });
}
void ReverseElements(Machine& m) {
    const Vector n = m.z(m.n);
    each(m, [&](unsigned i) { return n.get(m.size, m.elements() - 1 - i); });
}
/// k: of the upper half; s: unsigned.
void Unpack(Machine& m) {
    const Vector n = m.z(m.n);
    const unsigned base = m.k != 0 ? m.elements() : 0, narrow = m.size - 1;
    each(m, [&](unsigned i) {
        return m.s != 0 ? n.get(narrow, base + i) : static_cast<uint64_t>(n.get_signed(narrow, base + i));
    });
}
/// x: of registers n and the next one; s: what is beyond the table stays.
void Table(Machine& m) {
    const Vector n = m.z(m.n), next = m.z((m.n + 1) % 32), index = m.z(m.m), old = m.z(m.d);
    const unsigned count = m.elements();
    each(m, [&](unsigned i) {
        const uint64_t at = index.get(m.size, i);
        if (at < count) return n.get(m.size, static_cast<unsigned>(at));
        if (m.x != 0 && at < 2 * count) return next.get(m.size, static_cast<unsigned>(at) - count);
        return m.s != 0 ? old.get(m.size, i) : 0;
    });
}
/// Of elements of up to 128 bits; vectors that hold no two of them do not have it.
void Permute(Machine& m) {
    const unsigned count = m.elements(), half = count / 2;
    if (count < 2) return m.memory->undefined();
    const Vector a = m.z(m.n), b = m.z(m.m);
    Vector r;
    for (unsigned i = 0; i < count; ++i) {
        const bool second = m.variant == kUzp1 || m.variant == kUzp2 ? i >= half : i % 2 != 0;
        unsigned from = 0;
        switch (m.variant) {
            case kZip1: from = i / 2; break;
            case kZip2: from = half + i / 2; break;
            case kUzp1: from = 2 * i % count; break;
            case kUzp2: from = 2 * i % count + 1; break;
            case kTrn1: from = i & ~1u; break;
            default: from = i | 1; break;
        }
        std::memcpy(r.b + (i << m.size), (second ? b : a).b + (from << m.size), size_t{1} << m.size);
    }
    m.set_z(m.d, r);
}
/// x: of registers n and the next one, here and in Splice.
void Extract(Machine& m) {
    const Vector a = m.z(m.x != 0 ? m.n : m.d), b = m.z(m.x != 0 ? (m.n + 1) % 32 : m.m);
    const unsigned at = m.imm >= m.bytes ? 0 : m.imm;
    Vector r;
    std::memcpy(r.b, a.b + at, m.bytes - at);
    std::memcpy(r.b + m.bytes - at, b.b, at);
    m.set_z(m.d, r);
}
void Splice(Machine& m) {
    const Vector a = m.z(m.x != 0 ? m.n : m.d), b = m.z(m.x != 0 ? (m.n + 1) % 32 : m.m);
    const uint64_t g = m.governing();
    Vector r;
    unsigned n = 0;
    if (g != 0)
        for (unsigned i = static_cast<unsigned>(std::countr_zero(g)) >> m.size;
             i <= static_cast<unsigned>(last_active(m, g)); ++i)
            r.set(m.size, n++, a.get(m.size, i));
    for (unsigned i = 0; n < m.elements(); ++i) r.set(m.size, n++, b.get(m.size, i));
    m.set_z(m.d, r);
}
void Compact(Machine& m) {
    const Vector a = m.z(m.n);
    const uint64_t g = m.governing();
    Vector r;
    unsigned n = 0;
    for (unsigned i = 0; i < m.elements(); ++i)
        if (Machine::active(g, m.size, i)) r.set(m.size, n++, a.get(m.size, i));
    m.set_z(m.d, r);
}

// ---- the last active element (x = 1), or the one after it

namespace {
uint64_t last_of(const Machine& m, const Vector& v, int last) {
    const unsigned count = m.elements();
    const unsigned at = m.x != 0 ? (last < 0 ? count - 1 : static_cast<unsigned>(last))
                                 : (static_cast<unsigned>(last + 1)) % count;
    return v.get(m.size, at);
}
}  // namespace
void LastScalar(Machine& m) { m.set_x(m.d, last_of(m, m.z(m.n), last_active(m, m.governing()))); }
void LastElement(Machine& m) {
    m.set_scalar(m.d, m.size, last_of(m, m.z(m.n), last_active(m, m.governing())));
}
void ConditionalLastScalar(Machine& m) {
    const int last = last_active(m, m.governing());
    m.set_x(m.d, last < 0 ? zero_extend(m.size, m.x_or_zero(m.d)) : last_of(m, m.z(m.m), last));
}
void ConditionalLastElement(Machine& m) {
    const int last = last_active(m, m.governing());
    m.set_scalar(m.d, m.size, last < 0 ? m.z(m.d).get(m.size, 0) : last_of(m, m.z(m.m), last));
}
void ConditionalLastVector(Machine& m) {
    const int last = last_active(m, m.governing());
    if (last < 0) return;
    const uint64_t value = last_of(m, m.z(m.m), last);
    each(m, [&](unsigned) { return value; });
}

}  // namespace arclight::frontend::a64::scalable
