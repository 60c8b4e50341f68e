// The state of one virtual CPU as translated code sees it.
//
// Translated code keeps a pointer to this structure in a host register (see backend/x64), biased by
// kStateBias so that x0..x30 and sp lie within signed 8-bit displacements. Everything that emitted code
// touches is plain memory at fixed offsets; everything else about a virtual CPU lives outside
// (frontend/a64/system, guestos).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "jit/region_abi.h"
#include "mmu/soft_tlb.h"

namespace arclight::jit {

/// A 128-bit SIMD register: lane 0 is the least significant.
union alignas(16) V128 {
    uint8_t b[16];
    uint16_t h[8];
    uint32_t s[4];
    uint64_t d[2];
    int8_t sb[16];
    int16_t sh[8];
    int32_t ss[4];
    int64_t sd[2];
    bool operator==(const V128& o) const { return d[0] == o.d[0] && d[1] == o.d[1]; }
};

// ---- Condition flags as stored in GuestState::flags
// The format is what x86 LAHF and SETO leave in AX: cheap to make, cheap to reload. The carry has the ARM
// sense (1 = no borrow after a subtraction).
inline constexpr unsigned kFlagVBit = 0;   // AL
inline constexpr unsigned kFlagCBit = 8;   // AH bit 0
inline constexpr unsigned kFlagZBit = 14;  // AH bit 6
inline constexpr unsigned kFlagNBit = 15;  // AH bit 7
inline constexpr uint64_t kFlagMask = 1u << kFlagVBit | 1u << kFlagCBit | 1u << kFlagZBit | 1u << kFlagNBit;

/// ARM NZCV (bits 31:28) from the stored format. Other bits of `flags` are ignored.
constexpr uint32_t nzcv_from_flags(uint64_t flags) {
    return static_cast<uint32_t>((flags >> kFlagNBit & 1) << 31 | (flags >> kFlagZBit & 1) << 30 |
                                 (flags >> kFlagCBit & 1) << 29 | (flags >> kFlagVBit & 1) << 28);
}
/// Stored format from ARM NZCV (bits 31:28 of `nzcv`).
constexpr uint64_t flags_from_nzcv(uint32_t nzcv) {
    return uint64_t{nzcv >> 31 & 1} << kFlagNBit | uint64_t{nzcv >> 30 & 1} << kFlagZBit |
           uint64_t{nzcv >> 29 & 1} << kFlagCBit | uint64_t{nzcv >> 28 & 1} << kFlagVBit;
}

using mmu::kPageBits;
using mmu::kPageMask;
using mmu::kPageSize;

// ---- The virtual CPU
inline constexpr int kStateBias = 128;
inline constexpr unsigned kSpillSlots = 64;   ///< 8-byte spill slots for one block
inline constexpr unsigned kSpillVSlots = 48;  ///< 16-byte spill slots for one block

/// Why translated code returned to C++ (Accelerator::run).
enum class ExitReason : uint32_t {
    None = 0,
    Lookup,     ///< no translation known for state.pc: find or make one, and go on
    Interrupt,  ///< state.interrupt was seen set at a block boundary
    Exception,  ///< a helper or a memory access raised an ARM exception: already described in `exception`
    Halt,       ///< WFI/WFE: wait for an event, then go on at state.pc
    Svc,
    Hvc,
    Smc,
    Brk,
    Undefined,  ///< the instruction at state.pc (see `exit_info`: its imm16)
    Redirect,   ///< state.pc was changed by a helper (ERET, exception entry): look up and go on
    Stop,       ///< the instruction at state.pc is one of Engine::stop_at()'s, and has not begun
};

/// exit_info of ExitReason::Lookup and Interrupt behind an indirect exit: this, and its ir::BranchKind.
inline constexpr uint32_t kIndirectExit = 0xffff'fff0;
/// Likewise behind an exit that is neither indirect nor has a link slot.
inline constexpr uint32_t kNoLinkSlot = ~uint32_t{0};

/// One guest memory access or vector operation described in memory for the slow paths; see RuntimeEntry.
struct VectorCall {
    V128 out;
    V128 a, b, c;
    uint64_t imm;
    uint8_t esize;  ///< element size: 0..3 = 8, 16, 32, 64 bits; for scalar FP 2 = single, 3 = double
    uint8_t q;      ///< 1: 128-bit operation, 0: only the low 64 bits take part
    uint8_t reserved[2];
    uint32_t aux;  ///< Inst::aux, for the operations that need more of it (jit/reference/reference.h)
};

/// Bits 128 to 511 of a scalable vector, in the place that they have in a register of 64 bytes: so that a masked load of one
/// gets them there. The first 16 bytes are not used.
struct alignas(64) ScalableUpper {
    uint8_t b[64];
};
inline constexpr unsigned kScalableRegisters = 32, kPredicateRegisters = 17, kFirstFaultRegister = 16;

struct GuestState;
using VectorFn = void (*)(GuestState&, VectorCall&);

/// C++ entry points that emitted code reaches through memory, so that code is position independent and the
/// same in both accelerators. Filled by the virtual CPU; the indices are RuntimeEntry's.
struct RuntimeTable {
    const void* entry[96];
};

struct alignas(64) GuestState {
    uint64_t x[31];
    uint64_t sp;         ///< the current stack pointer (the bank that PSTATE.SP selects)
    uint64_t flags;      ///< condition flags, format above; only the low 16 bits are written by emitted code
    uint64_t page_base;  ///< virtual address of the page the running block was entered at
    std::atomic<uint32_t> interrupt;  ///< non-zero: leave at the next block boundary (set by any thread)
    uint32_t exit_request;            ///< set by a slow path or helper: the stub leaves instead of returning
    mmu::SoftTlb* tlb;        ///< current soft TLB; mirrored in a host register while translated code runs
    mmu::SoftTlb* user_tlb;   ///< EL0's soft TLB of the current ASID, for LDTR and STTR at EL1
    uint64_t exclusive_addr;  ///< monitor: virtual address, or kNoExclusive
    uint64_t exclusive_value[2];
    uint32_t insn_offset;       ///< offset in the page of the instruction that called a helper (for its PC)
    uint32_t guest_fp_control;  ///< the host CPU's floating-point control for guest code, while outside it
    uint32_t host_fp_control;   ///< that of C++, while inside
    uint32_t fpcr;              ///< architectural FPCR
    uint32_t
        fpsr;  ///< FPSR bits not held in guest_fp_control: QC, IDC, and cumulative flags raised by reference code
    uint32_t translation_flags;  ///< translation mode bits, the part of a block's key that is not its address
    uint64_t pc;                 ///< valid outside translated code
    ExitReason exit_reason;
    uint32_t exit_info;
    V128 v[32];

