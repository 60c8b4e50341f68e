// Where a debugger beside the machine has virtual CPUs stop: breakpoints and watchpoints of its own, which have nothing to
// do with the guest's debug registers (frontend/a64/system/hardware_debug.h).
//
// They are by virtual address, in every address space. Breakpoints: FetchUnit tells the engine where the instruction is
// when it first finds the page, and translated code leaves there with ExitReason::Stop. Watchpoints: MemoryPath keeps their
// pages out of the soft TLBs and fastmem.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "mmu/soft_tlb.h"

namespace arclight::guestos {

class DebugPoints {
  public:
    struct Watchpoint {
        uint64_t va = 0;
        uint64_t bytes = 0;  ///< not 0
        bool reads = false, writes = false;
        auto operator<=>(const Watchpoint&) const = default;
    };
    struct Stop {
        enum class Why : uint8_t { Breakpoint, Watchpoint, Step } why = Why::Step;
        Watchpoint watchpoint{};  ///< of Why::Watchpoint
        uint64_t va = 0;          ///< likewise: the first watched byte of the access, which has not been made
    };

    // ---- On a virtual CPU's own thread. What they look at changes while the world is stopped.
    bool breakpoint_at(uint64_t pc) const { return breakpoints_.contains(pc); }
    /// Calls f(offset) for each one in the page at `page`.
    template <typename F>
    void for_each_breakpoint(uint64_t page, F&& f) const {
        for (auto it = breakpoints_.lower_bound(page);
             it != breakpoints_.end() && (*it & mmu::kPageMask) == page; ++it)
            f(*it & ~mmu::kPageMask);
    }
    /// Whether the page, of 2^page_bits bytes, is to stay out of the soft TLBs.
    bool watches_page(uint64_t va, unsigned page_bits) const {
        const uint64_t first = without_tag(va) >> page_bits << page_bits;
        return find(kept_out_, first, uint64_t{1} << page_bits, true, true).has_value();
    }
    std::optional<Stop> hit(uint64_t va, uint64_t bytes, bool reads, bool writes) const {
        const auto found = find(watchpoints_, without_tag(va), bytes, reads, writes);
        if (!found) return std::nullopt;
        const uint64_t start = without_tag(found->va), at = without_tag(va);
        return Stop{Stop::Why::Watchpoint, *found, va + (start > at ? start - at : 0)};
    }
    /// The CPU has stopped before an instruction, or after its step, and is held (Vcpu::hold()).
    virtual void stopped(unsigned cpu, const Stop& stop) = 0;

  protected:
    ~DebugPoints() = default;

    std::set<uint64_t> breakpoints_;
    std::vector<Watchpoint> watchpoints_;  ///< hits
    std::vector<Watchpoint> kept_out_;     ///< whose pages no soft TLB has; may hold some that are gone

  private:
    /// Bit 55 tells the halves of the address space apart; above it is a tag, or the sign.
    static uint64_t without_tag(uint64_t va) { return va & ((uint64_t{1} << 56) - 1); }
    static std::optional<Watchpoint> find(const std::vector<Watchpoint>& all, uint64_t va, uint64_t bytes,
                                          bool reads, bool writes) {
        for (const Watchpoint& w : all) {
            const uint64_t start = without_tag(w.va);
            if (start < va + bytes && va < start + w.bytes && ((reads && w.reads) || (writes && w.writes)))
                return w;
        }
        return std::nullopt;
    }
};

}  // namespace arclight::guestos
