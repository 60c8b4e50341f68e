#include "devices/host_time_watch.h"

#include <time.h>

#include <chrono>
#include <cstdlib>
#include <utility>

#include "devices/event_loop.h"
#include "host/thread.h"

namespace arclight::devices {

namespace {

constexpr std::chrono::milliseconds kPeriod{100};
// Somebody has set the host's time of day, or the host was suspended. NTP's slewing is less.
constexpr int64_t kWallJumpNs = 50'000'000;

int64_t wall_minus_monotonic() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec - EventLoop::now_ns();
}

}  // namespace

HostTimeWatch::HostTimeWatch(GuestClock& clock, const GuestClock::Watch& watch, std::function<void()> moved)
    : clock_(clock), moved_(std::move(moved)) {
    clock_.begin_watch(watch);
    thread_ = host::start_thread("host-time", ThreadRole::EventLoop, [this] { work(); });
}

HostTimeWatch::~HostTimeWatch() {
    {
        const std::lock_guard guard(lock_);
        quit_ = true;
        changed_.notify_all();
    }
    thread_.join();
    clock_.end_watch();
}

void HostTimeWatch::work() {
    int64_t wall = wall_minus_monotonic();
    std::unique_lock held(lock_);
    while (!changed_.wait_for(held, kPeriod, [this] { return quit_; })) {
        held.unlock();
        const bool counter_moved = clock_.look_at_host();
        const int64_t now = wall_minus_monotonic();
        if (counter_moved || std::abs(now - wall) > kWallJumpNs) moved_();
        wall = now;
        held.lock();
    }
}

}  // namespace arclight::devices
