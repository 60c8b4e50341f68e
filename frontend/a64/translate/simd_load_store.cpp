// Advanced SIMD load/store structures (ARM ARM C4.1.66).
#include <array>

#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
struct Structures {
    bool q, wback;
    Reg m;
    Imm<2> size;
    Reg n;
    Vec first;

    /// Without post-index the field of Rm is zero.
    bool reserved() const { return !wback && index(m) != 0; }
    unsigned element_bytes() const { return 1u << size; }
    unsigned register_bytes() const { return q ? 16 : 8; }
    unsigned lanes() const { return register_bytes() >> size; }
    Vec reg(unsigned i) const { return static_cast<Vec>((index(first) + i) % 32); }
};
using Registers = std::array<Ref, 4>;

void post_index(TranslationContext& t, const Structures& s, Ref base, unsigned bytes) {
    if (!s.wback) return;
    set_xsp(t, s.n, index(s.m) == 31 ? offset_by(t, base, bytes) : t.ir.add(Type::I64, base, x(t, s.m)));
}

/// MemAux for an access at the base itself (which checks SP) or after it.
uint32_t access_aux(TranslationContext& t, unsigned size, const Structures& s, unsigned offset) {
    const uint32_t unchecked = s.wback ? 0 : unchecked_at_sp(t, s.n);
    return offset == 0 ? mem_aux(t, size, s.n, 0, unchecked) : mem_aux(t, size, unchecked);
}

/// With alignment checking each element must be aligned to its own size, so whole registers cannot be
/// accessed.
bool access_by_element(const TranslationContext& t, const Structures& s) {
    return (t.translation_flags & translation_flag::kAlignCheck) != 0 && s.size != 0;
}
uint32_t whole_aux(TranslationContext& t, const Structures& s, unsigned offset) {
    return access_aux(t, s.q ? 4 : 3, s, offset) & ~ir::kMemAligned;
}

/// One element of memory into a lane.
Ref load_lane(TranslationContext& t, Ref address, uint32_t aux, unsigned size, Ref into, unsigned lane) {
    const Lanes o{t, size, true};
    if (size < 2) return o(Op::VInsert, {into, load(t, Type::I32, address, aux)}, lane);
    return o(Op::VInsertLane, {into, load_v(t, address, aux)}, lane);
}
void store_lane(TranslationContext& t, Ref address, uint32_t aux, unsigned size, Ref from, unsigned lane) {
    if (lane == 0)
        store_v(t, address, from, aux);
    else if (size == 3)
        store_v(t, address, t.ir.emit(Op::VHighToLow, Type::V128, {from}), aux);
    else
        store(t, address, t.ir.emit(Op::VExtractU, Type::I32, {from}, lane, ir::vec_aux(size)), aux);
}

// ---- whole registers
// A perfect shuffle of the concatenation x0:x1:x2, that is its lower and its upper half interleaved, moves
// element i to 2i modulo 3N-1 where N is the number of lanes. After log2 N of them element 3j+k, of structure
// j, is at N(3j+k) = kN + j: lane j of register k. So LD3 shuffles and ST3 undoes shuffles.
void shuffle3(const Lanes& o, Registers& r) {
    const auto upper = [&](Ref value) {
        return o.q ? o(Op::VHighToLow, {value}) : Lanes{o.t, 3, false}(Op::VShrUImm, {value}, 32);
    };
    r = {o(Op::VZip1, {r[0], upper(r[1])}), o(Op::VZip1, {upper(r[0]), r[2]}),
         o(Op::VZip1, {r[1], upper(r[2])})};
}
void unshuffle3(const Lanes& o, Registers& r) {
    const auto lower_halves = [&](Ref a, Ref b) { return Lanes{o.t, o.q ? 3u : 2u, o.q}(Op::VZip1, {a, b}); };
    r = {o(Op::VUzp1, {r[0], r[1]}), lower_halves(o(Op::VUzp1, {r[2], r[2]}), o(Op::VUzp2, {r[0], r[0]})),
         o(Op::VUzp2, {r[1], r[2]})};
}

