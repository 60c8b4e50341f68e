// Finding what a process of the guest has its memory in, without knowing the guest's data structures: a
// kernel that writes the running thread's number to CONTEXTIDR_EL1 (Linux with CONFIG_PID_IN_CONTEXTIDR)
// says who runs, and TTBR0 in what. At the moment when a CPU goes on at EL0 the two belong together; in
// the middle of a switch they do not.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>

#include "mmu/walk.h"

namespace arclight::guestos {

class ContextidrTracker {
  public:
    struct Answer {
        std::optional<mmu::TranslationRegs> translation;  ///< none: the process did not run
        bool kernel_tells = false;                        ///< some process had a number
    };

    /// Waits for a thread of this number (not 0) to run at EL0. One caller at a time, not a CPU's thread.
    Answer wait_for(uint32_t id, std::chrono::milliseconds limit) {
        std::unique_lock guard(lock_);
        answer_ = {};
        wanted_.store(id, std::memory_order_relaxed);
        seen_.wait_for(guard, limit, [&] { return stopped_ || answer_.translation; });
        wanted_.store(0, std::memory_order_relaxed);
        return answer_;
    }

    /// The machine stops: nobody will run.
    void stop() {
        const std::lock_guard guard(lock_);
        stopped_ = true;
        seen_.notify_all();
    }

    /// By each CPU when it goes on at EL0, on its own thread.
    void running(uint64_t context_id, const mmu::TranslationRegs& translation) {
        if (wanted_.load(std::memory_order_relaxed) != 0) [[unlikely]]
            look(context_id, translation);
    }

  private:
    void look(uint64_t context_id, const mmu::TranslationRegs& translation) {
        const std::lock_guard guard(lock_);
        answer_.kernel_tells |= context_id != 0;
        const uint32_t wanted = wanted_.load(std::memory_order_relaxed);
        if (wanted == 0 || context_id != wanted || answer_.translation) return;
        answer_.translation = translation;
        seen_.notify_one();
    }

    std::atomic<uint32_t> wanted_{0};
    std::mutex lock_;
    std::condition_variable seen_;
    Answer answer_;
    bool stopped_ = false;
};

}  // namespace arclight::guestos
