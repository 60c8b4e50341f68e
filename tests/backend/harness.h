// A guest for tests of emitted code: a little memory behind a soft TLB, and C++ entry points that record what
// happens.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/process_accelerator.h"
#include "jit/guest_state.h"
#include "jit/host_code.h"
#include "jit/ir/ir.h"
#include "jit/memory_access.h"
#include "jit/memory_semantics.h"
#include "jit/runtime_entries.h"

namespace arclight::backend::testing {

using namespace jit;
using mmu::SoftTlb;
namespace ir = jit::ir;
using ir::Op;
using ir::Ref;
using ir::Type;

/// Guest memory: pages [kBase, kBase + kPages * 4096). The last page is read-only, everything else outside
/// faults.
struct Memory {
    static constexpr uint64_t kBase = 0x7fff'0000'3000;
    static constexpr unsigned kPages = 4;
    alignas(4096) uint8_t bytes[kPages * 4096] = {};

    static bool allowed(uint64_t addr, unsigned size, bool write) {
        const uint64_t end = kBase + (write ? kPages - 1 : kPages) * uint64_t{4096};
        return addr >= kBase && addr < end && size <= end - addr;
    }
    uint8_t* at(uint64_t addr) { return bytes + (addr - kBase); }
};

/// What the slow path does, on state.access_addr and access_value. False: the access faults.
inline bool perform(GuestState& s, MemoryAccess access, Memory& m) {
    using enum MemoryKind;
    uint64_t addr = s.access_addr;
    const unsigned size = access.bytes();
    if (access.kind == ZeroBlock) addr &= ~uint64_t{63};
    if (access.kind == CheckZero || access.misaligns_stack(addr)) return false;
    if (access.must_be_aligned() && (addr & (size - 1)) != 0) return false;
    if (!Memory::allowed(addr, size, access.writes())) return false;
    jit::perform_access(s, access, m.at(addr));
    return true;
}

// Helpers that IR under test may call, by id.
enum HelperId : uint64_t { kHash, kSystem, kMaybeRaise, kEnd };

inline uint64_t helper_hash(GuestState&, uint64_t a, uint64_t b, uint64_t c) {
    return a * 3 + (b ^ (c << 1));
}
/// Reads and writes guest registers.
inline uint64_t helper_system(GuestState& s, uint64_t a, uint64_t b, uint64_t c) {
    const uint64_t sum =
        s.x[0] + s.x[1] * 3 + s.x[2] * 5 + s.sp + jit::nzcv_from_flags(s.flags) + s.v[1].d[0] + s.v[1].d[1];
    s.x[0] = sum ^ a;
    s.x[3] += b;
    s.sp ^= c;
    s.v[2].d[0] += sum, s.v[2].d[1] ^= sum;
    s.flags = jit::flags_from_nzcv(static_cast<uint32_t>(sum) & 0xf000'0000);
    return sum + s.insn_offset;
}
inline uint64_t helper_maybe_raise(GuestState& s, uint64_t a, uint64_t, uint64_t) {
    if ((a & 3) == 0) {
        s.exit_request = 1;
        s.exit_reason = jit::ExitReason::Exception;
        s.pc = s.page_base + s.insn_offset;
        s.exit_info = 77;
    }
    return a + 1;
}
inline uint64_t helper_end(GuestState& s, uint64_t a, uint64_t, uint64_t) {
    s.exit_reason = jit::ExitReason::Redirect;
    s.pc = a;
    return 0;
}

class Harness {
  public:
    static constexpr uint64_t kPage = 0x40'2000;

    explicit Harness(size_t code_size = size_t{8} << 20, const CodeOptions& options = {})
        : code(code_size, options), accelerator(code) {
        tlb = std::make_unique<SoftTlb>();
        other_view = std::make_unique<SoftTlb>();
        tlb->epoch = 5, other_view->epoch = 6;
        for (uint64_t k = 0; k < mmu::kJumpCacheLines; ++k)
            tlb->jump_cache[k] = other_view->jump_cache[k] = mmu::JumpCacheEntry::empty(k);
        state_ = std::make_unique<GuestState>();
        reset();
    }

    void reset() {
        std::memset(static_cast<void*>(state_.get()), 0, sizeof(GuestState));
        GuestState& s = *state_;
        s.tlb = tlb.get();
        s.user_tlb = tlb.get();
        s.guest_fp_control = 0x1f80;
        s.exclusive_addr = jit::kNoExclusive;
        s.cpu = this;
        s.pc = kPage;
        const auto put = [&](unsigned entry, const void* fn) { s.runtime.entry[entry] = fn; };
        put(kMemorySlow, reinterpret_cast<const void*>(MemorySlowFn{memory_slow}));
        put(kLookupDirect, reinterpret_cast<const void*>(LookupFn{lookup_direct}));
        put(kLookupIndirect, reinterpret_cast<const void*>(LookupFn{lookup_indirect}));
        put(kVectorCall, reinterpret_cast<const void*>(VectorCallFn{call_vector}));
        const HelperFn helpers[] = {call<helper_hash>, call<helper_system>, call<helper_maybe_raise>,
                                    call<helper_end>};
        for (unsigned k = 0; k < std::size(helpers); ++k)
            put(kFirstHelper + k, reinterpret_cast<const void*>(helpers[k]));
        slow_calls = lookups = 0;
        flush_tlb();
    }

    GuestState& state() { return *state_; }

    void flush_tlb() {
        for (unsigned p = 0; p < Memory::kPages; ++p)
            tlb->entries[mmu::tlb_index(Memory::kBase + p * uint64_t{4096})] = mmu::TlbEntry{};
    }
    void fill_tlb() {
        for (unsigned p = 0; p < Memory::kPages; ++p) fill_page(Memory::kBase + p * uint64_t{4096});
    }
    void fill_page(uint64_t va) {
        va &= mmu::kPageMask;
        mmu::TlbEntry& e = tlb->entries[mmu::tlb_index(va)];
        if (!Memory::allowed(va, 1, false)) return;
        e.read_tag = va;
        if (Memory::allowed(va, 1, true)) e.write_tag = va;
        e.addend = reinterpret_cast<uint64_t>(memory.at(va)) - va;
    }

    CompiledBlock compile(const ir::Block& block, uint32_t first_link_slot = 100) {
        const std::string wrong = ir::verify(block);
        EXPECT_EQ(wrong, "") << ir::print(block);
        CompiledBlock compiled = jit::compile(block, code, first_link_slot);
        EXPECT_EQ(compiled.status, CompileStatus::Ok);
        return compiled;
    }
    jit::ExitReason run(const CompiledBlock& block) {
        current = &block;
        return accelerator.run(state(), block.entry);
    }
    std::string listing(const CompiledBlock& b) {
        return disassemble({b.entry, b.hot_bytes}) + "--- cold\n" + disassemble({b.cold, b.cold_bytes});
    }

    CodeBuffer code;
    ProcessAccelerator accelerator;
    Memory memory;
    std::unique_ptr<SoftTlb> tlb, other_view;
    const CompiledBlock* current = nullptr;
    unsigned slow_calls = 0, lookups = 0;
    MemoryAccess last_access;
    bool fill_on_miss = false;
    const void* next_code = nullptr;  ///< what the lookups answer, once
    uint64_t last_lookup = 0;

  private:
    static Harness& of(GuestState& s) { return *static_cast<Harness*>(s.cpu); }
    /// As C++ may leave xmm16 to xmm31.
    void clobber_vectors() const {
        if (!code.vector_registers()) return;
        asm volatile(
            ".irp k, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
            "vpternlogd $255, %xmm\\k, %xmm\\k, %xmm\\k\n"
            ".endr");
    }
    template <HelperFn helper>
    static uint64_t call(GuestState& s, uint64_t a, uint64_t b, uint64_t c) {
        of(s).clobber_vectors();
        return helper(s, a, b, c);
    }
    static void call_vector(GuestState& s, uint64_t op) {
        of(s).clobber_vectors();
        vector_call(s, op);
    }
    static void memory_slow(GuestState& s, uint64_t descriptor, const void* host_pc) {
        Harness& h = of(s);
        h.clobber_vectors();
        ++h.slow_calls;
        h.last_access = MemoryAccess::unpack(descriptor);
        if (perform(s, h.last_access, h.memory)) {
            if (h.fill_on_miss) h.fill_page(s.access_addr);
            // Whatever a C++ function may do to host registers must not matter.
            asm volatile(
                "vpcmpeqd %%xmm0,%%xmm0,%%xmm0; vmovaps %%xmm0,%%xmm7; vmovaps %%xmm0,%%xmm14; mov "
                "$-1,%%r11" ::
                    : "xmm0", "xmm7", "xmm14", "r11");
            return;
        }
        const auto offset = recover_state(*h.current, host_pc, s);
        EXPECT_TRUE(offset.has_value());
        s.pc = s.page_base + offset.value_or(0);
        s.exit_reason = jit::ExitReason::Exception;
        s.exit_info = 1;
        s.exit_request = 1;
    }
    static const void* answer(Harness& h, uint64_t what) {
        h.clobber_vectors();
        ++h.lookups;
        h.last_lookup = what;
        return std::exchange(h.next_code, nullptr);
    }
    static const void* lookup_direct(GuestState& s, uint64_t link_slot) { return answer(of(s), link_slot); }
    static const void* lookup_indirect(GuestState& s, uint64_t pc) { return answer(of(s), pc); }

    std::unique_ptr<GuestState> state_;
};

inline ir::Block block_at(uint32_t offset = 0, uint32_t translation_flags = 0) {
    ir::Block b;
    b.pa = 0x4100'0000 + offset;
    b.translation_flags = translation_flags;
    return b;
}

}  // namespace arclight::backend::testing
