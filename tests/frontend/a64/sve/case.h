// What the test on the host and its runner, an AArch64 program, both know: the registers that a case begins with follow from
// its seed, and a number stands for those that it ends with.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace sve_test {

struct Case {
    uint32_t insn;
    uint32_t vector_bytes;
    uint64_t seed;
    uint64_t memory;  ///< not 0: it has addresses; see fill()
};

/// In the order in which the runner loads it.
struct State {
    uint64_t x[31];
    uint64_t nzcv, fpcr, fpsr;
    uint64_t p[17];  ///< and FFR
    uint64_t unused[5];
    uint8_t z[32][64];
};
static_assert(offsetof(State, p) == 272 && offsetof(State, z) == 448);

struct Result {
    uint64_t status;  ///< 0: done, 1: undefined, 2: a fault
    uint64_t sum;     ///< done: of the registers; fault: the page
};

inline constexpr uint64_t kMemory = 0x2000'0000, kMemoryBytes = 8192, kPage = 4096;

/// Case::memory of one without addresses whose FPCR may have FEAT_AFP's bits, AH, FIZ and NEP.
inline constexpr uint64_t kAlternative = 10;
/// Case::memory of one that needs no reference function: floating point is of ordinary numbers, FPCR is 0, and addresses are far from
/// the end of a page.
inline constexpr uint64_t kQuiet = 9;

class Random {
  public:
    explicit Random(uint64_t seed) : state_(seed) {}
    uint64_t operator()() {
        uint64_t z = state_ += 0x9e37'79b9'7f4a'7c15;
        z = (z ^ z >> 30) * 0xbf58'476d'1ce4'e5b9;
        z = (z ^ z >> 27) * 0x94d0'49bb'1331'11eb;
        return z ^ z >> 31;
    }

  private:
    uint64_t state_;
};

/// An element of 8 << size bits: of any kind, or one of those where floating point and integers have their edges.
inline uint64_t element(Random& random, unsigned size) {
    constexpr unsigned kFraction[] = {3, 10, 23, 52};
    const unsigned width = 8u << size;
    const uint64_t ones = ~uint64_t{0} >> (64 - width), r = random();
    const unsigned fraction = kFraction[size], exponent_bits = width - 1 - fraction;
    const uint64_t exponent = (uint64_t{1} << exponent_bits) - 1, sign = r >> 63 << (width - 1);
    uint64_t value = random();
    switch (r & 15) {
        case 0: value = 0; break;
        case 1: value = ones; break;
        case 2: value = uint64_t{1} << (width - 1); break;
        case 3: value = sign; break;
        case 4: value = sign | exponent << fraction; break;  // infinity
        case 5:
            value = sign | exponent << fraction | uint64_t{1} << (fraction - 1) | (r >> 8 & 3);
            break;                                                                // quiet NaN
        case 6: value = sign | exponent << fraction | (1 + (r >> 8 & 1)); break;  // signalling
        case 7: value = sign | (r >> 8 & 7); break;                               // denormal
        case 8: value = sign | exponent >> 1 << fraction; break;                  // one
        case 9: value = r >> 8 & 15; break;
        case 10: value = sign | (exponent - 1) << fraction | (value & ((uint64_t{1} << fraction) - 1)); break;
        case 11:
        case 12:
            value = sign | ((exponent >> 1) - 4 + (r >> 8 & 7)) << fraction |
                    (value & ((uint64_t{1} << fraction) - 1));
            break;
        default: break;
    }
    return value & ones;
}

