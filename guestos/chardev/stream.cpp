#include "guestos/chardev/stream.h"

#include <unistd.h>

#include <array>
#include <cerrno>

namespace arclight::guestos {

namespace {
constexpr size_t kMaxBacklog = 16 << 10;  // bytes; other input waits where it comes from
}

StreamChardev::StreamChardev(devices::EventLoop& loop, const ChardevOptions& options, Descriptors descriptors)
    : Chardev(options),
      loop_(loop),
      owned_(descriptors.owned),
      log_(descriptors.log),
      link_(loop, [this] { watch(); }),
      failed_(loop, [this] { output_failed(output_.error()); }),
      output_(loop, {.failed = [this](int) { failed_.arm(0); }, .writable = [this] { link_.writable(); }}) {
    output_.set_log(log_);
    set_descriptors(descriptors.input, descriptors.output);
}

StreamChardev::~StreamChardev() {
    link_.connect(nullptr);
    output_.flush();
    set_descriptors(-1, -1);
    if (log_ >= 0) close(log_);
}

void StreamChardev::set_descriptors(int input, int output) {
    unwatch();
    output_.set_descriptor(output);
    if (owned_) {
        if (input_ >= 0) close(input_);
        if (output_fd_ >= 0 && output_fd_ != input_) close(output_fd_);
    }
    input_ = input;
    output_fd_ = output;
    ended_ = false;
    if (input >= 0 && link_.connected()) link_.accept_input();
}

void StreamChardev::connect(devices::CharFrontend* frontend) {
    link_.connect(frontend);  // which leads to watch()
}

void StreamChardev::watch() {
    if (input_ < 0 || ended_ || watch_ == Watch::Input || !link_.connected()) return;
    if (watch_ == Watch::Hangup) {
        watch_ = Watch::Input;
        loop_.modify_fd(input_, EPOLLIN);
    } else if (loop_.add_fd(input_, EPOLLIN, [this](uint32_t events) { on_ready(events); })) {
        watch_ = Watch::Input;
    } else {
        ended_ = true;  // it is closed
        link_.put_end();
    }
}

void StreamChardev::unwatch() {
    if (watch_ != Watch::None) loop_.remove_fd(input_);
    watch_ = Watch::None;
}

void StreamChardev::on_ready(uint32_t events) {
    if (watch_ != Watch::Input) {
        if ((events & (EPOLLHUP | EPOLLERR)) != 0) hung_up();
        return;
    }
    std::array<uint8_t, 4096> buffer;
    const ssize_t got = read(input_, buffer.data(), buffer.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return;
    if (got > 0) {
        link_.put(received({buffer.data(), static_cast<size_t>(got)}));
        if (link_.backlog() >= kMaxBacklog || !link_.connected()) {
            watch_ = Watch::Hangup;
            loop_.modify_fd(input_, EPOLLHUP);
        }
        return;
    }
    const int error = got < 0 ? errno : 0;
    // Hangups are reported even for an empty set of events, so a finished input is taken out altogether.
    unwatch();
    ended_ = true;
    input_ended(error);
}

void StreamChardev::input_ended(int) { link_.put_end(); }

}  // namespace arclight::guestos
