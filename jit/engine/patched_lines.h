// Code that one virtual CPU goes on changing while another executes it: when it is worth while to translate it again.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace arclight::jit {

/// Of 64-byte lines of guest code, by hash: how often they were changed, and when translations of them were dropped for it
/// and by which CPU. A translation of a line that the next store drops again costs both CPUs more than it is worth: the one
/// that stores must take it out, with the lock, each time. So the CPU that executes the line waits a little for its turn.
class PatchedLines {
  public:
    using Clock = std::chrono::steady_clock;
    /// A line that was left alone for so long is at rest. Two CPUs that change and execute a line in turns lose this much.
    static constexpr std::chrono::nanoseconds kRest = std::chrono::microseconds{2};
    /// What a line that is not at rest is given. No more: what else the CPU was asked for waits too.
    static constexpr std::chrono::nanoseconds kWait = std::chrono::microseconds{50};
    /// After it a drop is forgotten.
    static constexpr std::chrono::nanoseconds kRecent = 4 * kWait;

    /// The line was changed. Any thread.
    void changed(uint64_t pa) {
        auto& changes = line(pa).changes;  // one that is lost makes no difference
        changes.store(changes.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }
    /// `cpu` has dropped translations of the line. The engine's lock is held.
    void dropped(uint64_t pa, const void* cpu) {
        Line& of = line(pa);
        of.dropped_at = Clock::now();
        of.dropped_by = cpu;
    }
    /// Whether another CPU has just done that. The engine's lock is held.
    bool dropped_by_another(uint64_t pa, const void* cpu) {
        const Line& of = line(pa);
        return of.dropped_by != nullptr && of.dropped_by != cpu && Clock::now() - of.dropped_at < kRecent;
    }
    /// Returns when the line is at rest, or after kWait and what the host needs to wake a thread. Any thread, without the lock.
    void wait_for_rest(uint64_t pa) {
        const auto& changes = line(pa).changes;
        const uint32_t before = changes.load(std::memory_order_relaxed);
        const auto end = Clock::now() + kRest;
        do {
            if (changes.load(std::memory_order_relaxed) != before) {
                std::this_thread::sleep_for(kWait);
                return;
            }
        } while (Clock::now() < end);
    }

  private:
    struct alignas(64) Line {
        std::atomic<uint32_t> changes{0};
        const void* dropped_by = nullptr;
        Clock::time_point dropped_at;
    };
    Line& line(uint64_t pa) { return lines_[(pa >> 6 ^ pa >> 12) % lines_.size()]; }
    std::array<Line, 64> lines_;
};

}  // namespace arclight::jit
