#include "tests/differential/random.h"

#include <cstring>

#include "tests/differential/protocol.h"

namespace arclight::differential {
namespace {

/// A binary float of `exp_bits` and `frac_bits`, biased to where operations change behaviour.
uint64_t interesting_float(Rng& rng, unsigned exp_bits, unsigned frac_bits) {
    const uint64_t frac_mask = (uint64_t{1} << frac_bits) - 1;
    const uint64_t exp_max = (uint64_t{1} << exp_bits) - 1;
    const uint64_t bias = exp_max >> 1;
    const uint64_t quiet = uint64_t{1} << (frac_bits - 1);
    const uint64_t sign = rng.next() & 1;
    auto fraction = [&]() -> uint64_t {
        switch (rng.below(7)) {
            case 0: return 0;
            case 1: return frac_mask;
            case 2: return 1;
            case 3: return quiet;
            case 4: return frac_mask & ~uint64_t{1};
            // Few significant bits: exact results and exact ties.
            case 5: return (rng.next() & frac_mask) & ~((frac_mask) >> rng.below(12));
            default: return rng.next() & frac_mask;
        }
    };
    uint64_t exp = 0, frac = 0;
    switch (rng.below(16)) {
        case 0: break;                               // zero
        case 1: exp = exp_max; break;                // infinity
        case 2: exp = exp_max, frac = quiet; break;  // the default NaN, or its negative
        case 3: exp = exp_max, frac = quiet | (rng.next() & frac_mask); break;
        case 4: exp = exp_max, frac = (rng.next() & (quiet - 1)) | 1; break;         // signalling
        case 5: frac = rng.chance(50) ? fraction() : rng.next() & frac_mask; break;  // denormal
        case 6: exp = 1 + rng.below(3), frac = fraction(); break;  // near the smallest normal
        case 7: exp = exp_max - 1 - rng.below(2), frac = fraction(); break;
        case 8: exp = bias, frac = fraction(); break;  // near 1
        case 9:                                        // near integer type limits
            exp = bias + rng.pick<uint64_t>({0, 7, 8, 15, 16, 30, 31, 32, 51, 52, 62, 63, 64});
            if (exp >= exp_max) exp = exp_max - 1;
            frac = fraction();
            break;
        case 10:  // half way between integers
            exp = bias + rng.below(4), frac = quiet >> rng.below(3);
            break;
        case 11: {  // the limits of the next narrower format
            const uint64_t narrow = rng.pick<uint64_t>({14, 15, 16, 24, 25, 126, 127, 128, 149, 150});
            exp = narrow >= bias ? bias : (rng.chance(50) ? bias + narrow : bias - narrow);
            frac = fraction();
            break;
        }
        case 12:
        case 13: exp = bias - 2 + rng.below(5), frac = fraction(); break;
        case 14: exp = bias - rng.below(bias) / 2 - 1, frac = fraction(); break;
        default: exp = rng.next() & exp_max, frac = rng.next() & frac_mask; break;
    }
    return sign << (exp_bits + frac_bits) | (exp & exp_max) << frac_bits | (frac & frac_mask);
}

}  // namespace

uint64_t interesting_x(Rng& rng) {
    switch (rng.below(16)) {
        case 0: return 0;
        case 1: return 1;
        case 2: return ~uint64_t{0};
        case 3: return uint64_t{1} << 63;
        case 4: return ~(uint64_t{1} << 63);
        case 5:
            return rng.pick<uint64_t>({0x80000000, 0x7fffffff, 0xffffffff, 0xffffffff80000000,
                                       0xffffffff7fffffff, 0x100000000, 0x80, 0x7f, 0xff, 0x8000, 0xffff});
        case 6: return uint64_t{1} << rng.below(64);
        case 7: return (uint64_t{1} << rng.below(64)) - 1;
        case 8: return ~((uint64_t{1} << rng.below(64)) - 1);
        case 9: return rng.below(130);
        case 10: return ~rng.below(130);
        case 11: return rng.next() & 0xffffffff;
        case 12: return static_cast<uint64_t>(static_cast<int64_t>(static_cast<int32_t>(rng.next())));
        case 13: return interesting_f64(rng);
        case 14: return DIFF_ARENA_VA + rng.below(DIFF_ARENA_BYTES);
        default: return rng.next();
    }
}

uint64_t interesting_f64(Rng& rng) { return interesting_float(rng, 11, 52); }
uint32_t interesting_f32(Rng& rng) { return static_cast<uint32_t>(interesting_float(rng, 8, 23)); }
uint16_t interesting_f16(Rng& rng) { return static_cast<uint16_t>(interesting_float(rng, 5, 10)); }

void interesting_v(Rng& rng, uint64_t out[2]) {
    uint8_t bytes[16];
    switch (rng.below(8)) {
        case 0:
        case 1:
            for (unsigned i = 0; i < 2; ++i) out[i] = interesting_f64(rng);
            return;
        case 2:
        case 3:
            for (unsigned i = 0; i < 2; ++i) {
                const uint64_t lo = interesting_f32(rng);
                out[i] = lo | uint64_t{interesting_f32(rng)} << 32;
            }
            return;
        case 4:
            for (unsigned i = 0; i < 2; ++i) {
                out[i] = 0;
                for (unsigned j = 0; j < 4; ++j) out[i] |= uint64_t{interesting_f16(rng)} << (16 * j);
            }
            return;
        case 5:
            for (uint8_t& b : bytes)
                b = rng.chance(40)
                        ? rng.pick<uint8_t>({0, 1, 0x7f, 0x80, 0xff, 0xfe, 0x81, 15, 16, 17, 63, 64})
                        : static_cast<uint8_t>(rng.next());
            std::memcpy(out, bytes, 16);
            return;
        case 6:
            for (unsigned i = 0; i < 2; ++i) out[i] = interesting_x(rng);
            return;
        default:
            // Small signed numbers, as shift counts and table indices want them.
            for (uint8_t& b : bytes) b = static_cast<uint8_t>(rng.range(-70, 70));
            std::memcpy(out, bytes, 16);
            return;
    }
}

}  // namespace arclight::differential
