// Emitters of what leaves a block: exits and calls of C++.
#pragma once

#include "backend/x64/emitter.h"

namespace arclight::backend {

// What exits touch: members of GuestState by their displacement from rbp, the jump cache by the one from r14.
inline constexpr int kInterrupt = ARCLIGHT_STATE_DISP(interrupt);
inline constexpr int kPageBase = ARCLIGHT_STATE_DISP(page_base);
inline constexpr int kCache = static_cast<int>(offsetof(mmu::SoftTlb, jump_cache));
inline constexpr uint32_t kJumpCacheMask =
    static_cast<uint32_t>((mmu::kJumpCacheEntries - 1) * sizeof(mmu::JumpCacheEntry));

/// From the stub of an exit to another page: the rel32 by which it asks, within an aligned quadword (jit/exit_lookup.h).
inline constexpr int kLookupField = 11;

/// Of the instruction of an indirect branch that sample() replaces by a jump: `and eax, kJumpCacheMask`.
inline constexpr size_t kIndirectBytes = 5;
inline constexpr uint8_t kIndirectOpcode = 0x25;
/// The instruction of a counter, which patch_entry() writes a jump over: `sub dword [rip + field], 1`, without the field.
inline constexpr std::array<uint8_t, 7> kCountDown{0x83, 0x2d, 0, 0, 0, 0, 1};
/// What is there with CodeOptions::counters_aside: `nop dword [rax + rax]`, as long as the jump.
inline constexpr std::array<uint8_t, 5> kEntryNop{0x0f, 0x1f, 0x44, 0x00, 0x00};
/// What counts is the block's first cold path then.
inline bool counts_aside(const jit::CompiledBlock& block) {
    return static_cast<size_t>(block.body - block.entry) == kEntryNop.size();
}

class ExitEmitter : public Emitter {
  public:
    using Emitter::Emitter;

    // ---- emit_exits.cpp
    void emit_exit(const Inst& i);
    void emit_exit_if(const Inst& i);
    void cold_side_exit(const ColdArgs& args);
    /// Out of line: leaves before the guest instruction at this offset in its page, whose registers the snapshot has.
    void leave_before(uint32_t offset, const ColdArgs& args);
    void cold_link_stub(const ColdArgs& args);
    void cold_interrupted(const ColdArgs& args);
    void emit_indirect_exit(const Inst& i);
    void cold_indirect(const ColdArgs& args);
    void emit_indirect_exit_if(const Inst& i);
    void cold_indirect_side_exit(const ColdArgs& args);
    void emit_enter_page(const Inst& i);
    void cold_enter_page(const ColdArgs& args);
    /// The block's counter, before its first instruction: see compile().
    void emit_counter(uint32_t counter);
    void emit_counter_aside(uint32_t counter);
    void count_down(uint32_t counter);
    void cold_promote(const ColdArgs& args);
    void cold_counter(const ColdArgs& args);
    void emit_runtime_exit(const Inst& i);
    void emit_call(const Inst& i);
    void emit_memory_loop(const Inst& i);
    void cold_memory_loop(const ColdArgs& args);
    void cold_call(const ColdArgs& args);

  private:
    void call_helper(uint32_t aux, uint64_t entry_and_offset);
    bool is_backward(int64_t target) const;
    bool only_exit_follows() const;
    uint32_t new_link_slot(int64_t target, bool cross_page);
    void emit_direct_exit(int64_t target);
    /// Into eax.
    void load_link_number(uint32_t exit);
    void load_target(int64_t target);
    void write_flags_before_test(Ref flags);
    void jump_by_cache(const Reg64& pc, uint32_t kind, bool sampled);
    static bool is_cross_page(int64_t target) { return target < 0 || target >= 4096; }
};

}  // namespace arclight::backend
