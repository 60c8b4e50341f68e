// Code shared by all blocks: the way in and out, and the calls of C++.
#include "backend/x64/emitter.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr int disp_of_entry(unsigned entry) {
    return ARCLIGHT_STATE_DISP(runtime) + 8 * static_cast<int>(entry);
}
constexpr unsigned kCallerSaved[] = {1, 2, 6, 7, 8, 9, 10, 11};
constexpr unsigned kCalleeSaved[] = {3, 12, 13, 15};  // the allocatable ones
constexpr int kXmmCount = 15;
/// Of MXCSR: all but the sticky flags.
constexpr uint32_t kMxcsrControl = 0xffc0;
}  // namespace

Thunks BlockEmitter::emit_thunks() {
    Thunks t{};
    const auto guest_mxcsr = dword[at(ARCLIGHT_STATE_DISP(mxcsr))];
    const auto host_mxcsr = dword[at(ARCLIGHT_STATE_DISP(host_mxcsr))];
    // LDMXCSR and STMXCSR in turn take up to 80 ns, and the guest's control bits are nearly always the
    // host's. So these load it only if something would change that somebody minds. Both use edi;
    // enter_host_fp leaves in it the control bits that differ.
    const auto enter_host_fp = [&] {
        stmxcsr(guest_mxcsr);
        mov(edi, guest_mxcsr);
        xor_(edi, host_mxcsr);
        and_(edi, kMxcsrControl);
        const Jump same = jump_if(kE, true);
        ldmxcsr(host_mxcsr);
        land(same);
    };
    const auto load_guest_mxcsr = [&](const Address& now) {
        mov(edi, now);
        cmp(edi, guest_mxcsr);
        const Jump same = jump_if(kE, true);
        ldmxcsr(guest_mxcsr);
        land(same);
    };
    // A call of C++ with the host's MXCSR; `bytes` align the stack and hold what differed, and then what is
    // left.
    const auto call_host = [&](const Address& function, int bytes) {
        enter_host_fp();
        sub(rsp, bytes);
        mov(dword[rsp], edi);
        lea(rdi, ptr[rbp - jit::kStateBias]);
        call(function);
        cmp(dword[rsp], 0);
        const Jump differed = jump_if(kNe, true);
        stmxcsr(dword[rsp]);
        load_guest_mxcsr(dword[rsp]);
        const Jump done = jump_always(true);
        land(differed);
        ldmxcsr(guest_mxcsr);
        land(done);
        add(rsp, bytes);
    };
    const auto state_to_rdi = [&] { lea(rdi, ptr[rbp - jit::kStateBias]); };
    const auto reload_tlb = [&] { mov(r14, qword[at(ARCLIGHT_STATE_DISP(tlb))]); };
    const auto set_reason = [&](jit::ExitReason r) {
        mov(dword[at(ARCLIGHT_STATE_DISP(exit_reason))], static_cast<uint32_t>(r));
    };
    const auto gpr_slot = [&](unsigned r) {
        return qword[at(ARCLIGHT_STATE_DISP(saved_gpr) + 8 * static_cast<int>(r))];
    };
    const auto xmm_slot = [&](int x) { return ptr[at(ARCLIGHT_STATE_DISP(saved_xmm) + 16 * x)]; };
    const auto save = [&](bool all) {
        for (const unsigned r : kCallerSaved) mov(gpr_slot(r), Reg64(static_cast<int>(r)));
        if (all)
            for (const unsigned r : kCalleeSaved) mov(gpr_slot(r), Reg64(static_cast<int>(r)));
        for (int x = 0; x < kXmmCount; ++x) vmovaps(xmm_slot(x), Xmm(x));
    };
    const auto restore = [&] {
        for (const unsigned r : kCallerSaved) mov(Reg64(static_cast<int>(r)), gpr_slot(r));
        for (int x = 0; x < kXmmCount; ++x) vmovaps(Xmm(x), xmm_slot(x));
    };

    setSize(16 * kConstants);  // simd.cpp fills it

    // enter(state, code)
    align(16);
    t.enter = reinterpret_cast<jit::EnterFn>(here());
    for (const Reg64& r : {rbx, rbp, r12, r13, r14, r15}) push(r);
    sub(rsp, 8);
    lea(rbp, ptr[rdi + jit::kStateBias]);
    mov(qword[at(ARCLIGHT_STATE_DISP(saved_rsp))], rsp);
    reload_tlb();
    mov(dword[at(ARCLIGHT_STATE_DISP(exit_request))], 0);
    set_reason(jit::ExitReason::None);
    stmxcsr(host_mxcsr);
    load_guest_mxcsr(host_mxcsr);
    jmp(rsi);

    align(16);
    t.leave = here();
    enter_host_fp();
    mov(rsp, qword[at(ARCLIGHT_STATE_DISP(saved_rsp))]);
    mov(eax, dword[at(ARCLIGHT_STATE_DISP(exit_reason))]);
    add(rsp, 8);
    for (const Reg64& r : {r15, r14, r13, r12, rbp, rbx}) pop(r);
    ret();

    const auto leave_if_requested = [&] {
        cmp(dword[at(ARCLIGHT_STATE_DISP(exit_request))], 0);
        jump_to_if(kNe, t.leave);
    };

    // eax = descriptor; all registers are kept, and can be seen in the saved state meanwhile.
    align(16);
    t.memory_slow = here();
    save(true);
    mov(esi, eax);
    mov(rdx, qword[rsp]);
    call_host(qword[at(disp_of_entry(kMemorySlow))], 8);
    reload_tlb();
    leave_if_requested();
    restore();
    ret();

    // eax = ir::Op. The reference functions are integer code: the guest's MXCSR stays.
    align(16);
    t.vector_call = here();
    save(false);
    mov(esi, eax);
    state_to_rdi();
    sub(rsp, 8);
    call(qword[at(disp_of_entry(kVectorCall))]);
    add(rsp, 8);
    restore();
    ret();

    // eax = entry << 16 | page offset of the instruction; rsi, rdx, rcx = arguments. Result in rax.
    const auto helper = [&](bool check) {
        align(16);
        const uint8_t* start = here();
        movzx(edi, ax);
        mov(dword[at(ARCLIGHT_STATE_DISP(insn_offset))], edi);
        shr(eax, 16);
        call_host(qword[rbp + rax * 8 + ARCLIGHT_STATE_DISP(runtime)], 8);
        reload_tlb();
        if (check) leave_if_requested();
        ret();
        return start;
    };
    t.call_helper = helper(false);
    t.call_helper_check = helper(true);

    // rcx = page offset, or address, to go on at
    align(16);
    t.interrupted = here();
    add(rcx, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
    t.interrupted_at = here();
    mov(qword[at(ARCLIGHT_STATE_DISP(pc))], rcx);
    set_reason(jit::ExitReason::Interrupt);
    jump_to(t.leave);

    // eax = reason, edx = info, ecx = page offset
    align(16);
    t.exit_runtime = here();
    add(rcx, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
    mov(qword[at(ARCLIGHT_STATE_DISP(pc))], rcx);
    mov(dword[at(ARCLIGHT_STATE_DISP(exit_reason))], eax);
    mov(dword[at(ARCLIGHT_STATE_DISP(exit_info))], edx);
    jump_to(t.leave);

    // rcx = page offset, eax = site; the page is right already. Another soft TLB may know the way.
    constexpr int kCache = static_cast<int>(offsetof(mmu::SoftTlb, jump_cache));
    align(16);
    t.lookup_cross = here();
    add(rcx, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
    rorx(edx, ecx, mmu::kPageBits - 4);
    lea(edx, ptr[rdx + rcx * 4]);
    and_(edx, static_cast<uint32_t>((mmu::kJumpCacheEntries - 1) * sizeof(mmu::JumpCacheEntry)));
    cmp(rcx, qword[r14 + rdx + kCache + offsetof(mmu::JumpCacheEntry, pc)]);
    const Jump miss = jump_if(kNe, true);
    jmp(qword[r14 + rdx + kCache + offsetof(mmu::JumpCacheEntry, code)]);

    t.lookup_direct = here();
    add(rcx, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
    land(miss);
    mov(qword[at(ARCLIGHT_STATE_DISP(pc))], rcx);
    mov(esi, eax);
    const auto look_up = [&](unsigned entry) {
        set_reason(jit::ExitReason::Lookup);
        call_host(qword[at(disp_of_entry(entry))], 16);
        reload_tlb();
        test(rax, rax);
        jump_to_if(kE, t.leave);
        mov(rcx, qword[at(ARCLIGHT_STATE_DISP(pc))]);
        and_(rcx, static_cast<uint32_t>(mmu::kPageMask));
        mov(qword[at(ARCLIGHT_STATE_DISP(page_base))], rcx);
        jmp(rax);
    };
    mov(dword[at(ARCLIGHT_STATE_DISP(exit_info))], eax);
    look_up(kLookupDirect);

    // rcx = address
    align(16);
    t.lookup_indirect = here();
    mov(qword[at(ARCLIGHT_STATE_DISP(pc))], rcx);
    mov(rsi, rcx);
    mov(dword[at(ARCLIGHT_STATE_DISP(exit_info))], kNoSite);
    look_up(kLookupIndirect);

    // eax = counter or guard; a block's entry, so nothing is in registers. page_base is right.
    const auto ask = [&](unsigned entry) {
        align(16);
        const uint8_t* start = here();
        mov(esi, eax);
        call_host(qword[at(disp_of_entry(entry))], 16);
        reload_tlb();
        jmp(rax);
        return start;
    };
    t.promote = ask(kPromote);
    t.region_guard = ask(kRegionGuard);
    return t;
}

}  // namespace arclight::backend
