// What the KVM accelerator does about faults of regions that reach memory through fastmem, done by signals:
// tests need no virtual machine for them.
#pragma once

#include <signal.h>
#include <ucontext.h>

#include <functional>
#include <vector>

#include "jit/guest_state.h"
#include "jit/llvm/region_compiler.h"

namespace arclight::jit::testing {

/// What makes sums of this slot's addresses non-canonical, as mmu/fastmem.cpp has it.
constexpr uint64_t fastmem_poison(uint64_t slot) {
    constexpr uint64_t kUpper = ~((uint64_t{1} << 49) - 1);
    const uint64_t base = slot << mmu::kFastmemSlotBits;
    return (uint64_t{1} << 47) - (slot >= mmu::kFastmemSlots / 2 ? base | kUpper : base);
}

/// One at a time. A fault that is no region's is as without it.
class FaultExits {
  public:
    FaultExits() {
        current() = this;
        struct sigaction action {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO;
        sigaction(SIGSEGV, &action, &old_);
    }
    ~FaultExits() {
        sigaction(SIGSEGV, &old_, nullptr);
        current() = nullptr;
    }
    FaultExits(const FaultExits&) = delete;
    FaultExits& operator=(const FaultExits&) = delete;

    void add(const RegionCode& code) { codes_.push_back(code); }
    void clear() { codes_.clear(); }
    /// True: the access can be tried again.
    std::function<bool(void* address)> refill = [](void*) { return false; };
    unsigned faults = 0;

  private:
    static FaultExits*& current() {
        static FaultExits* it = nullptr;
        return it;
    }
    static void on_fault(int, siginfo_t* info, void* context) {
        FaultExits& self = *current();
        greg_t* const r = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
        for (const RegionCode& code : self.codes_) {
            const void* next = code.side_exit(reinterpret_cast<const void*>(r[REG_RIP]));
            if (next == nullptr) continue;
            ++self.faults;
            constexpr greg_t kArithmeticFlags = 0x8d5;
            r[REG_EFL] ^= kArithmeticFlags;  // the real one does not keep them either
            if (!self.refill(info->si_addr)) r[REG_RIP] = reinterpret_cast<greg_t>(next);
            return;
        }
        sigaction(SIGSEGV, &self.old_, nullptr);
    }

    std::vector<RegionCode> codes_;
    struct sigaction old_ {};
};

}  // namespace arclight::jit::testing
