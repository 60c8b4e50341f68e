// Predicates, the first-fault register, and loops by them.
#include "frontend/a64/scalable/machine.h"
#include "frontend/a64/scalable/variants.h"

namespace arclight::frontend::a64::scalable {

/// s: with flags.
void PredicateLogical(Machine& m) {
    const uint64_t a = m.p(m.n), b = m.p(m.m), mask = m.p(m.g);
    uint64_t r = 0;
    switch (m.variant) {
        case kPAnd: r = a & b; break;
        case kPBic: r = a & ~b; break;
        case kPEor: r = a ^ b; break;
        case kPSel: r = (mask & a) | (~mask & b); break;
        case kPOrr: r = a | b; break;
        case kPOrn: r = a | ~b; break;
        case kPNor: r = ~(a | b); break;
        default: r = ~(a & b); break;
    }
    if (m.variant != kPSel) r &= mask;
    m.set_p(m.d, r);
    if (m.s != 0) m.set_flags_by(mask, r, 0);
}
void PredicateTest(Machine& m) { m.set_flags_by(m.p(m.g), m.p(m.n), 0); }
void PredicateTrue(Machine& m) {
    const uint64_t r = m.first_elements(m.pattern_count(m.k, m.size), m.size);
    m.set_p(m.d, r);
    if (m.s != 0) m.set_flags_by(r, r, m.size);
}
void PredicateFalse(Machine& m) { m.set_p(m.d, 0); }
void PredicateFirst(Machine& m) {
    const uint64_t mask = m.p(m.g), r = m.p(m.d) | (mask & -mask);
    m.set_p(m.d, r);
    m.set_flags_by(mask, r, 0);
}
void PredicateNext(Machine& m) {
    const uint64_t mask = m.governing(), last = m.p(m.d) & m.element_bits(m.size);
    uint64_t candidates = mask;
    if (last != 0) {
        const unsigned at = 63 - static_cast<unsigned>(std::countl_zero(last));
        candidates &= at == 63 ? 0 : ~uint64_t{0} << (at + 1);
    }
    const uint64_t r = candidates & -candidates;
    m.set_p(m.d, r);
    m.set_flags_by(mask, r, m.size);
}

namespace {
/// All bits below the lowest one of `at`, or all if there is none; with it (`including`).
uint64_t up_to(uint64_t at, bool including) {
    const uint64_t first = at & -at;
    if (first == 0) return ~uint64_t{0};
    return including ? first | (first - 1) : first - 1;
}
}  // namespace

/// variant 1: after the first (BRKB: 0, before it); s: with flags; x: merging.
void Break(Machine& m) {
    const uint64_t mask = m.p(m.g);
    const uint64_t broken = up_to(m.p(m.n) & mask, m.variant == 1) & mask;
    const uint64_t r = m.x != 0 ? broken | (m.p(m.d) & ~mask) : broken;
    m.set_p(m.d, r);
    if (m.s != 0) m.set_flags_by(mask, r, 0);
}
namespace {
/// LastActive(): false if no element is.
bool last_active(uint64_t mask, uint64_t p) {
    return mask != 0 && (p >> (63 - static_cast<unsigned>(std::countl_zero(mask))) & 1) != 0;
}
}  // namespace
void BreakPair(Machine& m) {
    const uint64_t mask = m.p(m.g);
    const uint64_t r = last_active(mask, m.p(m.n)) ? up_to(m.p(m.m) & mask, m.variant == 1) & mask : 0;
    m.set_p(m.d, r);
    if (m.s != 0) m.set_flags_by(mask, r, 0);
}
void BreakNext(Machine& m) {
    const uint64_t r = last_active(m.p(m.g), m.p(m.n)) ? m.p(m.d) : 0;
    m.set_p(m.d, r);
    if (m.s != 0) m.set_flags_by(m.all(), r, 0);
}

void ReadFirstFault(Machine& m) { m.set_p(m.d, m.p(jit::kFirstFaultRegister)); }
void ReadFirstFaultMasked(Machine& m) {
    const uint64_t mask = m.p(m.g), r = m.p(jit::kFirstFaultRegister) & mask;
    m.set_p(m.d, r);
    if (m.s != 0) m.set_flags_by(mask, r, 0);
}
void SetFirstFault(Machine& m) { m.set_p(jit::kFirstFaultRegister, ~uint64_t{0}); }
void WriteFirstFault(Machine& m) { m.set_p(jit::kFirstFaultRegister, m.p(m.n)); }

/// x: of 64 bits.
void While(Machine& m) {
    const unsigned count = m.elements();
    uint64_t a = m.x_or_zero(m.n), b = m.x_or_zero(m.m);
    const bool is_unsigned = (m.variant & kWhileUnsigned) != 0, equal = (m.variant & kWhileEqual) != 0,
               down = (m.variant & kWhileDown) != 0;
    const unsigned width = m.x != 0 ? 3 : 2;
    const auto read = [&](uint64_t v) {
        return is_unsigned ? static_cast<__int128>(zero_extend(width, v))
                           : static_cast<__int128>(sign_extend(width, v));
    };
    uint64_t r = 0;
    bool last = true;
    for (unsigned i = 0; i < count; ++i) {
        const __int128 x = read(a), y = read(b);
        const bool holds = down ? (equal ? x > y : x >= y) : (equal ? x <= y : x < y);
        last = last && holds;
        const unsigned at = down ? count - 1 - i : i;
        if (last) r |= uint64_t{1} << (at << m.size);
        down ? --a : ++a;
    }
    m.set_p(m.d, r);
    m.set_flags_by(m.all(), r, m.size);
}
/// k: while they are not equal; x: of 64 bits.
void CompareTerminate(Machine& m) {
    const unsigned width = m.x != 0 ? 3 : 2;
    const bool equal = zero_extend(width, m.x_or_zero(m.n)) == zero_extend(width, m.x_or_zero(m.m));
    const uint32_t nzcv = jit::nzcv_from_flags(m.state.flags);
    const bool terminates = m.k != 0 ? !equal : equal, c = m.carry();
    m.set_nzcv(terminates, (nzcv >> 30 & 1) != 0, c, !terminates && !c);
}

// ---- permutations

void PredicatePermute(Machine& m) {
    const unsigned count = m.elements(), step = 1u << m.size;
    const uint64_t element = (uint64_t{1} << step) - 1;
    const uint64_t a = m.p(m.n), b = m.p(m.m);
    const auto get = [&](uint64_t p, unsigned i) { return p >> (i * step) & element; };
    uint64_t r = 0;
    for (unsigned i = 0; i < count; ++i) {
        uint64_t e = 0;
        const unsigned half = count / 2;
        switch (m.variant) {
            case kZip1: e = get(i % 2 != 0 ? b : a, i / 2); break;
            case kZip2: e = get(i % 2 != 0 ? b : a, half + i / 2); break;
            case kUzp1: e = i < half ? get(a, 2 * i) : get(b, 2 * (i - half)); break;
            case kUzp2: e = i < half ? get(a, 2 * i + 1) : get(b, 2 * (i - half) + 1); break;
            case kTrn1: e = get(i % 2 != 0 ? b : a, i & ~1u); break;
            default: e = get(i % 2 != 0 ? b : a, i | 1); break;
        }
        r |= e << (i * step);
    }
    m.set_p(m.d, r);
}
void PredicateReverse(Machine& m) {
    const unsigned count = m.elements(), step = 1u << m.size;
    const uint64_t element = (uint64_t{1} << step) - 1;
    uint64_t r = 0;
    for (unsigned i = 0; i < count; ++i) r |= (m.p(m.n) >> (i * step) & element) << ((count - 1 - i) * step);
    m.set_p(m.d, r);
}
/// variant 1: of the upper half.
void PredicateUnpack(Machine& m) {
    const unsigned half = m.bytes / 2;
    uint64_t r = 0;
    for (unsigned i = 0; i < half; ++i) r |= (m.p(m.n) >> (m.variant * half + i) & 1) << (2 * i);
    m.set_p(m.d, r);
}

}  // namespace arclight::frontend::a64::scalable
