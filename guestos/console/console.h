// The guest's serial console on the host's stdin and stdout.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <vector>

#include "devices/event_loop.h"
#include "devices/pl011.h"
#include "guestos/console/escape_keys.h"
#include "guestos/console/input_frame.h"
#include "guestos/console/terminal.h"
#include "guestos/exit_status.h"
#include "host/failure.h"

namespace arclight::guestos {

class Console final : public devices::CharBackend {
  public:
    enum class End : uint8_t {
        Quit,          ///< Ctrl-A X
        Hangup,        ///< the terminal is gone
        OutputFailed,  ///< output_error() says why: its reader is gone, its disk is full
    };

    struct Options {
        int input = 0;
        int output = 1;
        /// Whether to hold input back until the guest selects its form (set_input()).
        bool wait_for_guest = false;
        std::function<void()> on_resume_key = {};  ///< Ctrl-A R; on the loop's thread
    };

    /// Stop the loop before destroying the console. `on_end` is called at most once for each reason, on the
    /// loop's thread.
    Console(devices::EventLoop& loop, Options options, std::function<void(End)> on_end);
    ~Console() override;

    /// Starts to read. `receive` takes one byte of input, or returns false if it has no room; then input_space() must be
    /// called when it has room again. Any thread.
    void start(std::function<bool(uint8_t)> receive);
    void attach(devices::Pl011& uart);
    void input_space();

    /// Guest output, collected for up to 1 ms so that a line is one write. Blocks on a slow reader once 64 KiB are due, which
    /// slows the guest down and loses nothing.
    void write(std::span<const uint8_t> bytes) override;
    /// Blocks until all output is written.
    void flush();
    /// The machine is being stopped from outside: output no longer waits for a reader.
    void abandon_output() { abandoned_ = true; }

    /// The errno value of the write after which all output is dropped; 0: none.
    int output_error() const { return output_error_; }

    void set_input(ConsoleInput input);
    /// Any thread: all input has reached the guest's serial port, and there will be no more.
    bool input_ended() const { return drained_; }

  private:
    void on_readable();
    void take(std::span<const uint8_t> bytes);
    void pump();
    void watch_input();
    void flush_some();
    void write_out(bool wait);
    void write_what_goes();
    void show_help();
    void end(End reason);

    devices::EventLoop& loop_;
    const Options options_;
    std::function<void(End)> on_end_;
    const bool terminal_;  ///< input and output are both terminals: key presses
    std::function<bool(uint8_t)> receive_;
    std::optional<RawTerminal> raw_;

    /// Input, touched on the loop's thread only.
    enum class Mode : uint8_t { Waiting, Plain, Framed };
    Mode mode_;
    EscapeKeys keys_;
    InputFramer framer_;
    std::deque<uint8_t> received_;  ///< read from the host, escape keys taken out, not yet framed
    std::deque<uint8_t> ready_;     ///< for the UART as it is
    bool input_ended_ = false;
    bool end_sent_ = false;
    std::atomic<bool> drained_{false};
    bool watched_ = false;
    bool watching_ = false;

    std::mutex output_lock_;
    std::vector<uint8_t> output_;
    std::atomic<int> output_error_{0};
    std::atomic<bool> abandoned_{false};
    bool ended_[3] = {};
    devices::EventLoop::Timer flush_timer_;
    const host::LastAct write_at_failure_;
};

}  // namespace arclight::guestos
