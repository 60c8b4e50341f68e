#include "devices/pl031.h"

#include <algorithm>
#include <array>

#include "devices/fdt_writer.h"
#include "devices/layout.h"
#include "devices/register_access.h"

// Section 3.3 of ARM DDI 0224 describes the registers.
namespace arclight::devices {

namespace {

constexpr uint64_t kRegDr = 0x00;
constexpr uint64_t kRegMr = 0x04;
constexpr uint64_t kRegLr = 0x08;
constexpr uint64_t kRegCr = 0x0c;
constexpr uint64_t kRegImsc = 0x10;
constexpr uint64_t kRegRis = 0x14;
constexpr uint64_t kRegMis = 0x18;
constexpr uint64_t kRegIcr = 0x1c;
constexpr uint64_t kRegIds = 0xfe0;

constexpr std::array<uint8_t, 8> kIdRegisters = {0x31, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

constexpr int64_t kSecond = 1'000'000'000;                   // in ns
constexpr int64_t kLongestWait = 86400;                      // in seconds
constexpr int64_t kFarthestAlarm = INT64_MAX / kSecond * 2;  // a time of day and 32 bits of seconds

constexpr uint32_t kStateVersion = 1;

}  // namespace

Pl031::Pl031(EventLoop& loop, GuestClock& clock, IrqLine line)
    : clock_(clock), line_(line), alarm_(loop, [this] {
          const std::lock_guard guard(lock_);
          check_alarm();
      }) {}

void Pl031::reset() {
    const std::lock_guard guard(lock_);
    state_ = {};
    alarm_.cancel();
    line_.set(output());
}

// The match is an equality that each second is compared with: a time that has passed already comes up again
// only when the counter has wrapped.
void Pl031::set_alarm() {
    const int64_t now = wall_seconds();
    state_.alarm_set = true;
    state_.alarm_at = now + static_cast<uint32_t>(state_.match - state_.offset - static_cast<uint32_t>(now));
    check_alarm();
}

// Raises the alarm if it is due, else waits for it: the host's clock may have been set back meanwhile.
void Pl031::check_alarm() {
    if (!state_.alarm_set || quiesced_) return;
    const int64_t now = clock_.wall_ns();
    if (const int64_t left = state_.alarm_at - now / kSecond; left > 0) {
        // A wait that is cut short is renewed at its end.
        alarm_.arm(EventLoop::now_ns() + std::min(left, kLongestWait) * kSecond - now % kSecond);
        return;
    }
    alarm_.cancel();
    state_.alarm_set = false;
    state_.alarm_pending = true;
    line_.set(output());
}

void Pl031::quiesce() {
    const std::lock_guard guard(lock_);
    quiesced_ = true;
    alarm_.cancel();
}

void Pl031::resume() {
    const std::lock_guard guard(lock_);
    quiesced_ = false;
    line_.refresh(output());
    check_alarm();
}

void Pl031::save(StateWriter& out) const {
    out.section("pl031", kStateVersion, [&] { out(state_); });
}

StateResult Pl031::load(StateReader& in) {
    State state;
    const auto loaded = in.section("pl031", kStateVersion, [&] {
        in(state);
        in.require(state.alarm_at >= -kFarthestAlarm && state.alarm_at <= kFarthestAlarm,
                   "the alarm is out of range");
    });
    if (!loaded) return loaded;
    const std::lock_guard guard(lock_);
    state_ = state;
    alarm_.cancel();
    return {};
}

uint32_t Pl031::read_register(uint64_t offset) {
    // The alarm's callback may be late: time and alarm go together, with the time read first.
    const uint32_t time = seconds();
    if (offset == kRegDr || offset == kRegRis || offset == kRegMis) check_alarm();
    if (offset >= kRegIds && offset < kRegIds + kIdRegisters.size() * 4)
        return kIdRegisters[(offset - kRegIds) / 4];
    switch (offset) {
        case kRegDr: return time;
        case kRegMr: return state_.match;
        case kRegLr: return state_.load;
        case kRegCr: return 1;  // always running
        case kRegImsc: return state_.enabled ? 1 : 0;
        case kRegRis: return state_.alarm_pending ? 1 : 0;
        case kRegMis: return state_.alarm_pending && state_.enabled ? 1 : 0;
        default: return 0;
    }
}

void Pl031::write_register(uint64_t offset, uint32_t value, uint32_t mask) {
    switch (offset) {
        case kRegMr:
            state_.match = merge(state_.match, value, mask);
            set_alarm();
            break;
        case kRegLr:
            state_.load = merge(state_.load, value, mask);
            state_.offset = state_.load - static_cast<uint32_t>(wall_seconds());
            set_alarm();
            break;
        case kRegImsc: state_.enabled = (merge(state_.enabled ? 1 : 0, value, mask) & 1) != 0; break;
        case kRegIcr:
            if ((value & mask & 1) != 0) state_.alarm_pending = false;
            break;
        default: return;
    }
    line_.set(output());
}

uint64_t Pl031::read(uint64_t offset, unsigned size) {
    const std::lock_guard guard(lock_);
    return read_by_words(offset, size, [&](uint64_t word) { return read_register(word); });
}

void Pl031::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(lock_);
    write_by_words(offset, value, size,
                   [&](uint64_t word, uint32_t data, uint32_t mask) { write_register(word, data, mask); });
}

void Pl031::add_to_device_tree(FdtWriter& fdt) const {
    fdt.begin_node("pl031@9010000");
    fdt.property_strings("compatible", {"arm,pl031", "arm,primecell"});
    fdt.property_u64s("reg", {layout::kRtc.base, layout::kRtc.size});
    fdt.property_cells("interrupts", {0, layout::kSpiRtc, 4});
    fdt.property_cells("clocks", {layout::kPhandleClock});
    fdt.property_string("clock-names", "apb_pclk");
    fdt.end_node();
}

}  // namespace arclight::devices
