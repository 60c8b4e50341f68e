// PolynomialMult: multiplication over {0,1}.
#include "jit/reference/polynomial.h"

#include <immintrin.h>

#include "jit/reference/groups.h"
#include "jit/reference/host_features.h"
#include "jit/reference/lanes.h"

namespace arclight::jit::reference {

namespace {
using ir::Op;

/// One 8 x 8 -> 16 product, without branches so that loops over it vectorise.
template <typename T>
uint16_t multiply8(T a, T b) {
    unsigned r = 0;
    for (unsigned i = 0; i < 8; ++i) r ^= (0u - (b >> i & 1u)) & (static_cast<unsigned>(a) << i);
    return static_cast<uint16_t>(r);
}

void vpmul8(GuestState&, VectorCall& c) {
    map2<uint8_t>(c, [](uint8_t a, uint8_t b) { return multiply8(a, b); });
}
void vpmull8(GuestState&, VectorCall& c) {
    const auto a = lanes<uint8_t>(c.a), b = lanes<uint8_t>(c.b);
    Lanes<uint16_t> r;
    for (unsigned i = 0; i < 8; ++i) r[i] = multiply8(a[i], b[i]);
    c.out = pack(r);
}
}  // namespace

void polynomial_multiply64_plain(GuestState&, VectorCall& c) {
    unsigned __int128 r = 0;
    for (unsigned i = 0; i < 64; ++i) {
        if (c.b.d[0] >> i & 1) r ^= static_cast<unsigned __int128>(c.a.d[0]) << i;
    }
    c.out.d[0] = static_cast<uint64_t>(r);
    c.out.d[1] = static_cast<uint64_t>(r >> 64);
}

__attribute__((target("pclmul"))) void polynomial_multiply64_host(GuestState&, VectorCall& c) {
    const __m128i a = _mm_load_si128(reinterpret_cast<const __m128i*>(&c.a));
    const __m128i b = _mm_load_si128(reinterpret_cast<const __m128i*>(&c.b));
    _mm_store_si128(reinterpret_cast<__m128i*>(&c.out), _mm_clmulepi64_si128(a, b, 0));
}

void add_polynomial(Table& t) {
    t[Op::VPMul8] = vpmul8;
    t[Op::VPMull8] = vpmull8;
    t[Op::VPMull64] =
        detect_host_features().pclmul ? polynomial_multiply64_host : polynomial_multiply64_plain;
}

}  // namespace arclight::jit::reference
