#include "devices/pci/i6300esb.h"

#include <utility>

// Sections are those of Intel's 6300ESB I/O Controller Hub Datasheet (300641-004), chapter 14.
namespace arclight::devices::pci {

namespace {

constexpr Identity kIdentity{.vendor = 0x8086, .device = 0x25ab, .class_code = 0x0880};
constexpr uint64_t kBarSize = 16;

// Configuration space.
constexpr unsigned kRegConfig = 0x60;  // 14.3.13
constexpr uint32_t kConfigNoReset = 1u << 5;
constexpr uint32_t kConfigFast = 1u << 2;  // the clock is 1 MHz, not 1 kHz
constexpr uint32_t kConfigInterrupt = 3;
constexpr unsigned kRegLock = 0x68;  // 14.3.14
constexpr uint32_t kLockFreeRunning = 1u << 2;
constexpr uint32_t kLockEnable = 1u << 1;
constexpr uint32_t kLockLock = 1u << 0;

// 14.4
constexpr uint64_t kRegPreload = 0;  // and 4
constexpr uint64_t kRegReload = 0xc;
constexpr uint64_t kReload = 1u << 8;
constexpr uint64_t kTimeout = 1u << 9;
constexpr uint64_t kTimeoutBits = 0x1200;  // the second one is QEMU's
constexpr uint64_t kUnlockFirst = 0x80;
constexpr uint64_t kUnlockSecond = 0x86;
constexpr uint8_t kUnlocked = 2;

constexpr uint64_t kPciClock = 33'000'000;
constexpr unsigned kSlowShift = 15, kFastShift = 5;  // of a preload value, to cycles of PCI's clock

constexpr uint32_t kStateVersion = 1;

}  // namespace

I6300Esb::I6300Esb(EventLoop& loop, GuestClock& clock, MachineHost* host)
    : Function(kIdentity), clock_(clock), host_(host), timer_(loop, [this] { look_at_deadline(); }) {
    config().allow(kRegConfig, kConfigNoReset | kConfigFast | kConfigInterrupt, 2);
    config().allow(kRegLock, kLockFreeRunning | kLockEnable | kLockLock, 1);
    add_bar(0, BarKind::Memory32, kBarSize);
    finish_config();
}

I6300Esb::Control I6300Esb::read_control() const {
    const uint32_t configured = config().get(kRegConfig, 2), lock = config().get(kRegLock, 1);
    return {.resets = (configured & kConfigNoReset) == 0,
            .fast = (configured & kConfigFast) != 0,
            .free_running = (lock & kLockFreeRunning) != 0,
            .enabled = (lock & kLockEnable) != 0};
}

uint32_t I6300Esb::config_read(unsigned offset, unsigned size) {
    const uint32_t value = Function::config_read(offset, size);
    const std::lock_guard guard(lock_);
    const bool shows_lock = offset <= kRegLock && kRegLock < offset + size;
    return shows_lock && state_.expired ? value & ~(0xffu << (kRegLock - offset) * 8) : value;
}

void I6300Esb::config_write(unsigned offset, uint32_t value, unsigned size) {
    const uint32_t lock = config().get(kRegLock, 1);
    Function::config_write(offset, value, size);
    const bool writes_lock = offset <= kRegLock && kRegLock < offset + size;
    const std::lock_guard guard(lock_);
    if ((lock & kLockLock) != 0 && !state_.expired) config().set(kRegLock, lock, 1);
    if (writes_lock) state_.expired = false;
    control_ = read_control();
    if (!writes_lock || control_.enabled == state_.enabled) return;
    state_.enabled = control_.enabled;
    if (state_.enabled)
        begin_stage(0);
    else
        timer_.cancel();
}

// ---- Counting; lock held

void I6300Esb::begin_stage(uint8_t stage) {
    if (!state_.enabled) return;
    state_.stage = stage;
    const uint64_t cycles = uint64_t{state_.preload[stage]} << (control_.fast ? kFastShift : kSlowShift);
    // At most 2^35 cycles.
    state_.deadline = clock_.ticks() + cycles * (GuestClock::kFrequency / 500'000) / (kPciClock / 500'000);
    arm();
}

void I6300Esb::arm() {
    if (state_.enabled && !quiesced_) timer_.arm(clock_.deadline_ns(state_.deadline));
}

void I6300Esb::look_at_deadline() {
    {
        const std::lock_guard guard(lock_);
        if (!state_.enabled || quiesced_) return;
        if (clock_.ticks() < state_.deadline) return arm();
        if (state_.stage == 0) return begin_stage(1);
        if (!control_.resets) {
            if (control_.free_running) begin_stage(0);
            return;
        }
        // What the guest had set up is gone, as in a machine that begins anew.
        state_ = {.timed_out = true, .expired = true};
    }
    if (host_ != nullptr) host_->watchdog_expired();
}

// ---- Registers

uint64_t I6300Esb::bar_read(unsigned, uint64_t offset, unsigned size) {
    const std::lock_guard guard(lock_);
    return offset == kRegReload && size == 2 && state_.timed_out ? kTimeoutBits : 0;
}

// 14.4: each register is written after the sequence that unlocks it.
void I6300Esb::bar_write(unsigned, uint64_t offset, uint64_t value, unsigned size) {
    const std::lock_guard guard(lock_);
    if (offset == kRegReload && value == kUnlockFirst) {
        state_.unlock_step = 1;
    } else if (offset == kRegReload && value == kUnlockSecond && state_.unlock_step == 1) {
        state_.unlock_step = kUnlocked;
    } else if (state_.unlock_step == kUnlocked && size >= 2) {
        if (offset == kRegReload && size == 2) {
            if ((value & kReload) != 0) begin_stage(0);
            if ((value & (kTimeout | kTimeoutBits)) != 0) state_.timed_out = false;
        } else if ((offset == kRegPreload || offset == kRegPreload + 4) && size == 4) {
            state_.preload[offset / 4] = static_cast<uint32_t>(value) & kPreloadMask;
        }
        state_.unlock_step = 0;
    }
}

void I6300Esb::reset_device_state() {
    const std::lock_guard guard(lock_);
    timer_.cancel();
    state_ = {.timed_out = state_.timed_out};
    control_ = read_control();
}

// ---- State

void I6300Esb::quiesce() {
    const std::lock_guard guard(lock_);
    quiesced_ = true;
    timer_.cancel();
}

void I6300Esb::resume() {
    Function::resume();
    const std::lock_guard guard(lock_);
    quiesced_ = false;
    arm();
}

void I6300Esb::save_device(StateWriter& out) const {
    const std::lock_guard guard(lock_);
    out.section("i6300esb", kStateVersion, [&] { out(state_); });
}

StateResult I6300Esb::load_device(StateReader& in) {
    State state;
    const auto loaded = in.section("i6300esb", kStateVersion, [&] {
        in(state);
        in.require(state.stage <= 1 && state.unlock_step <= kUnlocked && state.preload[0] <= kPreloadMask &&
                       state.preload[1] <= kPreloadMask,
                   "the watchdog's registers make no sense");
    });
    if (!loaded) return loaded;
    const std::lock_guard guard(lock_);
    state_ = state;
    return {};
}

void I6300Esb::config_loaded() {
    const std::lock_guard guard(lock_);
    control_ = read_control();
}

}  // namespace arclight::devices::pci
