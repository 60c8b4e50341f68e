// Where the virtual CPUs' threads are, looked at some hundred times a second by a signal to each.
//
// Tier 2 chooses by it what is compiled (Tier2Options::sampled): each CPU tells the engine of its samples. They are so far apart in
// CPU time, which the host's kernel looks at in its own ticks, so that no further interrupt is needed for them and a thread that
// waits has none. For statistics, which is what jit::detect_warm_up() is told from, they are counted too, and are more.
#pragma once

#include <signal.h>
#include <time.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "jit/engine/warm_up.h"

namespace arclight::guestos {

class Vcpu;

class SamplingProfiler {
  public:
    /// Time begins. `statistics`: slices() are wanted.
    explicit SamplingProfiler(bool statistics);
    /// Whether the host has the timers for it.
    static bool available();
    /// Tier 1's, before there are threads.
    void set_code(const uint8_t* code, size_t bytes);

    /// The calling thread is this virtual CPU's as long as this lives. `elsewhere`: what it runs is in a virtual machine, and
    /// interrupted() says where.
    class Thread {
      public:
        Thread(SamplingProfiler& samples, Vcpu& cpu, bool elsewhere);
        ~Thread();
        Thread(const Thread&) = delete;
        Thread& operator=(const Thread&) = delete;

      private:
        friend class SamplingProfiler;
        void interrupted(uint64_t pc, int samples);
        SamplingProfiler& samples_;
        Vcpu& cpu_;
        const bool elsewhere_;
        const std::chrono::nanoseconds period_;
        volatile sig_atomic_t due_ = 0;  ///< samples
        timer_t timer_{};
        bool armed_ = false;
    };

    /// The calling thread was interrupted there.
    static void interrupted(uint64_t pc);
    /// The program has loaded a library since it was started.
    void note_libraries();

    static constexpr double kSliceSeconds = 0.1;
    /// Empty without `statistics`.
    std::vector<jit::ProfileSlice> slices() const;
    bool for_statistics() const { return !counts_.empty(); }

  private:
    static constexpr size_t kSlices = 36'000;  ///< an hour
    struct Range {
        uint64_t begin = 0, end = 0;
        bool contains(uint64_t pc) const { return pc - begin < end - begin; }
    };
    static void on_signal(int number, siginfo_t* info, void* context);
    static thread_local Thread* current_;
    std::chrono::nanoseconds period(bool elsewhere) const;
    void count(uint64_t pc);

    Range code_{};
    const std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
    /// The program's own code and its libraries': what is executed nowhere else is a region.
    std::atomic<const std::vector<Range>*> text_{nullptr};
    std::mutex text_lock_;
    std::vector<std::unique_ptr<const std::vector<Range>>> texts_;  ///< a handler may be reading an old one
    std::vector<std::array<std::atomic<uint16_t>, 3>> counts_;
};

}  // namespace arclight::guestos
