#include "guestos/chardev/chardevs.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "guestos/chardev/null.h"
#include "guestos/chardev/pty.h"
#include "guestos/chardev/ringbuf.h"
#include "guestos/chardev/socket.h"
#include "guestos/console/console.h"

namespace arclight::guestos {

namespace {

constexpr mode_t kFileMode = 0666;

Result<int> open_log(const ChardevOptions& options) {
    if (options.logfile.empty()) return -1;
    const int fd = open(options.logfile.c_str(),
                        O_WRONLY | O_CREAT | O_CLOEXEC | (options.logappend ? O_APPEND : O_TRUNC), kFileMode);
    if (fd < 0) return failure("cannot write logfile '{}': {}", options.logfile, strerror(errno));
    return fd;
}

Result<std::unique_ptr<Chardev>> open_file(devices::EventLoop& loop, const ChardevOptions& options, int log) {
    const int fd = open(options.path.c_str(),
                        O_WRONLY | O_CREAT | O_CLOEXEC | (options.append ? O_APPEND : O_TRUNC), kFileMode);
    if (fd < 0) return failure("cannot write '{}': {}", options.path, strerror(errno));
    return std::make_unique<StreamChardev>(loop, options,
                                           StreamChardev::Descriptors{.output = fd, .log = log});
}

// As QEMU: PATH.in and PATH.out, or PATH for both. Opened for both directions, so that neither waits for its other end.
Result<std::unique_ptr<Chardev>> open_pipe(devices::EventLoop& loop, const ChardevOptions& options, int log) {
    constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NONBLOCK;
    int in = open((options.path + ".in").c_str(), kFlags);
    int out = open((options.path + ".out").c_str(), kFlags);
    if (in < 0 || out < 0) {
        if (in >= 0) close(in);
        if (out >= 0) close(out);
        in = out = open(options.path.c_str(), kFlags);
        if (in < 0) return failure("cannot open pipe '{}': {}", options.path, strerror(errno));
    }
    return std::make_unique<StreamChardev>(
        loop, options, StreamChardev::Descriptors{.input = in, .output = out, .log = log});
}

Result<std::unique_ptr<Chardev>> open_kind(const ChardevOptions& options, devices::EventLoop& loop,
                                           const ChardevActions& actions, int log) {
    using Kind = ChardevOptions::Kind;
    switch (options.kind) {
        case Kind::Null: return std::make_unique<NullChardev>(options);
        case Kind::Stdio:
            return std::make_unique<Console>(loop, options, Console::Descriptors{.log = log}, actions);
        case Kind::File: return open_file(loop, options, log);
        case Kind::Pipe: return open_pipe(loop, options, log);
        case Kind::Pty: return PtyChardev::open(loop, options, log);
        case Kind::Socket: return SocketChardev::open(loop, options, log);
        case Kind::Ringbuf:
            if (!std::has_single_bit(options.ring_bytes)) return failure("size is no power of two");
            return std::make_unique<RingbufChardev>(options, log);
    }
    return failure("unknown kind");
}

}  // namespace

Result<std::unique_ptr<Chardev>> open_chardev(const ChardevOptions& options, uint8_t escape,
                                              devices::EventLoop& loop, const ChardevActions& actions) {
    const auto named = [&](const std::string& why) { return failure("chardev '{}': {}", options.id, why); };
    auto log = open_log(options);
    if (!log) return named(log.error());
    auto made = open_kind(options, loop, actions, *log);
    if (!made) return named(made.error());
    if (!options.mux) return made;
    return std::make_unique<Mux>(loop, std::move(*made), options, escape, actions);
}

Result<std::unique_ptr<Chardevs>> Chardevs::open(const RunOptions& options, devices::EventLoop& loop,
                                                 const ChardevActions& actions) {
    signal(SIGPIPE, SIG_IGN);  // a reader that is gone is an error of write()
    std::unique_ptr<Chardevs> chardevs(new Chardevs());
    for (const ChardevOptions& one : options.chardevs) {
        if (chardevs->find(one.id) != nullptr) return failure("chardev '{}' is there twice", one.id);
        if (one.kind == ChardevOptions::Kind::Stdio &&
            std::ranges::any_of(options.chardevs, [&](const ChardevOptions& other) {
                return &other < &one && other.kind == ChardevOptions::Kind::Stdio;
            }))
            return failure("chardev '{}': stdio is taken by another one; mux=on shares it", one.id);
        auto made = open_chardev(one, options.escape_key, loop, actions);
        if (!made) return std::unexpected(made.error());
        if (one.kind == ChardevOptions::Kind::Stdio) chardevs->stdio_ = made->get();
        chardevs->all_.push_back(std::move(*made));
    }
    return chardevs;
}

Chardevs::~Chardevs() = default;

Chardev* Chardevs::find(std::string_view name) const {
    const auto found = std::ranges::find_if(all_, [&](const auto& one) { return one->label() == name; });
    return found != all_.end() ? found->get() : nullptr;
}

Result<devices::CharBackend*> Chardevs::give(std::string_view name, bool for_run) {
    Chardev* chardev = find(name);
    if (chardev == nullptr) return failure("there is no chardev '{}'", name);
    Claims& claims = claims_[chardev];
    auto* mux = dynamic_cast<Mux*>(chardev);
    devices::CharBackend* given = chardev;
    if (mux != nullptr) {
        given = mux->add_port();
        if (given == nullptr)
            return failure("chardev '{}' has {} front ends, which is the most", name, Mux::kMaxFrontends);
        // The first device, rather than a monitor.
        if (!for_run && !claims.has_focus) mux->focus(claims.all);
        claims.has_focus |= !for_run;
    } else if (claims.all != 0) {
        return failure("chardev '{}' is in use; mux=on lets several share it", name);
    }
    claims.all++;
    if (for_run) claims.of_run++;
    return given;
}

Result<devices::CharBackend*> Chardevs::claim_for_run(std::string_view name) { return give(name, true); }
Result<devices::CharBackend*> Chardevs::claim(std::string_view name) { return give(name, false); }

void Chardevs::begin_machine() {
    for (const auto& chardev : all_) {
        Claims& claims = claims_[chardev.get()];
        claims.all = claims.of_run;
        if (auto* mux = dynamic_cast<Mux*>(chardev.get())) mux->remove_ports(claims.of_run);
    }
}

void Chardevs::ready() {
    if (std::exchange(was_ready_, true)) return;
    for (const auto& chardev : all_)
        if (auto* mux = dynamic_cast<Mux*>(chardev.get())) mux->tell_focus();
}

int Chardevs::stdout_error() const { return stdio_ != nullptr ? stdio_->output_error() : 0; }

void Chardevs::flush() {
    for (const auto& chardev : all_) chardev->flush();
}

void Chardevs::abandon_output() {
    for (const auto& chardev : all_) chardev->abandon_output();
}

void Chardevs::leave_terminal() {
    for (const auto& chardev : all_) chardev->leave_terminal();
}

void Chardevs::terminal_resized() {
    for (const auto& chardev : all_) chardev->terminal_resized();
}

}  // namespace arclight::guestos
