// What a region of tier 2 returns to the code that called it: the virtual address of the guest instruction to
// go on at, and why, in the bits that are zero there.
#pragma once

#include <cstdint>

namespace arclight::jit {

/// The instruction is the region's own first one and must be executed by tier 1, or the region would be
/// entered again at once.
inline constexpr uint64_t kRegionStuck = 1;
/// Not one of the guest's own ways out: tier 1 is to do what the region cannot.
inline constexpr uint64_t kRegionSideExit = 2;

/// Guesses that have to be right for a region to be of use, by name; several may have the same one.
using Guesses = uint64_t;
inline constexpr Guesses kEveryGuess = ~Guesses{0};
/// Where the region is entered.
inline constexpr Guesses kGuessAtEntry = Guesses{1} << 63;
/// By the instruction there, an offset in its page.
constexpr Guesses guess_at(uint64_t offset) { return Guesses{1} << (offset / 4 % 63); }

/// What regions leave behind that were left for one.
struct WrongGuesses {
    uint32_t count;  ///< 1 for each time, kWrongAtEntry where the region is entered
    Guesses which;
};
/// The guest stays in tier 1 for as long as it would have been inside.
inline constexpr uint32_t kWrongAtEntry = 1000;

/// An instruction of a region's that may fault, and where to go on if nothing can be done about that: as
/// offsets from the region's entry.
struct FaultingAccess {
    uint32_t access, side_exit;
};

}  // namespace arclight::jit
