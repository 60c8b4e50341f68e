#include "devices/guest_clock.h"

#include <immintrin.h>
#include <time.h>

#include <algorithm>
#include <limits>

#include "devices/event_loop.h"

namespace arclight::devices {

namespace {

constexpr unsigned kRateShift = 48;
constexpr uint64_t kMonotonicRate = (uint64_t{1} << kRateShift) / GuestClock::kNsPerTick;
// 146 years: the sum with any time of day that a host can have stays in range.
constexpr int64_t kMaxWallOffsetNs = int64_t{1} << 62;
constexpr uint64_t kReorderingCycles = 4096;  // more than an instruction can wait to retire
constexpr int64_t kCalibrationNs = 200'000'000;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

// A suspended host sleeps for longer; less is what passes between two readings.
constexpr int64_t kShortestSuspendNs = 10'000'000;
// By so much the TSC and CLOCK_MONOTONIC may differ in 100 ms: the latter is slewed by up to 500 ppm.
constexpr int64_t kToleranceNs = 200'000;
constexpr int64_t kTolerancePart = 1024;
// A TSC that has jumped more often is not used any more.
constexpr unsigned kMaxTscJumps = 8;

uint64_t new_era() {
    static std::atomic<uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

GuestClock::GuestClock(const HostTime* host)
    : host_(host != nullptr ? *host : HostTime::real()),
      real_(host == nullptr),
      tsc_is_invariant_(host_.tsc_is_invariant()),
      calibrate_at_(kNever),
      start_(sample()),
      limit_(kNoLimit),
      era_(new_era()) {
    base_source_ = static_cast<uint64_t>(start_.ns);
    rate_ = kMonotonicRate;
    start_calibration(start_);
}

// The narrowest of a few tries: a preemption between the readings must not go into the rate.
GuestClock::Sample GuestClock::sample() const {
    Sample best{.ns = 0, .tsc = 0, .doubt = ~0ull};
    for (int i = 0; i < 5; i++) {
        const uint64_t before = host_.tsc();
        const int64_t ns = host_.monotonic_ns();
        const uint64_t width = host_.tsc() - before;
        if (width < best.doubt) best = {ns, before + width / 2, width};
    }
    return best;
}

GuestClock::Look GuestClock::look() const {
    Look now;
    now.sample = sample();
    now.cpu_ns = host_.cpu_ns();
    int64_t narrowest = kNever;
    for (int i = 0; i < 3; i++) {
        const int64_t before = host_.monotonic_ns();
        const int64_t boottime = host_.boottime_ns();
        const int64_t width = host_.monotonic_ns() - before;
        if (width >= narrowest) continue;
        narrowest = width;
        now.suspended_ns = boottime - before;
    }
    return now;
}

inline uint64_t GuestClock::read_source(bool tsc) const {
    if (real_) [[likely]]
        return tsc ? read_tsc() : static_cast<uint64_t>(EventLoop::now_ns());
    return tsc ? host_.tsc() : static_cast<uint64_t>(host_.monotonic_ns());
}

namespace {

uint64_t ticks_after(uint64_t base, int64_t elapsed, uint64_t rate) {
    if (elapsed < 0) [[unlikely]]
        return base;
    const auto product = static_cast<unsigned __int128>(elapsed) * rate;
    return base + static_cast<uint64_t>(product >> kRateShift);
}

}  // namespace

// Of the fields as they are: under lock_, or checked by the sequence afterwards.
inline uint64_t GuestClock::ticks_at(uint64_t source) const {
    const auto elapsed = static_cast<int64_t>(source - base_source_.load(std::memory_order_relaxed));
    return ticks_after(base_ticks_.load(std::memory_order_relaxed),
                       std::min(elapsed, limit_.load(std::memory_order_relaxed)),
                       rate_.load(std::memory_order_relaxed));
}

uint64_t GuestClock::unlimited_ticks_at(uint64_t source) const {
    return ticks_after(base_ticks_.load(std::memory_order_relaxed),
                       static_cast<int64_t>(source - base_source_.load(std::memory_order_relaxed)),
                       rate_.load(std::memory_order_relaxed));
}

// Part of ticks(), which a guest may call in a loop: what it reads stays in registers.
[[gnu::always_inline]] inline GuestClock::Reading GuestClock::read() const {
    for (;;) {
        const uint32_t before = sequence_.load(std::memory_order_acquire);
        const bool tsc = uses_tsc_.load(std::memory_order_relaxed);
        const uint64_t source = read_source(tsc);
        const Reading reading{ticks_at(source), source, era_.load(std::memory_order_relaxed), tsc};
        std::atomic_thread_fence(std::memory_order_acquire);
        if ((before & 1) == 0 && sequence_.load(std::memory_order_relaxed) == before) [[likely]]
            return reading;
        _mm_pause();
    }
}

uint64_t GuestClock::ticks() {
    const Reading reading = read();
    if (!reading.tsc && static_cast<int64_t>(reading.source) >= calibrate_at_.load(std::memory_order_relaxed))
        [[unlikely]]
        calibrate();
    // Between two looks of the watch nobody else notices a TSC that goes back.
    struct Seen {
        uint64_t era, ticks;
    };
    static thread_local Seen seen{};
    if (seen.era == reading.era && reading.ticks < seen.ticks) [[unlikely]]
        return seen.ticks;
    seen = {reading.era, reading.ticks};
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
    const uint64_t source = read_source(tsc);
    uses_tsc_.store(tsc, std::memory_order_relaxed);
    rate_.store(tsc ? tsc_rate_ : kMonotonicRate, std::memory_order_relaxed);
    base_ticks_.store(ticks, std::memory_order_relaxed);
    base_source_.store(source, std::memory_order_relaxed);
    set_limit(source);
}

// The watch has looked at that time.
void GuestClock::set_limit(uint64_t source) {
    if (!watched_) return limit_.store(kNoLimit, std::memory_order_relaxed);
    int64_t units = kUnwatchedNs;
    if (uses_tsc_.load(std::memory_order_relaxed)) {
        const auto ticks = static_cast<unsigned __int128>(kUnwatchedNs / kNsPerTick) << kRateShift;
        units = static_cast<int64_t>(ticks / tsc_rate_);
    }
    limit_.store(static_cast<int64_t>(source - base_source_.load(std::memory_order_relaxed)) + units,
                 std::memory_order_relaxed);
}

// The watch compares with this, once the counter has been told to run in another way.
void GuestClock::note_look() {
    if (!watched_) return;
    last_ = look();
    last_.ticks = unlimited_ticks_at(uses_tsc_.load(std::memory_order_relaxed)
                                         ? last_.sample.tsc
                                         : static_cast<uint64_t>(last_.sample.ns));
}

void GuestClock::start_calibration(const Sample& from) {
    start_ = from;
    if (tsc_is_invariant_ && tsc_jumps_ <= kMaxTscJumps)
        calibrate_at_.store(from.ns + kCalibrationNs, std::memory_order_relaxed);
}

void GuestClock::calibrate() {
    const std::lock_guard guard(lock_);
    const Sample end = sample();
    if (end.ns < calibrate_at_.load(std::memory_order_relaxed)) return;  // somebody else has done it
    calibrate_at_.store(kNever, std::memory_order_relaxed);
    if (end.tsc <= start_.tsc || end.ns <= start_.ns) return;
    const auto ticks = static_cast<unsigned __int128>(end.ns - start_.ns) << kRateShift;
    tsc_rate_ = static_cast<uint64_t>(ticks / kNsPerTick / (end.tsc - start_.tsc));
    if (paused()) return;
    // The last of one source and then the first of the other: no reader sees time go back.
    change([&] { run_from(ticks_at(read_source(false))); });
    note_look();
}

void GuestClock::set_ticks(uint64_t ticks) {
    const std::lock_guard guard(lock_);
    change([&] {
        era_.store(new_era(), std::memory_order_relaxed);
        if (paused()) {
            base_ticks_.store(ticks, std::memory_order_relaxed);
        } else {
            run_from(ticks);
        }
    });
    note_look();
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
    note_look();
}

void GuestClock::begin_watch(const Watch& watch) {
    const std::lock_guard guard(lock_);
    watch_ = watch;
    watched_ = true;
    if (paused()) return;
    change([&] { run_from(ticks_at(read_source(uses_tsc_.load(std::memory_order_relaxed)))); });
    note_look();
}

void GuestClock::end_watch() {
    const std::lock_guard guard(lock_);
    watched_ = false;
    limit_.store(kNoLimit, std::memory_order_relaxed);
}

bool GuestClock::look_at_host() {
    const std::lock_guard guard(lock_);
    return watched_ && !paused() && follow(look());
}

int64_t GuestClock::ns_of_cycles(int64_t cycles) const {
    const auto product = static_cast<__int128>(cycles) * static_cast<int64_t>(tsc_rate_);
    return static_cast<int64_t>((product * kNsPerTick) >> kRateShift);
}

bool GuestClock::agrees(uint64_t ticks, uint64_t expected, int64_t tolerance_ns) const {
    const uint64_t off = ticks > expected ? ticks - expected : expected - ticks;
    return off <= static_cast<uint64_t>(tolerance_ns / kNsPerTick);
}

bool GuestClock::follow(const Look& now) {
    const int64_t gap = now.sample.ns - last_.sample.ns;
    int64_t suspended = now.suspended_ns - last_.suspended_ns;
    if (suspended < kShortestSuspendNs) suspended = 0;
    // A late watch alone says nothing: on a busy host it waits for its turn as the guest does. A process that
    // has used more CPU time than the guest can use in kUnwatchedNs was not stopped for the rest.
    const bool ran = now.cpu_ns - last_.cpu_ns > kUnwatchedNs * static_cast<int64_t>(watch_.busy_threads);
    const bool pass = watch_.host_suspend == HostSuspend::Pass;
    const int64_t stopped = !pass && !ran && gap >= kShortestStopNs ? gap - kUnwatchedNs : 0;
    const int64_t passed = gap - stopped + (pass ? suspended : 0);
    const uint64_t expected = last_.ticks + static_cast<uint64_t>(passed / kNsPerTick);

    const bool tsc = uses_tsc_.load(std::memory_order_relaxed);
    const uint64_t source = tsc ? now.sample.tsc : static_cast<uint64_t>(now.sample.ns);
    int64_t tolerance = kToleranceNs + gap / kTolerancePart;
    if (tsc) tolerance += ns_of_cycles(static_cast<int64_t>(std::min<uint64_t>(now.sample.doubt, 1u << 31)));
    // What was measured so far is worth nothing.
    if (suspended != 0 && !tsc) start_calibration(now.sample);
    if (const uint64_t ticks = unlimited_ticks_at(source); agrees(ticks, expected, tolerance)) {
        set_limit(source);
        last_ = now;
        last_.ticks = ticks;
        return passed > gap;
    }
    if (tsc) {
        const int64_t by_tsc = ns_of_cycles(static_cast<int64_t>(now.sample.tsc - last_.sample.tsc));
        if (by_tsc < gap - tolerance || by_tsc > gap + tolerance) {
            // After a suspend, or on another host than before, it may have started anew.
            tsc_rate_ = 0;
            if (suspended == 0) tsc_jumps_++;
            start_calibration(now.sample);
        }
    }
    // Nobody has seen more than what the old source and its limit give.
    change([&] { run_from(std::max(expected, ticks_at(read_source(tsc)))); });
    note_look();
    return passed > gap;
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
