#include "devices/pci/serial.h"

// Sections are those of the PC16550D's data sheet (SNLS378).
namespace arclight::devices::pci {

namespace {

constexpr Identity kIdentity{.vendor = 0x1b36,
                             .device = 2,
                             .revision = 1,
                             .class_code = 0x0700,
                             .subsystem_vendor = 0x1af4,
                             .subsystem = 0x1100,
                             .interrupt_pin = 1};
constexpr uint8_t kInterface16550 = 2;
constexpr uint64_t kRegisters = 8;

// 8.0, by address
constexpr uint64_t kRegData = 0, kRegInterruptEnable = 1, kRegInterruptIdentity = 2, kRegLineControl = 3,
                   kRegModemControl = 4, kRegLineStatus = 5, kRegModemStatus = 6, kRegScratch = 7;
constexpr uint8_t kEnableReceive = 1, kEnableTransmit = 2, kEnableLineStatus = 4, kEnableAll = 15;
constexpr uint8_t kSourceNone = 1, kSourceTransmit = 2, kSourceReceive = 4, kSourceLineStatus = 6,
                  kSourceTimeout = 12, kFifosEnabled = 0xc0;
constexpr uint8_t kFifoEnable = 1, kFifoClearReceived = 2, kFifoStored = 0xc9;
constexpr uint8_t kLineDivisor = 0x80;
constexpr uint8_t kModemLoopback = 16, kModemAll = 31;
constexpr uint8_t kStatusReady = 1, kStatusOverrun = 2, kStatusBreak = 16, kStatusSent = 0x60,
                  kStatusFifoError = 0x80;
constexpr uint8_t kModemConnected = 0xb0;  // CTS, DSR, DCD

constexpr uint16_t kBreak = 1u << 8;
constexpr uint32_t kStateVersion = 1;

}  // namespace

Serial::Serial(CharBackend& backend) : Function(kIdentity), backend_(backend), connection_(backend, *this) {
    config().set(kRegInterface, kInterface16550, 1);
    add_bar(0, BarKind::Ports, kRegisters);
    finish_config();
}

void Serial::reset_device_state() {
    const std::lock_guard guard(lock_);
    state_ = {};
    update();
}

// ---- the receive FIFO (8.8)

size_t Serial::depth() const { return (state_.fifo_control & kFifoEnable) != 0 ? ReceiveFifo::kDepth : 1; }

size_t Serial::trigger() const {
    constexpr std::array<uint8_t, 4> kLevels = {1, 4, 8, 14};
    return (state_.fifo_control & kFifoEnable) != 0 ? kLevels[state_.fifo_control >> 6] : 1;
}

bool Serial::push(uint16_t data) { return state_.fifo.push(data, depth()); }

bool Serial::has_break() const { return !state_.fifo.empty() && (state_.fifo.front() & kBreak) != 0; }

size_t Serial::receive(std::span<const uint8_t> bytes) {
    const std::lock_guard guard(lock_);
    size_t taken = 0;
    while (taken < bytes.size() && !quiesced_ && push(bytes[taken])) taken++;
    if (taken < bytes.size()) refused_ = true;
    update();
    return taken;
}

// Where there is no room for a break it is lost, as an overrun loses it.
void Serial::event(CharEvent event) {
    if (event != CharEvent::Break) return;
    const std::lock_guard guard(lock_);
    if (!quiesced_) push(kBreak);
    update();
}

// Asking for more on every byte read would wake the back end for each; half a FIFO is worth waking it.
bool Serial::take_refusal() {
    if (!refused_ || quiesced_ || state_.fifo.count() > depth() / 2) return false;
    refused_ = false;
    return true;
}

// ---- interrupts (8.7): the first of these that is there and enabled

uint8_t Serial::interrupt_source() const {
    const uint8_t enabled = state_.interrupt_enable;
    if ((enabled & kEnableLineStatus) != 0 && (has_break() || state_.overrun)) return kSourceLineStatus;
    if ((enabled & kEnableReceive) != 0 && state_.fifo.count() >= trigger()) return kSourceReceive;
    // What stays below the trigger times out at once.
    if ((enabled & kEnableReceive) != 0 && !state_.fifo.empty()) return kSourceTimeout;
    if ((enabled & kEnableTransmit) != 0 && state_.transmit_empty) return kSourceTransmit;
    return kSourceNone;
}

void Serial::update() { set_interrupt(interrupt_source() != kSourceNone); }

// ---- registers

bool Serial::divisor_shown() const { return (state_.line_control & kLineDivisor) != 0; }

// 8.9: with a loop, the outputs are the inputs.
uint8_t Serial::modem_status() const {
    const uint8_t out = state_.modem_control;
    if ((out & kModemLoopback) == 0) return kModemConnected;
    return static_cast<uint8_t>((out & 1) << 5 | (out & 2) << 3 | (out & 4) << 4 | (out & 8) << 4);
}

uint8_t Serial::read_register(uint64_t offset) {
    switch (offset) {
        case kRegData: {
            if (divisor_shown()) return static_cast<uint8_t>(state_.divisor);
            const auto data = static_cast<uint8_t>(state_.fifo.pop());
            update();
            return data;
        }
        case kRegInterruptEnable:
            return divisor_shown() ? static_cast<uint8_t>(state_.divisor >> 8) : state_.interrupt_enable;
        case kRegInterruptIdentity: {
            const uint8_t source = interrupt_source();
            if (source == kSourceTransmit) {
                state_.transmit_empty = false;
                update();
            }
            return source | ((state_.fifo_control & kFifoEnable) != 0 ? kFifosEnabled : 0);
        }
        case kRegLineControl: return state_.line_control;
        case kRegModemControl: return state_.modem_control;
        case kRegLineStatus: {
            uint8_t status = kStatusSent;
            if (!state_.fifo.empty()) status |= kStatusReady;
            if (state_.overrun) status |= kStatusOverrun;
            if (has_break())
                status |= kStatusBreak | ((state_.fifo_control & kFifoEnable) != 0 ? kStatusFifoError : 0);
            state_.overrun = false;
            if (has_break()) state_.fifo.front() &= static_cast<uint16_t>(~kBreak);
            update();
            return status;
        }
        case kRegModemStatus: return modem_status();
        default: return state_.scratch;
    }
}

std::optional<uint8_t> Serial::write_register(uint64_t offset, uint8_t value) {
    std::optional<uint8_t> sent;
    switch (offset) {
        case kRegData:
            if (divisor_shown()) {
                state_.divisor = static_cast<uint16_t>((state_.divisor & 0xff00) | value);
                break;
            }
            state_.transmit_empty = true;
            if ((state_.modem_control & kModemLoopback) == 0)
                sent = value;
            else if (!push(value))
                state_.overrun = true;
            break;
        case kRegInterruptEnable:
            if (divisor_shown()) {
                state_.divisor = static_cast<uint16_t>((state_.divisor & 0xff) | value << 8);
                break;
            }
            // The transmitter is empty always.
            if ((value & ~state_.interrupt_enable & kEnableTransmit) != 0) state_.transmit_empty = true;
            state_.interrupt_enable = value & kEnableAll;
            break;
        case kRegInterruptIdentity:  // the FIFOs' control
            if (((value ^ state_.fifo_control) & kFifoEnable) != 0 || (value & kFifoClearReceived) != 0)
                state_.fifo.clear();
            state_.fifo_control = value & kFifoStored;
            break;
        case kRegLineControl: state_.line_control = value; break;
        case kRegModemControl: state_.modem_control = value & kModemAll; break;
        case kRegScratch: state_.scratch = value; break;
        default: break;  // the status registers
    }
    update();
    return sent;
}

// Registers are bytes; a wider access is one to each of those that it covers.
uint64_t Serial::bar_read(unsigned, uint64_t offset, unsigned size) {
    uint64_t value = 0;
    bool offer_again = false;
    {
        const std::lock_guard guard(lock_);
        for (unsigned i = 0; i < size && offset + i < kRegisters; i++)
            value |= uint64_t{read_register(offset + i)} << i * 8;
        offer_again = take_refusal();
    }
    if (offer_again) backend_.accept_input();
    return value;
}

void Serial::bar_write(unsigned, uint64_t offset, uint64_t value, unsigned size) {
    std::optional<uint8_t> sent;
    bool offer_again = false;
    {
        const std::lock_guard guard(lock_);
        for (unsigned i = 0; i < size && offset + i < kRegisters; i++)
            if (const auto byte = write_register(offset + i, static_cast<uint8_t>(value >> i * 8)))
                sent = byte;
        offer_again = take_refusal();
    }
    // Without the lock: a terminal that does not take output must not hold up input.
    if (sent) backend_.write({&*sent, 1});
    if (offer_again) backend_.accept_input();
}

// ---- state

void Serial::quiesce() {
    const std::lock_guard guard(lock_);
    quiesced_ = true;
}

void Serial::resume() {
    Function::resume();
    bool offer_again = false;
    {
        const std::lock_guard guard(lock_);
        quiesced_ = false;
        update();
        offer_again = take_refusal();
    }
    if (offer_again) backend_.accept_input();
}

void Serial::save_device(StateWriter& out) const {
    const std::lock_guard guard(lock_);
    out.section("pci-serial", kStateVersion, [&] { out(state_); });
}

StateResult Serial::load_device(StateReader& in) {
    State state;
    const auto loaded = in.section("pci-serial", kStateVersion, [&] {
        in(state);
        state.fifo.check(in, kBreak | 0xff);
        in.require((state.interrupt_enable & ~kEnableAll) == 0 && (state.fifo_control & ~kFifoStored) == 0 &&
                       (state.modem_control & ~kModemAll) == 0,
                   "the serial port's registers make no sense");
    });
    if (!loaded) return loaded;
    const std::lock_guard guard(lock_);
    state_ = state;
    // Whoever has input offers it to the FIFO as it is now.
    refused_ = true;
    return {};
}

}  // namespace arclight::devices::pci
