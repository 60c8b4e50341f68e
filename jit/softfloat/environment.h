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
          alternative_half((fpcr >> 26 & 1) != 0),
          alternative((fpcr >> 1 & 1) != 0),
          extended_bfloat((fpcr >> 13 & 1) != 0),
          flush_inputs((fpcr & 1) != 0 || (flush_to_zero && !alternative)) {}

    /// Results: FZ, or FZ16 where the format is half precision.
    template <typename F>
    constexpr bool flushes() const {
        return F::kIsHalf ? flush_half_to_zero : flush_to_zero;
    }
    /// Operands.
    template <typename F>
    constexpr bool flushes_inputs() const {
        return F::kIsHalf ? flush_half_to_zero : flush_inputs;
    }
    constexpr void raise(uint32_t fpsr_bits) { flags |= silent ? 0 : fpsr_bits; }
    /// With AH, estimates, their steps and what has BFloat16 operands or results round to nearest, flush operands and results and
    /// raise nothing.
    constexpr Environment of_estimates() const {
        Environment here = *this;
        if (alternative) {
            here.rounding = Rounding::TieEven;
            here.flush_to_zero = here.flush_inputs = here.silent = true;
        }
        return here;
    }

    Rounding rounding;
    bool flush_to_zero;
    bool flush_half_to_zero;
    bool default_nan;
    bool alternative_half;
    bool alternative;  ///< AH (FEAT_AFP): other NaNs, maxima and minima, underflow detected after rounding
    bool extended_bfloat;  ///< EBF (FEAT_EBF16)
    bool flush_inputs;     ///< FIZ, or FZ without AH
    bool silent = false;   ///< raises nothing
    uint32_t flags = 0;
};

}  // namespace arclight::jit::softfloat
