// The part of FPCR that arithmetic obeys, and the cumulative flags that it raises.
#pragma once

#include <cstdint>

namespace arclight::jit::softfloat {

/// The first four are FPCR.RMode's encodings. OddToInfinity: Odd, but what is too large becomes infinity.
enum class Rounding : uint8_t { TieEven, Up, Down, Zero, TieAway, Odd, OddToInfinity };

// FPSR cumulative bits.
inline constexpr uint32_t kIoc = 1u << 0;
inline constexpr uint32_t kDzc = 1u << 1;
inline constexpr uint32_t kOfc = 1u << 2;
inline constexpr uint32_t kUfc = 1u << 3;
inline constexpr uint32_t kIxc = 1u << 4;
inline constexpr uint32_t kIdc = 1u << 7;
inline constexpr uint32_t kQc = 1u << 27;

/// Decoded once for an instruction. `flags` collects FPSR bits: FPProcessException without traps (the trap
/// enables of FPCR read as zero).
struct Environment {
    explicit constexpr Environment(uint32_t fpcr)
        : rounding(static_cast<Rounding>(fpcr >> 22 & 3)),
          flush_to_zero((fpcr >> 24 & 1) != 0),
          flush_half_to_zero((fpcr >> 19 & 1) != 0),
          default_nan((fpcr >> 25 & 1) != 0),
          alternative_half((fpcr >> 26 & 1) != 0) {}

    /// FZ, or FZ16 where the format is half precision.
    template <typename F>
    constexpr bool flushes() const {
        return F::kIsHalf ? flush_half_to_zero : flush_to_zero;
    }
    constexpr void raise(uint32_t fpsr_bits) { flags |= fpsr_bits; }

    Rounding rounding;
    bool flush_to_zero;
    bool flush_half_to_zero;
    bool default_nan;
    bool alternative_half;
    uint32_t flags = 0;
};

}  // namespace arclight::jit::softfloat
