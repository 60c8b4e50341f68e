#include "guestos/console/session_input.h"

#include <algorithm>
#include <vector>

namespace arclight::guestos {

namespace {
constexpr size_t kMaxBacklog = 16 << 10;
}

SessionInput::SessionInput(devices::EventLoop& loop, devices::CharBackend& below, bool wait_for_guest)
    : below_(below),
      mode_(wait_for_guest ? Mode::Waiting : Mode::Plain),
      link_(loop, [this] { on_drained(); }),
      convert_(loop, [this] { convert(); }) {}

void SessionInput::connect(devices::CharFrontend* frontend) {
    if (frontend == nullptr) below_.connect(nullptr);
    link_.connect(frontend);
    if (frontend != nullptr) below_.connect(this);
}

void SessionInput::set_input(ConsoleInput input) {
    mode_ = input == ConsoleInput::Framed ? Mode::Framed : Mode::Plain;
    convert_.arm(0);
}

size_t SessionInput::receive(std::span<const uint8_t> bytes) {
    const size_t backlog = received_.size() + link_.backlog();
    const size_t taken = std::min(bytes.size(), backlog < kMaxBacklog ? kMaxBacklog - backlog : 0);
    received_.insert(received_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(taken));
    convert();
    return taken;
}

void SessionInput::event(devices::CharEvent event) {
    if (event != devices::CharEvent::End) {
        link_.event(event);
        return;
    }
    ended_ = true;
    convert();
}

void SessionInput::convert() {
    const Mode mode = mode_;
    if (mode == Mode::Waiting) return;
    std::deque<uint8_t> ready;
    if (mode == Mode::Plain) {
        ready.swap(received_);
    } else if (!received_.empty()) {
        framer_.add(std::vector<uint8_t>(received_.begin(), received_.end()), ready);
        received_.clear();
    }
    if (mode == Mode::Framed && ended_ && !end_sent_) {
        end_sent_ = true;
        framer_.end(ready);
    }
    link_.put(std::vector<uint8_t>(ready.begin(), ready.end()));
}

void SessionInput::on_drained() {
    drained_ = ended_ && received_.empty();
    below_.accept_input();
}

}  // namespace arclight::guestos
