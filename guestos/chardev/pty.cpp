#include "guestos/chardev/pty.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace arclight::guestos {

namespace {
// Nothing tells that the other end has been opened.
constexpr int64_t kLookEvery = 100'000'000;  // ns
}  // namespace

Result<std::unique_ptr<Chardev>> PtyChardev::open(devices::EventLoop& loop, const ChardevOptions& options,
                                                  int log) {
    const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    std::array<char, PATH_MAX> name{};
    int slave = -1;
    if (master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0 &&
        ptsname_r(master, name.data(), name.size()) == 0)
        slave = ::open(name.data(), O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (slave < 0) {
        const int error = errno;
        if (master >= 0) close(master);
        return failure("no pseudo-terminal: {}", strerror(error));
    }
    // Bytes pass unchanged until whoever opens it wants something else. Once closed again, the master tells that nobody is there.
    termios mode{};
    tcgetattr(slave, &mode);
    cfmakeraw(&mode);
    tcsetattr(slave, TCSAFLUSH, &mode);
    close(slave);
    if (!options.path.empty()) {
        unlink(options.path.c_str());
        if (symlink(name.data(), options.path.c_str()) != 0) {
            const int error = errno;
            close(master);
            return failure("cannot link '{}' to the pseudo-terminal: {}", options.path, strerror(error));
        }
    }
    // In QEMU's words, which programs look for.
    fmt::print(stderr, "char device redirected to {} (label {})\n", name.data(), options.id);
    return std::unique_ptr<Chardev>(new PtyChardev(loop, options, log, master, name.data()));
}

PtyChardev::PtyChardev(devices::EventLoop& loop, const ChardevOptions& options, int log, int master,
                       std::string name)
    : StreamChardev(loop, options, {.log = log, .owned = false}),
      master_(master),
      name_(std::move(name)),
      look_(loop, [this] { look(); }) {
    look_.arm(0);
}

PtyChardev::~PtyChardev() {
    set_descriptors(-1, -1);
    close(master_);
    if (!options_.path.empty()) unlink(options_.path.c_str());
}

std::optional<devices::WindowSize> PtyChardev::window_size() const {
    winsize size{};
    if (!open_ || ioctl(master_, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return {};
    return devices::WindowSize{.columns = size.ws_col, .rows = size.ws_row};
}

void PtyChardev::look() {
    pollfd state{.fd = master_, .events = 0, .revents = 0};
    if (poll(&state, 1, 0) == 1 && (state.revents & POLLHUP) != 0) {
        look_.arm(devices::EventLoop::now_ns() + kLookEvery);
        return;
    }
    open_ = true;
    set_descriptors(master_, master_);
    link().event(devices::CharEvent::Opened);
}

void PtyChardev::input_ended(int) { closed(); }

void PtyChardev::closed() {
    set_descriptors(-1, -1);
    if (open_.exchange(false)) link().event(devices::CharEvent::Closed);
    look_.arm(devices::EventLoop::now_ns() + kLookEvery);
}

}  // namespace arclight::guestos
