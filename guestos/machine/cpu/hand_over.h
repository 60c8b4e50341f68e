// Whom a virtual CPU that waits in a loop leaves its core of the host to, and when that one says that it has got on.
//
// The host does not know that one CPU waits for another, and runs the waiting one as well as any. So a CPU that has waited for
// long looks for the one that it waits for (VcpuCore::spin()), puts itself down there, and sleeps. After Ishiguro, Yasuno, Aublin
// and Kono, "Mitigating Excessive vCPU Spinning in VM-Agnostic KVM" (VEE 2021), candidates are CPUs to which this one has sent an
// SGI that they have not taken yet, then CPUs that the host has preempted, those in EL1 first, since locks of the kernel are
// held there.
//
// Lost wake-ups, with S the CPU that waits and T the one that it waits for:
//
//   S: "asleep"; waiters_ of T |= S     (full barrier)   reads whether T has taken the SGI; if not, sleeps
//   T: takes the SGI: senders_ = 0      (full barrier)   ... ends the interrupt, reads waiters_, wakes S
//
// Either S sees that T has taken it, or T sees S. What T does without being seen (it releases a lock by a store) wakes nobody:
// every sleep has a limit, and ends with an interrupt for S.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>

#include "devices/layout.h"

namespace arclight::guestos {

/// The core of the host that a thread runs on, or ran on last: the kernel writes it into the thread's area for restartable
/// sequences (rseq(2)) whenever the thread goes on in user space. Two threads that both want to run and have the same one do
/// not run at once.
class LastCore {
  public:
    /// On the thread itself, which calls release() before it ends.
    void adopt();
    void release();
    /// Any thread. Negative: not known.
    int get() const;

  private:
    mutable std::mutex lock_;  // so that the area is there while it is read
    const uint32_t* core_ = nullptr;
};

/// Why a core was left to whom.
enum class HandOverCause : uint8_t {
    Receiver,  ///< of an SGI of the CPU that waits, which it has not taken yet
    Kernel,    ///< preempted by the host in EL1
    User,      ///< preempted by the host in EL0
    Anybody,   ///< no such CPU is known
    Count
};

/// Of one virtual CPU, as others see it.
class HandOver {
  public:
    static_assert(devices::layout::kMaxCpus <= 64, "a bit for each");

    // ---- Any thread
    /// A CPU sends this one an SGI; before the interrupt line is driven for it.
    void sgi_from(unsigned sender) { senders_.fetch_or(bit(sender)); }
    /// The CPU has not taken an interrupt since.
    bool has_sgi_of(unsigned sender) const { return (senders_.load() & bit(sender)) != 0; }
    /// `sender` waits for that no longer.
    void forget_sgi_of(unsigned sender) { senders_.fetch_and(~bit(sender)); }
    /// `cpu` sleeps until this one gets on.
    void add_waiter(unsigned cpu) { waiters_.fetch_or(bit(cpu)); }
    bool awaited() const { return waiters_.load(std::memory_order_relaxed) != 0; }

    // ---- On the CPU's own thread
    void interrupt_taken() {
        if (senders_.load(std::memory_order_relaxed) != 0) senders_.store(0);
    }
    /// A bit for each of those that are to be woken.
    uint64_t take_waiters() { return awaited() ? waiters_.exchange(0) : 0; }

  private:
    static constexpr uint64_t bit(unsigned cpu) { return uint64_t{1} << cpu; }

    std::atomic<uint64_t> senders_{0}, waiters_{0};
};

}  // namespace arclight::guestos
