// SVE2: operations on bits, and cryptography that the IR has no lanes for.
#include <array>

#include "frontend/a64/scalable/machine.h"
#include "frontend/a64/scalable/variants.h"

namespace arclight::frontend::a64::scalable {

/// Of d, m and n.
void BitwiseTernary(Machine& m) {
    const Vector a = m.z(m.d), b = m.z(m.m), c = m.z(m.n);
    Vector r;
    for (unsigned i = 0; i < m.bytes / 8; ++i) {
        const uint64_t x = a.get(3, i), y = b.get(3, i), k = c.get(3, i);
        uint64_t bits = 0;
        switch (m.variant) {
            case kXorAll: bits = x ^ y ^ k; break;
            case kXorClear: bits = x ^ (y & ~k); break;
            case kBitSelect: bits = (x & k) | (y & ~k); break;
            case kBitSelectNotFirst: bits = (~x & k) | (y & ~k); break;
            case kBitSelectNotSecond: bits = (x & k) | (~y & ~k); break;
            default: bits = ~((x & k) | (y & ~k)); break;
        }
        r.set(3, i, bits);
    }
    m.set_z(m.d, r);
}

/// (d ^ m), rotated to the right by imm.
void XorRotate(Machine& m) {
    const Vector a = m.z(m.d), b = m.z(m.m);
    const unsigned width = 8u << m.size;
    each(m, [&](unsigned i) {
        const uint64_t e = a.get(m.size, i) ^ b.get(m.size, i);
        return m.imm == width ? e : e >> m.imm | e << (width - m.imm);
    });
}
/// n ^ m rotated to the left by one.
void RotateXor(Machine& m) {
    const Vector a = m.z(m.n), b = m.z(m.m);
    each(m, [&](unsigned i) { return a.get(m.size, i) ^ std::rotl(b.get(m.size, i), 1); });
}

/// By the bits of m: those of n where they are set to the low end (k: 0), the low ones of n to there (1), or with k 2 the first and
/// above them all others.
void BitPermute(Machine& m) {
    const Vector n = m.z(m.n), v = m.z(m.m);
    const unsigned width = 8u << m.size;
    each(m, [&](unsigned i) {
        const uint64_t bits = n.get(m.size, i), mask = v.get(m.size, i);
        uint64_t r = 0;
        unsigned low = 0;
        for (unsigned at = 0; at < width; ++at) {
            if ((mask >> at & 1) == 0) continue;
            r |= m.k == 1 ? (bits >> low & 1) << at : (bits >> at & 1) << low;
            ++low;
        }
        for (unsigned at = 0; at < width && m.k == 2; ++at)
            if ((mask >> at & 1) == 0) r |= (bits >> at & 1) << low++;
        return r;
    });
}

// ---- SM4 (GB/T 32907): its S-box is an inversion in a field of 256 elements between two affine maps

namespace {
constexpr uint8_t field_product(unsigned a, unsigned b) {
    unsigned r = 0;
    for (; b != 0; b >>= 1) {
        if ((b & 1) != 0) r ^= a;
        a = (a << 1) ^ ((a & 0x80) != 0 ? 0x1f5 : 0);
    }
    return static_cast<uint8_t>(r);
}
constexpr uint8_t affine(uint8_t x) {
    unsigned y = 0xd3;
    for (unsigned i = 0; i < 8; ++i)
        y ^= static_cast<unsigned>(
                 std::popcount(static_cast<uint8_t>(x & std::rotl(uint8_t{0xa7}, static_cast<int>(i)))) & 1)
             << i;
    return static_cast<uint8_t>(y);
}
constexpr std::array<uint8_t, 256> kSm4Box = [] {
    std::array<uint8_t, 256> box{};
    for (unsigned i = 0; i < box.size(); ++i) {
        const uint8_t x = affine(static_cast<uint8_t>(i)), x2 = field_product(x, x);
        // The inverse is the power 254, which is 2 + 4 + ... + 128.
        uint8_t inverse = x2, power = x2;
        for (unsigned n = 2; n < 8; ++n) {
            power = field_product(power, power);
            inverse = field_product(inverse, power);
        }
        box[i] = affine(inverse);
    }
    return box;
}();
static_assert(kSm4Box[0] == 0xd6 && kSm4Box[255] == 0x48);

uint32_t sm4_substitute(uint32_t word) {
    uint32_t r = 0;
    for (unsigned i = 0; i < 32; i += 8) r |= uint32_t{kSm4Box[word >> i & 255]} << i;
    return r;
}
/// Four rounds on each 128 bits; `mix` is the linear transformation.
template <typename F>
void sm4_rounds(Machine& m, const Vector& state, const Vector& keys, F mix) {
    Vector r;
    for (unsigned segment = 0; segment < m.segments(); ++segment) {
        uint32_t w[4];
        for (unsigned i = 0; i < 4; ++i) w[i] = state.at<uint32_t>(4 * segment + i);
        for (unsigned i = 0; i < 4; ++i) {
            const uint32_t others = w[(i + 1) % 4] ^ w[(i + 2) % 4] ^ w[(i + 3) % 4];
            const uint32_t s = sm4_substitute(others ^ keys.at<uint32_t>(4 * segment + i));
            w[i] ^= s ^ mix(s);
        }
        for (unsigned i = 0; i < 4; ++i) r.put<uint32_t>(4 * segment + i, w[i]);
    }
    m.set_z(m.d, r);
}
}  // namespace
void Sm4Encrypt(Machine& m) {
    sm4_rounds(m, m.z(m.d), m.z(m.m), [](uint32_t s) {
        return std::rotl(s, 2) ^ std::rotl(s, 10) ^ std::rotl(s, 18) ^ std::rotl(s, 24);
    });
}
void Sm4Key(Machine& m) {
    sm4_rounds(m, m.z(m.n), m.z(m.m), [](uint32_t s) { return std::rotl(s, 13) ^ std::rotl(s, 23); });
}

}  // namespace arclight::frontend::a64::scalable
