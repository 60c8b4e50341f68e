#include "guestos/console/terminal.h"

#include <signal.h>
#include <termios.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

namespace arclight::guestos {

namespace {

// Signal handlers and atexit functions take no arguments, so the state is the process's own.
std::atomic<int> raw_fd{-1};
std::atomic<bool> is_raw{false};  // or about to be
termios saved_mode;
termios raw_mode;

void apply(const termios& mode) {
    const int fd = raw_fd.load();
    // A process in the background would be stopped by SIGTTOU for this.
    sigset_t ttou;
    sigset_t before;
    sigemptyset(&ttou);
    sigaddset(&ttou, SIGTTOU);
    pthread_sigmask(SIG_BLOCK, &ttou, &before);
    if (fd >= 0) tcsetattr(fd, TCSANOW, &mode);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

RawTerminal::RawTerminal(int fd, bool signals) {
    if (tcgetattr(fd, &saved_mode) != 0) return;
    raw_mode = saved_mode;
    cfmakeraw(&raw_mode);
    if (signals) raw_mode.c_lflag |= ISIG;
    raw_mode.c_cc[VMIN] = 1;
    raw_mode.c_cc[VTIME] = 0;
    raw_fd = fd;
    static const bool registered = std::atexit([] { RawTerminal::restore(); }) == 0;
    (void)registered;
    is_raw = true;
    last_act_.emplace(
        host::LastAct::When::FailureAndCrash, [](uintptr_t) { restore(); }, 0);
    apply(raw_mode);
}

RawTerminal::~RawTerminal() {
    last_act_.reset();
    restore();
    raw_fd = -1;
}

void RawTerminal::restore() {
    if (is_raw.exchange(false)) apply(saved_mode);
}

void RawTerminal::reenter() {
    // Continued in the background, as by a shell's bg: the terminal is somebody else's until a shell's fg, which
    // sends another SIGCONT.
    const pid_t foreground = tcgetpgrp(raw_fd.load());
    if (foreground > 0 && foreground != getpgrp()) return;
    is_raw = true;
    apply(raw_mode);
}

}  // namespace arclight::guestos
