// Turns guest code into IR, one translation block at a time.
#pragma once

#include <cstdint>
#include <span>

#include "frontend/a64/decode/fields.h"
#include "jit/guest_state.h"
#include "jit/ir/ir.h"

namespace arclight::frontend::a64 {

namespace ir = jit::ir;

/// The part of a translation block's key that is not its physical address (GuestState::mode). Translated code
/// may depend on nothing else of the CPU's state.
namespace mode {
inline constexpr uint32_t kEl1 = 1u << 0;     ///< executes at EL1, else EL0
inline constexpr uint32_t kSpElx = 1u << 1;   ///< PSTATE.SP
inline constexpr uint32_t kFpTrap = 1u << 2;  ///< CPACR_EL1.FPEN traps FP and SIMD at this EL
inline constexpr uint32_t kFpSlow = 1u
                                    << 3;  ///< FPCR has FZ, DN or AHP set: FP goes to the reference functions
inline constexpr uint32_t kAlignCheck = 1u << 4;    ///< SCTLR_EL1.A
inline constexpr uint32_t kSpAlignCheck = 1u << 5;  ///< SCTLR_EL1.SA or SA0 for this EL
inline constexpr uint32_t kIllegal = 1u
                                     << 6;  ///< PSTATE.IL: every instruction raises Illegal Execution state
inline constexpr uint32_t kSingleStep = 1u << 7;  ///< one instruction a block (software step or a debugger)
inline constexpr uint32_t kCount = 1u << 9;       ///< count every instruction in GuestState::instructions
inline constexpr uint32_t kZeroTrap = 1u << 10;  ///< DC ZVA may trap: SCTLR_EL1.DZE at EL0, or the MMU is off
inline constexpr uint32_t kBreakpoints = 1u << 12;  ///< some may match at this EL; system/hardware_debug.h
/// What the machine decides once, not PSTATE or system registers.
inline constexpr uint32_t kMachineMask = 1u << 8 | 1u << 9 | 1u << 11;
inline constexpr uint32_t kWindows = 1u << 11;  ///< memory is accessed through windows, not the soft TLB
inline constexpr uint32_t kSerial = 1u << 8;    ///< one virtual CPU only: atomics need no lock prefix
}  // namespace mode

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

struct Translator {
    ir::Builder& ir;
    uint32_t mode;
    uint32_t offset = 0;  ///< of the current instruction in its page; PC = PcRel(offset)
    uint32_t insn = 0;
    bool ended = false;       ///< a handler emitted a terminator
    unsigned side_exits = 0;  ///< conditional exits of the block so far

    bool el1() const { return (mode & mode::kEl1) != 0; }
};

/// Translates from `code` (guest words from the first instruction to at most the end of its page) into
/// `block`; `offset` is the first instruction's offset in its page. Always produces at least one instruction:
/// an unallocated one raises the Undefined exception when it is reached. `max_insns` bounds the block.
void translate_block(ir::Block& block, std::span<const uint32_t> code, uint32_t offset, uint32_t mode,
                     unsigned max_insns);

}  // namespace arclight::frontend::a64