/// Memory order to one register for each member of the structures.
void deinterleave(const Lanes& o, unsigned members, unsigned lanes, Registers& r) {
    const auto even = [&](Ref a, Ref b) { return o(Op::VUzp1, {a, b}); };
    const auto odd = [&](Ref a, Ref b) { return o(Op::VUzp2, {a, b}); };
    switch (members) {
        case 2: r = {even(r[0], r[1]), odd(r[0], r[1])}; break;
        case 3:
            for (; lanes > 1; lanes /= 2) shuffle3(o, r);
            break;
        case 4: {
            const Ref even01 = even(r[0], r[1]), odd01 = odd(r[0], r[1]);
            const Ref even23 = even(r[2], r[3]), odd23 = odd(r[2], r[3]);
            r = {even(even01, even23), even(odd01, odd23), odd(even01, even23), odd(odd01, odd23)};
            break;
        }
        default: break;
    }
}
void interleave(const Lanes& o, unsigned members, unsigned lanes, Registers& r) {
    const auto low = [&](Ref a, Ref b) { return o(Op::VZip1, {a, b}); };
    const auto high = [&](Ref a, Ref b) { return o(Op::VZip2, {a, b}); };
    switch (members) {
        case 2: r = {low(r[0], r[1]), high(r[0], r[1])}; break;
        case 3:
            for (; lanes > 1; lanes /= 2) unshuffle3(o, r);
            break;
        case 4: {
            const Ref low02 = low(r[0], r[2]), high02 = high(r[0], r[2]);
            const Ref low13 = low(r[1], r[3]), high13 = high(r[1], r[3]);
            r = {low(low02, low13), high(low02, low13), low(high02, high13), high(high02, high13)};
            break;
        }
        default: break;
    }
}

// ---- single structures
struct Lane {
    unsigned size, lane;
    bool reserved;
};
/// Size and lane from opcode<2:1>:S:size and Q.
Lane single_lane(const Structures& s, Imm<2> scale, bool S) {
    const unsigned q_s = unsigned{s.q} << 1 | unsigned{S};
    switch (scale) {
        case 0: return {0, q_s << 2 | s.size, false};
        case 1: return {1, q_s << 1 | s.size >> 1, s.size.bit(0)};
        case 2:
            if (s.size == 1) return {3, unsigned{s.q}, S};
            return {2, q_s, s.size != 0};
        default: return {0, 0, true};
    }
}
}  // namespace

