// The C++ functions that translated code reaches through GuestState::runtime. Whoever owns the virtual CPU
// fills the table; emitted code contains no C++ address.
//
// While kMemorySlow, kPromote, kInterpret and helpers without ir::kCallInteger run, the host's floating-point control is loaded and
// GuestState::guest_fp_control holds the guest's. In all others the guest's stays loaded: they do no host floating point but
// under host_fp::HostArithmetic (jit/host_fp.h), and ask nothing of host_fp.
#pragma once

#include "jit/guest_state.h"

namespace arclight::jit {

enum RuntimeEntry : unsigned {
    /// void fn(GuestState&, uint64_t descriptor, const void* host_return_pc): a guest access that missed the
    /// soft TLB; see memory_access.h for the descriptor, the operands and the results. To raise a guest
    /// exception: recover_state(), describe it, set exit_reason and exit_request, return.
    kMemorySlow,
    /// const void* fn(GuestState&, uint64_t link_slot): a direct exit to state.pc that is not linked, or not
    /// for this soft TLB's epoch; `link_slot` is its number (LinkSlot). Returns the code to go on with,
    /// having linked the slot if it wants to, or null to leave with ExitReason::Lookup, state.pc and
    /// exit_info = link_slot. page_base is set from state.pc after it returns code.
    kLookupDirect,
    /// const void* fn(GuestState&, uint64_t pc): an indirect branch that missed the soft TLB's jump cache.
    /// exit_info says of what kind, or kNoLinkSlot: of a region's direct exit. Null as kLookupDirect.
    kLookupIndirect,
    /// void fn(GuestState&, uint64_t op): runs the reference function of ir::Op `op` on state.vector_call.
    kVectorCall,
    /// const void* fn(GuestState&, uint64_t counter): a block's counter ran out. Returns the code to go on
    /// with: the block itself without its counter, or what replaces it.
    kPromote,
    /// const void* fn(GuestState&, uint64_t guard): a region that spans pages is entered in a soft TLB, or an
    /// epoch of it, that it was not checked for. Returns the code to go on with, the region's or the block's.
    kRegionGuard,
    /// HelperFn, with the address of an ir::Block: interprets the block (EngineOptions::interpret). Leaves as
    /// the block does.
    kInterpret,
    /// HelperFn, with the address of an ir::MemoryLoop: runs as many turns of it at once as it can; perhaps none.
    kMemoryLoop,
    /// uint64_t fn(GuestState&, uint64_t a, uint64_t b, uint64_t c): IR CallRuntime with id 0; others follow.
    kFirstHelper = 8,
};

using MemorySlowFn = void (*)(GuestState&, uint64_t descriptor, const void* host_return_pc);
using LookupFn = const void* (*)(GuestState&, uint64_t link_slot_or_pc);
using VectorCallFn = void (*)(GuestState&, uint64_t op);
using HelperFn = uint64_t (*)(GuestState&, uint64_t, uint64_t, uint64_t);

}  // namespace arclight::jit
