#include "guestos/gdb/session.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace arclight::guestos::gdb {

namespace {
// Linux's numbers, as debuggers print them.
constexpr unsigned kIo = 5, kFault = 14, kInvalid = 22;
constexpr unsigned kSigInt = 2, kSigTrap = 5;
constexpr size_t kMaxPoints = 1024;
constexpr uint64_t kMaxWatched = uint64_t{1} << 20;
/// Of a reply; two digits a byte.
constexpr size_t kMaxRead = kMaxPacket / 2 - 16;
// QEMU's bits of `maintenance packet Qqemu.sstep`.
constexpr uint8_t kStepEnable = 1, kStepNoInterrupts = 2, kStepNoTimer = 4,
                  kStepAll = kStepEnable | kStepNoInterrupts | kStepNoTimer;
constexpr int64_t kAllCpus = -1, kAnyCpu = -2;

std::string hex_of(std::span<const uint8_t> bytes) {
    return to_hex({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

std::span<const uint8_t> bytes_of(std::string_view text) {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}
}  // namespace

Session::Session(DebugTarget* target, Send send, const Monitor& monitor)
    : target_(target), send_(std::move(send)), monitor_(monitor), step_bits_(kStepAll) {}

// ---- Frames

void Session::reply(Text data) {
    last_ = make_packet(data);
    send_(last_);
}

void Session::fail(unsigned error) { reply(fmt::format("E{:02x}", error)); }

void Session::feed(std::span<const uint8_t> bytes) {
    for (const uint8_t byte : bytes) {
        if (closed_) return;
        switch (parser_.feed(byte)) {
            case PacketParser::Item::None:
            case PacketParser::Item::Ack: break;
            case PacketParser::Item::Nack:
                if (acknowledges_ && !last_.empty()) send_(last_);
                break;
            case PacketParser::Item::Bad:
                if (acknowledges_) send_("-");
                break;
            case PacketParser::Item::Interrupt:
                if (running_ && stop_machine()) report_stop(fmt::format("T{:02x}", kSigInt));
                break;
            case PacketParser::Item::Packet:
                if (acknowledges_) send_("+");
                if (target_ == nullptr) {
                    fail(kIo);
                    break;
                }
                // A debugger that says anything while the machine runs has it stop, as QEMU's does.
                if (running_) {
                    if (!stop_machine()) break;
                    report_stop(fmt::format("T{:02x}", kSigInt));
                } else if (!attached_ && !stop_machine()) {
                    break;
                }
                attached_ = true;
                handle(parser_.data());
                break;
        }
    }
}

// ---- Stopping and going on

/// False: it ends, and that was said.
bool Session::stop_machine() {
    if (target_ != nullptr && target_->stop()) {
        running_ = false;
        return true;
    }
    ended();
    return false;
}

void Session::report_stop(Text reason) { reply(fmt::format("{}thread:{:02x};", reason, cpu_ + 1)); }

void Session::look_at_events() {
    if (!running_ || target_ == nullptr) return;
    auto event = target_->take_event();
    if (!event || !stop_machine()) return;
    cpu_ = event->cpu;
    const std::string trap = fmt::format("T{:02x}", kSigTrap);
    if (event->why != DebugTarget::Event::Why::Watchpoint) return report_stop(trap);
    using Kind = DebugTarget::Point::Kind;
    const Kind kind = event->watchpoint.kind;
    const char* name = kind == Kind::Read ? "rwatch" : kind == Kind::Access ? "awatch" : "watch";
    reply(fmt::format("{}thread:{:02x};{}:{:x};", trap, cpu_ + 1, name, event->address));
}

void Session::run(const std::vector<Action>& actions) {
    running_ = true;
    target_->resume(actions, {.mask_interrupts = (step_bits_ & kStepNoInterrupts) != 0});
}

void Session::detach() {
    points_.clear();
    target_->remove_all();
    attached_ = running_ = false;
    target_->resume(std::vector<Action>(target_->cpus(), Action::Continue), {});
}

void Session::disconnect() {
    if (!attached_ || target_ == nullptr) return;
    attached_ = false;
    points_.clear();
    const bool ran = std::exchange(running_, false);
    if (ran && !target_->stop()) return;
    target_->remove_all();
    if (ran) target_->resume(std::vector<Action>(target_->cpus(), Action::Continue), {});
}

void Session::set_target(DebugTarget* target) {
    target_ = target;
    if (target == nullptr) return;
    for (const DebugTarget::Point& point : points_) target->insert(point);
    cpu_ = 0;
    step_cpu_ = -1;
}

void Session::ended() {
    if (attached_ && !closed_) reply("W00");
    attached_ = running_ = false;
    closed_ = true;
}

// ---- Packets

void Session::handle(Text packet) {
    if (packet.empty()) return reply("");
    const char command = packet.front();
    const Text rest = packet.substr(1);
    switch (command) {
        case '?':
            // A debugger that asks has just come, and knows of no points.
            points_.clear();
            target_->remove_all();
            return report_stop(fmt::format("T{:02x}", kSigTrap));
        case 'g': return read_registers();
        case 'G': return write_registers(rest);
        case 'p': return read_register(rest);
        case 'P': return write_register(rest);
        case 'm': return read_memory(rest);
        case 'M': return write_memory(rest, false);
        case 'X': return write_memory(rest, true);
        case 'Z': return change_point(rest, true);
        case 'z': return change_point(rest, false);
        case 'H': return select_thread(rest);
        case 'T': {
            Text text = rest;
            int64_t cpu = 0;
            return take_thread(text, cpu) && cpu >= 0 ? reply("OK") : fail(kInvalid);
        }
        case 'c': return resume_one(rest, Action::Continue, false);
        case 's': return resume_one(rest, Action::Step, false);
        case 'C': return resume_one(rest, Action::Continue, true);
        case 'S': return resume_one(rest, Action::Step, true);
        case 'D': detach(); return reply("OK");
        case 'k': closed_ = true; return target_->power_off();
        case 'q': return query(rest);
        case 'Q': return set(rest);
        case 'v': {
            Text text = rest;
            if (text == "Cont?") return reply("vCont;c;C;s;S");
            if (take(text, "Cont;")) return resume_each(text);
            if (text == "Kill" || text.starts_with("Kill;")) {
                reply("OK");
                closed_ = true;
                return target_->power_off();
            }
            return reply("");
        }
        default: return reply("");
    }
}

/// A CPU, kAllCpus or kAnyCpu.
bool Session::take_thread(Text& text, int64_t& cpu) const {
    if (take(text, "-1")) {
        cpu = kAllCpus;
        return true;
    }
    uint64_t number = 0;
    if (!take_number(text, number) || number > target_->cpus()) return false;
    cpu = number == 0 ? kAnyCpu : static_cast<int64_t>(number) - 1;
    return true;
}

void Session::select_thread(Text rest) {
    const bool general = take(rest, 'g');
    int64_t cpu = 0;
    if ((!general && !take(rest, 'c')) || !take_thread(rest, cpu) || !rest.empty()) return fail(kInvalid);
    if (!general) {
        step_cpu_ = cpu >= 0 ? cpu : -1;
    } else if (cpu >= 0) {
        cpu_ = static_cast<unsigned>(cpu);
    }
    reply("OK");
}

// ---- Registers

void Session::read_registers() {
    std::vector<uint8_t> values;
    for (unsigned n = 0; n < target_->general_registers(); ++n)
        if (!target_->read_register(cpu_, n, values)) return fail(kIo);
    reply(hex_of(values));
}

void Session::write_registers(Text hex) {
    std::string bytes;
    if (!from_hex(hex, bytes)) return fail(kInvalid);
    auto values = bytes_of(bytes);
    for (unsigned n = 0; n < target_->general_registers() && !values.empty(); ++n) {
        const size_t taken = target_->write_register(cpu_, n, values);
        if (taken == 0) return fail(kInvalid);
        values = values.subspan(taken);
    }
    reply("OK");
}

void Session::read_register(Text rest) {
    uint64_t number = 0;
    std::vector<uint8_t> value;
    if (!take_number(rest, number) || !rest.empty() || number > ~0u ||
        !target_->read_register(cpu_, static_cast<unsigned>(number), value))
        return fail(kInvalid);
    reply(hex_of(value));
}

void Session::write_register(Text rest) {
    uint64_t number = 0;
    std::string bytes;
    if (!take_number(rest, number) || !take(rest, '=') || !from_hex(rest, bytes) || number > ~0u)
        return fail(kInvalid);
    const size_t taken = target_->write_register(cpu_, static_cast<unsigned>(number), bytes_of(bytes));
    return taken != 0 && taken == bytes.size() ? reply("OK") : fail(kInvalid);
}

// ---- Memory

void Session::read_memory(Text rest) {
    uint64_t address = 0, length = 0;
    if (!take_number(rest, address) || !take(rest, ',') || !take_number(rest, length) || !rest.empty())
        return fail(kInvalid);
    std::vector<uint8_t> bytes(std::min<uint64_t>(length, kMaxRead));
    if (bytes.empty()) return reply("");
    bytes.resize(target_->read_memory(cpu_, address, bytes, physical_));
    return bytes.empty() ? fail(kFault) : reply(hex_of(bytes));
}

void Session::write_memory(Text rest, bool binary) {
    uint64_t address = 0, length = 0;
    if (!take_number(rest, address) || !take(rest, ',') || !take_number(rest, length) || !take(rest, ':'))
        return fail(kInvalid);
    std::string bytes;
    if (binary)
        bytes = rest;
    else if (!from_hex(rest, bytes))
        return fail(kInvalid);
    if (bytes.size() != length) return fail(kInvalid);
    if (bytes.empty()) return reply("OK");  // asks whether 'X' is known
    return target_->write_memory(cpu_, address, bytes_of(bytes), physical_) ? reply("OK") : fail(kFault);
}

// ---- Points

void Session::change_point(Text rest, bool insert) {
    uint64_t type = 0, kind = 0;
    DebugTarget::Point point;
    if (!take_number(rest, type) || !take(rest, ',') || !take_number(rest, point.va) || !take(rest, ',') ||
        !take_number(rest, kind))
        return fail(kInvalid);
    using Kind = DebugTarget::Point::Kind;
    switch (type) {
        case 0:  // in software, and by hardware: here they are the same
        case 1: point.kind = Kind::Breakpoint; break;
        case 2: point.kind = Kind::Write; break;
        case 3: point.kind = Kind::Read; break;
        case 4: point.kind = Kind::Access; break;
        default: return reply("");
    }
    if (point.kind != Kind::Breakpoint) {
        if (kind == 0 || kind > kMaxWatched) return fail(kInvalid);
        point.bytes = kind;
    }
    if (!insert) {
        std::erase(points_, point);
        target_->remove(point);
        return reply("OK");
    }
    if (points_.size() >= kMaxPoints || !target_->insert(point)) return fail(kInvalid);
    if (std::ranges::find(points_, point) == points_.end()) points_.push_back(point);
    reply("OK");
}

// ---- Running

void Session::resume_one(Text rest, Action action, bool has_signal) {
    uint64_t signal = 0, address = 0;
    if (has_signal && (!take_number(rest, signal) || (!rest.empty() && !take(rest, ';'))))
        return fail(kInvalid);
    const unsigned cpu = step_cpu_ >= 0 ? static_cast<unsigned>(step_cpu_) : cpu_;
    if (!rest.empty() && (!take_number(rest, address) || !rest.empty() || !target_->set_pc(cpu, address)))
        return fail(kInvalid);
    std::vector<Action> actions(target_->cpus(), Action::Continue);
    actions[cpu] = action;
    run(actions);
}

/// vCont: of the actions that name a CPU, or all, the first one is its.
void Session::resume_each(Text rest) {
    std::vector<std::optional<Action>> chosen(target_->cpus());
    while (!rest.empty()) {
        Action action{};
        uint64_t signal = 0;
        if (take(rest, 'c') || take(rest, 'C'))
            action = Action::Continue;
        else if (take(rest, 's') || take(rest, 'S'))
            action = Action::Step;
        else
            return fail(kInvalid);
        take_number(rest, signal);
        int64_t cpu = kAllCpus;
        if (take(rest, ':') && !take_thread(rest, cpu)) return fail(kInvalid);
        if (!rest.empty() && !take(rest, ';')) return fail(kInvalid);
        if (cpu == kAnyCpu) cpu = cpu_;
        for (size_t i = 0; i < chosen.size(); ++i)
            if ((cpu == kAllCpus || cpu == static_cast<int64_t>(i)) && !chosen[i]) chosen[i] = action;
    }
    std::vector<Action> actions;
    for (const auto& action : chosen) actions.push_back(action.value_or(Action::Stand));
    if (std::ranges::all_of(actions, [](Action a) { return a == Action::Stand; })) return fail(kInvalid);
    run(actions);
}

// ---- Questions and settings

void Session::query(Text rest) {
    if (rest.starts_with("Supported"))
        return reply(
            fmt::format("PacketSize={:x};qXfer:features:read+;vContSupported+;QStartNoAckMode+", kMaxPacket));
    if (rest == "C") return reply(fmt::format("QC{:02x}", cpu_ + 1));
    if (rest.starts_with("Attached")) return reply("1");
    if (rest == "fThreadInfo") {
        std::string threads = "m";
        for (unsigned i = 0; i < target_->cpus(); ++i)
            threads += fmt::format("{}{:02x}", i == 0 ? "" : ",", i + 1);
        return reply(threads);
    }
    if (rest == "sThreadInfo") return reply("l");
    if (take(rest, "ThreadExtraInfo,")) {
        int64_t cpu = 0;
        if (!take_thread(rest, cpu) || cpu < 0) return fail(kInvalid);
        return reply(to_hex(target_->describe_cpu(static_cast<unsigned>(cpu))));
    }
    if (take(rest, "Xfer:features:read:")) return transfer(rest);
    if (take(rest, "Rcmd,")) return monitor(rest);
    // QEMU's own
    if (rest == "qemu.Supported") return reply("sstepbits;sstep;PhyMemMode");
    if (rest == "qemu.sstepbits")
        return reply(
            fmt::format("ENABLE={:x},NOIRQ={:x},NOTIMER={:x}", kStepEnable, kStepNoInterrupts, kStepNoTimer));
    if (rest == "qemu.sstep") return reply(fmt::format("0x{:x}", step_bits_));
    if (rest == "qemu.PhyMemMode") return reply(physical_ ? "1" : "0");
    reply("");
}

void Session::set(Text rest) {
    uint64_t value = 0;
    if (rest == "StartNoAckMode") {
        reply("OK");
        acknowledges_ = false;
        return;
    }
    if (take(rest, "NonStop:")) return rest == "0" ? reply("OK") : fail(kInvalid);
    if (take(rest, "qemu.sstep=")) {
        take(rest, "0x");
        if (!take_number(rest, value) || (value & ~uint64_t{kStepAll}) != 0) return fail(kInvalid);
        step_bits_ = static_cast<uint8_t>(value);
        return reply("OK");
    }
    if (take(rest, "qemu.PhyMemMode:")) {
        if (!take_number(rest, value)) return fail(kInvalid);
        physical_ = value != 0;
        return reply("OK");
    }
    reply("");
}

/// ANNEX:OFFSET,LENGTH
void Session::transfer(Text rest) {
    const size_t colon = rest.find(':');
    if (colon == Text::npos) return fail(0);
    const Text document = target_->description(rest.substr(0, colon));
    rest.remove_prefix(colon + 1);
    uint64_t offset = 0, length = 0;
    if (document.empty() || !take_number(rest, offset) || !take(rest, ',') || !take_number(rest, length) ||
        !rest.empty() || offset > document.size())
        return fail(0);
    const Text part = document.substr(offset, std::min<uint64_t>(length, kMaxRead));
    reply(fmt::format("{}{}", offset + part.size() == document.size() ? 'l' : 'm', part));
}

void Session::monitor(Text hex) {
    std::string command;
    if (!from_hex(hex, command)) return fail(kInvalid);
    if (!monitor_) return reply("");
    std::string text = monitor_(cpu_, command);
    std::erase(text, '\r');  // of a terminal's lines
    for (size_t at = 0; at < text.size(); at += kMaxRead)
        reply("O" + to_hex(Text(text).substr(at, kMaxRead)));
    reply("OK");
}

}  // namespace arclight::guestos::gdb
