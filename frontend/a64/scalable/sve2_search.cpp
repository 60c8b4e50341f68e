// SVE2: elements that are looked for among others, and loops that end where addresses conflict.
#include "frontend/a64/scalable/machine.h"
#include "frontend/a64/scalable/variants.h"

namespace arclight::frontend::a64::scalable {

/// Which elements of n are among those of the same 128 bits of m, or (x) are not.
void Match(Machine& m) {
    const Vector n = m.z(m.n), v = m.z(m.m);
    const uint64_t g = m.governing();
    const unsigned in_segment = 16u >> m.size;
    uint64_t result = 0;
    for (unsigned i = 0; i < m.elements(); ++i) {
        const unsigned first = i / in_segment * in_segment;
        bool found = false;
        for (unsigned j = first; j < first + in_segment; ++j)
            found = found || n.get(m.size, i) == v.get(m.size, j);
        if (found != (m.x != 0)) result |= uint64_t{1} << (i << m.size);
    }
    result &= g;
    m.set_p(m.d, result);
    m.set_flags_by(g, result, m.size);
}

/// How many active elements of m up to the same place are the element of n.
void HistogramCount(Machine& m) {
    const Vector n = m.z(m.n), v = m.z(m.m);
    const uint64_t g = m.governing();
    each(m, [&](unsigned i) {
        uint64_t count = 0;
        for (unsigned j = 0; j <= i && Machine::active(g, m.size, i); ++j)
            count += Machine::active(g, m.size, j) && n.get(m.size, i) == v.get(m.size, j);
        return count;
    });
}
/// How many bytes of the same 128 bits of m are the byte of n.
void HistogramSegments(Machine& m) {
    const Vector n = m.z(m.n), v = m.z(m.m);
    each(m, [&](unsigned i) {
        uint64_t count = 0;
        for (unsigned j = i & ~15u; j <= (i | 15); ++j) count += n.get(0, i) == v.get(0, j);
        return count;
    });
}

/// The elements that may be read at address n before they are written at address m (variant 1: either way) in one vector.
void WhileConflict(Machine& m) {
    const uint64_t read = m.x_or_zero(m.n), written = m.x_or_zero(m.m);
    const bool above = written > read;
    const uint64_t distance = (m.variant == 1 && !above ? read - written : written - read) >> m.size;
    const bool all = distance == 0 || (m.variant == 0 && !above) || distance >= m.elements();
    const uint64_t r = m.first_elements(all ? m.elements() : static_cast<unsigned>(distance), m.size);
    m.set_p(m.d, r);
    m.set_flags_by(m.all(), r, m.size);
}

}  // namespace arclight::frontend::a64::scalable
