// Turns guest code into IR, one translation block at a time.
#pragma once

#include <cstdint>
#include <span>

#include "frontend/a64/decode/encoding.h"
#include "frontend/a64/translation_flags.h"
#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::frontend::a64 {

namespace ir = jit::ir;

/// Runtime helpers that translated code calls (IR CallRuntime); the machine fills RuntimeTable::entry with
/// functions `uint64_t fn(GuestState&, uint64_t a, uint64_t b, uint64_t c)`. One that raises an exception
/// sets exit_request.
enum class Helper : uint64_t {
    ReadSysreg,    ///< a = encoding op0:op1:CRn:CRm:op2 -> value
    WriteSysreg,   ///< a = encoding, b = value
    SystemInsn,    ///< SYS: DC, IC, AT, TLBI: a = encoding, b = Xt
    MsrImmediate,  ///< MSR (immediate) that is not translated inline: a = op1 << 3 | op2, b = CRm
    Eret,          ///< exception return: ends the block
    WaitForInterrupt,
    WaitForEvent,
    SendEvent,
    Yield,               ///< hints; WFI and WFE end the block
    DataBarrier,         ///< DSB: waits for broadcast TLBI and IC to finish: a = CRm
    ReadCounter,         ///< CNTVCT_EL0 / CNTPCT_EL0 -> value
    CompareAndSwapPair,  ///< CASP: a = address, b = log2 unit bytes | acquire etc.; operands in
                         ///< access_value[0..3], old values come back in access_value[0..1]
    Count
};

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
