// The host's stdin and stdout as a back end for characters.
#pragma once

#include <optional>

#include "guestos/chardev/stream.h"
#include "guestos/console/terminal.h"

namespace arclight::guestos {

/// Where both are a terminal it is raw while there is a front end.
class Console final : public StreamChardev {
  public:
    struct Descriptors {
        int input = 0, output = 1, log = -1;
    };
    /// Stop the loop before destroying the console.
    Console(devices::EventLoop& loop, const ChardevOptions& options, Descriptors descriptors,
            ChardevActions actions);

    void connect(devices::CharFrontend* frontend) override;
    std::optional<devices::WindowSize> window_size() const override;

    std::string filename() const override { return "stdio"; }
    bool is_terminal() const override { return terminal_; }
    void leave_terminal() override;
    void terminal_resized() override { resized_.arm(0); }

  private:
    void input_ended(int error) override;
    void output_failed(int error) override;
    void lost(ChardevActions::Lost why, int error);

    const ChardevActions actions_;
    const Descriptors descriptors_;
    const bool terminal_;  ///< input and output are both terminals: key presses
    std::optional<RawTerminal> raw_;
    bool told_[2] = {};
    devices::EventLoop::Timer resized_;
};

}  // namespace arclight::guestos
