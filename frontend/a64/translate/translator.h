// Turns guest code into IR, one translation block at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/translation_flags.h"
#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::frontend::a64 {

namespace ir = jit::ir;

/// helpers.inc
enum class Helper : uint64_t {
#define HELPER(name, aux) name,
#include "frontend/a64/translate/helpers.inc"
#undef HELPER
    Count
};
/// CallAux of its calls.
constexpr uint32_t helper_aux(Helper helper) {
    using namespace ir;
    constexpr uint32_t kAux[] = {
#define HELPER(name, aux) aux,
#include "frontend/a64/translate/helpers.inc"
#undef HELPER
    };
    return kAux[static_cast<uint64_t>(helper)];
}

/// How far a block goes on past conditional branches.
inline constexpr unsigned kMaxBlockInsns = 48;
inline constexpr unsigned kMaxSideExits = 4;

/// GuestState::exit_info of ExitReason::Undefined when it is not an undefined instruction.
inline constexpr uint32_t kUndefinedIllegalState = 1u << 16;  ///< PSTATE.IL is set
inline constexpr uint32_t kUndefinedFpTrap = 1u << 17;        ///< trapped by CPACR_EL1.FPEN
inline constexpr uint32_t kUndefinedHlt = 1u << 18;           ///< HLT, with its number in bits 0 to 15

/// Translates from `code` (guest words from the first instruction to at most the end of its page) into
/// `block`; `offset` is the first instruction's offset in its page. Always produces at least one instruction:
/// an unallocated one raises the Undefined exception when it is reached. `max_insns` bounds the block;
/// `decoder` knows the features of the CPU.
void translate_block(ir::Block& block, std::span<const uint32_t> code, uint32_t offset,
                     uint32_t translation_flags, unsigned max_insns,
                     const Decoder& decoder = default_decoder());

}  // namespace arclight::frontend::a64
