#include "guestos/chardev/mux.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace arclight::guestos {

namespace {
// Where keys are looked for, input is read even while its front end takes none, so that they always work; other input waits
// where it comes from.
constexpr size_t kMaxKeyBacklog = 1 << 20;
constexpr size_t kMaxBacklog = 4 << 10;
}  // namespace

class Mux::Port final : public devices::CharBackend {
  public:
    explicit Port(Mux& mux) : mux_(mux), link_(mux.loop_, [this] { mux_.below_->accept_input(); }) {}

    void write(std::span<const uint8_t> bytes) override { mux_.below_->write(bytes); }
    size_t offer(std::span<const uint8_t> bytes) override { return mux_.below_->offer(bytes); }
    void connect(devices::CharFrontend* frontend) override {
        link_.connect(frontend);
        mux_.connected();
    }
    void accept_input() override { link_.accept_input(); }
    bool is_open() const override { return mux_.below_->is_open(); }
    std::optional<devices::WindowSize> window_size() const override { return mux_.below_->window_size(); }

    FrontendLink& link() { return link_; }
    const FrontendLink& link() const { return link_; }

  private:
    Mux& mux_;
    FrontendLink link_;
};

Mux::Mux(devices::EventLoop& loop, std::unique_ptr<Chardev> below, const ChardevOptions& options,
         uint8_t escape, ChardevActions actions)
    : Chardev(options),
      loop_(loop),
      below_(std::move(below)),
      actions_(std::move(actions)),
      escapes_(escape != 0 && (!options.escape_on_terminal_only || below_->is_terminal())),
      keys_(escape) {}

Mux::~Mux() { below_->connect(nullptr); }

devices::CharBackend* Mux::add_port() {
    if (ports_.size() >= kMaxFrontends) return nullptr;
    ports_.push_back(std::make_unique<Port>(*this));
    return ports_.back().get();
}

void Mux::remove_ports(size_t first) {
    if (first < ports_.size()) ports_.resize(first);
}

void Mux::focus(size_t port) { focus_ = port; }

void Mux::tell_focus() {
    if (focus_ < ports_.size()) ports_[focus_]->link().event(devices::CharEvent::FocusIn);
}

bool Mux::has_frontend() const {
    return std::ranges::any_of(ports_, [](const auto& port) { return port->link().connected(); });
}

void Mux::connected() {
    const bool any = has_frontend();
    const std::lock_guard guard(connect_lock_);
    if (std::exchange(below_connected_, any) != any) below_->connect(any ? this : nullptr);
}

size_t Mux::receive(std::span<const uint8_t> bytes) {
    size_t taken = 0;
    while (taken < bytes.size()) {
        if (focus_ >= ports_.size()) return bytes.size();
        Port& port = *ports_[focus_];
        const size_t limit = escapes_ ? kMaxKeyBacklog : kMaxBacklog;
        const size_t backlog = port.link().backlog();
        if (backlog >= limit) return taken;
        const auto rest = bytes.subspan(taken, std::min(bytes.size() - taken, limit - backlog));
        if (!escapes_) {
            port.link().put(rest);
            taken += rest.size();
            continue;
        }
        size_t used = 0;
        std::deque<uint8_t> input;
        const EscapeKeys::Action action = keys_.filter(rest, input, used);
        taken += used;
        if (!input.empty()) port.link().put(std::vector<uint8_t>(input.begin(), input.end()));
        switch (action) {
            case EscapeKeys::Action::None: break;
            case EscapeKeys::Action::Quit:
                if (actions_.quit) actions_.quit();
                break;
            case EscapeKeys::Action::Resume:
                if (actions_.resume) actions_.resume();
                break;
            case EscapeKeys::Action::Help: show_help(); break;
            case EscapeKeys::Action::Switch: next_focus(); break;
            case EscapeKeys::Action::Break: port.link().event(devices::CharEvent::Break); break;
        }
    }
    return taken;
}

void Mux::event(devices::CharEvent event) {
    for (const auto& port : ports_) {
        if (event == devices::CharEvent::End)
            port->link().put_end();
        else
            port->link().event(event);
    }
}

void Mux::writable() {
    for (const auto& port : ports_) port->link().writable();
}

void Mux::next_focus() {
    if (ports_.size() < 2) return;
    ports_[focus_]->link().event(devices::CharEvent::FocusOut);
    focus_ = (focus_ + 1) % ports_.size();
    ports_[focus_]->link().event(devices::CharEvent::FocusIn);
}

void Mux::show_help() {
    const std::string key = keys_.key() < 0x20 ? fmt::format("Ctrl-{:c}", keys_.key() + '@')
                                               : fmt::format("{:#04x}", keys_.key());
    std::string text = fmt::format("\r\n{} X       leave: end the machine at once\r\n", key);
    if (ports_.size() > 1)
        text += fmt::format("{} C       switch between the console and the monitor\r\n", key);
    text += fmt::format(
        "{0} R       resume: go on after a disk's error has paused the machine\r\n"
        "{0} B       send a break (for Linux: Magic SysRq)\r\n"
        "{0} H       this help\r\n"
        "{0} {0}  send one {0} to the guest\r\n",
        key);
    below_->offer({reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

}  // namespace arclight::guestos
