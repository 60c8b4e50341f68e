#include "guestos/machine/cpu/cross_cpu_work.h"

#include <immintrin.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <climits>
#include <utility>

#include "guestos/machine/cpu/late_wakes.h"

namespace arclight::guestos {

namespace {
constexpr size_t kMaxRequests = 1024;
// What a CPU on another core needs to reach the end of its block and to answer is about 1 us; what it costs
// to sleep and to be woken is about 10 us.
constexpr std::chrono::microseconds kSpin{10};

void futex(std::atomic<uint32_t>& word, int operation, uint32_t value, const timespec* limit = nullptr) {
    static_assert(sizeof word == sizeof(uint32_t) && std::atomic<uint32_t>::is_always_lock_free);
    syscall(SYS_futex, &word, operation | FUTEX_PRIVATE_FLAG, value, limit, nullptr, 0);
}
}  // namespace

thread_local LateWakes* LateWakes::current_ = nullptr;

LateWakes::~LateWakes() {
    current_ = nullptr;
    for (size_t k = 0; k < count_; ++k) futex(*words_[k], FUTEX_WAKE, 1);
}

CrossCpuWork::CrossCpuWork(std::atomic<uint32_t>& interrupt, Performer& performer)
    : interrupt_(interrupt), performer_(performer) {}

void CrossCpuWork::post(const Request& request, Batch* batch) {
    const std::lock_guard guard(lock_);
    if (request.kind == Request::Kind::ClearJumps && std::exchange(jumps_queued_, true)) {
        // It stands for all that come before it is carried out, such as those for each line of a page.
    } else if (queue_.size() < kMaxRequests) {
        queue_.push_back(request);
    } else {
        // A CPU that sleeps for long must not collect requests without end: all of them at once.
        queue_.clear();
        queue_.push_back({Request::Kind::Tlbi, {.kind = mmu::TlbiRequest::Kind::All}});
        queue_.push_back({Request::Kind::ForgetCode});
    }
    if (outside()) return;
    if (batch != nullptr && std::ranges::find(askers_, batch) == askers_.end()) {
        askers_.push_back(batch);
        batch->word_.fetch_add(1, std::memory_order_relaxed);  // the queue's lock orders it before the answer
    }
    interrupt_.store(1);
}

/// The lock is held.
void CrossCpuWork::take() {
    taken_.swap(queue_);
    taken_askers_.swap(askers_);
    jumps_queued_ = false;
}

void CrossCpuWork::carry_out() {
    {
        const std::lock_guard guard(lock_);
        take();
    }
    finish_taken(true);
}

void CrossCpuWork::leave() {
    {
        const std::lock_guard guard(lock_);
        outside_.store(true, std::memory_order_relaxed);
        take();
    }
    finish_taken(false);
}

void CrossCpuWork::enter() {
    {
        const std::lock_guard guard(lock_);
        outside_.store(false, std::memory_order_relaxed);
        take();
    }
    finish_taken(true);
}

void CrossCpuWork::abandon() {
    {
        const std::lock_guard guard(lock_);
        outside_.store(true, std::memory_order_relaxed);
        take();
        taken_.clear();
    }
    answer_taken();
}

void CrossCpuWork::finish_taken(bool inside) {
    if (!taken_.empty()) performer_.carry_out(taken_, inside);
    taken_.clear();
    answer_taken();
}

void CrossCpuWork::answer_taken() {
    bool missing = false;
    for (Batch* asker : taken_askers_) answer(*asker, missing);
    taken_askers_.clear();
    if (missing) core_wanted_.store(true, std::memory_order_relaxed);
}

/// `others_missing`: its waiter sleeps and will go on sleeping.
void CrossCpuWork::answer(Batch& batch, bool& others_missing) {
    const uint32_t before = batch.word_.fetch_sub(1, std::memory_order_acq_rel);
    if ((before & Batch::kSleeping) == 0) return;
    if (before != (Batch::kSleeping | 1)) {
        others_missing = true;
        return;
    }
    // Nobody else writes the word now: its owner sleeps, or is about to see that it has another value than
    // the one it would sleep on. If the owner has seen that and is gone, waking up nobody at this address
    // does no harm.
    std::atomic<uint32_t>& word = batch.word_;
    uint32_t expected = Batch::kSleeping;
    word.compare_exchange_strong(expected, 0);
    futex(word, FUTEX_WAKE, INT_MAX);
}

bool CrossCpuWork::spin(const Batch& batch) {
    const auto end = std::chrono::steady_clock::now() + kSpin;
    do {
        for (int i = 0; i < 16; ++i) {
            if (batch.done()) return true;
            _mm_pause();
        }
    } while (std::chrono::steady_clock::now() < end);
    return false;
}

/// False: it is done.
bool CrossCpuWork::mark_sleeping(Batch& batch) {
    uint32_t value = batch.word_.load();
    do {
        if (value == 0) return false;
    } while (!batch.word_.compare_exchange_weak(value, value | Batch::kSleeping));
    return true;
}

void CrossCpuWork::sleep(Batch& batch) {
    for (;;) {
        const uint32_t value = batch.word_.load(std::memory_order_acquire);
        if (value == 0) return;
        futex(batch.word_, FUTEX_WAIT, value);
    }
}

void CrossCpuWork::ask_for_core() {
    const std::lock_guard guard(lock_);
    if (outside()) return;
    core_wanted_.store(true, std::memory_order_relaxed);
    interrupt_.store(1);
}

void CrossCpuWork::interrupt() {
    interrupt_.store(1);
    end_nap();
}

void CrossCpuWork::end_nap() {
    if (napping_.load() == 0) return;
    napping_.store(0);
    if (!LateWakes::hold(napping_)) futex(napping_, FUTEX_WAKE, 1);
}

void CrossCpuWork::sleep_in_nap(std::chrono::nanoseconds limit) {
    const timespec time{.tv_sec = static_cast<time_t>(limit / std::chrono::seconds(1)),
                        .tv_nsec = static_cast<long>((limit % std::chrono::seconds(1)).count())};
    futex(napping_, FUTEX_WAIT, 1, &time);
}

void CrossCpuWork::hand_over_if_asked() {
    if (!core_wanted_.load(std::memory_order_relaxed)) return;
    core_wanted_.store(false, std::memory_order_relaxed);
    const Outside outside(*this);
    sched_yield();
}

}  // namespace arclight::guestos
