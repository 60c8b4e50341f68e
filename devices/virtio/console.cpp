#include "devices/virtio/console.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <mutex>

// Section 5.3 of virtio 1.2.
namespace arclight::devices::virtio {

namespace {

constexpr uint64_t kFeatureSize = 1ull << 0;
constexpr uint64_t kFeatureMultiport = 1ull << 1;
constexpr uint64_t kFeatureEmergencyWrite = 1ull << 2;

// 5.3.2
constexpr unsigned kControlReceive = 2, kControlTransmit = 3;
constexpr unsigned receive_queue(unsigned port) { return port == 0 ? 0 : 2 * port + 2; }
constexpr unsigned transmit_queue(unsigned port) { return receive_queue(port) + 1; }
constexpr uint16_t kControlQueueSize = 32, kPortQueueSize = 128;

// 5.3.4
struct [[gnu::packed]] Config {
    uint16_t columns;
    uint16_t rows;
    uint32_t max_ports;
    uint32_t emergency_write;
};
static_assert(sizeof(Config) == 12);

// 5.3.6.2
struct [[gnu::packed]] Control {
    uint32_t port;
    uint16_t event;
    uint16_t value;
};
constexpr uint16_t kDeviceReady = 0, kDeviceAdd = 1, kPortReady = 3, kConsolePort = 4, kResize = 5,
                   kPortOpen = 6, kPortName = 7;
/// Linux has read them in the other order until 2025.
struct [[gnu::packed]] Resize {
    uint16_t columns;
    uint16_t rows;
};

/// Messages that wait for a driver that asks and does not read.
constexpr size_t kMaxControl = 256;
/// Bytes moved in one go.
constexpr size_t kPiece = 16 * 1024;
/// Chains that are sent before others get their turn.
constexpr unsigned kMaxChains = 2 * kPortQueueSize;
/// Chains without room that a driver may have in a row before others get their turn.
constexpr unsigned kMaxEmptyChains = Queue::kMaxSize;

template <typename T>
std::span<const uint8_t> bytes_of(const T& value) {
    return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

}  // namespace

/// Calls come on the back end's thread.
class Console::Port final : public CharFrontend {
  public:
    Port(Console& console, const PortOptions& options, CharBackend& backend)
        : options_(options),
          backend_(backend),
          console_(console),
          size_(backend.window_size()),
          more_(console.loop_, [this] { writable(); }) {}

    size_t receive(std::span<const uint8_t> bytes) override { return console_.receive(*this, bytes); }
    void event(CharEvent event) override { console_.host_event(*this, event); }
    void writable() override {
        Transport* transport = console_.transport_;
        if (transport == nullptr) return;
        const std::lock_guard guard(transport->lock());
        console_.send(*transport, *this);
    }
    /// A console is always there; its output goes nowhere if nobody is.
    bool host_open() const { return options_.console || backend_.is_open(); }

    const PortOptions options_;
    CharBackend& backend_;
    Console& console_;
    // Under the transport's lock.
    PortState state_;
    std::optional<WindowSize> size_;
    EventLoop::Timer more_;
    std::optional<CharConnection> connection_;
};

std::string Console::ports_text(const std::vector<PortOptions>& ports) {
    std::string text;
    for (const PortOptions& port : ports)
        text += fmt::format("{}{}:{}:{}:{}", text.empty() ? "" : ";", port.number,
                            port.console ? "console" : "port", port.chardev, port.name);
    return text;
}

Result<std::vector<Console::PortOptions>> Console::parse_ports(std::string_view text) {
    std::vector<PortOptions> ports;
    while (!text.empty()) {
        std::string_view one = text.substr(0, text.find(';'));
        text.remove_prefix(std::min(text.size(), one.size() + 1));
        const auto next = [&] {
            const std::string_view word = one.substr(0, one.find(':'));
            one.remove_prefix(std::min(one.size(), word.size() + 1));
            return word;
        };
        const std::string_view number = next(), kind = next(), chardev = next();
        PortOptions port{
            .console = kind == "console", .chardev = std::string(chardev), .name = std::string(one)};
        const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), port.number);
        if (error != std::errc() || end != number.data() + number.size() ||
            (kind != "console" && kind != "port"))
            return failure("'{}:{}' is no port: NUMBER:console|port:CHARDEV:NAME", number, kind);
        if (port.number >= kMaxPorts) return failure("port {} is more than {}", port.number, kMaxPorts - 1);
        if (port.number == 0 && !port.console) return failure("port 0 is a console's");
        if (port.name.size() > kMaxName) return failure("a port's name is longer than {} bytes", kMaxName);
        if (std::ranges::find(ports, port.number, &PortOptions::number) != ports.end())
            return failure("port {} is there twice", port.number);
        ports.push_back(std::move(port));
    }
    return ports;
}

