#include "devices/pl061.h"

#include <array>

#include "devices/fdt_writer.h"
#include "devices/layout.h"
#include "devices/register_access.h"

// Section 3.3 of ARM DDI 0190 describes the registers.
namespace arclight::devices {

namespace {

constexpr uint64_t kRegDataEnd = 0x400;  // GPIODATA at all offsets below: bits 9:2 of the offset are a mask
constexpr uint64_t kRegDir = 0x400;
constexpr uint64_t kRegIs = 0x404;
constexpr uint64_t kRegIbe = 0x408;
constexpr uint64_t kRegIev = 0x40c;
constexpr uint64_t kRegIe = 0x410;
constexpr uint64_t kRegRis = 0x414;
constexpr uint64_t kRegMis = 0x418;
constexpr uint64_t kRegIc = 0x41c;
constexpr uint64_t kRegAfsel = 0x420;
constexpr uint64_t kRegIds = 0xfe0;

constexpr std::array<uint8_t, 8> kIdRegisters = {0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

constexpr uint32_t kLines = 0xff;
constexpr uint32_t kStateVersion = 1;

constexpr uint32_t kKeyPower = 116;  // Linux's KEY_POWER, by which gpio-keys names it
// A driver looks at the level some time after the edge, when contacts have settled: Linux after 5 ms of guest time.
constexpr int64_t kPressNs = 100'000'000;

}  // namespace

Pl061::Pl061(EventLoop& loop, IrqLine line)
    : line_(line), release_(loop, [this] {
          const std::lock_guard guard(lock_);
          if (!quiesced_) drive(kPowerKey, false);
      }) {}

void Pl061::reset() {
    const std::lock_guard guard(lock_);
    state_ = {.inputs = state_.inputs};
    update();
}

void Pl061::update() {
    // Level-sensitive lines have no latch.
    const uint32_t active = ~(levels() ^ state_.event);
    state_.raw = (state_.raw & ~state_.level_sensitive) | (active & state_.level_sensitive & kLines);
    line_.set((state_.raw & state_.mask) != 0);
}

void Pl061::drive(unsigned number, bool level) {
    const uint32_t bit = 1u << number;
    if (((state_.inputs & bit) != 0) == level) return;
    state_.inputs ^= bit;
    const bool wanted = (state_.both_edges & bit) != 0 || ((state_.event & bit) != 0) == level;
    if (wanted && (state_.direction & bit) == 0 && (state_.level_sensitive & bit) == 0) state_.raw |= bit;
    update();
}

void Pl061::set_input(unsigned number, bool level) {
    const std::lock_guard guard(lock_);
    if (number < 8) drive(number, level);
}

void Pl061::release_later() { release_.arm(EventLoop::now_ns() + kPressNs); }

void Pl061::power_key() {
    const std::lock_guard guard(lock_);
    drive(kPowerKey, true);
    if (!quiesced_) release_later();
}

uint32_t Pl061::read_register(uint64_t offset) const {
    if (offset < kRegDataEnd) return levels() & static_cast<uint32_t>(offset >> 2) & kLines;
    if (offset >= kRegIds && offset < kRegIds + kIdRegisters.size() * 4)
        return kIdRegisters[(offset - kRegIds) / 4];
    switch (offset) {
        case kRegDir: return state_.direction;
        case kRegIs: return state_.level_sensitive;
        case kRegIbe: return state_.both_edges;
        case kRegIev: return state_.event;
        case kRegIe: return state_.mask;
        case kRegRis: return state_.raw;
        case kRegMis: return state_.raw & state_.mask;
        case kRegAfsel: return state_.alternate;
        default: return 0;
    }
}

void Pl061::write_register(uint64_t offset, uint32_t value, uint32_t mask) {
    const auto put = [&](uint32_t& to) { to = merge(to, value, mask) & kLines; };
    if (offset < kRegDataEnd) {
        const uint32_t written = static_cast<uint32_t>(offset >> 2) & kLines & mask;
        state_.data = merge(state_.data, value, written);
        return update();
    }
    switch (offset) {
        case kRegDir: put(state_.direction); break;
        case kRegIs: put(state_.level_sensitive); break;
        case kRegIbe: put(state_.both_edges); break;
        case kRegIev: put(state_.event); break;
        case kRegIe: put(state_.mask); break;
        case kRegIc: state_.raw &= ~(value & mask); break;
        case kRegAfsel: put(state_.alternate); break;
        default: return;
    }
    update();
}

uint64_t Pl061::read(uint64_t offset, unsigned size) {
    const std::lock_guard guard(lock_);
    return read_by_words(offset, size, [&](uint64_t word) { return read_register(word); });
}

void Pl061::write(uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(lock_);
    write_by_words(offset, value, size,
                   [&](uint64_t word, uint32_t data, uint32_t mask) { write_register(word, data, mask); });
}

void Pl061::add_to_device_tree(FdtWriter& fdt) const {
    fdt.begin_node("pl061@9030000");
    fdt.property_strings("compatible", {"arm,pl061", "arm,primecell"});
    fdt.property_u64s("reg", {layout::kGpio.base, layout::kGpio.size});
    fdt.property_cells("interrupts", {0, layout::kSpiGpio, 4});
    fdt.property_u32("#gpio-cells", 2);
    fdt.property("gpio-controller");
    fdt.property_cells("clocks", {layout::kPhandleClock});
    fdt.property_string("clock-names", "apb_pclk");
    fdt.property_u32("phandle", layout::kPhandleGpio);
    fdt.end_node();
    fdt.begin_node("gpio-keys");
    fdt.property_string("compatible", "gpio-keys");
    fdt.begin_node("poweroff");
    fdt.property_string("label", "GPIO Key Poweroff");
    fdt.property_u32("linux,code", kKeyPower);
    fdt.property_cells("gpios", {layout::kPhandleGpio, kPowerKey, 0});
    fdt.end_node();
    fdt.end_node();
}

void Pl061::quiesce() {
    const std::lock_guard guard(lock_);
    quiesced_ = true;
    release_.cancel();
}

void Pl061::resume() {
    const std::lock_guard guard(lock_);
    quiesced_ = false;
    if ((state_.inputs >> kPowerKey & 1) != 0) release_later();
    line_.refresh((state_.raw & state_.mask) != 0);
}

void Pl061::save(StateWriter& out) const {
    out.section("pl061", kStateVersion, [&] { out(state_); });
}

StateResult Pl061::load(StateReader& in) {
    State state;
    const auto loaded = in.section("pl061", kStateVersion, [&] {
        in(state);
        const uint32_t all = state.data | state.inputs | state.direction | state.level_sensitive |
                             state.both_edges | state.event | state.mask | state.raw | state.alternate;
        in.require((all & ~kLines) == 0, "a GPIO has more than eight lines");
    });
    if (!loaded) return loaded;
    const std::lock_guard guard(lock_);
    state_ = state;
    return {};
}

}  // namespace arclight::devices
