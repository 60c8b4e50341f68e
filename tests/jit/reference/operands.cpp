#include "tests/jit/reference/operands.h"

#include <cstring>

namespace arclight::tests {

namespace {
struct Shape {
    unsigned width, exp_bits, frac_bits;
    uint64_t frac_mask() const { return (uint64_t{1} << frac_bits) - 1; }
    uint64_t max_exp() const { return (uint64_t{1} << exp_bits) - 1; }
    uint64_t bias() const { return max_exp() / 2; }
    uint64_t make(uint64_t sign, uint64_t exp, uint64_t frac) const {
        return (sign & 1) << (width - 1) | (exp & max_exp()) << frac_bits | (frac & frac_mask());
    }
};
Shape shape(unsigned esize) {
    return esize == 1 ? Shape{16, 5, 10} : esize == 2 ? Shape{32, 8, 23} : Shape{64, 11, 52};
}

/// Few bits set at either end, all ones, or noise.
uint64_t fraction(Rng& rng, const Shape& s) {
    switch (rng() % 6) {
        case 0: return 0;
        case 1: return s.frac_mask();
        case 2: return uint64_t{1} << rng() % s.frac_bits;
        case 3: return s.frac_mask() & ~(uint64_t{1} << rng() % s.frac_bits);
        case 4: return s.frac_mask() << rng() % s.frac_bits;
        default: return rng();
    }
}
}  // namespace

uint64_t fp_operand(Rng& rng, unsigned esize) {
    const Shape s = shape(esize);
    const uint64_t sign = rng();
    switch (rng() % 16) {
        case 0: return s.make(sign, 0, 0);
        case 1: return s.make(sign, s.max_exp(), 0);
        case 2: return s.make(sign, s.max_exp(), rng() | uint64_t{1} << (s.frac_bits - 1));
        case 3: return s.make(sign, s.max_exp(), (rng() & s.frac_mask() >> 1) | 1);
        case 4: return s.make(sign, 0, fraction(rng, s));
        case 5: return s.make(sign, rng() % 3, fraction(rng, s));
        case 6: return s.make(sign, s.max_exp() - 1 - rng() % 3, fraction(rng, s));
        case 7: return s.make(sign, s.bias() + rng() % 70, fraction(rng, s));
        case 8: return s.make(sign, s.bias() - 70 + rng() % 140, rng());
        case 9:
        case 10: return s.make(sign, s.bias() - 3 + rng() % 6, fraction(rng, s));
        case 11:
            return s.make(sign, s.bias() / 2 - 2 + rng() % 4,
                          fraction(rng, s));  // products near the smallest
        case 12:
            return s.make(sign, s.bias() + s.bias() / 2 - 2 + rng() % 4,
                          fraction(rng, s));  // and the largest
        case 13:
            return s.make(sign, s.bias() - 160 + rng() % 320,
                          fraction(rng, s));  // about the next smaller format
        default: return s.make(sign, rng(), fraction(rng, s));
    }
}

void relate_fp(Rng& rng, unsigned esize, uint64_t& a, uint64_t& b, uint64_t& c) {
    const Shape s = shape(esize);
    const uint64_t sign = uint64_t{1} << (s.width - 1);
    switch (rng() % 10) {
        case 0: b = a; break;
        case 1: b = a ^ sign; break;
        case 2: b = a + 1; break;
        case 3: b = (a ^ sign) - 1; break;
        case 4: b = (a & ~s.frac_mask()) ^ (rng() & (sign | s.frac_mask())); break;  // the same exponent
        case 5: b = a - ((rng() % 60) << s.frac_bits) + (rng() & sign); break;  // an exponent somewhat below
        case 6: {
            // An addend about as large as the product.
            const uint64_t exp =
                (a >> s.frac_bits & s.max_exp()) + (b >> s.frac_bits & s.max_exp()) - s.bias();
            c = s.make(rng(), exp - 1 + rng() % 3, fraction(rng, s));
            break;
        }
        default: break;
    }
}

uint64_t int_operand(Rng& rng, unsigned esize) {
    const unsigned width = 8u << esize;
    const uint64_t mask = ~uint64_t{0} >> (64 - width);
    switch (rng() % 8) {
        case 0: return rng() % 3 == 0 ? 0 : (uint64_t{1} << (width - 1)) & mask;  // least signed
        case 1: return rng() % 2 ? mask : mask >> 1;                              // -1, greatest signed
        case 2: return (0 - (rng() % 80)) & mask;                                 // small negative
        case 3: return rng() % 80 & mask;                                         // small
        case 4: return ((uint64_t{1} << rng() % width) - rng() % 2) & mask;       // about a power of two
        case 5: return ((rng() & 0xff00) | ((rng() % 140 - 70) & 0xff)) & mask;   // shift counts
        default: return rng() & mask;
    }
}

uint64_t get_lane(const jit::V128& v, unsigned esize, unsigned index) {
    uint64_t r = 0;
    std::memcpy(&r, v.b + (index << esize), size_t{1} << esize);
    return r;
}
void set_lane(jit::V128& v, unsigned esize, unsigned index, uint64_t value) {
    std::memcpy(v.b + (index << esize), &value, size_t{1} << esize);
}

}  // namespace arclight::tests
