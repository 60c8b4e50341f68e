// The SHA-1 and SHA-256 instructions (FIPS 180-4).
#include "jit/reference/sha.h"

#include <immintrin.h>

#include <bit>

#include "jit/reference/groups.h"
#include "jit/reference/host_features.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

// SHAchoose, SHAmajority, SHAparity.
constexpr uint32_t choose(uint32_t x, uint32_t y, uint32_t z) { return ((y ^ z) & x) ^ z; }
constexpr uint32_t majority(uint32_t x, uint32_t y, uint32_t z) { return (x & y) | ((x | y) & z); }
constexpr uint32_t parity(uint32_t x, uint32_t y, uint32_t z) { return x ^ y ^ z; }

/// SHA1C, SHA1P, SHA1M: four rounds on a = (A, B, C, D), E in lane 0 of b, schedule plus constants in c.
template <uint32_t (*kFunction)(uint32_t, uint32_t, uint32_t)>
void sha1_hash(GuestState&, VectorCall& c) {
    uint32_t w = c.a.s[0], x = c.a.s[1], y = c.a.s[2], z = c.a.s[3], e = c.b.s[0];
    for (const uint32_t word : c.c.s) {
        const uint32_t t = e + std::rotl(w, 5) + kFunction(x, y, z) + word;
        e = z, z = y, y = std::rotl(x, 30), x = w, w = t;
    }
    c.out.s[0] = w, c.out.s[1] = x, c.out.s[2] = y, c.out.s[3] = z;
}
void sha1_h(GuestState&, VectorCall& c) {
    c.out.d[0] = std::rotl(c.a.s[0], 30);
    c.out.d[1] = 0;
}
void sha1_su0(GuestState&, VectorCall& c) {
    c.out.d[0] = c.a.d[1] ^ c.a.d[0] ^ c.c.d[0];
    c.out.d[1] = c.b.d[0] ^ c.a.d[1] ^ c.c.d[1];
}
void sha1_su1(GuestState&, VectorCall& c) {
    V128 t;
    for (unsigned i = 0; i < 4; ++i) t.s[i] = c.a.s[i] ^ (i < 3 ? c.b.s[i + 1] : 0);
    for (unsigned i = 0; i < 4; ++i) c.out.s[i] = std::rotl(t.s[i], 1);
    c.out.s[3] ^= std::rotl(t.s[0], 2);
}

/// SHA256hash: four rounds on x = (A..D), y = (E..H).
void sha256_rounds(V128& x, V128& y, const V128& w) {
    for (const uint32_t word : w.s) {
        const uint32_t e = y.s[0], a = x.s[0];
        const uint32_t sigma1 = std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25);
        const uint32_t sigma0 = std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22);
        const uint32_t t = y.s[3] + sigma1 + choose(e, y.s[1], y.s[2]) + word;
        const uint32_t new_e = x.s[3] + t, new_a = t + sigma0 + majority(a, x.s[1], x.s[2]);
        for (unsigned i = 3; i > 0; --i) x.s[i] = x.s[i - 1], y.s[i] = y.s[i - 1];
        x.s[0] = new_a;
        y.s[0] = new_e;
    }
}

void sha256_su0(GuestState&, VectorCall& c) {
    for (unsigned i = 0; i < 4; ++i) {
        const uint32_t w = i < 3 ? c.a.s[i + 1] : c.b.s[0];
        c.out.s[i] = (std::rotr(w, 7) ^ std::rotr(w, 18) ^ w >> 3) + c.a.s[i];
    }
}
void sha256_su1(GuestState&, VectorCall& c) {
    const auto sigma = [](uint32_t w) { return std::rotr(w, 17) ^ std::rotr(w, 19) ^ w >> 10; };
    // The second half needs the words that the first half makes.
    for (unsigned i = 0; i < 4; ++i) {
        const uint32_t w = i < 2 ? c.c.s[i + 2] : c.out.s[i - 2];
        c.out.s[i] = sigma(w) + c.a.s[i] + (i < 3 ? c.b.s[i + 1] : c.c.s[0]);
    }
}

/// SHA256RNDS2 wants (F, E, B, A) and (H, G, D, C), lane 0 first, and does two rounds.
__attribute__((target("sha"))) void sha256_rounds_host(const V128& x, const V128& y, const V128& w,
                                                       __m128i& abef, __m128i& cdgh) {
    const auto load = [](const V128& v) { return _mm_load_si128(reinterpret_cast<const __m128i*>(&v)); };
    const __m128i abcd = _mm_shuffle_epi32(load(x), 0xb1),
                  efgh = _mm_shuffle_epi32(load(y), 0xb1);  // BADC, FEHG
    abef = _mm_unpacklo_epi64(efgh, abcd);
    cdgh = _mm_unpackhi_epi64(efgh, abcd);
    const __m128i words = load(w);
    const __m128i after2 = _mm_sha256rnds2_epu32(cdgh, abef, words);
    const __m128i after4 = _mm_sha256rnds2_epu32(abef, after2, _mm_unpackhi_epi64(words, words));
    abef = after4;
    cdgh = after2;
}
}  // namespace

void sha256_hash_plain(GuestState&, VectorCall& c) {
    V128 x = c.a, y = c.b;
    sha256_rounds(x, y, c.c);
    c.out = x;
}
void sha256_hash2_plain(GuestState&, VectorCall& c) {
    V128 x = c.b, y = c.a;  // SHA256H2's destination holds (E..H)
    sha256_rounds(x, y, c.c);
    c.out = y;
}

__attribute__((target("sha"))) void sha256_hash_host(GuestState&, VectorCall& c) {
    __m128i abef, cdgh;
    sha256_rounds_host(c.a, c.b, c.c, abef, cdgh);
    const __m128i badc = _mm_unpackhi_epi64(abef, cdgh);
    _mm_store_si128(reinterpret_cast<__m128i*>(&c.out), _mm_shuffle_epi32(badc, 0xb1));
}
__attribute__((target("sha"))) void sha256_hash2_host(GuestState&, VectorCall& c) {
    __m128i abef, cdgh;
    sha256_rounds_host(c.b, c.a, c.c, abef, cdgh);
    const __m128i fehg = _mm_unpacklo_epi64(abef, cdgh);
    _mm_store_si128(reinterpret_cast<__m128i*>(&c.out), _mm_shuffle_epi32(fehg, 0xb1));
}

void add_sha(Table& t) {
    const bool host = detect_host_features().sha;
    t[Op::VSha1C] = sha1_hash<choose>;
    t[Op::VSha1P] = sha1_hash<parity>;
    t[Op::VSha1M] = sha1_hash<majority>;
    t[Op::VSha1H] = sha1_h;
    t[Op::VSha1Su0] = sha1_su0;
    t[Op::VSha1Su1] = sha1_su1;
    t[Op::VSha256H] = host ? sha256_hash_host : sha256_hash_plain;
    t[Op::VSha256H2] = host ? sha256_hash2_host : sha256_hash2_plain;
    t[Op::VSha256Su0] = sha256_su0;
    t[Op::VSha256Su1] = sha256_su1;
}

}  // namespace arclight::jit::reference
