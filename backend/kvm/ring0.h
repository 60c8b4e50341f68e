// Ring 0 of the virtual machine: descriptor tables and one page of stubs per processor. Everything else, the
// program included, runs in ring 3, which is native on every kind of /dev/kvm. Where ring 0 is emulated, each
// of its instructions costs 300 to 700 ns.
#pragma once

#include <linux/kvm.h>

#include <array>
#include <cstdint>

#include "backend/kvm/fastmem_fault.h"
#include "backend/kvm/page_tables.h"
#include "jit/guest_state.h"

namespace arclight::backend::kvm {

/// The I/O port of each reason for which ring 0 leaves the machine.
enum class Port : uint8_t {
    Exception = 0x10,   ///< ExceptionFrame at rsp
    Done = 0x11,        ///< the work of invalidate_outside is done
    SystemCall = 0x12,  ///< registers as SYSCALL leaves them
};

/// The stack of a stub that leaves the machine: what it has pushed, then what the processor has (Intel SDM vol. 3, 6.14.2).
struct ExceptionFrame {
    uint64_t cr2;  ///< of a page fault; else 0
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

inline constexpr unsigned kInvalidOpcode = 6, kGeneralProtection = 13, kPageFault = 14;

/// Translated code: [base, base + 2^log2).
struct CodeRange {
    uint64_t base;
    unsigned log2;
    bool contains(uint64_t pc) const { return (pc - base) >> log2 == 0; }
};

/// One per processor.
class Ring0 {
  public:
    /// `native`: ring 0 runs natively, so faults of translated code are handled inside, and ring 3
    /// invalidates by a software interrupt. Otherwise both leave the machine.
    Ring0(Arena& arena, bool native, CodeRange code, FastmemFaultFn handler);

    /// Sets the system registers for ring 3, with `root` as the page tables.
    void load(kvm_sregs& sregs, const Arena& arena, const Table* root, uint64_t fs_base,
              uint64_t cr4_features) const;

    uint64_t stack_top() const { return stack_top_; }
    /// The pages of stubs, which are complete: for ring 0, and for ring 3.
    std::array<uint64_t, 2> code_pages() const { return {return_to_user_, leave_}; }
    /// Stub for ring 0: iretq.
    uint64_t return_to_user() const { return return_to_user_; }
    /// Native ring 0 only: where SYSCALL goes, which leaves the machine by Port::SystemCall; and sysretq.
    uint64_t system_call() const { return system_call_; }
    uint64_t return_from_system_call() const { return return_from_system_call_; }
    /// Stub for ring 0: invalidates rsi pages at [rdi]; all pages if rsi is 0.
    uint64_t invalidate_outside() const { return invalidate_outside_; }
    /// Stub for ring 0: runs 2 * rsi instructions.
    uint64_t spin_outside() const { return spin_outside_; }
    /// Stub for ring 3: leaves the machine with rdi, rsi and rdx as arguments.
    uint64_t leave() const { return leave_; }
    /// Function for ring 3, native ring 0 only: invalidates `count` pages; all pages if it is 0.
    void (*invalidate_inside() const)(const uint64_t* pages, uint64_t count) {
        return reinterpret_cast<void (*)(const uint64_t*, uint64_t)>(invalidate_inside_);
    }

    static constexpr uint16_t kKernelCode = 0x08, kUserData = 0x23, kUserCode = 0x2b, kTask = 0x30;
    static constexpr uint16_t kSysretBase = 0x18;  ///< SYSRET adds 8 for the data and 16 for the code
    /// With more pages, one invalidation of all is cheaper than one per page.
    static constexpr uint64_t kMaxPages = 32;

  private:
    uint64_t gdt_, tss_, idt_, stack_top_;
    uint64_t return_to_user_ = 0, invalidate_outside_ = 0, invalidate_inside_ = 0, leave_ = 0,
             spin_outside_ = 0, system_call_ = 0, return_from_system_call_ = 0;
    const bool native_;
};

}  // namespace arclight::backend::kvm