Console::Console(EventLoop& loop, const std::vector<PortOptions>& ports,
                 const std::vector<CharBackend*>& backends)
    : loop_(loop) {
    for (size_t i = 0; i < ports.size(); ++i) {
        ports_.push_back(std::make_unique<Port>(*this, ports[i], *backends[i]));
        max_ports_ = std::max(max_ports_, ports[i].number + 1);
    }
    for (const auto& port : ports_) port->connection_.emplace(port->backend_, *port);
}

Console::~Console() = default;

// ---- configuration

uint64_t Console::features() const { return kFeatureSize | kFeatureMultiport | kFeatureEmergencyWrite; }

std::vector<QueueDescription> Console::queues() const {
    std::vector<QueueDescription> all(2 * (size_t{max_ports_} + 1),
                                      {.limit = kPortQueueSize, .service = Service::Backend});
    all[kControlReceive].limit = all[kControlTransmit].limit = kControlQueueSize;
    return all;
}

uint8_t Console::read_config(uint64_t offset) {
    Config config{.max_ports = max_ports_};
    if (const Port* console = first_console(); console != nullptr && console->size_) {
        config.columns = console->size_->columns;
        config.rows = console->size_->rows;
    }
    return offset < sizeof config ? bytes_of(config)[offset] : 0;
}

void Console::write_config(uint64_t offset, uint8_t value) {
    Port* console = first_console();
    if (offset == offsetof(Config, emergency_write) && console != nullptr)
        console->backend_.offer({&value, 1});
}

bool Console::multiport() const { return (features_ & kFeatureMultiport) != 0; }

Console::Port* Console::port(unsigned number) const {
    for (const auto& port : ports_)
        if (port->options_.number == number) return port.get();
    return nullptr;
}

Console::Port* Console::first_console() const {
    for (const auto& port : ports_)
        if (port->options_.console) return port.get();
    return nullptr;
}

void Console::set_features(uint64_t features) {
    features_ = features;
    for (const auto& port : ports_) port->state_ = {};
    control_.clear();
}

void Console::activate(Transport& transport) {
    transport_ = &transport;
    for (const auto& port : ports_) {
        if (port->state_.ready) tell_open(*port);
        port->backend_.accept_input();
    }
    deliver_control(transport);
}

void Console::reset() {
    transport_ = nullptr;
    loop_.drain();
    features_ = 0;
    for (const auto& port : ports_) port->state_ = {};
    control_.clear();
}

// ---- ports

void Console::notified(unsigned queue) {
    Transport* transport = transport_;
    if (transport == nullptr) return;
    if (queue == kControlReceive) return deliver_control(*transport);
    if (queue == kControlTransmit) return take_control(*transport);
    for (const auto& port : ports_) {
        if (queue == receive_queue(port->options_.number)) port->backend_.accept_input();
        if (queue == transmit_queue(port->options_.number)) send(*transport, *port);
    }
}

/// From the guest; the transport's lock is held.
void Console::send(Transport& transport, Port& port) {
    const unsigned queue = transmit_queue(port.options_.number);
    std::array<uint8_t, kPiece> piece;
    Chain chain;
    for (unsigned chains = 0; transport.running(); ++chains) {
        if (chains == kMaxChains) {
            port.more_.arm(0);
            return;
        }
        const auto dma = transport.memory().dma();
        if (!transport.take(queue, chain)) return;
        uint64_t skip = port.state_.sent;
        std::vector<std::span<uint8_t>> rest;
        for (const auto& buffer : chain.readable) {
            const uint64_t skipped = std::min<uint64_t>(skip, buffer.size());
            skip -= skipped;
            if (skipped < buffer.size()) rest.push_back(buffer.subspan(skipped));
        }
        for (size_t at = 0; at < rest.size();) {
            const std::span<uint8_t> now = rest[at].first(std::min(rest[at].size(), piece.size()));
            const size_t got = gather({&now, 1}, piece);
            const size_t taken = port.backend_.offer({piece.data(), got});
            port.state_.sent += taken;
            if (taken < got) {
                transport.put_back(queue, 1);
                return;  // writable() goes on
            }
            // What is gone is left out.
            if (got < now.size()) port.state_.sent += now.size() - got;
            rest[at] = rest[at].subspan(now.size());
            if (rest[at].empty()) at++;
        }
        port.state_.sent = 0;
        const Used used{chain.head, 0};
        transport.complete(queue, {&used, 1});
    }
}

/// For the guest.
size_t Console::receive(Port& port, std::span<const uint8_t> bytes) {
    Transport* transport = transport_;
    if (transport == nullptr) return 0;
    const std::lock_guard guard(transport->lock());
    if (!transport->running() || (multiport() && !port.state_.guest_open)) return 0;
    const unsigned queue = receive_queue(port.options_.number);
    const auto dma = transport->memory().dma();
    size_t done = 0;
    Chain chain;
    for (unsigned empty = 0; done < bytes.size() && empty < kMaxEmptyChains;) {
        if (!transport->take(queue, chain)) break;
        const size_t put = scatter(bytes.subspan(done), chain.writable);
        if (put == 0) empty++;
        done += put;
        const Used used{chain.head, static_cast<uint32_t>(put)};
        transport->complete(queue, {&used, 1});
    }
    return done;
}

