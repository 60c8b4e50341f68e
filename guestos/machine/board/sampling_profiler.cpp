#include "guestos/machine/board/sampling_profiler.h"

#include <link.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "guestos/machine/cpu/vcpu.h"

namespace arclight::guestos {

namespace {
/// Not a multiple or a part of any tick's. To interrupt a virtual machine takes much longer.
constexpr std::chrono::nanoseconds kStatistics{1'970'000}, kStatisticsElsewhere{9'930'000};
/// Of CPU time: what tier 2 decides by is many times as long.
constexpr std::chrono::nanoseconds kPeriod{4'000'000}, kPeriodElsewhere{40'000'000};
/// Of samples that come late because there was no tick: more were spent waiting.
constexpr int kMostAtOnce = 8;

/// A signal to the calling thread, which is not set yet.
bool make_timer(clockid_t clock, timer_t& timer) {
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGPROF;
    event._sigev_un._tid = gettid();
    return timer_create(clock, &event, &timer) == 0;
}
}  // namespace

thread_local SamplingProfiler::Thread* SamplingProfiler::current_ = nullptr;

SamplingProfiler::SamplingProfiler(bool statistics) : counts_(statistics ? kSlices : 0) {
    note_libraries();
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGPROF, &action, nullptr);
}

bool SamplingProfiler::available() {
    timer_t timer{};
    if (!make_timer(CLOCK_THREAD_CPUTIME_ID, timer)) return false;
    timer_delete(timer);
    return true;
}

std::chrono::nanoseconds SamplingProfiler::period(bool elsewhere) const {
    if (for_statistics()) return elsewhere ? kStatisticsElsewhere : kStatistics;
    return elsewhere ? kPeriodElsewhere : kPeriod;
}

void SamplingProfiler::set_code(const uint8_t* code, size_t bytes) {
    code_ = {reinterpret_cast<uint64_t>(code), reinterpret_cast<uint64_t>(code) + bytes};
}

void SamplingProfiler::note_libraries() {
    auto text = std::make_unique<std::vector<Range>>();
    dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* to) {
            for (unsigned k = 0; k < info->dlpi_phnum; ++k) {
                const ElfW(Phdr)& segment = info->dlpi_phdr[k];
                if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0) continue;
                const uint64_t begin = info->dlpi_addr + segment.p_vaddr;
                static_cast<std::vector<Range>*>(to)->push_back({begin, begin + segment.p_memsz});
            }
            return 0;
        },
        text.get());
    const std::lock_guard guard(text_lock_);
    texts_.push_back(std::move(text));
    text_.store(texts_.back().get(), std::memory_order_release);
}

SamplingProfiler::Thread::Thread(SamplingProfiler& samples, Vcpu& cpu, bool elsewhere)
    : samples_(samples), cpu_(cpu), elsewhere_(elsewhere), period_(samples.period(elsewhere)) {
    current_ = this;
    // Without a timer nothing is compiled, and statistics say that nothing is known.
    if (!make_timer(samples.for_statistics() ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID, timer_)) return;
    armed_ = true;
    const timespec period{0, period_.count()};
    const itimerspec each{period, period};
    timer_settime(timer_, 0, &each, nullptr);
}

SamplingProfiler::Thread::~Thread() {
    if (armed_) timer_delete(timer_);
    current_ = nullptr;
}

void SamplingProfiler::on_signal(int, siginfo_t* info, void* context) {
    const int saved = errno;
    if (Thread* thread = current_; thread != nullptr && !thread->cpu_.halted()) {
        // By the clock one that comes late was not in time, by CPU time it was.
        const int samples =
            thread->samples_.for_statistics() ? 1 : 1 + std::clamp(info->si_overrun, 0, kMostAtOnce - 1);
        if (thread->elsewhere_)
            thread->due_ = samples;
        else
            thread->interrupted(
                static_cast<uint64_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]),
                samples);
    }
    errno = saved;
}

void SamplingProfiler::interrupted(uint64_t pc) {
    Thread* thread = current_;
    if (thread == nullptr || (thread->elsewhere_ && thread->due_ == 0)) return;
    const int samples = thread->due_;
    thread->due_ = 0;
    thread->interrupted(pc, samples);
}

void SamplingProfiler::Thread::interrupted(uint64_t pc, int samples) {
    if (samples_.for_statistics()) samples_.count(pc);
    cpu_.note_sample(pc, samples * period_);
}

void SamplingProfiler::count(uint64_t pc) {
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - start_;
    const auto slice = static_cast<size_t>(since.count() / kSliceSeconds);
    if (slice >= kSlices) return;
    size_t where = 1;
    if (code_.contains(pc)) {
        where = 0;
    } else {
        for (const Range& r : *text_.load(std::memory_order_acquire))
            if (r.contains(pc)) where = 2;
    }
    counts_[slice][where].fetch_add(1, std::memory_order_relaxed);
}

std::vector<jit::ProfileSlice> SamplingProfiler::slices() const {
    std::vector<jit::ProfileSlice> out;
    const std::chrono::duration<double> since = std::chrono::steady_clock::now() - start_;
    const size_t last = std::min(counts_.size(), static_cast<size_t>(since.count() / kSliceSeconds) + 1);
    for (size_t k = 0; k < last; ++k) out.push_back({counts_[k][0], counts_[k][1], counts_[k][2]});
    return out;
}

}  // namespace arclight::guestos
