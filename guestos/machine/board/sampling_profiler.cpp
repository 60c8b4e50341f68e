#include "guestos/machine/board/sampling_profiler.h"

#include <link.h>
#include <ucontext.h>
#include <unistd.h>

#include <cerrno>

namespace arclight::guestos {

namespace {
/// Not a multiple or a part of any tick's. To interrupt a virtual machine takes much longer.
constexpr long kPeriodNs = 1'970'000, kPeriodElsewhereNs = 9'930'000;
}  // namespace

thread_local SamplingProfiler::Thread* SamplingProfiler::current_ = nullptr;

SamplingProfiler::SamplingProfiler() : counts_(kSlices) {
    note_libraries();
    struct sigaction action {};
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(SIGPROF, &action, nullptr);
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

SamplingProfiler::Thread::Thread(SamplingProfiler& samples, const std::atomic<bool>& waits, bool elsewhere)
    : samples_(samples), waits_(waits), elsewhere_(elsewhere) {
    current_ = this;
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGPROF;
    event._sigev_un._tid = gettid();
    if (timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0) return;  // statistics say that nothing is known
    armed_ = true;
    const long period = elsewhere ? kPeriodElsewhereNs : kPeriodNs;
    const itimerspec each{{0, period}, {0, period}};
    timer_settime(timer_, 0, &each, nullptr);
}

SamplingProfiler::Thread::~Thread() {
    if (armed_) timer_delete(timer_);
    current_ = nullptr;
}

void SamplingProfiler::on_signal(int, siginfo_t*, void* context) {
    const int saved = errno;
    if (Thread* thread = current_; thread != nullptr && !thread->waits_) {
        if (thread->elsewhere_)
            thread->due_ = 1;
        else
            interrupted(static_cast<uint64_t>(static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_RIP]));
    }
    errno = saved;
}

void SamplingProfiler::interrupted(uint64_t pc) {
    Thread* thread = current_;
    if (thread == nullptr || (thread->elsewhere_ && thread->due_ == 0)) return;
    thread->due_ = 0;
    thread->samples_.count(pc);
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
    const size_t last = std::min(kSlices, static_cast<size_t>(since.count() / kSliceSeconds) + 1);
    for (size_t k = 0; k < last; ++k) out.push_back({counts_[k][0], counts_[k][1], counts_[k][2]});
    return out;
}

}  // namespace arclight::guestos
