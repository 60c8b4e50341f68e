#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace arclight::devices {

/// One host thread that waits for file descriptors and deadlines. Everything may be called from any thread,
/// including from callbacks. Callbacks run on the loop's thread with no lock of the loop held.
class EventLoop {
  public:
    using FdCallback = std::function<void(uint32_t epoll_events)>;

    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    /// CLOCK_MONOTONIC in nanoseconds, the clock of all deadlines.
    static int64_t now_ns();

    /// A one-shot deadline. Arming again replaces the deadline. A timer may be armed often: the kernel is
    /// told only when the new deadline is earlier than anything it already waits for, by more than the slack.
    /// What is armed at regular intervals, such as an operating system's tick, is waited for in advance, so
    /// that whoever arms it makes no system call, which costs a virtual CPU an exit from its machine.
    class Timer {
      public:
        Timer(EventLoop& loop, std::function<void()> callback);
        ~Timer();  ///< returns once the callback is not running (unless called from it)
        Timer(const Timer&) = delete;
        Timer& operator=(const Timer&) = delete;

        void arm(int64_t deadline_ns);
        /// A callback already under way may still run once: callbacks check their own condition.
        void cancel() { deadline_.store(kNever, std::memory_order_relaxed); }

      private:
        friend class EventLoop;
        EventLoop& loop_;
        std::function<void()> callback_;
        std::atomic<int64_t> deadline_{kNever};
        int64_t last_ = 0, interval_ = 0, period_ = 0;  // of the deadlines that were met; the loop's thread
        int64_t expected_next(int64_t met);
    };
    /// A deadline may be met so much later than asked for.
    static constexpr int64_t kSlackNs = 20'000;
    /// How often a thread other than the loop's own had to tell the kernel.
    uint64_t armed_from_outside() const { return armed_from_outside_.load(std::memory_order_relaxed); }

    /// How many timers are armed.
    unsigned pending_timers();

    /// events as for epoll, level-triggered; 0 pauses. Regular files, which epoll refuses, count as always
    /// ready.
    bool add_fd(int fd, uint32_t events, FdCallback callback);
    void modify_fd(int fd, uint32_t events);
    void remove_fd(int fd);  ///< returns once its callback is not running (unless called from it)

    void post(std::function<void()> work);
    /// Returns when all that was posted before has run and no callback that had begun is running (but the
    /// caller's own), or the loop stops. On a loop that is not running the caller runs what was posted.
    void drain();

    void start();
    void stop();  ///< joins; posted work not yet run is dropped

  private:
    static constexpr int64_t kNever = std::numeric_limits<int64_t>::max();

    struct Watch {
        FdCallback callback;
        uint32_t events;
        bool always_ready;
        uint64_t id;
    };

    void run();
    void wake();
    void program(int64_t deadline_ns);
    void run_due_timers();
    void run_posted();
    void dispatch(int fd, uint64_t id, uint32_t events);
    bool on_loop_thread() const;

    std::mutex lock_;
    std::condition_variable callback_done_;
    std::vector<Timer*> timers_;
    std::map<int, std::shared_ptr<Watch>> watches_;
    std::vector<std::function<void()>> posted_;
    const void* running_ = nullptr;  // the Timer or Watch whose callback runs now
    uint64_t next_watch_id_ = 1;
    unsigned always_ready_ = 0;

    // The deadline the kernel waits for. Arming a later one needs no lock and no system call.
    std::atomic<int64_t> programmed_{kNever};
    std::atomic<uint64_t> armed_from_outside_{0};
    std::atomic<bool> stopping_{false};
    int epoll_fd_ = -1;
    int timer_fd_ = -1;
    int wake_fd_ = -1;
    std::thread thread_;
    std::atomic<std::thread::id> thread_id_{};
};

}  // namespace arclight::devices