inline void fill(State& s, uint8_t* memory, const Case& c) {
    Random random(c.seed);
    std::memset(&s, 0, sizeof s);
    // Mostly what the instruction says, where that says it.
    const uint64_t other = random();
    const unsigned size = (other & 7) != 0 ? c.insn >> 22 & 3 : other >> 3 & 3;
    for (auto& z : s.z)
        for (unsigned i = 0; i < 64u >> size; ++i) {
            const uint64_t e = element(random, size);
            std::memcpy(z + (i << size), &e, size_t{1} << size);
        }
    for (uint64_t& p : s.p) {
        p = random();
        const uint64_t kind = random() & 7;
        if (kind == 0) p = 0;
        if (kind == 1) p = ~uint64_t{0};
        if (kind == 2) p &= p >> 7 & 0x0101'0101'0101'0101;
    }
    for (uint64_t& x : s.x) {
        x = random();
        if ((x & 3) == 0) x = element(random, 3);
        if ((x & 3) == 1) x = random() & 15;
        if ((x & 15) == 2) x = -(random() & 15);
    }
    s.nzcv = random() & 0xf000'0000;
    s.fpcr = random() & 3 ? 0 : random() & 0x07c8'0000;
    if (c.memory == 0) return;
    if (c.memory == kAlternative) {
        s.fpcr = random() & 0x07c8'0007;
        std::memset(memory, 0, kMemoryBytes);
        return;
    }
    if (c.memory == kQuiet) {
        s.fpcr = 0;
        for (auto& z : s.z)
            for (unsigned i = 0; i < 16; ++i) {
                const float f = 1.0f + static_cast<float>(i);
                std::memcpy(z + 4 * i, &f, 4);
            }
        for (uint64_t& x : s.x) x = random() & 15;
        s.x[0] = kMemory + 1024;
        return;
    }
    s.p[16] = ~uint64_t{0};
    // QEMU 7.2 loads nothing at all where the first element is not active.
    for (uint64_t& p : s.p) p |= c.memory == 6 ? 1 : 0;
    for (uint64_t& x : s.x) {
        const uint64_t r = random();
        // Mostly about the middle, now and then at an end; and small offsets.
        const bool at_end = (r & 7) == 0 && c.memory != 5;
        const uint64_t middle = c.memory == 6 ? kPage / 4 : kMemoryBytes / 2;
        x = kMemory + (at_end ? kMemoryBytes - (r >> 8 & 255) : middle + (r >> 8 & 127));
        if ((r & 0x30) == 0x30) x = r >> 8 & 31;
    }
    if (c.memory >= 7)
        for (uint64_t& x : s.x) x &= x & 1 ? 127 : 0;
    if (c.memory == 5) {
        for (uint64_t& x : s.x) x &= 15;
        s.x[c.insn >> 5 & 31] = kMemory + kMemoryBytes / 2 + (random() & 127);
    }
    for (auto& z : s.z)
        for (unsigned i = 0; i < 8; ++i) {
            const uint64_t r = random();
            uint64_t e = kMemory + kMemoryBytes / 2 + (r >> 8 & 255);
            if (c.memory == 2) e = (r >> 8 & 127) | (r >> 40 & 127) << 32;
            if (c.memory == 3 || c.memory == 7)
                e = (kMemory + kMemoryBytes / 2 + (r >> 8 & 255)) | (kMemory + (r >> 40 & 255)) << 32;
            std::memcpy(z + 8 * i, &e, 8);
        }
    for (unsigned i = 0; i < kMemoryBytes; i += 8) {
        const uint64_t r = random();
        std::memcpy(memory + i, &r, 8);
    }
}

inline uint64_t mix(uint64_t sum, uint64_t word) {
    return (sum ^ word) * 0x9e37'79b9'7f4a'7c15 + (sum >> 29);
}

/// Of what a vector of this length has.
inline uint64_t sum_of(const State& s, const uint8_t* memory, const Case& c) {
    uint64_t sum = 0;
    const auto words = [&](const void* data, size_t bytes) {
        for (size_t i = 0; i + 8 <= bytes; i += 8) {
            uint64_t word;
            std::memcpy(&word, static_cast<const uint8_t*>(data) + i, 8);
            sum = mix(sum, word);
        }
    };
    words(s.x, sizeof s.x);
    sum = mix(sum, s.nzcv);
    sum = mix(sum, s.fpsr);
    const uint64_t bits = c.vector_bytes == 64 ? ~uint64_t{0} : (uint64_t{1} << c.vector_bytes) - 1;
    for (const uint64_t p : s.p) sum = mix(sum, p & bits);
    for (const auto& z : s.z) words(z, c.vector_bytes);
    if (c.memory != 0) words(memory, kMemoryBytes);
    return sum;
}

}  // namespace sve_test
