// Cryptography (ARM ARM C4.1.96); PMULL is with the other products. What x86 has an instruction for is an operation of the
// IR; SHA512, SHA3, SM3 and SM4 are built of others.
#include "frontend/a64/translate/simd_common.h"

namespace arclight::frontend::a64::translate {

namespace {
constexpr unsigned kWord = 2, kDoubleword = 3;  ///< element sizes

bool emit(TranslationContext& t, Vec d, Op op, auto... operands) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, t.ir.emit(op, Type::V128, {v(t, operands)...}, 0, ir::vec_aux(0)));
}

Ref vector(TranslationContext& t, Op op, unsigned esize, std::initializer_list<Ref> args, uint64_t imm = 0) {
    return t.ir.emit(op, Type::V128, args, imm, ir::vec_aux(esize));
}

/// Each element of 8 << esize bits rotated to the right.
Ref rotate_elements(TranslationContext& t, unsigned esize, Ref value, unsigned count) {
    const unsigned bits = 8u << esize;
    if (count == 0) return value;
    return vector(t, Op::VOr, esize,
                  {vector(t, Op::VShrUImm, esize, {value}, count),
                   vector(t, Op::VShlImm, esize, {value}, bits - count)});
}

/// Scalar arithmetic on elements of vectors; rotations are to the right, as the manual's ROR.
struct Elements {
    TranslationContext& t;
    unsigned esize;

    Type type() const { return int_type(esize == kDoubleword); }
    Ref get(Ref vec, unsigned lane) const {
        return t.ir.emit(Op::VExtractU, type(), {vec}, lane, ir::vec_aux(esize));
    }
    Ref put(Ref vec, unsigned lane, Ref value) const {
        return vector(t, Op::VInsert, esize, {vec, value}, lane);
    }
    Ref ror(Ref a, unsigned count) const { return t.ir.bin(Op::Ror, type(), a, t.ir.i64(count)); }
    Ref add(Ref a, Ref b) const { return t.ir.add(type(), a, b); }
    Ref bit_and(Ref a, Ref b) const { return t.ir.bin(Op::And, type(), a, b); }
    Ref bit_or(Ref a, Ref b) const { return t.ir.bin(Op::Or, type(), a, b); }
    Ref bit_xor(Ref a, Ref b) const { return t.ir.bin(Op::Xor, type(), a, b); }
    Ref rotations(Ref a, unsigned p, unsigned q, unsigned r) const {
        const Ref x = ror(a, p), y = ror(a, q), z = ror(a, r);
        return bit_xor(bit_xor(x, y), z);
    }
    Ref choose(Ref a, Ref b, Ref c) const { return bit_xor(bit_and(bit_xor(b, c), a), c); }
    Ref majority(Ref a, Ref b, Ref c) const {
        const Ref both = bit_and(a, b), either = bit_or(a, b);
        return bit_or(both, bit_and(either, c));
    }
    Ref parity(Ref a, Ref b, Ref c) const { return bit_xor(bit_xor(a, b), c); }
};
}  // namespace

bool crypto_unary(TranslationContext& t, Op op, Vec n, Vec d) { return emit(t, d, op, n); }

/// (d, n): the destination is the first operand too.
bool crypto_accumulate(TranslationContext& t, Op op, Vec n, Vec d) { return emit(t, d, op, d, n); }

bool crypto_three_register(TranslationContext& t, Op op, Vec m, Vec n, Vec d) {
    return emit(t, d, op, d, n, m);
}

bool SHA1H(TranslationContext& t, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    return write(t, d, zext(t, 2, t.ir.emit(Op::VSha1H, Type::V128, {v(t, n)}, 0, ir::vec_aux(0))));
}

// ---- SHA512

bool SHA512H(TranslationContext& t, Vec m, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Elements e{t, kDoubleword};
    const Ref w = v(t, d), y = v(t, m), x = v(t, n);
    const Ref y0 = e.get(y, 0), y1 = e.get(y, 1), x0 = e.get(x, 0), x1 = e.get(x, 1);
    const Ref high = e.add(e.add(e.choose(y1, x0, x1), e.rotations(y1, 14, 18, 41)), e.get(w, 1));
    const Ref sum = e.add(high, y0);
    const Ref low = e.add(e.add(e.choose(sum, y1, x0), e.rotations(sum, 14, 18, 41)), e.get(w, 0));
    return write(t, d, e.put(e.put(w, 0, low), 1, high));
}

bool SHA512H2(TranslationContext& t, Vec m, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Elements e{t, kDoubleword};
    const Ref w = v(t, d), y = v(t, m);
    const Ref y0 = e.get(y, 0), y1 = e.get(y, 1), x0 = e.get(v(t, n), 0);
    const Ref high = e.add(e.add(e.majority(x0, y1, y0), e.rotations(y0, 28, 34, 39)), e.get(w, 1));
    const Ref low = e.add(e.add(e.majority(high, y0, y1), e.rotations(high, 28, 34, 39)), e.get(w, 0));
    return write(t, d, e.put(e.put(w, 0, low), 1, high));
}

