#include "devices/pl011.h"

#include <fmt/format.h>

#include "devices/fdt_writer.h"
#include "devices/register_access.h"

// Section numbers are those of ARM DDI 0183.
namespace arclight::devices {

namespace {

constexpr uint64_t kRegDr = 0x00;
constexpr uint64_t kRegFr = 0x18;
constexpr uint64_t kRegIlpr = 0x20;
constexpr uint64_t kRegIbrd = 0x24;
constexpr uint64_t kRegFbrd = 0x28;
constexpr uint64_t kRegLcrH = 0x2c;
constexpr uint64_t kRegCr = 0x30;
constexpr uint64_t kRegIfls = 0x34;
constexpr uint64_t kRegImsc = 0x38;
constexpr uint64_t kRegRis = 0x3c;
constexpr uint64_t kRegMis = 0x40;
constexpr uint64_t kRegIcr = 0x44;
constexpr uint64_t kRegDmacr = 0x48;
constexpr uint64_t kRegIds = 0xfe0;

constexpr std::array<uint8_t, 8> kIdRegisters = {0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1};

constexpr uint32_t kFrReceiveEmpty = 1u << 4;
constexpr uint32_t kFrReceiveFull = 1u << 6;
constexpr uint32_t kFrTransmitEmpty = 1u << 7;

constexpr uint32_t kLcrFifoEnable = 1u << 4;
constexpr uint32_t kCrLoopback = 1u << 7;
constexpr uint32_t kCrReset = 0x300;  // transmitter and receiver enabled, UART not
constexpr uint32_t kIflsReset = 0x12;

constexpr uint32_t kInterruptReceive = 1u << 4;
constexpr uint32_t kInterruptTransmit = 1u << 5;
constexpr uint32_t kInterruptTimeout = 1u << 6;
constexpr uint32_t kInterruptAll = 0x7ff;

constexpr uint16_t kDataBreak = 1u << 10;  // 3.3.1, DR.BE

constexpr uint32_t kStateVersion = 2;

}  // namespace

Pl011::Pl011(CharBackend& backend, IrqLine line, Place place)
    : backend_(backend), place_(place), line_(line) {
    reset();
}

void Pl011::reset() {
    const std::lock_guard guard(lock_);
    const bool connected = state_.connected;
    state_ = {};
    state_.connected = connected;
    state_.control = kCrReset;
    state_.fifo_levels = kIflsReset;
    update();
}

// ---- the receive FIFO

size_t Pl011::depth() const { return (state_.line_control & kLcrFifoEnable) != 0 ? ReceiveFifo::kDepth : 1; }

// 3.3.10: 1/8, 1/4, 1/2, 3/4, 7/8 of the FIFO; the other encodings are reserved.
size_t Pl011::trigger() const {
    constexpr std::array<uint8_t, 8> kEighths = {1, 2, 4, 6, 7, 7, 7, 7};
    if ((state_.line_control & kLcrFifoEnable) == 0) return 1;
    return ReceiveFifo::kDepth * kEighths[state_.fifo_levels >> 3 & 7] / 8;
}

bool Pl011::push(uint16_t data) {
    if (!state_.fifo.push(data, depth())) return false;
    state_.raw |= state_.fifo.count() >= trigger() ? kInterruptReceive : kInterruptTimeout;
    return true;
}

uint16_t Pl011::pop() {
    if (state_.fifo.empty()) return 0;
    const uint16_t data = state_.fifo.pop();
    if (state_.fifo.count() < trigger()) {
        state_.raw &= ~kInterruptReceive;
        state_.raw |= kInterruptTimeout;  // what is left stays below the trigger and so times out
    }
    if (state_.fifo.empty()) state_.raw &= ~kInterruptTimeout;
    return data;
}

size_t Pl011::receive(std::span<const uint8_t> bytes) {
    const std::lock_guard guard(lock_);
    size_t taken = 0;
    while (taken < bytes.size() && !quiesced_ && push(bytes[taken])) taken++;
    if (taken < bytes.size()) refused_ = true;
    update();
    return taken;
}

// Where there is no room for a break it is lost, as an overrun loses it.
void Pl011::event(CharEvent event) {
    if (event != CharEvent::Break) return;
    const std::lock_guard guard(lock_);
    if (!quiesced_) push(kDataBreak);
    update();
}

// Asking for more on every byte read would wake the back end for each; half a FIFO is worth waking it.
bool Pl011::take_refusal() {
    if (!refused_ || quiesced_ || state_.fifo.count() > depth() / 2) return false;
    refused_ = false;
    return true;
}

// The line first: FR is read without the lock, and whoever sees a byte there must have its interrupt.
void Pl011::update() {
    line_.set(output());
    flags_.store(kFrTransmitEmpty | (state_.fifo.empty() ? kFrReceiveEmpty : 0) |
                     (state_.fifo.count() >= depth() ? kFrReceiveFull : 0),
                 std::memory_order_release);
}

void Pl011::take_over(Pl011& other) {
    if (&other == this) return;
    const std::scoped_lock guard(lock_, other.lock_);
    constexpr uint32_t kReceived = kInterruptReceive | kInterruptTimeout;
    state_.low_power = other.state_.low_power;
    state_.integer_baud = other.state_.integer_baud;
    state_.fractional_baud = other.state_.fractional_baud;
    if (((state_.line_control ^ other.state_.line_control) & kLcrFifoEnable) != 0) {
        state_.fifo.clear();
        state_.raw &= ~kReceived;
    }
    state_.line_control = other.state_.line_control;
    state_.control = other.state_.control;
    state_.fifo_levels = other.state_.fifo_levels;
    state_.mask = other.state_.mask;
    state_.raw = (state_.raw & kReceived) | (other.state_.raw & ~kReceived);
    state_.dma_control = other.state_.dma_control;
    other.state_.connected = false;
    other.update();
    state_.connected = true;
    update();
}

void Pl011::disconnect() {
    const std::lock_guard guard(lock_);
    state_.connected = false;
    update();
}

// ---- state

void Pl011::quiesce() {
    const std::lock_guard guard(lock_);
    quiesced_ = true;
}

void Pl011::resume() {
    bool offer_again = false;
    {
        const std::lock_guard guard(lock_);
        quiesced_ = false;
        update();
        line_.refresh(output());
        offer_again = take_refusal();
    }
    if (offer_again) backend_.accept_input();
}

void Pl011::save(StateWriter& out) const {
    out.section("pl011", kStateVersion, [&] { out(state_); });
}

StateResult Pl011::load(StateReader& in) {
    State state;
    const auto loaded = in.section("pl011", kStateVersion, [&] {
        in(state);
        state.fifo.check(in, kDataBreak | 0xff);
    });
    if (!loaded) return loaded;
    const std::lock_guard guard(lock_);
    state_ = state;
    // Whoever has input offers it to the FIFO as it is now.
    refused_ = true;
    return {};
}

// ---- registers

// True if the byte leaves by the wire.
bool Pl011::transmit(uint8_t byte) {
    // Sent at once: the FIFO fell through its trigger level.
    state_.raw |= kInterruptTransmit;
    if ((state_.control & kCrLoopback) == 0) return true;
    push(byte);  // a full FIFO overruns, as on the wire
    return false;
}

uint32_t Pl011::read_register(uint64_t offset) {
    if (offset >= kRegIds && offset < kRegIds + kIdRegisters.size() * 4)
        return kIdRegisters[(offset - kRegIds) / 4];
    switch (offset) {
        case kRegDr: {
            const uint16_t data = pop();
            update();
            return data;
        }
        // RSR (0x04): no receive errors ever happen.
        case kRegFr: return flags_.load(std::memory_order_relaxed);
        case kRegIlpr: return state_.low_power;
        case kRegIbrd: return state_.integer_baud;
        case kRegFbrd: return state_.fractional_baud;
        case kRegLcrH: return state_.line_control;
        case kRegCr: return state_.control;
        case kRegIfls: return state_.fifo_levels;
        case kRegImsc: return state_.mask;
        case kRegRis: return state_.raw;
        case kRegMis: return state_.raw & state_.mask;
        case kRegDmacr: return state_.dma_control;
        default: return 0;
    }
}

void Pl011::write_register(uint64_t offset, uint32_t value, uint32_t mask, std::optional<uint8_t>& sent) {
    const auto store = [&](uint32_t& field, uint32_t implemented) {
        field = merge(field, value, mask) & implemented;
    };
    switch (offset) {
        case kRegDr:
            if ((mask & 0xff) != 0 && transmit(static_cast<uint8_t>(value)))
                sent = static_cast<uint8_t>(value);
            break;
        case kRegIlpr: store(state_.low_power, 0xff); break;
        case kRegIbrd: store(state_.integer_baud, 0xffff); break;
        case kRegFbrd: store(state_.fractional_baud, 0x3f); break;
        case kRegLcrH: {
            const uint32_t old = state_.line_control;
            store(state_.line_control, 0xff);
            // 3.3.7: turning the FIFOs on or off empties them.
            if (((old ^ state_.line_control) & kLcrFifoEnable) != 0) {
                state_.fifo.clear();
                state_.raw &= ~(kInterruptReceive | kInterruptTimeout);
            }
            break;
        }
        case kRegCr: store(state_.control, 0xff87); break;
        case kRegIfls: store(state_.fifo_levels, 0x3f); break;
        case kRegImsc: store(state_.mask, kInterruptAll); break;
        case kRegIcr: state_.raw &= ~(value & mask); break;
        case kRegDmacr: store(state_.dma_control, 7); break;
        default: return;
    }
    update();
}

uint64_t Pl011::read(uint64_t offset, unsigned size) {
    if (offset == kRegFr && size == 4) return flags_.load(std::memory_order_acquire);
    uint64_t value = 0;
    bool offer_again = false;
    {
        const std::lock_guard guard(lock_);
        value = read_by_words(offset, size, [&](uint64_t word) { return read_register(word); });
        offer_again = take_refusal();
    }
    if (offer_again) backend_.accept_input();
    return value;
}

void Pl011::write(uint64_t offset, uint64_t value, unsigned size) {
    bool offer_again = false;
    std::optional<uint8_t> sent;
    {
        const std::lock_guard guard(lock_);
        write_by_words(offset, value, size, [&](uint64_t word, uint32_t data, uint32_t mask) {
            write_register(word, data, mask, sent);
        });
        offer_again = take_refusal();
    }
    // Without the lock: a terminal that does not take output must not hold up input.
    if (sent) backend_.write({&*sent, 1});
    if (offer_again) backend_.accept_input();
}

void Pl011::add_to_device_tree(FdtWriter& fdt) const {
    fdt.begin_node(fmt::format("pl011@{:x}", place_.range.base));
    fdt.property_strings("compatible", {"arm,pl011", "arm,primecell"});
    fdt.property_u64s("reg", {place_.range.base, place_.range.size});
    fdt.property_cells("interrupts", {0, place_.spi, 4});
    fdt.property_cells("clocks", {layout::kPhandleClock, layout::kPhandleClock});
    fdt.property_strings("clock-names", {"uartclk", "apb_pclk"});
    fdt.end_node();
}

}  // namespace arclight::devices
