// Code shared by all blocks: entering and leaving translated code, and the calls of C++.
#include <span>

#include "backend/x64/stub_emitter.h"
#include "backend/x64/vector_homes.h"
#include "jit/runtime_entries.h"
#include "mmu/victim_tlb.h"

namespace arclight::backend {

using namespace Xbyak::util;
using enum jit::RuntimeEntry;

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

/// Looks a page up in the victim TLB. rax = the offset of its entry in the soft TLB, `tag` = the tag that the entry did not
/// have. ZF set: rax = the addend. All other registers are kept.
///
/// Of an access across two pages the tag is of the second page, which is in another entry than the one that is looked at.
const uint8_t* StubEmitter::emit_victim(const Reg64& tag, bool write) {
    constexpr int kTlbEntryLog2 = 5;
    constexpr auto kUses = static_cast<int>(offsetof(mmu::SoftTlb, victim_uses));
    constexpr auto kVictims = static_cast<int>(offsetof(mmu::SoftTlb, victims));
    constexpr auto kTlb = static_cast<int>(offsetof(mmu::VictimTlb::Entry, tlb));
    constexpr auto kTag = kTlb + static_cast<int>(offsetof(mmu::TlbEntry, read_tag)),
                   kWriteTag = kTlb + static_cast<int>(offsetof(mmu::TlbEntry, write_tag)),
                   kAddend = kTlb + static_cast<int>(offsetof(mmu::TlbEntry, addend));
    static_assert(sizeof(mmu::TlbEntry) == 1u << kTlbEntryLog2 &&
                  sizeof(mmu::VictimTlb::Entry) == 2u << kTlbEntryLog2);
    const Reg64 index = tag.getIdx() == Operand::RCX ? rdx : rcx;
    as_.align(16);
    const uint8_t* start = as_.here();
    // VictimTlb::index(), of the page in rax and the upper bits of the tag.
    as_.push(index);
    as_.rorx(index, tag, mmu::kPageBits + mmu::kTlbBits - kTlbEntryLog2);
    as_.xor_(index.cvt32(), eax);
    as_.and_(index.cvt32(), ((1u << mmu::VictimTlb::kBits) - 1) << kTlbEntryLog2);
    as_.mov(rax, qword[r14 + kVictims]);
    as_.lea(rax, ptr[rax + index * 2]);
    as_.pop(index);
    as_.cmp(tag, qword[rax + (write ? kWriteTag : kTag)]);
    const Jump miss = as_.jump_if(kNe, true);
    as_.sub(dword[r14 + kUses], 1);
    const Jump enough = as_.jump_if(kS, true);  // not zero either
    as_.mov(rax, qword[rax + kAddend]);
    as_.cmp(eax, eax);
    as_.land(miss);
    as_.land(enough);
    as_.ret();
    return start;
}

jit::SharedStubs StubEmitter::emit_stubs() {
    jit::SharedStubs t{};
    const auto guest_mxcsr = dword[at(ARCLIGHT_STATE_DISP(guest_fp_control))];
    const auto host_mxcsr = dword[at(ARCLIGHT_STATE_DISP(host_fp_control))];
    // LDMXCSR and STMXCSR in turn take up to 80 ns, and the guest's control bits are nearly always the
    // host's. So these load it only if something would change that somebody minds. Both use edi;
    // enter_host_fp leaves in it the control bits that differ.
    const auto enter_host_fp = [&] {
        as_.stmxcsr(guest_mxcsr);
        as_.mov(edi, guest_mxcsr);
        as_.xor_(edi, host_mxcsr);
        as_.and_(edi, kMxcsrControl);
        const Jump same = as_.jump_if(kE, true);
        as_.ldmxcsr(host_mxcsr);
        as_.land(same);
    };
    const auto load_guest_mxcsr = [&](const Address& now) {
        as_.mov(edi, now);
        as_.cmp(edi, guest_mxcsr);
        const Jump same = as_.jump_if(kE, true);
        as_.ldmxcsr(guest_mxcsr);
        as_.land(same);
    };
    // Guest registers in vector registers: C++ sees them in GuestState alone.
    const auto vector_slot = [](size_t k) { return qword[at(slot_disp(kInVectors[k]))]; };
    const auto vector_home = [](size_t k) { return Xmm(kFirstVectorHome + static_cast<int>(k)); };
    // That they are executed from here on, where somebody asks: their counter.
    const auto count = [&](bool stores) {
        jit::HostProfile* profile = ctx_.buffer.profile();
        if (profile == nullptr) return;
        jit::HostProfile::Segment segment{};
        segment.runs = profile->new_counter();
        segment.shared = true;
        for (const uint8_t slot : kInVectors) (stores ? segment.stores : segment.loads)[slot] = 1;
        profile->add(segment);
        as_.push(rax);
        as_.mov(rax, reinterpret_cast<size_t>(segment.runs));
        as_.inc(qword[rax]);
        as_.pop(rax);
    };
    const auto store_vector_homes = [&] {
        if (!ctx_.buffer.vector_registers()) return;
        for (size_t k = 0; k < kInVectors.size(); ++k) as_.vmovq(vector_slot(k), vector_home(k));
        count(true);
    };
    const auto load_vector_homes = [&] {
        if (!ctx_.buffer.vector_registers()) return;
        for (size_t k = 0; k < kInVectors.size(); ++k) as_.vmovq(vector_home(k), vector_slot(k));
        count(false);
    };
    // A call of C++ with the host's MXCSR; `bytes` align the stack and hold what differed, and then what is
    // left.
    const auto call_host = [&](const Address& function, int bytes) {
        store_vector_homes();
        enter_host_fp();
        as_.sub(rsp, bytes);
        as_.mov(dword[rsp], edi);
        as_.lea(rdi, ptr[rbp - jit::kStateBias]);
        as_.call_indirect(function);
        as_.cmp(dword[rsp], 0);
        const Jump differed = as_.jump_if(kNe, true);
        as_.stmxcsr(dword[rsp]);
        load_guest_mxcsr(dword[rsp]);
        const Jump done = as_.jump_always(true);
        as_.land(differed);
        as_.ldmxcsr(guest_mxcsr);
        as_.land(done);
        as_.add(rsp, bytes);
        load_vector_homes();
    };
    // The same with the guest's, for C++ that does integer arithmetic only.
    const auto call_integer = [&](const Address& function, int bytes) {
        store_vector_homes();
        as_.sub(rsp, bytes);
        as_.lea(rdi, ptr[rbp - jit::kStateBias]);
        as_.call_indirect(function);
        as_.add(rsp, bytes);
        load_vector_homes();
    };
    const auto reload_tlb = [&] { as_.mov(r14, qword[at(ARCLIGHT_STATE_DISP(tlb))]); };
    const auto set_reason = [&](jit::ExitReason r) {
        as_.mov(dword[at(ARCLIGHT_STATE_DISP(exit_reason))], static_cast<uint32_t>(r));
    };
    const auto gpr_slot = [&](unsigned r) {
        return qword[at(ARCLIGHT_STATE_DISP(saved_gpr) + 8 * static_cast<int>(r))];
    };
    const auto xmm_slot = [&](int x) { return ptr[at(ARCLIGHT_STATE_DISP(saved_xmm) + 16 * x)]; };
    const auto save = [&](bool all) {
        for (const unsigned r : kCallerSaved) as_.mov(gpr_slot(r), Reg64(static_cast<int>(r)));
        if (all)
            for (const unsigned r : kCalleeSaved) as_.mov(gpr_slot(r), Reg64(static_cast<int>(r)));
        for (int x = 0; x < kXmmCount; ++x) as_.vmovaps(xmm_slot(x), Xmm(x));
    };
    const auto restore = [&] {
        for (const unsigned r : kCallerSaved) as_.mov(Reg64(static_cast<int>(r)), gpr_slot(r));
        for (int x = 0; x < kXmmCount; ++x) as_.vmovaps(Xmm(x), xmm_slot(x));
    };

    as_.setSize(ConstantPool::kBytes);  // constant_pool.cpp fills it
    if (ctx_.buffer.spectre()) t.indirect_thunk = as_.emit_indirect_thunk();

    // enter(state, code)
    as_.align(16);
    // NOLINTNEXTLINE(performance-no-int-to-ptr): from data to a function there is no other cast
    t.enter = reinterpret_cast<jit::EnterFn>(reinterpret_cast<uintptr_t>(as_.here()));
    for (const Reg64& r : {rbx, rbp, r12, r13, r14, r15}) as_.push(r);
    as_.sub(rsp, 8);
    as_.lea(rbp, ptr[rdi + jit::kStateBias]);
    as_.mov(qword[at(ARCLIGHT_STATE_DISP(saved_rsp))], rsp);
    reload_tlb();
    as_.mov(dword[at(ARCLIGHT_STATE_DISP(exit_request))], 0);
    set_reason(jit::ExitReason::None);
    as_.stmxcsr(host_mxcsr);
    load_guest_mxcsr(host_mxcsr);
    load_vector_homes();
    as_.jump_indirect(rsi);

    as_.align(16);
    t.leave = as_.here();
    store_vector_homes();
    enter_host_fp();
    as_.mov(rsp, qword[at(ARCLIGHT_STATE_DISP(saved_rsp))]);
    as_.mov(eax, dword[at(ARCLIGHT_STATE_DISP(exit_reason))]);
    as_.add(rsp, 8);
    for (const Reg64& r : {r15, r14, r13, r12, rbp, rbx}) as_.pop(r);
    as_.ret();

    const auto leave_if_requested = [&] {
        as_.cmp(dword[at(ARCLIGHT_STATE_DISP(exit_request))], 0);
        as_.jump_to_if(kNe, t.leave);
    };

    // eax = descriptor; all registers are kept, and can be seen in the saved state meanwhile.
    as_.align(16);
    t.memory_slow = as_.here();
    save(true);
    as_.mov(esi, eax);
    as_.mov(rdx, qword[rsp]);
    call_host(qword[at(disp_of_entry(kMemorySlow))], 8);
    reload_tlb();
    leave_if_requested();
    restore();
    as_.ret();

    for (const bool write : {false, true})
        for (const auto& tags :
             {std::span<const unsigned>(kCallerSaved), std::span<const unsigned>(kCalleeSaved)})
            for (const unsigned tag : tags)
                t.victim[write][tag] = emit_victim(Reg64(static_cast<int>(tag)), write);

    // eax = ir::Op. The reference functions are integer code: the guest's MXCSR stays.
    as_.align(16);
    t.vector_call = as_.here();
    save(false);
    as_.mov(esi, eax);
    call_integer(qword[at(disp_of_entry(kVectorCall))], 8);
    restore();
    as_.ret();

    // eax = entry << 16 | page offset of the instruction; rsi, rdx, rcx = arguments. Result in rax.
    const auto call_entry = [&](const auto& call) {
        as_.movzx(edi, ax);
        as_.mov(dword[at(ARCLIGHT_STATE_DISP(insn_offset))], edi);
        as_.shr(eax, 16);
        call(qword[rbp + rax * 8 + ARCLIGHT_STATE_DISP(runtime)], 8);
        reload_tlb();
        leave_if_requested();
    };
    const auto helper = [&](const auto& call) {
        as_.align(16);
        const uint8_t* start = as_.here();
        call_entry(call);
        as_.ret();
        return start;
    };
    t.call_helper = helper(call_host);
    t.call_integer = helper(call_integer);

    // The same of a cold path: registers are kept, and the two arguments are in memory.
    as_.align(16);
    t.call_scalable = as_.here();
    save(false);
    as_.mov(rsi, qword[at(ARCLIGHT_STATE_DISP(access_value))]);
    as_.mov(rdx, qword[at(ARCLIGHT_STATE_DISP(access_value) + 8)]);
    call_entry(call_host);
    restore();
    as_.ret();

    // eax = exit_info of a region's exit to rcx: an indirect one has stored both (IrLowering::lower_indirect_exit).
    const auto load_region_exit = [&] {
        as_.mov(eax, dword[at(ARCLIGHT_STATE_DISP(exit_info))]);
        as_.cmp(rcx, qword[at(ARCLIGHT_STATE_DISP(pc))]);
        const Jump indirect = as_.jump_if(kE, true);
        as_.mov(eax, jit::kNoLinkSlot);
        as_.land(indirect);
    };

    // rcx = page offset, or address, to go on at, then with eax = exit_info
    as_.align(16);
    t.interrupted = as_.here();
    as_.add(rcx, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
    as_.mov(eax, jit::kNoLinkSlot);
    const Jump direct = as_.jump_always(true);
    t.interrupted_region = as_.here();
    load_region_exit();
    as_.land(direct);
    t.interrupted_at = as_.here();
    as_.mov(qword[at(ARCLIGHT_STATE_DISP(pc))], rcx);
    as_.mov(dword[at(ARCLIGHT_STATE_DISP(exit_info))], eax);
    set_reason(jit::ExitReason::Interrupt);
    as_.jump_to(t.leave);

    // eax = reason, edx = info, ecx = page offset
    as_.align(16);
    t.exit_runtime = as_.here();
    as_.add(rcx, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
    as_.mov(qword[at(ARCLIGHT_STATE_DISP(pc))], rcx);
    as_.mov(dword[at(ARCLIGHT_STATE_DISP(exit_reason))], eax);
    as_.mov(dword[at(ARCLIGHT_STATE_DISP(exit_info))], edx);
    as_.jump_to(t.leave);

    // rcx = page offset, eax = link slot; the page is right already. Another soft TLB may know the way.
    constexpr int kCache = static_cast<int>(offsetof(mmu::SoftTlb, jump_cache));
    as_.align(16);
    t.lookup_cross = as_.here();
    as_.add(rcx, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
    as_.rorx(edx, ecx, mmu::kPageBits - 4);
    as_.lea(edx, ptr[rdx + rcx * 4]);
    as_.and_(edx, static_cast<uint32_t>((mmu::kJumpCacheEntries - 1) * sizeof(mmu::JumpCacheEntry)));
    as_.cmp(rcx, qword[r14 + rdx + kCache + offsetof(mmu::JumpCacheEntry, pc)]);
    const Jump miss = as_.jump_if(kNe, true);
    as_.sub(dword[r14 + static_cast<int>(offsetof(mmu::SoftTlb, cross_page_uses))], 1);
    const Jump often = as_.jump_if(kS, true);
    as_.jump_indirect(qword[r14 + rdx + kCache + offsetof(mmu::JumpCacheEntry, code)]);

    t.lookup_direct = as_.here();
    as_.add(rcx, qword[at(ARCLIGHT_STATE_DISP(page_base))]);
    as_.land(miss);
    as_.land(often);
    as_.mov(qword[at(ARCLIGHT_STATE_DISP(pc))], rcx);
    as_.mov(esi, eax);
    const auto look_up = [&](unsigned entry) {
        set_reason(jit::ExitReason::Lookup);
        call_integer(qword[at(disp_of_entry(entry))], 16);
        reload_tlb();
        as_.test(rax, rax);
        as_.jump_to_if(kE, t.leave);
        as_.mov(rcx, qword[at(ARCLIGHT_STATE_DISP(pc))]);
        as_.and_(rcx, static_cast<uint32_t>(mmu::kPageMask));
        as_.mov(qword[at(ARCLIGHT_STATE_DISP(page_base))], rcx);
        as_.jump_indirect(rax);
    };
    as_.mov(dword[at(ARCLIGHT_STATE_DISP(exit_info))], eax);
    look_up(kLookupDirect);

    // rcx = address, eax = exit_info. It may be in the second lines of the jump cache: second_jump_cache_index() times the size of a line.
    constexpr int kSecond = kCache + static_cast<int>(mmu::kJumpCacheEntries * sizeof(mmu::JumpCacheEntry));
    constexpr unsigned kLineLog2 = 4;
    static_assert(sizeof(mmu::JumpCacheEntry) == 1u << kLineLog2);
    as_.align(16);
    t.lookup_region = as_.here();
    load_region_exit();
    t.lookup_indirect = as_.here();
    as_.mov(dword[at(ARCLIGHT_STATE_DISP(exit_info))], eax);
    as_.rorx(rdx, rcx, 2 + mmu::kSecondJumpCacheBits - kLineLog2);
    as_.lea(eax, ptr[rcx * 4]);
    as_.xor_(edx, eax);
    as_.and_(edx, ((1u << mmu::kSecondJumpCacheBits) - 1) << kLineLog2);
    as_.cmp(rcx, qword[r14 + rdx + kSecond + offsetof(mmu::JumpCacheEntry, pc)]);
    const Jump not_there = as_.jump_if(kNe, true);
    as_.sub(dword[r14 + static_cast<int>(offsetof(mmu::SoftTlb, second_jump_uses))], 1);
    const Jump enough = as_.jump_if(kS, true);
    as_.and_(rcx, static_cast<uint32_t>(mmu::kPageMask));
    as_.mov(qword[at(ARCLIGHT_STATE_DISP(page_base))], rcx);
    as_.jump_indirect(qword[r14 + rdx + kSecond + offsetof(mmu::JumpCacheEntry, code)]);
    as_.land(not_there);
    as_.land(enough);
    as_.mov(qword[at(ARCLIGHT_STATE_DISP(pc))], rcx);
    as_.mov(rsi, rcx);
    look_up(kLookupIndirect);

    // eax = counter or guard; a block's entry, so nothing is in registers. page_base is right.
    const auto ask = [&](unsigned entry, const auto& call) {
        as_.align(16);
        const uint8_t* start = as_.here();
        as_.mov(esi, eax);
        call(qword[at(disp_of_entry(entry))], 16);
        reload_tlb();
        as_.jump_indirect(rax);
        return start;
    };
    t.promote = ask(kPromote, call_host);
    t.region_guard = ask(kRegionGuard, call_integer);
    return t;
}

}  // namespace arclight::backend