namespace {
/// Two rotations and a shift to the right of each doubleword, exclusive-ored.
Ref schedule_sigma(TranslationContext& t, Ref value, unsigned rotate, unsigned rotate2, unsigned shift) {
    const Ref rotated = vector(
        t, Op::VXor, kDoubleword,
        {rotate_elements(t, kDoubleword, value, rotate), rotate_elements(t, kDoubleword, value, rotate2)});
    return vector(t, Op::VXor, kDoubleword, {rotated, vector(t, Op::VShrUImm, kDoubleword, {value}, shift)});
}
}  // namespace

bool SHA512SU0(TranslationContext& t, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref w = v(t, d), next = vector(t, Op::VExt, 0, {w, v(t, n)}, 8);
    return write(t, d, vector(t, Op::VAdd, kDoubleword, {w, schedule_sigma(t, next, 1, 8, 7)}));
}

bool SHA512SU1(TranslationContext& t, Vec m, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref sum = vector(t, Op::VAdd, kDoubleword, {v(t, d), v(t, m)});
    return write(t, d, vector(t, Op::VAdd, kDoubleword, {sum, schedule_sigma(t, v(t, n), 19, 61, 6)}));
}

// ---- SHA3

/// n ^ op(m, a)
bool crypto_four_register(TranslationContext& t, Op op, Vec m, Vec a, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref inner = vector(t, op, kDoubleword, {v(t, m), v(t, a)});
    return write(t, d, vector(t, Op::VXor, kDoubleword, {v(t, n), inner}));
}

bool RAX1(TranslationContext& t, Vec m, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref rotated = rotate_elements(t, kDoubleword, v(t, m), 63);
    return write(t, d, vector(t, Op::VXor, kDoubleword, {v(t, n), rotated}));
}

bool XAR(TranslationContext& t, Vec m, Imm<6> imm6, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Ref difference = vector(t, Op::VXor, kDoubleword, {v(t, n), v(t, m)});
    return write(t, d, rotate_elements(t, kDoubleword, difference, imm6));
}

// ---- SM3. The manual's ROL by n is a rotation to the right by 32 - n. What is asked of one word is done to all: no word leaves the
// vector registers, which would take longer than all else.

namespace {
/// Words of vectors; rotations are to the right.
struct Words {
    TranslationContext& t;

    Ref ror(Ref a, unsigned count) const { return rotate_elements(t, kWord, a, count); }
    Ref add(Ref a, Ref b) const { return vector(t, Op::VAdd, kWord, {a, b}); }
    Ref bit_and(Ref a, Ref b) const { return vector(t, Op::VAnd, kWord, {a, b}); }
    Ref bit_or(Ref a, Ref b) const { return vector(t, Op::VOr, kWord, {a, b}); }
    Ref bit_xor(Ref a, Ref b) const { return vector(t, Op::VXor, kWord, {a, b}); }
    /// Each word that of `count` lanes above, round and round.
    Ref turned(Ref a, unsigned count) const { return vector(t, Op::VExt, 0, {a, a}, 4 * count); }
    /// The lowest word in the highest lane, and zeros.
    Ref lowest_on_top(Ref a) const { return vector(t, Op::VExt, 0, {zero(t), a}, 4); }
    /// `a` with that lane of `b`.
    Ref with_lane(Ref a, unsigned lane, Ref b) const {
        return vector(t, Op::VInsertLane, kWord, {a, b}, lane | lane << 4);
    }
};
}  // namespace

bool SM3SS1(TranslationContext& t, Vec m, Vec a, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Words w{t};
    const Ref sum = w.add(w.add(w.ror(v(t, n), 20), v(t, m)), v(t, a));
    return write(t, d, w.with_lane(zero(t), 3, w.ror(sum, 25)));
}

/// SM3TT1 and SM3TT2, for the first 16 rounds (A) or for the `later` ones (B).
bool sm3_round(TranslationContext& t, unsigned which, bool later, Vec m, Imm<2> lane, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Words w{t};
    // Of lane 3: the words d3 to d0.
    const Ref d3 = v(t, d), moved = w.turned(d3, 1), d2 = w.turned(d3, 3), d1 = w.turned(d3, 2), d0 = moved;
    const Ref mixed = !later       ? w.bit_xor(w.bit_xor(d3, d2), d1)
                      : which == 1 ? w.bit_or(w.bit_and(d3, d2), w.bit_and(w.bit_or(d3, d2), d1))
                                   : w.bit_xor(w.bit_and(w.bit_xor(d2, d1), d3), d1);
    const Ref word = vector(t, Op::VDupLane, kWord, {v(t, m)}, lane);
    Ref sum = w.add(mixed, w.add(d0, word));
    const Ref n3 = v(t, n);
    if (which == 1) {
        sum = w.add(sum, w.bit_xor(n3, w.ror(d3, 20)));
    } else {
        sum = w.add(sum, n3);
        sum = w.bit_xor(sum, w.bit_xor(w.ror(sum, 23), w.ror(sum, 15)));
    }
    // (d1, d2 rotated, d3, sum)
    return write(t, d, w.with_lane(w.with_lane(moved, 1, w.ror(moved, which == 1 ? 23 : 13)), 3, sum));
}