/// `count` registers in structures of `members`: LD1 of four registers is four registers of one member.
bool load_multiple(TranslationContext& t, unsigned count, unsigned members, bool q, bool wback, Reg m,
                   Imm<2> size, Reg n, Vec d) {
    const Structures s{q, wback, m, size, n, d};
    if (s.reserved() || (s.size == 3 && !s.q && members != 1)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const Ref base = xsp(t, s.n);
    const unsigned bytes = s.register_bytes();
    Registers r{};
    if (access_by_element(t, s)) {
        for (unsigned i = 0; i < count; ++i) r[i] = zero(t);
        for (unsigned e = 0; e < count * s.lanes(); ++e) {
            const unsigned reg = members == 1 ? e / s.lanes() : e % members;
            const unsigned lane = members == 1 ? e % s.lanes() : e / members;
            const unsigned offset = e * s.element_bytes();
            r[reg] = load_lane(t, offset_by(t, base, offset), access_aux(t, s.size, s, offset), s.size,
                               r[reg], lane);
        }
    } else {
        for (unsigned i = 0; i < count; i += 2) {
            const Ref address = offset_by(t, base, i * bytes);
            const uint32_t aux = whole_aux(t, s, i);
            if (i + 1 == count) {
                r[i] = load_v(t, address, aux);
            } else {
                const Pair pair = load_pair_v(t, address, aux);
                r[i] = pair.first, r[i + 1] = pair.second;
            }
        }
        deinterleave(Lanes{t, s.size, s.q}, members, s.lanes(), r);
    }
    // A load of eight bytes clears the upper half by itself, an operation does not.
    const bool clear = !s.q && members != 1;
    for (unsigned i = 0; i < count; ++i) write(t, s.reg(i), clear ? zext(t, 3, r[i]) : r[i]);
    post_index(t, s, base, count * bytes);
    return true;
}

bool store_multiple(TranslationContext& t, unsigned count, unsigned members, bool q, bool wback, Reg m,
                    Imm<2> size, Reg n, Vec d) {
    const Structures s{q, wback, m, size, n, d};
    if (s.reserved() || (s.size == 3 && !s.q && members != 1)) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const Ref base = xsp(t, s.n);
    const unsigned bytes = s.register_bytes();
    Registers r{};
    for (unsigned i = 0; i < count; ++i) r[i] = v(t, s.reg(i));
    if (access_by_element(t, s)) {
        for (unsigned e = 0; e < count * s.lanes(); ++e) {
            const unsigned reg = members == 1 ? e / s.lanes() : e % members;
            const unsigned lane = members == 1 ? e % s.lanes() : e / members;
            const unsigned offset = e * s.element_bytes();
            store_lane(t, offset_by(t, base, offset), access_aux(t, s.size, s, offset), s.size, r[reg], lane);
        }
    } else {
        interleave(Lanes{t, s.size, s.q}, members, s.lanes(), r);
        for (unsigned i = 0; i < count; i += 2) {
            const Ref address = offset_by(t, base, i * bytes);
            const uint32_t aux = whole_aux(t, s, i);
            if (i + 1 == count)
                store_v(t, address, r[i], aux);
            else
                store_pair_v(t, address, {r[i], r[i + 1]}, aux);
        }
    }
    post_index(t, s, base, count * bytes);
    return true;
}

bool load_single(TranslationContext& t, unsigned members, bool q, bool wback, Reg m, Imm<2> scale, bool S,
                 Imm<2> size, Reg n, Vec d) {
    const Structures s{q, wback, m, size, n, d};
    const Lane at = single_lane(s, scale, S);
    if (s.reserved() || at.reserved) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const Ref base = xsp(t, s.n);
    Registers r{};
    for (unsigned i = 0; i < members; ++i) {
        const unsigned offset = i << at.size;
        r[i] = load_lane(t, offset_by(t, base, offset), access_aux(t, at.size, s, offset), at.size,
                         v(t, s.reg(i)), at.lane);
    }
    for (unsigned i = 0; i < members; ++i) write(t, s.reg(i), r[i]);
    post_index(t, s, base, members << at.size);
    return true;
}

bool store_single(TranslationContext& t, unsigned members, bool q, bool wback, Reg m, Imm<2> scale, bool S,
                  Imm<2> size, Reg n, Vec d) {
    const Structures s{q, wback, m, size, n, d};
    const Lane at = single_lane(s, scale, S);
    if (s.reserved() || at.reserved) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const Ref base = xsp(t, s.n);
    for (unsigned i = 0; i < members; ++i) {
        const unsigned offset = i << at.size;
        store_lane(t, offset_by(t, base, offset), access_aux(t, at.size, s, offset), at.size, v(t, s.reg(i)),
                   at.lane);
    }
    post_index(t, s, base, members << at.size);
    return true;
}

bool LDAP1_single(TranslationContext& t, bool lane, Reg n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    check_sp(t, n);
    const Ref value =
        load_lane(t, xsp(t, n), mem_aux(t, 3, ir::kMemAligned | unchecked_at_sp(t, n)), 3, v(t, d), lane);
    acquire(t);
    return write(t, d, value);
}

bool STL1_single(TranslationContext& t, bool lane, Reg n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    check_sp(t, n);
    begin_release(t);
    store_lane(t, xsp(t, n), mem_aux(t, 3, ir::kMemAligned | unchecked_at_sp(t, n)), 3, v(t, d), lane);
    end_release(t);
    return true;
}

bool load_replicate(TranslationContext& t, unsigned members, bool q, bool wback, Reg m, Imm<2> size, Reg n,
                    Vec d) {
    const Structures s{q, wback, m, size, n, d};
    if (s.reserved()) return undefined(t);
    if (!check_fp_enabled(t)) return false;
    const Ref base = xsp(t, s.n);
    Registers r{};
    for (unsigned i = 0; i < members; ++i) {
        const unsigned offset = i << s.size;
        r[i] = load_v(t, offset_by(t, base, offset), access_aux(t, s.size, s, offset));
    }
    const Lanes o{t, s.size, true};
    for (unsigned i = 0; i < members; ++i) {
        // 1D: the load is the result.
        const Ref value = s.size == 3 && !s.q ? r[i] : o(Op::VDupLane, {r[i]}, 0);
        write(t, s.reg(i), s.q ? value : zext(t, 3, value));
    }
    post_index(t, s, base, members << s.size);
    return true;
}

}  // namespace arclight::frontend::a64::translate
