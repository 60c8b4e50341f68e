#include "devices/guest_clock.h"

#include <cpuid.h>
#include <immintrin.h>
#include <time.h>
#include <x86intrin.h>

#include <algorithm>

#include "devices/event_loop.h"

namespace arclight::devices {

namespace {

constexpr unsigned kRateShift = 48;
constexpr uint64_t kMonotonicRate = (uint64_t{1} << kRateShift) / GuestClock::kNsPerTick;
// 146 years: the sum with any time of day that a host can have stays in range.
constexpr int64_t kMaxWallOffsetNs = int64_t{1} << 62;
constexpr uint64_t kReorderingCycles = 4096;  // more than an instruction can wait to retire
constexpr int64_t kCalibrationNs = 200'000'000;

uint64_t read_tsc() {
    // Else the read may be done ahead of an earlier load, and time would run backwards between CPUs.
    _mm_lfence();
    return __rdtsc();
}

bool tsc_is_invariant() {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid(0x8000'0007, &eax, &ebx, &ecx, &edx) != 0 && (edx >> 8 & 1) != 0;
}

}  // namespace

GuestClock::GuestClock() : tsc_is_invariant_(tsc_is_invariant()), start_(sample()) {
    base_source_ = static_cast<uint64_t>(start_.ns);
    rate_ = kMonotonicRate;
}

// The narrowest of a few tries: a preemption between the readings must not go into the rate.
GuestClock::Sample GuestClock::sample() {
    Sample best{};
    uint64_t narrowest = ~0ull;
    for (int i = 0; i < 5; i++) {
        const uint64_t before = read_tsc();
        const int64_t ns = EventLoop::now_ns();
        const uint64_t after = read_tsc();
        if (after - before >= narrowest) continue;
        narrowest = after - before;
        best = {ns, before + (after - before) / 2};
    }
    return best;
}

uint64_t GuestClock::read_source(bool tsc) const {
    return tsc ? read_tsc() : static_cast<uint64_t>(EventLoop::now_ns());
}

// Of the fields as they are: under lock_, or checked by the sequence afterwards.
uint64_t GuestClock::ticks_at(uint64_t source) const {
    const uint64_t base = base_ticks_.load(std::memory_order_relaxed);
    const auto elapsed = static_cast<int64_t>(source - base_source_.load(std::memory_order_relaxed));
    if (elapsed < 0) [[unlikely]]
        return base;
    const auto product = static_cast<unsigned __int128>(elapsed) * rate_.load(std::memory_order_relaxed);
    return base + static_cast<uint64_t>(product >> kRateShift);
}

GuestClock::Reading GuestClock::read() const {
    for (;;) {
        const uint32_t before = sequence_.load(std::memory_order_acquire);
        const bool tsc = uses_tsc_.load(std::memory_order_relaxed);
        const uint64_t source = read_source(tsc);
        const Reading reading{ticks_at(source), source, tsc};
        std::atomic_thread_fence(std::memory_order_acquire);
        if ((before & 1) == 0 && sequence_.load(std::memory_order_relaxed) == before) [[likely]]
            return reading;
        _mm_pause();
    }
}

uint64_t GuestClock::ticks() {
    const Reading reading = read();
    if (!reading.tsc && tsc_is_invariant_ &&
        static_cast<int64_t>(reading.source) - start_.ns >= kCalibrationNs && !calibrated_.test_and_set())
        [[unlikely]]
        calibrate();
    return reading.ticks;
}

// Lets change() alter the fields while readers wait. A reader's RDTSC may be carried out a little after the
// load behind it that checks the sequence; the change reads its own time only when that window has passed,
// which costs whoever changes the clock a microsecond and readers nothing.
template <typename Change>
void GuestClock::change(Change&& change) {
    sequence_.store(sequence_.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    for (const uint64_t start = read_tsc(); read_tsc() - start < kReorderingCycles;) _mm_pause();
    change();
    sequence_.store(sequence_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
}

// Inside change(): the counter runs on from here by the best source there is.
void GuestClock::run_from(uint64_t ticks) {
    const bool tsc = tsc_rate_ != 0;
    uses_tsc_.store(tsc, std::memory_order_relaxed);
    rate_.store(tsc ? tsc_rate_ : kMonotonicRate, std::memory_order_relaxed);
    base_ticks_.store(ticks, std::memory_order_relaxed);
    base_source_.store(read_source(tsc), std::memory_order_relaxed);
}

void GuestClock::calibrate() {
    const Sample end = sample();
    if (end.tsc <= start_.tsc || end.ns <= start_.ns) return;
    const auto ticks = static_cast<unsigned __int128>(end.ns - start_.ns) << kRateShift;
    const std::lock_guard guard(lock_);
    tsc_rate_ = static_cast<uint64_t>(ticks / kNsPerTick / (end.tsc - start_.tsc));
    // The last of one source and then the first of the other: no reader sees time go back.
    if (!paused()) change([&] { run_from(ticks_at(read_source(false))); });
}

void GuestClock::set_ticks(uint64_t ticks) {
    const std::lock_guard guard(lock_);
    change([&] {
        if (paused()) {
            base_ticks_.store(ticks, std::memory_order_relaxed);
        } else {
            run_from(ticks);
        }
    });
}

void GuestClock::pause_counter() {
    const std::lock_guard guard(lock_);
    if (paused()) return;
    paused_.store(true, std::memory_order_release);
    change([&] {
        base_ticks_.store(ticks_at(read_source(uses_tsc_.load(std::memory_order_relaxed))),
                          std::memory_order_relaxed);
        rate_.store(0, std::memory_order_relaxed);
    });
}

void GuestClock::resume_counter() {
    const std::lock_guard guard(lock_);
    if (!paused()) return;
    change([&] { run_from(base_ticks_.load(std::memory_order_relaxed)); });
    paused_.store(false, std::memory_order_release);
}

int64_t GuestClock::deadline_ns(uint64_t ticks) {
    // Beyond ten years there is no need for precision, only for no overflow.
    constexpr uint64_t kFarthest = 10ull * 365 * 86400 * kFrequency;
    const uint64_t now = this->ticks();
    const uint64_t left = ticks > now ? std::min(ticks - now, kFarthest) : 0;
    return EventLoop::now_ns() + static_cast<int64_t>(left) * kNsPerTick;
}

int64_t GuestClock::wall_ns() const {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * 1'000'000'000 + now.tv_nsec + wall_offset_ns();
}

void GuestClock::save(StateWriter& out) const {
    out.section("guest-clock", 1, [&] { out(read().ticks, wall_offset_ns()); });
}

StateResult GuestClock::load(StateReader& in) {
    uint64_t ticks = 0;
    int64_t wall_offset = 0;
    const auto loaded = in.section("guest-clock", 1, [&] {
        in(ticks, wall_offset);
        in.require(wall_offset >= -kMaxWallOffsetNs && wall_offset <= kMaxWallOffsetNs,
                   "the offset of the time of day is too large");
    });
    if (!loaded) return loaded;
    set_ticks(ticks);
    set_wall_offset_ns(wall_offset);
    return {};
}

}  // namespace arclight::devices
