// AESE, AESD, AESMC, AESIMC (FIPS 197).
#include "jit/reference/aes.h"

#include <immintrin.h>

#include <array>
#include <bit>

#include "jit/reference/groups.h"
#include "jit/reference/host_features.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

constexpr uint8_t times2(uint8_t a) { return static_cast<uint8_t>(a << 1 ^ (a & 0x80 ? 0x1b : 0)); }
constexpr uint8_t times(uint8_t a, unsigned b) {
    uint8_t r = 0;
    for (; b != 0; b >>= 1, a = times2(a)) r ^= b & 1 ? a : 0;
    return r;
}

struct Boxes {
    std::array<uint8_t, 256> forward{}, inverse{};
};
constexpr Boxes kBoxes = [] {
    Boxes boxes;
    // 3 generates the multiplicative group and 0xf6 is its inverse, so p and q run through all pairs p q = 1.
    uint8_t p = 1, q = 1;
    do {
        p = times(p, 3);
        q = times(q, 0xf6);
        const auto s = static_cast<uint8_t>(q ^ std::rotl(q, 1) ^ std::rotl(q, 2) ^ std::rotl(q, 3) ^
                                            std::rotl(q, 4) ^ 0x63);
        boxes.forward[p] = s;
    } while (p != 1);
    boxes.forward[0] = 0x63;
    for (unsigned i = 0; i < 256; ++i) boxes.inverse[boxes.forward[i]] = static_cast<uint8_t>(i);
    return boxes;
}();

/// The matrix column (c0, c1, c2, c3) times each column of the state.
void mix(VectorCall& c, const std::array<uint8_t, 4>& k) {
    for (unsigned column = 0; column < 16; column += 4) {
        for (unsigned row = 0; row < 4; ++row) {
            uint8_t r = 0;
            for (unsigned i = 0; i < 4; ++i) r ^= times(c.a.b[column + (row + i) % 4], k[i]);
            c.out.b[column + row] = r;
        }
    }
}

__m128i load(const V128& v) { return _mm_load_si128(reinterpret_cast<const __m128i*>(&v)); }
void store(VectorCall& c, __m128i v) { _mm_store_si128(reinterpret_cast<__m128i*>(&c.out), v); }
}  // namespace

void aes_encrypt_plain(GuestState&, VectorCall& c) {
    for (unsigned i = 0; i < 16; ++i) {
        const unsigned from = (i + 4 * (i % 4)) % 16;  // ShiftRows
        c.out.b[i] = kBoxes.forward[c.a.b[from] ^ c.b.b[from]];
    }
}
void aes_decrypt_plain(GuestState&, VectorCall& c) {
    for (unsigned i = 0; i < 16; ++i) {
        const unsigned from = (i + 12 * (i % 4)) % 16;  // InvShiftRows
        c.out.b[i] = kBoxes.inverse[c.a.b[from] ^ c.b.b[from]];
    }
}
void aes_mix_plain(GuestState&, VectorCall& c) { mix(c, {2, 3, 1, 1}); }
void aes_inverse_mix_plain(GuestState&, VectorCall& c) { mix(c, {14, 11, 13, 9}); }

// x86 adds the round key at the end of a round, ARM at its start: the key here is always zero.
__attribute__((target("aes"))) void aes_encrypt_host(GuestState&, VectorCall& c) {
    store(c, _mm_aesenclast_si128(_mm_xor_si128(load(c.a), load(c.b)), _mm_setzero_si128()));
}
__attribute__((target("aes"))) void aes_decrypt_host(GuestState&, VectorCall& c) {
    store(c, _mm_aesdeclast_si128(_mm_xor_si128(load(c.a), load(c.b)), _mm_setzero_si128()));
}
__attribute__((target("aes"))) void aes_mix_host(GuestState&, VectorCall& c) {
    // The inverse of the last round undoes all of a round but MixColumns.
    const __m128i zero = _mm_setzero_si128();
    store(c, _mm_aesenc_si128(_mm_aesdeclast_si128(load(c.a), zero), zero));
}
__attribute__((target("aes"))) void aes_inverse_mix_host(GuestState&, VectorCall& c) {
    store(c, _mm_aesimc_si128(load(c.a)));
}

void add_aes(Table& t) {
    const bool host = detect_host_features().aes;
    t[Op::VAesE] = host ? aes_encrypt_host : aes_encrypt_plain;
    t[Op::VAesD] = host ? aes_decrypt_host : aes_decrypt_plain;
    t[Op::VAesMc] = host ? aes_mix_host : aes_mix_plain;
    t[Op::VAesImc] = host ? aes_inverse_mix_host : aes_inverse_mix_plain;
}

}  // namespace arclight::jit::reference
