#include "guestos/console/console.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <utility>

namespace arclight::guestos {

Console::Console(devices::EventLoop& loop, const ChardevOptions& options, Descriptors descriptors,
                 ChardevActions actions)
    : StreamChardev(
          loop, options,
          {.input = descriptors.input, .output = descriptors.output, .log = descriptors.log, .owned = false}),
      actions_(std::move(actions)),
      descriptors_(descriptors),
      terminal_(isatty(descriptors.input) != 0 && isatty(descriptors.output) != 0),
      resized_(loop, [this] { link().event(devices::CharEvent::Resized); }) {}

void Console::connect(devices::CharFrontend* frontend) {
    // If output goes elsewhere, the terminal keeps its own echo and line editing.
    if (frontend != nullptr && terminal_ && !raw_) raw_.emplace(descriptors_.input, options_.signals);
    StreamChardev::connect(frontend);
    if (frontend == nullptr) leave_terminal();
}

void Console::leave_terminal() { raw_.reset(); }

std::optional<devices::WindowSize> Console::window_size() const {
    winsize size{};
    if (!terminal_ || ioctl(descriptors_.output, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return {};
    return devices::WindowSize{.columns = size.ws_col, .rows = size.ws_row};
}

void Console::input_ended(int error) {
    // End of file: in raw mode only a hangup causes it, in cooked mode ^D does.
    if (terminal_ || error != 0) lost(ChardevActions::Lost::Hangup, error);
    link().put_end();
}

void Console::output_failed(int error) {
    lost(terminal_ ? ChardevActions::Lost::Hangup : ChardevActions::Lost::OutputFailed, error);
}

void Console::lost(ChardevActions::Lost why, int error) {
    if (std::exchange(told_[static_cast<size_t>(why)], true)) return;
    if (actions_.lost) actions_.lost(why, error);
}

}  // namespace arclight::guestos
