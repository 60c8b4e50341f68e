#include "devices/pl031.h"

#include <time.h>

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

timespec host_time() {
    timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now;
}

}  // namespace

Pl031::Pl031(EventLoop& loop, IrqLine line)
    : line_(line), alarm_(loop, [this] {
          const std::lock_guard guard(lock_);
          // The host's clock may have been set back meanwhile.
          if (static_cast<int32_t>(match_ - seconds()) > 0) {
              set_alarm();
              return;
          }
          alarm_pending_ = true;
          update();
      }) {}

void Pl031::reset() {
    const std::lock_guard guard(lock_);
    offset_ = 0;
    load_ = 0;
    match_ = 0;
    alarm_pending_ = false;
    enabled_ = false;
    alarm_.cancel();
    update();
}

uint32_t Pl031::seconds() const { return static_cast<uint32_t>(host_time().tv_sec) + offset_; }

// The match is an equality that each second is compared with: a time that has passed already comes up again
// only when the counter has wrapped.
void Pl031::set_alarm() {
    const timespec now = host_time();
    const uint32_t wait = match_ - (static_cast<uint32_t>(now.tv_sec) + offset_);
    if (wait == 0) {
        alarm_.cancel();
        alarm_pending_ = true;
        return;
    }
    alarm_.arm(EventLoop::now_ns() + static_cast<int64_t>(wait) * 1'000'000'000 - now.tv_nsec);
}

void Pl031::update() { line_.set(alarm_pending_ && enabled_); }

uint32_t Pl031::read_register(uint64_t offset) {
    if (offset >= kRegIds && offset < kRegIds + kIdRegisters.size() * 4)
        return kIdRegisters[(offset - kRegIds) / 4];
    switch (offset) {
        case kRegDr: return seconds();
        case kRegMr: return match_;
        case kRegLr: return load_;
        case kRegCr: return 1;  // always running
        case kRegImsc: return enabled_ ? 1 : 0;
        case kRegRis: return alarm_pending_ ? 1 : 0;
        case kRegMis: return alarm_pending_ && enabled_ ? 1 : 0;
        default: return 0;
    }
}

void Pl031::write_register(uint64_t offset, uint32_t value, uint32_t mask) {
    switch (offset) {
        case kRegMr:
            match_ = merge(match_, value, mask);
            set_alarm();
            break;
        case kRegLr:
            load_ = merge(load_, value, mask);
            offset_ = load_ - static_cast<uint32_t>(host_time().tv_sec);
            set_alarm();
            break;
        case kRegImsc: enabled_ = (merge(enabled_ ? 1 : 0, value, mask) & 1) != 0; break;
        case kRegIcr:
            if ((value & mask & 1) != 0) alarm_pending_ = false;
            break;
        default: return;
    }
    update();
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