void Console::host_event(Port& port, CharEvent event) {
    if (event != CharEvent::Opened && event != CharEvent::Closed && event != CharEvent::Resized) return;
    const auto size = port.backend_.window_size();
    Transport* transport = transport_;
    if (transport == nullptr) {
        port.size_ = size;
        return;
    }
    bool resized = false;
    {
        const std::lock_guard guard(transport->lock());
        resized = size.has_value() && port.size_ != size;
        port.size_ = size;
        if (!transport->running()) return;
        if (port.state_.ready) {
            tell_open(port);
            if (resized) tell_size(port);
        }
        deliver_control(*transport);
    }
    if (resized && &port == first_console()) transport->config_changed();
}

// ---- control messages; the transport's lock is held

void Console::take_control(Transport& transport) {
    Chain chain;
    while (transport.running()) {
        const auto dma = transport.memory().dma();
        if (!transport.take(kControlTransmit, chain)) break;
        std::array<uint8_t, sizeof(Control)> message{};
        if (gather(chain.readable, message) == message.size()) handle_control(message);
        const Used used{chain.head, 0};
        transport.complete(kControlTransmit, {&used, 1});
    }
    deliver_control(transport);
}

void Console::handle_control(std::span<const uint8_t> message) {
    Control control;
    std::memcpy(&control, message.data(), sizeof control);
    if (control.event == kDeviceReady) {
        if (control.value == 0) return;
        for (const auto& port : ports_) tell(port->options_.number, kDeviceAdd, 1);
        return;
    }
    Port* port = this->port(control.port);
    if (port == nullptr) return;
    if (control.event == kPortReady && control.value != 0) {
        port->state_.ready = true;
        port->state_.told_open = false;
        const PortOptions& options = port->options_;
        if (options.console) tell(options.number, kConsolePort, 1);
        // With a zero byte at the end, as QEMU sends it.
        if (!options.name.empty())
            tell(options.number, kPortName, 1,
                 {reinterpret_cast<const uint8_t*>(options.name.c_str()), options.name.size() + 1});
        tell_open(*port);
        tell_size(*port);
    } else if (control.event == kPortOpen) {
        port->state_.guest_open = control.value != 0;
        port->backend_.accept_input();
    }
}

void Console::tell(unsigned number, uint16_t event, uint16_t value, std::span<const uint8_t> more) {
    if (!multiport() || control_.size() >= kMaxControl) return;
    const Control control{.port = number, .event = event, .value = value};
    std::vector<uint8_t> message(sizeof control + more.size());
    std::memcpy(message.data(), &control, sizeof control);
    std::ranges::copy(more, message.begin() + sizeof control);
    control_.push_back(std::move(message));
}

void Console::tell_open(Port& port) {
    const bool open = port.host_open();
    if (port.state_.told_open == open) return;
    port.state_.told_open = open;
    tell(port.options_.number, kPortOpen, open ? 1 : 0);
}

void Console::tell_size(Port& port) {
    if (!port.options_.console || !port.size_ || (features_ & kFeatureSize) == 0) return;
    const Resize resize{.columns = port.size_->columns, .rows = port.size_->rows};
    tell(port.options_.number, kResize, 1, bytes_of(resize));
}

void Console::deliver_control(Transport& transport) {
    while (!control_.empty() && transport.running()) {
        const auto dma = transport.memory().dma();
        Chain chain;
        if (!transport.take(kControlReceive, chain)) return;
        const size_t put = scatter(control_.front(), chain.writable);
        control_.pop_front();
        const Used used{chain.head, static_cast<uint32_t>(put)};
        transport.complete(kControlReceive, {&used, 1});
    }
}

// ---- state

void Console::save(StateWriter& out) const {
    out(static_cast<uint32_t>(ports_.size()));
    for (const auto& port : ports_) out(port->options_.number, port->state_);
    out(static_cast<uint32_t>(control_.size()));
    for (const auto& message : control_) out.bytes(message);
}

StateResult Console::load(StateReader& in) {
    uint32_t count = 0;
    std::vector<PortState> states(ports_.size());
    in(count);
    in.require(count == ports_.size(), "another number of ports");
    for (size_t i = 0; i < ports_.size() && in.ok(); ++i) {
        uint32_t number = 0;
        in(number, states[i]);
        in.require(number == ports_[i]->options_.number, "another port");
    }
    in(count);
    in.require(count <= kMaxControl, "more messages than wait at a time");
    std::deque<std::vector<uint8_t>> control(in.ok() ? count : 0);
    for (auto& message : control) in.bytes(message, sizeof(Control) + kMaxName + 1);
    if (!in.ok()) return in.result();
    for (size_t i = 0; i < ports_.size(); ++i) ports_[i]->state_ = states[i];
    control_ = std::move(control);
    return {};
}

}  // namespace arclight::devices::virtio