    // Read or written inline by MRS/MSR.
    uint64_t tpidr_el0, tpidrro_el0, tpidr_el1;
    uint64_t sp_el0, sp_el1;  ///< banked stack pointers; the selected one is stale while it is in `sp`
    uint64_t elr_el1, spsr_el1;
    uint64_t daif;  ///< bits 9:6, as MRS DAIF reads them
    uint64_t contextidr_el1;
    uint64_t instructions;  ///< started so far, with translation flags that count

    // Filled while leaving, read by C++.
    uint64_t saved_rsp;      ///< host stack pointer at entry: an exit from any depth restores it
    uint64_t saved_gpr[16];  ///< host registers at a slow-path call, by x86 encoding; see the fault map
    V128 saved_xmm[16];
    uint64_t access_addr;  ///< arguments and results of a memory slow path
    uint64_t access_value[8];
    VectorCall vector_call;
    RuntimeTable runtime;
    uint64_t spill[kSpillSlots];
    V128 spill_v[kSpillVSlots];

    void* cpu;  ///< the owning virtual CPU object, opaque here
    FailedAssumptions failed_assumptions;
    uint32_t* region_epochs;  ///< by region: the SoftTlb::epoch for which its pages are known to be where it
                              ///< takes them
    uint64_t address_tag;     ///< the bits of addresses of the lower half that translation ignores
    /// Pointer authentication: IA, IB, DA, DB, GA; low and high half. The code of a pointer (ir::Op::SignPointer) is the product of
    /// the pointer without the code's bits, exclusive or the low half, and the modifier, exclusive or the high half, with the upper
    /// 64 bits of the product exclusive-ored into the lower.
    uint64_t pac_keys[5][2];
    /// By key but for the last: bits of a code in pointers with bit 55 clear, exclusive or in those with it set. All 0: the key is
    /// disabled, and pointers stay as they are.
    uint64_t pac_key_masks[4][2];
    uint64_t pac_masks[2][2];  ///< likewise of all pointers to code, and to data
    uint64_t branch_target;    ///< of the last branch to a register, with translation flags that ask for it
    uint64_t dit, ssbs, tco;   ///< PSTATE.DIT, SSBS and TCO as MRS reads them: bit 24, bit 12, bit 25
    uint32_t unfinished_broadcasts;  ///< not 0: this CPU has asked others for work and not waited since

    // Scalable vectors, of CPUs that have them. The low 128 bits of a vector are in `v`, and a predicate has one bit for each byte.
    uint32_t vector_bytes;  ///< of a vector register now: 16, 32 or 64
    /// Not 0: scalable instructions trap. No translation flag, since an operating system may change it at each system call.
    uint32_t scalable_trap;
    ScalableUpper z_upper[kScalableRegisters];  ///< what is above the low 128 bits
    uint64_t p[kPredicateRegisters];            ///< P0 to P15, and FFR
};
inline constexpr uint64_t kNoExclusive = ~uint64_t{0};

static_assert(offsetof(GuestState, x) == 0 && offsetof(GuestState, sp) == 248);

/// Displacement of a member from the biased state pointer held in the host register.
#define ARCLIGHT_STATE_DISP(member) \
    (static_cast<int>(offsetof(::arclight::jit::GuestState, member)) - ::arclight::jit::kStateBias)

}  // namespace arclight::jit
