// From a guest PC to translated code: instruction fetch, its walks, and the look-ups of code.
#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <vector>

#include "guestos/machine/cpu/shadow_pager.h"
#include "guestos/machine/cpu/vcpu_core.h"

namespace arclight::guestos {

/// On the virtual CPU's own thread.
class FetchUnit {
  public:
    /// Why there is no code to run at a PC.
    enum class NoCode : uint8_t {
        ExceptionTaken,  ///< the PC is the vector's now
        CacheFull,       ///< CpuPeers::flush_code(), then again
        Breakpoint,      ///< of DebugPoints, at this PC
    };

    FetchUnit(VcpuCore& core, ShadowPager& pager);

    /// For the run loop, which has taken the tag off: the code for `pc`, or an exception.
    std::expected<const void*, NoCode> code_at(uint64_t pc);

    /// Until it is told otherwise, code_at() gives one instruction, whatever DebugPoints says of it. Nothing leads on from there.
    void set_alone(bool alone) {
        if (alone && !alone_) core_.tlbs.clear_jump_caches();
        alone_ = alone;
    }

    // ---- For translated code, which leaves where these return null
    /// For a direct exit, which is linked to what is found.
    const void* linked_code_at(uint64_t pc, uint32_t link_slot);
    /// For an indirect exit; the jump cache remembers what is found.
    const void* jump_target_at(uint64_t pc);
    /// For a region's entry: where to go on, after its pages were looked at.
    const void* check_region_entry(uint32_t guard);

    /// After the code cache was emptied.
    void forget_code() { spinning_ = kNoSlot; }

    /// The instruction word at the helper's PC. Reads the guest's memory again, which may not be what was
    /// translated any more: good for the Rt that the guest is told of its own instruction, and for no
    /// decision.
    uint32_t current_instruction() const;

    /// By region guard (GuestState::region_epochs).
    uint32_t* region_epochs() { return region_epochs_.data(); }

  private:
    struct Entry {
        uint64_t va_page = 1;
        const mmu::SoftTlb* tlb = nullptr;
        uint32_t epoch = 0;
        uint64_t pa_page = 0;
        bool guarded = false;  ///< FEAT_BTI
    };
    static constexpr size_t kEntries = 256;

    bool find(uint64_t pc, uint64_t& pa, uint8_t* fault_code = nullptr);
    Entry& entry_of(uint64_t pc) { return entries_[pc >> mmu::kPageBits & (kEntries - 1)]; }
    const void* known_code(uint64_t pa, uint32_t translation_flags);
    const void* entry_of_code(uint64_t pa, uint32_t translation_flags);
    uint32_t word_at(uint64_t pa) const;
    bool remembers(uint64_t pa) const;
    uint32_t flags_at(uint64_t pc);
    bool overlay_permits(const mmu::WalkResult& walk, uint64_t pc, uint8_t* fault_code);
    bool is_there(uint64_t pa, uint8_t* fault_code) const;
    bool steps_through(uint64_t pc) const;
    void tell_breakpoints(uint64_t page, uint64_t pa);

    VcpuCore& core_;
    jit::GuestState& state_;
    frontend::a64::Cpu& cpu_;
    ShadowPager& pager_;
    std::array<Entry, kEntries> entries_{};
    std::vector<uint32_t> region_epochs_;
    bool alone_ = false;
    static constexpr uint32_t kNoSlot = ~uint32_t{0};
    uint32_t spinning_ =
        kNoSlot;               ///< the exit of a loop that waits for another CPU: the last that this CPU took
    uint64_t stops_told_ = 0;  ///< to the engine
};

}  // namespace arclight::guestos
