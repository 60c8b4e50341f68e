#include "guestos/console/console.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <string_view>
#include <utility>

namespace arclight::guestos {

namespace {

constexpr int64_t kFlushDelay = 1'000'000;  // ns
constexpr int64_t kRetryDelay = 5'000'000;  // ns
constexpr int kPollTime = 100;              // ms; how soon abandon_output() is noticed
constexpr size_t kFlushSize = 4096;
constexpr size_t kMaxOutput = 64 << 10;
// Terminal input is read even while the guest takes none, so that Ctrl-A X always works; other input waits in its pipe.
constexpr size_t kMaxTerminalBacklog = 1 << 20;
constexpr size_t kMaxBacklog = 16 << 10;

constexpr std::string_view kHelp =
    "\r\nCtrl-A X       leave: end the machine at once"
    "\r\nCtrl-A R       resume: go on after a disk's error has paused the machine"
    "\r\nCtrl-A H       this help"
    "\r\nCtrl-A Ctrl-A  send one Ctrl-A to the guest\r\n";

}  // namespace

Console::Console(devices::EventLoop& loop, Options options, std::function<void(End)> on_end)
    : loop_(loop),
      options_(std::move(options)),
      on_end_(std::move(on_end)),
      terminal_(isatty(options_.input) && isatty(options_.output)),
      mode_(options_.wait_for_guest ? Mode::Waiting : Mode::Plain),
      flush_timer_(loop, [this] { flush_some(); }),
      write_at_failure_(
          host::LastAct::When::Failure,
          // NOLINTNEXTLINE(performance-no-int-to-ptr): what a last act is told is a number
          [](uintptr_t self) { reinterpret_cast<Console*>(self)->write_what_goes(); },
          reinterpret_cast<uintptr_t>(this)) {}

Console::~Console() {
    if (watched_) loop_.remove_fd(options_.input);
    flush_timer_.cancel();
    flush();
}

void Console::start(std::function<bool(uint8_t)> receive) {
    receive_ = std::move(receive);
    // If output goes elsewhere, the terminal keeps its own echo and line editing.
    if (terminal_) raw_.emplace(options_.input);
    watching_ = watched_ = loop_.add_fd(options_.input, EPOLLIN, [this](uint32_t) { on_readable(); });
    if (!watched_)
        loop_.post([this] {  // stdin is closed
            input_ended_ = true;
            pump();
        });
}

void Console::attach(devices::Pl011& uart) {
    uart.set_space_callback([this] { input_space(); });
    start([&uart](uint8_t byte) { return uart.receive(byte); });
}

void Console::input_space() {
    loop_.post([this] { pump(); });
}

void Console::set_input(ConsoleInput input) {
    loop_.post([this, input] {
        mode_ = input == ConsoleInput::Framed ? Mode::Framed : Mode::Plain;
        pump();
    });
}

void Console::on_readable() {
    std::array<uint8_t, 4096> buffer;
    const ssize_t got = read(options_.input, buffer.data(), buffer.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got > 0) {
        take({buffer.data(), size_t(got)});
    } else {
        input_ended_ = true;
        // End of file: in raw mode only a hangup causes it, in cooked mode ^D does.
        if (terminal_ || got < 0) end(End::Hangup);
    }
    pump();
}

void Console::take(std::span<const uint8_t> bytes) {
    if (!terminal_) {
        received_.insert(received_.end(), bytes.begin(), bytes.end());
        return;
    }
    while (!bytes.empty()) {
        size_t used = 0;
        const auto action = keys_.filter(bytes, received_, used);
        bytes = bytes.subspan(used);
        if (action == EscapeKeys::Action::Quit) end(End::Quit);
        if (action == EscapeKeys::Action::Help) show_help();
        if (action == EscapeKeys::Action::Resume && options_.on_resume_key) options_.on_resume_key();
    }
}

void Console::pump() {
    if (!receive_) return;
    if (mode_ == Mode::Plain) {
        ready_.insert(ready_.end(), received_.begin(), received_.end());
        received_.clear();
    } else if (mode_ == Mode::Framed && !received_.empty()) {
        const std::vector<uint8_t> bytes(received_.begin(), received_.end());
        received_.clear();
        framer_.add(bytes, ready_);
    }
    if (mode_ == Mode::Framed && input_ended_ && !end_sent_) {
        framer_.end(ready_);
        end_sent_ = true;
    }
    while (!ready_.empty() && receive_(ready_.front())) ready_.pop_front();
    drained_ = input_ended_ && received_.empty() && ready_.empty();
    watch_input();
}

void Console::watch_input() {
    if (!watched_) return;
    const size_t backlog = received_.size() + ready_.size();
    const bool wanted = !input_ended_ && backlog < (terminal_ ? kMaxTerminalBacklog : kMaxBacklog);
    if (wanted == watching_) return;
    watching_ = wanted;
    // Hangups are reported even for an empty set of events, so a finished input is taken out altogether.
    if (input_ended_) {
        watched_ = false;
        loop_.remove_fd(options_.input);
    } else {
        loop_.modify_fd(options_.input, wanted ? uint32_t(EPOLLIN) : 0);
    }
}

void Console::write(std::span<const uint8_t> bytes) {
    const std::lock_guard hold(output_lock_);
    const bool was_empty = output_.empty();
    output_.insert(output_.end(), bytes.begin(), bytes.end());
    if (output_.size() >= kFlushSize) {
        write_out(output_.size() >= kMaxOutput);
    } else if (was_empty) {
        flush_timer_.arm(devices::EventLoop::now_ns() + kFlushDelay);
    }
}

void Console::flush() {
    const std::lock_guard hold(output_lock_);
    write_out(true);
}

// Runs on the loop's thread, which must never block: timers and Ctrl-A X depend on it.
void Console::flush_some() {
    std::unique_lock hold(output_lock_, std::try_to_lock);
    if (hold) write_out(false);
    if (!hold) flush_timer_.arm(devices::EventLoop::now_ns() + kRetryDelay);
}

// The lock is held throughout, so bytes keep their order.
void Console::write_out(bool wait) {
    size_t done = 0;
    while (done < output_.size() && output_error_ == 0) {
        // A pipe or terminal that polls as writable takes PIPE_BUF bytes without blocking.
        pollfd writable{.fd = options_.output, .events = POLLOUT, .revents = 0};
        if (poll(&writable, 1, wait && !abandoned_ ? kPollTime : 0) == 0) {
            if (wait && !abandoned_) continue;
            break;
        }
        const ssize_t written = ::write(options_.output, output_.data() + done,
                                        std::min<size_t>(output_.size() - done, PIPE_BUF));
        if (written >= 0) {
            done += size_t(written);
        } else if (errno != EINTR && errno != EAGAIN) {
            output_error_ = errno;
            end(terminal_ ? End::Hangup : End::OutputFailed);
        }
    }
    if (output_error_ != 0 || (abandoned_ && output_.size() - done > kMaxOutput)) done = output_.size();
    output_.erase(output_.begin(), output_.begin() + ptrdiff_t(done));
    if (!output_.empty()) flush_timer_.arm(devices::EventLoop::now_ns() + kRetryDelay);
}

/// The process ends out of order: neither waits nor changes anything.
void Console::write_what_goes() {
    const std::unique_lock hold(output_lock_, std::try_to_lock);
    if (!hold) return;
    for (size_t done = 0; done < output_.size();) {
        pollfd writable{.fd = options_.output, .events = POLLOUT, .revents = 0};
        if (poll(&writable, 1, 0) != 1) return;
        const ssize_t written = ::write(options_.output, output_.data() + done,
                                        std::min<size_t>(output_.size() - done, PIPE_BUF));
        if (written <= 0) return;
        done += size_t(written);
    }
}

void Console::show_help() {
    const std::lock_guard hold(output_lock_);
    output_.insert(output_.end(), kHelp.begin(), kHelp.end());
    write_out(false);
}

void Console::end(End reason) {
    // Posted: the caller may hold the output lock, and the owner will call flush().
    loop_.post([this, reason] {
        if (std::exchange(ended_[int(reason)], true)) return;
        if (on_end_) on_end_(reason);
    });
}

}  // namespace arclight::guestos
