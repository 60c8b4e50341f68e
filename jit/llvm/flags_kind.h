// The forms in which NZCV is kept before anything reads it.
#pragma once

#include <cstdint>

namespace arclight::jit::tier2 {

/// Names the operation that set the flags; its operands are a, b and c. A block may end with one of the kinds
/// up to kLastStoredFlags, which are stored as (kind, a, b) in three variables.
enum class FlagsKind : uint8_t {
    Packed,  ///< a: as in GuestState::flags
    Add32,
    Add64,
    Sub32,
    Sub64,
    Logic32,  ///< a is the result
    Logic64,
    FCmp32,  ///< a, b: the numbers' bits
    FCmp64,
    Carry,        ///< a + b + c, where b is inverted already for a subtraction
    CondCompare,  ///< c ? a - b : an immediate
    CondFCmp,
    Dynamic,  ///< known at run time only: in the variables
};
inline constexpr FlagsKind kLastStoredFlags = FlagsKind::FCmp64;

}  // namespace arclight::jit::tier2
