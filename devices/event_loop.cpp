#include "devices/event_loop.h"

#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "host/thread.h"

namespace arclight::devices {

namespace {

// epoll_data values that are not (watch id << 32 | fd).
constexpr uint64_t kTagTimer = 1;
constexpr uint64_t kTagWake = 2;
constexpr uint64_t kFirstWatchId = 1;

uint64_t watch_tag(uint64_t id, int fd) { return id << 32 | static_cast<uint32_t>(fd); }

[[noreturn]] void fail(const char* what) { throw std::system_error(errno, std::generic_category(), what); }

// Counters of timerfd and eventfd carry nothing we need.
void discard_count(int fd) {
    uint64_t count;
    while (::read(fd, &count, sizeof count) < 0 && errno == EINTR) {
    }
}

}  // namespace

int64_t EventLoop::now_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

EventLoop::EventLoop() : next_watch_id_(kFirstWatchId) {
    epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
    if (epoll_fd_ < 0) fail("epoll_create1");
    timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (timer_fd_ < 0) fail("timerfd_create");
    wake_fd_ = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (wake_fd_ < 0) fail("eventfd");
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = kTagTimer;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, timer_fd_, &event) != 0) fail("epoll_ctl");
    event.data.u64 = kTagWake;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event) != 0) fail("epoll_ctl");
}

EventLoop::~EventLoop() {
    stop();
    close(epoll_fd_);
    close(timer_fd_);
    close(wake_fd_);
}

void EventLoop::start() {
    if (thread_.joinable()) return;
    stopping_ = false;
    thread_ = host::start_thread("events", ThreadRole::EventLoop, [this] { run(); });
}

void EventLoop::stop() {
    if (!thread_.joinable()) return;
    {
        const std::lock_guard guard(lock_);
        stopping_ = true;
        callback_done_.notify_all();
    }
    wake();
    thread_.join();
    const std::lock_guard guard(lock_);
    posted_.clear();
}

void EventLoop::wake() {
    const uint64_t one = 1;
    // Fails only when the counter is saturated, and then the loop is awake anyway.
    [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof one);
}

bool EventLoop::on_loop_thread() const { return thread_id_.load() == std::this_thread::get_id(); }

// ---- timers

EventLoop::Timer::Timer(EventLoop& loop, std::function<void()> callback)
    : loop_(loop), callback_(std::move(callback)) {
    const std::lock_guard guard(loop_.lock_);
    loop_.timers_.push_back(this);
}

EventLoop::Timer::~Timer() {
    std::unique_lock held(loop_.lock_);
    std::erase(loop_.timers_, this);
    if (loop_.on_loop_thread()) return;
    loop_.callback_done_.wait(held, [&] { return loop_.running_ != this; });
}

// Against a lost deadline: the loop raises programmed_ to `never` before it reads the deadlines. Either this
// store comes first and the loop sees it, or this load sees `never` (or what follows) and takes the slow
// path.
void EventLoop::Timer::arm(int64_t deadline_ns) {
    deadline_.store(deadline_ns);
    if (deadline_ns >= loop_.programmed_.load() - kSlackNs) return;
    const std::lock_guard guard(loop_.lock_);
    if (deadline_ns >= loop_.programmed_.load() - kSlackNs) return;
    if (!loop_.on_loop_thread()) loop_.armed_from_outside_.fetch_add(1, std::memory_order_relaxed);
    loop_.program(deadline_ns);
}

// When a timer whose deadline was just met will be wanted again, or never if it has shown no period: two
// intervals that were the same, and after that whole multiples of it, as after a late tick. In the middle of
// the slack, so that a deadline computed a little earlier or later is covered.
int64_t EventLoop::Timer::expected_next(int64_t met) {
    constexpr int64_t kLongest = 20'000'000;  // waking up in vain must be rare: one tick of 50 Hz
    constexpr int64_t kNear = kSlackNs / 2;
    const int64_t interval = met - std::exchange(last_, met), before = std::exchange(interval_, interval);
    if (interval <= kSlackNs || interval > kLongest) return kNever;
    if (std::abs(interval - before) < kNear) {
        period_ = interval;
    } else if (period_ != 0) {
        const int64_t off = interval % period_;
        if (std::min(off, period_ - off) >= kNear) period_ = 0;
    }
    return period_ != 0 ? met + period_ + kNear : kNever;
}

unsigned EventLoop::pending_timers() {
    const std::lock_guard guard(lock_);
    return static_cast<unsigned>(
        std::ranges::count_if(timers_, [](const Timer* timer) { return timer->deadline_.load() != kNever; }));
}

void EventLoop::program(int64_t deadline_ns) {
    programmed_.store(deadline_ns);
    itimerspec spec{};
    if (deadline_ns != kNever) {
        // Zero would disarm; anything in the past fires at once.
        const int64_t at = std::max<int64_t>(deadline_ns, 1);
        spec.it_value.tv_sec = at / 1'000'000'000;
        spec.it_value.tv_nsec = at % 1'000'000'000;
    }
    timerfd_settime(timer_fd_, TFD_TIMER_ABSTIME, &spec, nullptr);
}

