// Loads and stores: element after element, where elements that are not active are not accessed, and no register is written
// before all of a load has been read.
#include <array>

#include "frontend/a64/scalable/machine.h"
#include "frontend/a64/scalable/variants.h"

namespace arclight::frontend::a64::scalable {

namespace {
// Of all here: size: of an element in a register; k: of one in memory; s: a load extends its sign.

/// Reads the active elements, where `address` says, with the first-fault rules that `variant` names. False: an exception was taken.
template <typename F>
bool load_elements(Machine& m, Vector& to, uint64_t g, F address) {
    bool first = m.variant == kFirstFault;
    for (unsigned i = 0; i < m.elements(); ++i) {
        if (!Machine::active(g, m.size, i)) continue;
        uint64_t value = 0;
        if (m.variant == kNormal || first) {
            if (!m.memory->load(address(i), m.k, value)) return false;
        } else if (!m.memory->try_load(address(i), m.k, value)) {
            const unsigned bit = i << m.size;
            m.state.p[jit::kFirstFaultRegister] &= (uint64_t{1} << bit) - 1;
            break;
        }
        first = false;
        to.set(m.size, i, m.s != 0 ? static_cast<uint64_t>(sign_extend(m.k, value)) : value);
    }
    return true;
}
template <typename F>
void store_elements(Machine& m, const Vector& from, uint64_t g, F address) {
    for (unsigned i = 0; i < m.elements(); ++i)
        if (Machine::active(g, m.size, i) && !m.memory->store(address(i), m.k, from.get(m.size, i))) return;
}

/// Base and a register (x), or so many times what is accessed; `a`: the number of registers, less one.
uint64_t contiguous_base(const Machine& m) {
    const uint64_t base = m.x_or_sp(m.n);
    if (m.x != 0) return base + (m.x_or_zero(m.m) << m.k);
    const auto offset = static_cast<int64_t>(m.imm ^ 8) - 8;
    return base + static_cast<uint64_t>(offset * static_cast<int64_t>((m.elements() << m.k) * (m.a + 1u)));
}

/// Base register and offsets in a vector (x: 0 unsigned words, 1 signed words, 2 doublewords) shifted by imm, or a vector of bases
/// and an offset (3) or register (4).
uint64_t scattered(const Machine& m, const Vector& v, unsigned i) {
    const uint64_t e = v.get(m.size, i);
    switch (m.x) {
        case 0: return m.x_or_sp(m.n) + (zero_extend(2, e) << m.imm);
        case 1: return m.x_or_sp(m.n) + (static_cast<uint64_t>(sign_extend(2, e)) << m.imm);
        case 2: return m.x_or_sp(m.n) + (e << m.imm);
        case 3: return e + m.imm;
        default: return e + m.x_or_zero(m.m);
    }
}
}  // namespace

void LoadContiguous(Machine& m) {
    const uint64_t base = contiguous_base(m);
    Vector r;
    if (load_elements(m, r, m.governing(), [&](unsigned i) { return base + (uint64_t{i} << m.k); }))
        m.set_z(m.d, r);
}
void StoreContiguous(Machine& m) {
    const uint64_t base = contiguous_base(m);
    store_elements(m, m.z(m.d), m.governing(), [&](unsigned i) { return base + (uint64_t{i} << m.k); });
}
void LoadStructures(Machine& m) {
    const uint64_t base = contiguous_base(m), g = m.governing();
    std::array<Vector, 4> r;
    for (unsigned i = 0; i < m.elements(); ++i)
        for (unsigned j = 0; j <= m.a && Machine::active(g, m.size, i); ++j) {
            uint64_t value = 0;
            if (!m.memory->load(base + (uint64_t{i * (m.a + 1u) + j} << m.k), m.k, value)) return;
            r[j].set(m.size, i, value);
        }
    for (unsigned j = 0; j <= m.a; ++j) m.set_z((m.d + j) % 32, r[j]);
}
void StoreStructures(Machine& m) {
    const uint64_t base = contiguous_base(m), g = m.governing();
    std::array<Vector, 4> v;
    for (unsigned j = 0; j <= m.a; ++j) v[j] = m.z((m.d + j) % 32);
    for (unsigned i = 0; i < m.elements(); ++i)
        for (unsigned j = 0; j <= m.a && Machine::active(g, m.size, i); ++j)
            if (!m.memory->store(base + (uint64_t{i * (m.a + 1u) + j} << m.k), m.k, v[j].get(m.size, i)))
                return;
}
/// One element for all that are active.
void LoadReplicated(Machine& m) {
    const uint64_t g = m.governing();
    Vector r;
    if (g != 0) {
        uint64_t value = 0;
        if (!m.memory->load(m.x_or_sp(m.n) + (uint64_t{m.imm} << m.k), m.k, value)) return;
        if (m.s != 0) value = static_cast<uint64_t>(sign_extend(m.k, value));
        for (unsigned i = 0; i < m.elements(); ++i)
            if (Machine::active(g, m.size, i)) r.set(m.size, i, value);
    }
    m.set_z(m.d, r);
}
/// 16 << k bytes for all segments of so many. Vectors that are shorter do not have it.
void LoadReplicatedSegment(Machine& m) {
    const unsigned segment = 16u << m.k, count = segment >> m.size;
    if (m.bytes < segment) return m.memory->undefined();
    const uint64_t g = m.governing();
    const int64_t offset = (static_cast<int64_t>(m.imm ^ 8) - 8) * static_cast<int64_t>(segment);
    const uint64_t base =
        m.x_or_sp(m.n) + (m.x != 0 ? m.x_or_zero(m.m) << m.size : static_cast<uint64_t>(offset));
    Vector r;
    for (unsigned i = 0; i < count; ++i) {
        if (!Machine::active(g, m.size, i)) continue;
        uint64_t value = 0;
        if (!m.memory->load(base + (uint64_t{i} << m.size), m.size, value)) return;
        for (unsigned j = i; j < m.elements(); j += count) r.set(m.size, j, value);
    }
    m.set_z(m.d, r);
}
void Gather(Machine& m) {
    const Vector v = m.z(m.x >= 3 ? m.n : m.m);
    Vector r;
    if (load_elements(m, r, m.governing(), [&](unsigned i) { return scattered(m, v, i); })) m.set_z(m.d, r);
}
void Scatter(Machine& m) {
    const Vector v = m.z(m.x >= 3 ? m.n : m.m);
    store_elements(m, m.z(m.d), m.governing(), [&](unsigned i) { return scattered(m, v, i); });
}

// ---- whole registers, at a multiple of their length

namespace {
uint64_t register_address(const Machine& m, unsigned length) {
    return m.x_or_sp(m.n) +
           static_cast<uint64_t>((static_cast<int64_t>(m.imm ^ 256) - 256) * static_cast<int64_t>(length));
}
}  // namespace
void LoadVector(Machine& m) {
    const uint64_t at = register_address(m, m.bytes);
    Vector r;
    for (unsigned i = 0; i < m.bytes / 8; ++i) {
        uint64_t value = 0;
        if (!m.memory->load(at + 8 * i, 3, value)) return;
        r.set(3, i, value);
    }
    m.set_z(m.d, r);
}
void StoreVector(Machine& m) {
    const uint64_t at = register_address(m, m.bytes);
    const Vector v = m.z(m.d);
    for (unsigned i = 0; i < m.bytes / 8; ++i)
        if (!m.memory->store(at + 8 * i, 3, v.get(3, i))) return;
}
void LoadPredicate(Machine& m) {
    const unsigned length = m.bytes / 8;
    uint64_t value = 0;
    if (m.memory->load(register_address(m, length), static_cast<unsigned>(std::countr_zero(length)), value))
        m.set_p(m.d, value);
}
void StorePredicate(Machine& m) {
    const unsigned length = m.bytes / 8;
    m.memory->store(register_address(m, length), static_cast<unsigned>(std::countr_zero(length)), m.p(m.d));
}

}  // namespace arclight::frontend::a64::scalable