bool SM3PARTW1(TranslationContext& t, Vec m, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Words w{t};
    const auto permuted = [&](Ref a) { return w.bit_xor(a, w.bit_xor(w.ror(a, 17), w.ror(a, 9))); };
    const Ref next = vector(t, Op::VExt, 0, {v(t, m), zero(t)}, 4);
    const Ref result = permuted(w.bit_xor(w.bit_xor(v(t, d), v(t, n)), w.ror(next, 17)));
    // The last word needs the first one's result; a permutation of a sum is that of both.
    return write(t, d, w.bit_xor(result, w.lowest_on_top(permuted(w.ror(result, 17)))));
}

bool SM3PARTW2(TranslationContext& t, Vec m, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const Words w{t};
    const Ref mixed = w.bit_xor(v(t, n), w.ror(v(t, m), 25));
    const Ref first = w.bit_xor(w.bit_xor(w.ror(mixed, 17), w.ror(mixed, 2)), w.ror(mixed, 26));
    return write(t, d, w.bit_xor(w.bit_xor(v(t, d), mixed), w.lowest_on_top(first)));
}

// ---- SM4

namespace {
Ref table(TranslationContext& t, uint64_t low, uint64_t high) {
    const auto half = [&](uint64_t value) {
        return t.ir.emit(Op::VConst, Type::V128, {}, value, ir::vec_aux(kDoubleword));
    };
    const Ref a = half(low), b = half(high);
    return vector(t, Op::VCombine, kDoubleword, {a, b});
}

/// A linear map of each byte, by tables of what its halves give.
Ref map_bytes(TranslationContext& t, Ref bytes, Ref low_table, Ref high_table) {
    const Ref mask = t.ir.emit(Op::VConst, Type::V128, {}, 0x0f0f'0f0f'0f0f'0f0f, ir::vec_aux(kDoubleword));
    const Ref low = vector(t, Op::VAnd, 0, {bytes, mask}), high = vector(t, Op::VShrUImm, 0, {bytes}, 4);
    const Ref a = vector(t, Op::VTbl, 0, {low_table, low}), b = vector(t, Op::VTbl, 0, {high_table, high});
    return vector(t, Op::VXor, 0, {a, b});
}

/// SM4's S-box on the bytes of words. It is an inversion in a field of 256 elements between affine maps, as AES's is: these
/// tables are the maps between the two (as Linux's SM4 for AES-NI does). AES also shifts rows,
/// which changes nothing where the four columns are the same word.
struct Sm4 {
    TranslationContext& t;
    Ref before_low = table(t, 0x9197'e2e4'7472'0701, 0xc7c1'b4b2'2224'5157);
    Ref before_high = table(t, 0xe240'ab09'eb49'a200, 0xf052'b91b'f95b'b012);
    Ref after_low = table(t, 0x5b67'f2ce'a19d'0834, 0xedd1'4478'172b'be82);
    Ref after_high = table(t, 0xae72'01dd'73af'dc00, 0x11cd'be62'cc10'63bf);

    Ref substitute(Ref word) const {
        const Elements e{t, kWord};
        const Ref mapped = map_bytes(t, vector(t, Op::VDup, kWord, {word}), before_low, before_high);
        const Ref substituted = vector(t, Op::VAesE, 0, {mapped, zero(t)});
        return e.get(map_bytes(t, substituted, after_low, after_high), 0);
    }

    /// Four rounds, with the words of `keys`. `mix` is the linear transformation.
    template <typename Mix>
    Ref rounds(Ref state, Ref keys, Mix&& mix) const {
        const Elements e{t, kWord};
        Ref word[4];
        for (unsigned i = 0; i < 4; ++i) word[i] = e.get(state, i);
        for (unsigned i = 0; i < 4; ++i) {
            const Ref others = e.parity(word[(i + 1) & 3], word[(i + 2) & 3], word[(i + 3) & 3]);
            const Ref s = substitute(e.bit_xor(others, e.get(keys, i)));
            word[i] = e.bit_xor(word[i], e.bit_xor(s, mix(e, s)));
        }
        Ref result = state;
        for (unsigned i = 0; i < 4; ++i) result = e.put(result, i, word[i]);
        return result;
    }
};
}  // namespace

bool SM4E(TranslationContext& t, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const auto mix = [](const Elements& e, Ref s) {
        return e.bit_xor(e.rotations(s, 30, 22, 14), e.ror(s, 8));
    };
    return write(t, d, Sm4{t}.rounds(v(t, d), v(t, n), mix));
}

bool SM4EKEY(TranslationContext& t, Vec m, Vec n, Vec d) {
    if (!check_fp_enabled(t)) return false;
    const auto mix = [](const Elements& e, Ref s) { return e.bit_xor(e.ror(s, 19), e.ror(s, 9)); };
    return write(t, d, Sm4{t}.rounds(v(t, n), v(t, m), mix));
}

}  // namespace arclight::frontend::a64::translate
