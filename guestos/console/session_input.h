// Between a serial port and its back end: input in the form that the guest asks for, and what is known of its end.
#pragma once

#include <atomic>
#include <deque>

#include "devices/char_backend.h"
#include "devices/event_loop.h"
#include "guestos/chardev/frontend_link.h"
#include "guestos/console/input_frame.h"
#include "guestos/exit_status.h"

namespace arclight::guestos {

class SessionInput final : public devices::CharBackend, private devices::CharFrontend {
  public:
    /// `wait_for_guest`: input is held back until set_input().
    SessionInput(devices::EventLoop& loop, devices::CharBackend& below, bool wait_for_guest);

    void set_input(ConsoleInput input);
    /// Any thread: all input has reached the guest's serial port, and there will be no more.
    bool input_ended() const { return drained_; }

    // ---- CharBackend
    void write(std::span<const uint8_t> bytes) override { below_.write(bytes); }
    size_t offer(std::span<const uint8_t> bytes) override { return below_.offer(bytes); }
    void connect(devices::CharFrontend* frontend) override;
    void accept_input() override { link_.accept_input(); }
    bool is_open() const override { return below_.is_open(); }
    std::optional<devices::WindowSize> window_size() const override { return below_.window_size(); }

  private:
    enum class Mode : uint8_t { Waiting, Plain, Framed };
    size_t receive(std::span<const uint8_t> bytes) override;
    void event(devices::CharEvent event) override;
    void writable() override { link_.writable(); }
    void convert();
    void on_drained();

    devices::CharBackend& below_;
    std::atomic<Mode> mode_;
    // Of the loop's thread.
    InputFramer framer_;
    std::deque<uint8_t> received_;  ///< not yet in its form
    bool ended_ = false, end_sent_ = false;
    std::atomic<bool> drained_{false};
    FrontendLink link_;
    devices::EventLoop::Timer convert_;
};

}  // namespace arclight::guestos
