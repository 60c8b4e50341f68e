#include "guestos/monitor/monitor.h"

#include <chrono>
#include <utility>

#include "host/thread.h"

namespace arclight::guestos {

namespace {
constexpr size_t kMaxInput = 64 << 10;  ///< bytes that wait; others wait where they come from
constexpr size_t kMaxEvents = 1024;     ///< that a client has not read; the oldest are lost
}  // namespace

Monitor::Monitor(const MonitorOptions& options, devices::CharBackend& backend, MonitorTarget& target,
                 std::mutex& commands, bool shared)
    : options_(options),
      shared_(shared),
      backend_(backend),
      commands_(commands),
      hmp_(target),
      qmp_(target, [this](const std::string& line) { return hmp_.execute(line); }),
      editor_([this](const std::string& text) { write(text); }) {
    open_ = backend.is_open();
    if (open_) add(Item::What::Opened);
    thread_ = host::start_thread("monitor", ThreadRole::Control, [this] { work(); });
    backend_.connect(this);
}

Monitor::~Monitor() {
    backend_.connect(nullptr);
    {
        const std::lock_guard guard(lock_);
        quit_ = true;
        changed_.notify_all();
    }
    thread_.join();
}

/// The lock is held, or nobody else is there yet.
void Monitor::add(Item::What what, std::span<const uint8_t> bytes) {
    items_.push_back({what, client_, {bytes.begin(), bytes.end()}});
    input_bytes_ += bytes.size();
    changed_.notify_all();
}

size_t Monitor::receive(std::span<const uint8_t> bytes) {
    const std::lock_guard guard(lock_);
    if (!open_) return bytes.size();  // of one who has left
    if (input_bytes_ >= kMaxInput) {
        refused_ = true;
        return 0;
    }
    add(Item::What::Input, bytes);
    return bytes.size();
}

void Monitor::event(devices::CharEvent event) {
    const std::lock_guard guard(lock_);
    if (event == devices::CharEvent::FocusIn) add(Item::What::Focus);
    if (event != devices::CharEvent::Opened && event != devices::CharEvent::Closed) return;
    // What one client has asked is not answered to the next one, who is told of nothing until it has negotiated.
    open_ = event == devices::CharEvent::Opened;
    client_++;
    wants_events_ = false;
    events_.clear();
    if (open_) add(Item::What::Opened);
}

void Monitor::tell(const MonitorEvent& event) {
    const std::lock_guard guard(lock_);
    if (!wants_events_) return;
    if (events_.size() >= kMaxEvents) events_.pop_front();
    events_.push_back(event);
    changed_.notify_all();
}

bool Monitor::finish(std::chrono::milliseconds limit) {
    std::unique_lock held(lock_);
    return changed_.wait_for(held, limit, [this] { return idle_ && items_.empty() && events_.empty(); });
}

void Monitor::work() {
    std::unique_lock held(lock_);
    for (;;) {
        changed_.wait(held, [this] { return quit_ || !items_.empty() || !events_.empty(); });
        if (quit_) return;
        idle_ = false;
        if (items_.empty()) {
            serving_ = client_;
            held.unlock();
            write_events();
            held.lock();
        } else {
            const Item item = std::move(items_.front());
            items_.pop_front();
            input_bytes_ -= item.bytes.size();
            const bool again = refused_ && input_bytes_ < kMaxInput && std::exchange(refused_, false);
            serving_ = item.client;
            held.unlock();
            if (serving_ == client_) carry_out(item);
            if (again) backend_.accept_input();
            held.lock();
        }
        idle_ = true;
        changed_.notify_all();
    }
}

void Monitor::carry_out(const Item& item) {
    const bool control_mode = options_.mode == MonitorOptions::Mode::Control;
    switch (item.what) {
        case Item::What::Opened:
            greeted_ = false;
            if (control_mode) {
                qmp_.reset();
                write_json(qmp_.greeting());
            } else if (!shared_) {
                open_readline();
            }
            break;
        case Item::What::Focus:
            if (!control_mode) open_readline();
            break;
        case Item::What::Input:
            if (control_mode)
                control(item.bytes);
            else
                readline(item.bytes);
            break;
    }
}

void Monitor::open_readline() {
    if (!std::exchange(greeted_, true)) write(hmp_.banner());
    editor_.prompt();
}

void Monitor::control(std::span<const uint8_t> bytes) {
    const auto reply = [this](const Json& answer) {
        write_events();  // those that the command has caused
        write_json(answer);
        const std::lock_guard guard(lock_);
        wants_events_ = serving_ == client_ && qmp_.negotiated();
    };
    qmp_.feed(bytes, reply, commands_);
}

void Monitor::readline(std::span<const uint8_t> bytes) {
    for (const uint8_t byte : bytes) {
        if (!editor_.type(byte)) continue;
        std::string answer;
        {
            const std::lock_guard guard(commands_);
            answer = hmp_.execute(editor_.line());
        }
        write(answer);
        editor_.prompt();
    }
}

void Monitor::write_events() {
    for (;;) {
        MonitorEvent event;
        {
            const std::lock_guard guard(lock_);
            if (events_.empty()) return;
            event = std::move(events_.front());
            events_.pop_front();
        }
        write_json(event.json());
    }
}

void Monitor::write_json(const Json& json) { write(qmp_text(json, options_.pretty) + "\r\n"); }

void Monitor::write(std::string_view text) {
    if (!text.empty() && serving_ == client_)
        backend_.write({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

void Monitors::add(const MonitorOptions& options, devices::CharBackend& backend, bool shared) {
    monitors_.push_back(std::make_unique<Monitor>(options, backend, target_, commands_, shared));
}

void Monitors::tell(const MonitorEvent& event) {
    for (const auto& monitor : monitors_) monitor->tell(event);
}

bool Monitors::finish(std::chrono::milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    bool all = true;
    for (const auto& monitor : monitors_) {
        const auto left = end - std::chrono::steady_clock::now();
        all &= monitor->finish(std::max(std::chrono::duration_cast<std::chrono::milliseconds>(left),
                                        std::chrono::milliseconds(0)));
    }
    return all;
}

}  // namespace arclight::guestos
