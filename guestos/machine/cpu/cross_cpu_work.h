// What one virtual CPU has to do for others: a queue of requests, and how those who posted them wait.
//
// A CPU is inside (it may run guest code) or outside (halted, parked, powered off, waiting itself). What is
// posted to a CPU that is inside sets its interrupt flag, which translated code reads at block boundaries,
// and its poster waits for it. A CPU that is outside carries its queue out before it is inside again, so
// nobody waits for it. Which of the two holds is decided under the queue's lock, together with the posting.
//
// Several requests of one poster are one batch: a target is counted once, however many it gets before it
// answers, and interrupted once. The waiter spins for some microseconds, which is what a target on another
// core needs to answer, and then sleeps until the last one has: with more virtual CPUs than cores, the target
// may wait for just this core, or for that of a CPU that has answered already; therefore such CPUs are asked
// to hand theirs over.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "mmu/shadow.h"
#include "mmu/tlbi.h"

namespace arclight::guestos {

class CrossCpuWork {
  public:
    struct Request {
        enum class Kind : uint8_t {
            Tlbi,
            ClearJumps,
            ForgetCode,
            DropDerived,
            WriteProtect,
            ForgetPages
        } kind;
        mmu::TlbiRequest tlbi{};
        mmu::Derived derived{};  ///< WriteProtect: the page's physical address in `va`
        /// ForgetPages: physical addresses in ascending order. Shared by all CPUs, some of which may look at them late.
        std::shared_ptr<const std::vector<uint64_t>> pages{};
    };

    /// Carries requests out, on the owning CPU's thread. The guest's tables may be walked while the CPU is inside only:
    /// nobody waits for one that is outside, and may free a table under its walk.
    class Performer {
      public:
        virtual void carry_out(std::span<const Request> requests, bool may_walk) = 0;

      protected:
        ~Performer() = default;
    };

    /// What one thread has posted and not yet waited for.
    class Batch {
      public:
        bool done() const { return word_.load(std::memory_order_acquire) == 0; }

      private:
        friend class CrossCpuWork;
        // The number of targets that have not answered, and whether anybody sleeps until there are none: one
        // word, so that the last answer touches a batch no more after its owner may have gone on.
        static constexpr uint32_t kSleeping = uint32_t{1} << 31;
        std::atomic<uint32_t> word_{0};
    };

    /// The CPU is outside at first. `interrupt` is GuestState::interrupt.
    CrossCpuWork(std::atomic<uint32_t>& interrupt, Performer& performer);
    CrossCpuWork(const CrossCpuWork&) = delete;
    CrossCpuWork& operator=(const CrossCpuWork&) = delete;

    // ---- From any thread
    /// The poster waits for `batch`, if given, before it relies on the request's being carried out.
    void post(const Request& request, Batch* batch);
    /// Sets the interrupt flag: the CPU looks for more than requests. Wakes it from a nap.
    void interrupt();
    void end_nap();
    /// Returns when the batch is done. `targets` (of CrossCpuWork*): who may have to hand a core over. Not on
    /// a virtual CPU's thread: see wait_outside().
    template <typename Targets>
    static void wait(Batch& batch, const Targets& targets) {
        if (spin(batch)) return;
        if (mark_sleeping(batch))
            for (CrossCpuWork* target : targets) target->ask_for_core();
        sleep(batch);
    }

    /// The owning thread has ended: whatever is posted counts as done.
    void abandon();

    // ---- On the owning thread
    Batch& batch() { return own_; }
    /// Carries out what is queued.
    void carry_out();
    /// To be called in the run loop after carry_out(): if somebody waits for a CPU that has no core, gives
    /// this one's up once. The CPU is outside meanwhile.
    void hand_over_if_asked();
    /// From here the CPU counts as outside. It must not use any translation until enter() has returned.
    void leave();
    void enter();
    /// Waits for batch(), as wait(), and is outside meanwhile, so that CPUs that wait for each other do not
    /// for ever.
    template <typename Targets>
    void wait_outside(const Targets& targets) {
        if (own_.done()) return;
        const Outside outside(*this);
        wait(own_, targets);
    }

    /// For a CPU that waits for another one: gives the core up for `limit`, less if the interrupt flag is set or end_nap()
    /// called; not at all if `may_sleep`, which is asked once others can see that it sleeps, says so.
    template <typename F>
    void nap(std::chrono::nanoseconds limit, F&& may_sleep) {
        const Outside outside(*this);
        // Before the causes are looked at: one that comes later resets it.
        napping_.store(1);
        if (interrupt_.load() == 0 && may_sleep()) sleep_in_nap(limit);
        napping_.store(0);
    }
    void nap() {
        nap(kNap, [] { return true; });
    }
    static constexpr std::chrono::microseconds kNap{50};

    /// It is in no guest code (halted, napping, waiting for others), or was a moment ago. Any thread.
    bool outside() const { return outside_.load(std::memory_order_relaxed); }

    class Outside {
      public:
        explicit Outside(CrossCpuWork& work) : work_(work) { work_.leave(); }
        ~Outside() { work_.enter(); }
        Outside(const Outside&) = delete;
        Outside& operator=(const Outside&) = delete;

      private:
        CrossCpuWork& work_;
    };

  private:
    static bool spin(const Batch& batch);
    static bool mark_sleeping(Batch& batch);
    static void sleep(Batch& batch);
    void sleep_in_nap(std::chrono::nanoseconds limit);
    static void answer(Batch& batch, bool& others_missing);
    void ask_for_core();
    void take();
    void finish_taken(bool inside);
    void answer_taken();

    std::atomic<uint32_t>& interrupt_;
    Performer& performer_;
    Batch own_;
    std::atomic<bool> core_wanted_{false};
    std::atomic<uint32_t> napping_{0};

    std::mutex lock_;
    std::atomic<bool> outside_{true};  // changed under lock_, as the next three
    bool jumps_queued_ = false;
    std::vector<Request> queue_;
    std::vector<Batch*> askers_;  // to be answered when the queue has been carried out
    // Own thread; the vectors' memory is used again.
    std::vector<Request> taken_;
    std::vector<Batch*> taken_askers_;
};

}  // namespace arclight::guestos