void EventLoop::run_due_timers() {
    std::unique_lock held(lock_);
    const int64_t now = now_ns();
    programmed_.store(kNever);
    int64_t next = kNever;
    std::vector<Timer*> due;
    for (Timer* timer : timers_) {
        int64_t deadline = timer->deadline_.load();
        if (deadline <= now) {
            // Fails if it was armed anew meanwhile; then the new deadline counts.
            if (timer->deadline_.compare_exchange_strong(deadline, kNever)) {
                due.push_back(timer);
                if (const int64_t expected = timer->expected_next(deadline); expected > now)
                    next = std::min(next, expected);
                continue;
            }
        }
        next = std::min(next, deadline);
    }
    program(next);
    for (Timer* timer : due) {
        if (std::find(timers_.begin(), timers_.end(), timer) == timers_.end())
            continue;  // destroyed meanwhile
        running_ = timer;
        held.unlock();
        timer->callback_();
        held.lock();
        running_ = nullptr;
        callback_done_.notify_all();
    }
}

// ---- file descriptors

bool EventLoop::add_fd(int fd, uint32_t events, FdCallback callback) {
    const std::lock_guard guard(lock_);
    if (watches_.contains(fd)) return false;
    auto watch = std::make_shared<Watch>(Watch{std::move(callback), events, false, next_watch_id_});
    // Ids only tell a stale event from one for a later watch of the same number; wrapping is harmless.
    next_watch_id_ = next_watch_id_ == 0xffff'ffff ? kFirstWatchId : next_watch_id_ + 1;
    epoll_event event{};
    event.events = events;
    event.data.u64 = watch_tag(watch->id, fd);
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
        if (errno != EPERM) return false;
        watch->always_ready = true;
        always_ready_++;
        wake();
    }
    watches_.emplace(fd, std::move(watch));
    return true;
}

void EventLoop::modify_fd(int fd, uint32_t events) {
    const std::lock_guard guard(lock_);
    const auto found = watches_.find(fd);
    if (found == watches_.end() || found->second->events == events) return;
    Watch& watch = *found->second;
    watch.events = events;
    if (watch.always_ready) {
        wake();
        return;
    }
    epoll_event event{};
    event.events = events;
    event.data.u64 = watch_tag(watch.id, fd);
    // A hang-up cannot be masked while registered, and would spin: a paused descriptor leaves the set.
    if (events == 0) {
        epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
    } else if (epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event) != 0 && errno == ENOENT) {
        epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
    }
}

void EventLoop::remove_fd(int fd) {
    std::unique_lock held(lock_);
    const auto found = watches_.find(fd);
    if (found == watches_.end()) return;
    const std::shared_ptr<Watch> watch = found->second;
    if (watch->always_ready) {
        always_ready_--;
    } else {
        epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
    }
    watches_.erase(found);
    if (on_loop_thread()) return;
    callback_done_.wait(held, [&] { return running_ != watch.get(); });
}

void EventLoop::dispatch(int fd, uint64_t id, uint32_t events) {
    std::unique_lock held(lock_);
    const auto found = watches_.find(fd);
    if (found == watches_.end() || found->second->id != id || found->second->events == 0) return;
    const std::shared_ptr<Watch> watch = found->second;  // keeps the callback alive if it removes itself
    running_ = watch.get();
    held.unlock();
    watch->callback(events);
    held.lock();
    running_ = nullptr;
    callback_done_.notify_all();
}

// ---- the thread

void EventLoop::post(std::function<void()> work) {
    {
        const std::lock_guard guard(lock_);
        posted_.push_back(std::move(work));
    }
    wake();
}

void EventLoop::run_posted() {
    std::vector<std::function<void()>> work;
    {
        const std::lock_guard guard(lock_);
        work.swap(posted_);
    }
    for (auto& item : work) item();
}

// Callbacks run one by one, so a marker behind what was posted is enough.
void EventLoop::drain() {
    if (on_loop_thread() || !thread_.joinable()) {
        run_posted();
        return;
    }
    const auto reached = std::make_shared<bool>(false);
    post([this, reached] {
        const std::lock_guard guard(lock_);
        *reached = true;
        callback_done_.notify_all();
    });
    std::unique_lock held(lock_);
    callback_done_.wait(held, [&] { return *reached || stopping_; });
}

void EventLoop::run() {
    thread_id_ = std::this_thread::get_id();
    std::array<epoll_event, 16> events;
    while (!stopping_) {
        std::vector<std::pair<int, uint64_t>> ready;
        {
            const std::lock_guard guard(lock_);
            if (always_ready_ != 0) {
                for (const auto& [fd, watch] : watches_) {
                    if (watch->always_ready && watch->events != 0) ready.emplace_back(fd, watch->id);
                }
            }
        }
        const int timeout = ready.empty() ? -1 : 0;
        const int count = epoll_wait(epoll_fd_, events.data(), static_cast<int>(events.size()), timeout);
        for (int i = 0; i < count; i++) {
            const uint64_t tag = events[static_cast<size_t>(i)].data.u64;
            if (tag == kTagTimer) {
                discard_count(timer_fd_);
                run_due_timers();
            } else if (tag == kTagWake) {
                discard_count(wake_fd_);
                run_posted();
            } else {
                dispatch(static_cast<int>(tag & 0xffff'ffff), tag >> 32,
                         events[static_cast<size_t>(i)].events);
            }
        }
        for (const auto& [fd, id] : ready) dispatch(fd, id, EPOLLIN | EPOLLOUT);
    }
    thread_id_ = std::thread::id{};
}

}  // namespace arclight::devices
