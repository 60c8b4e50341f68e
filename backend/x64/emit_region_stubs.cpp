// Small pieces of code made while blocks run: counted jumps, samplers of indirect branches, region entries.
#include <cassert>

#include "backend/x64/exit_emitter.h"
#include "backend/x64/stub_emitter.h"
#include "jit/region_abi.h"

namespace arclight::backend {

using namespace Xbyak::util;

namespace {
constexpr size_t kGuardBytes = 32, kStubBytes = 256;
}  // namespace

const uint8_t* StubEmitter::emit_counted_jump(CodeCursor& cursor, uint32_t counter, const void* target) {
    constexpr size_t kBytes = 16;
    if (!cursor.cold.has_room_for(kBytes)) return nullptr;
    as_.setSize(cursor.cold.next);
    const uint8_t* start = as_.here();
    as_.inc(dword[as_.at_address(ctx_.buffer.counters() + counter)]);
    as_.jump_to(static_cast<const uint8_t*>(target));
    assert(as_.here() <= start + kBytes);
    cursor.cold.next = as_.getSize();
    return start;
}

const uint8_t* StubEmitter::emit_sampler(CodeCursor& cursor, const jit::CompiledBlock& block, uint32_t ring) {
    constexpr size_t kBytes = 128;
    if (!cursor.cold.has_room_for(kBytes)) return nullptr;
    as_.setSize(cursor.cold.next);
    const uint8_t* start = as_.here();
    const Reg64 pc(block.indirect_register);
    // Any but the one with the address.
    const auto other = [&](unsigned nth) {
        for (const int r : {Operand::RCX, Operand::RDX, Operand::RSI, Operand::RDI})
            if (r != pc.getIdx() && nth-- == 0) return Reg64(r);
        return rax;
    };
    const Reg64 index = other(0), value = other(1), where = other(2);
    as_.and_(eax, kJumpCacheMask);
    as_.cmp(pc, qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, pc)]);
    const Jump miss = as_.jump_if(kNe, true);
    as_.lea(where, ptr[as_.at_address(ctx_.buffer.counters() + ring)]);
    as_.mov(index.cvt32(), 1);
    as_.xadd(dword[where], index.cvt32());
    static_assert((jit::kRingEntries & (jit::kRingEntries - 1)) == 0 && sizeof(jit::RingEntry) == 16);
    as_.and_(index.cvt32(), jit::kRingEntries - 1);
    as_.shl(index.cvt32(), 4);
    as_.mov(value, pc);
    as_.and_(pc, static_cast<uint32_t>(mmu::kPageMask));
    as_.sub(value, qword[at(kPageBase)]);
    as_.mov(qword[where + index + 4 * jit::kRingHead], value);
    as_.mov(value, qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, code)]);
    as_.mov(qword[where + index + 4 * jit::kRingHead + 8], value);
    as_.mov(qword[at(kPageBase)], pc);
    as_.jump_indirect(value);
    as_.land(miss);
    if (pc.getIdx() != Operand::RCX) as_.mov(rcx, pc);
    as_.mov(eax, jit::kIndirectExit | block.indirect_kind);
    as_.jump_to(ctx_.buffer.stubs().lookup_indirect);
    assert(as_.here() <= start + kBytes);
    cursor.cold.next = as_.getSize();
    return start;
}

const uint8_t* StubEmitter::emit_region_stub(CodeCursor& cursor, const jit::RegionStub& stub,
                                             const uint8_t* reuse) {
    if (reuse == nullptr && !cursor.cold.has_room_for(kStubBytes + 15)) return nullptr;
    as_.setSize(reuse != nullptr ? static_cast<size_t>(reuse - ctx_.buffer.base()) : cursor.cold.next);
    as_.align(16);
    const uint8_t* start = as_.here();
    if (reuse == nullptr) cursor.cold.next = as_.getSize() + kStubBytes;
    if (stub.guard != jit::kNoCounter) {
        as_.mov(rax, qword[at(ARCLIGHT_STATE_DISP(region_epochs))]);
        as_.mov(ecx, dword[rax + 4 * static_cast<int>(stub.guard)]);
        as_.mov(eax, stub.guard);
        as_.cmp(ecx, dword[r14]);
        as_.jump_to_if(kNe, ctx_.buffer.stubs().region_guard);
    }
    as_.nop(kGuardBytes - static_cast<size_t>(as_.here() - start));
    if (stub.entries != jit::kNoCounter)
        as_.inc(dword[as_.at_address(ctx_.buffer.counters() + stub.entries)]);
    const bool timed = stub.cycles != jit::kNoCounter;
    const auto cycles = dword[as_.at_address(ctx_.buffer.counters() + (timed ? stub.cycles : 0))];
    if (timed) {
        // Of the low half, so that what is added up wraps as one does.
        as_.rdtsc();
        as_.sub(cycles, eax);
    }
    // LLVM's preserve_none: the first arguments are in r12 and r13, and nothing survives but rsp and rbp.
    as_.lea(r12, ptr[rbp - jit::kStateBias]);
    as_.mov(r13, r14);
    as_.mov(rax, reinterpret_cast<uint64_t>(stub.region));
    as_.call_indirect(rax);
    as_.mov(r14, qword[at(ARCLIGHT_STATE_DISP(tlb))]);
    as_.mov(rcx, rax);
    if (timed) {
        as_.rdtsc();
        as_.add(cycles, eax);
    }
    as_.test(cl, jit::region_exit::kStuck | jit::region_exit::kSideExit);
    const Jump special = as_.jump_if(kNe, true);
    const uint8_t* go_on = as_.here();
    as_.cmp(dword[at(kInterrupt)], 0);
    as_.jump_to_if(kNe, ctx_.buffer.stubs().interrupted_region);
    as_.rorx(eax, ecx, mmu::kPageBits - 4);
    as_.lea(eax, ptr[rax + rcx * 4]);
    as_.and_(eax, kJumpCacheMask);
    as_.cmp(rcx, qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, pc)]);
    as_.jump_to_if(kNe, ctx_.buffer.stubs().lookup_region);
    as_.and_(rcx, static_cast<uint32_t>(mmu::kPageMask));
    as_.mov(qword[at(kPageBase)], rcx);
    as_.jump_indirect(qword[r14 + rax + kCache + offsetof(mmu::JumpCacheEntry, code)]);
    as_.land(special);
    if (stub.side_exits != jit::kNoCounter)
        as_.inc(dword[as_.at_address(ctx_.buffer.counters() + stub.side_exits)]);
    as_.test(cl, jit::region_exit::kStuck);
    as_.jump_to_if(kNe, static_cast<const uint8_t*>(stub.body));
    as_.and_(rcx, -static_cast<int>(jit::region_exit::kSideExit) - 1);
    as_.jump_to(go_on);
    assert(as_.here() <= start + kStubBytes);
    return start;
}

}  // namespace arclight::backend

namespace arclight::jit {
const uint8_t* after_guard(const uint8_t* stub) { return stub + backend::kGuardBytes; }
}  // namespace arclight::jit
