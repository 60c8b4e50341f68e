#include "guestos/console/signals.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

#include "guestos/console/terminal.h"

namespace arclight::guestos {

namespace {

constexpr int kEnding[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};

int pipe_ends[2] = {-1, -1};
std::atomic<bool> ending{false};

void die_by(int signal) {
    RawTerminal::restore();
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    sigaction(signal, &standard, nullptr);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    raise(signal);
    pthread_sigmask(SIG_UNBLOCK, &set, nullptr);  // it is delivered here, if it was blocked while handled
}

void on_end_signal(int signal) {
    const int saved = errno;
    if (ending.exchange(true)) die_by(signal);
    const auto number = uint8_t(signal);
    if (write(pipe_ends[1], &number, 1) != 1) die_by(signal);
    errno = saved;
}

void on_stop(int) {
    const int saved = errno;
    RawTerminal::restore();
    raise(SIGSTOP);
    RawTerminal::reenter();
    errno = saved;
}

void on_continue_signal(int) {
    const int saved = errno;
    RawTerminal::reenter();  // also after a SIGSTOP, which cannot be caught
    const uint8_t number = SIGCONT;
    (void)!write(pipe_ends[1], &number, 1);  // a full pipe holds others
    errno = saved;
}

void on_resize_signal(int) {
    const int saved = errno;
    const uint8_t number = SIGWINCH;
    (void)!write(pipe_ends[1], &number, 1);
    errno = saved;
}

void install(int signal, void (*handler)(int), int flags) {
    struct sigaction action {};
    action.sa_handler = handler;
    action.sa_flags = flags;
    sigemptyset(&action.sa_mask);
    sigaction(signal, &action, nullptr);
}

}  // namespace

SignalWatch::SignalWatch(devices::EventLoop& loop, Actions actions) : loop_(loop) {
    if (pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
    ending = false;
    loop_.add_fd(pipe_ends[0], EPOLLIN, [actions = std::move(actions)](uint32_t) {
        uint8_t number;
        if (read(pipe_ends[0], &number, 1) != 1) return;
        if (number == SIGCONT)
            actions.go_on();
        else if (number != SIGWINCH)
            actions.end(number);
        else if (actions.resized)
            actions.resized();
    });
    for (const int signal : kEnding) {
        // What the parent chose to ignore (nohup) stays ignored.
        struct sigaction old {};
        sigaction(signal, nullptr, &old);
        if (old.sa_handler != SIG_IGN) install(signal, on_end_signal, SA_RESTART);
    }
    install(SIGTSTP, on_stop, SA_RESTART);
    install(SIGCONT, on_continue_signal, SA_RESTART);
    install(SIGWINCH, on_resize_signal, SA_RESTART);
    // A closed output, and a file bigger than `ulimit -f` has it, are errors of write(), handled there.
    for (const int signal : {SIGPIPE, SIGXFSZ}) install(signal, SIG_IGN, 0);
}

SignalWatch::~SignalWatch() {
    for (const int signal : kEnding) {
        struct sigaction old {};
        sigaction(signal, nullptr, &old);
        if (old.sa_handler == on_end_signal) install(signal, SIG_DFL, 0);
    }
    for (const int signal : {SIGTSTP, SIGCONT, SIGWINCH}) install(signal, SIG_DFL, 0);
    loop_.remove_fd(pipe_ends[0]);
    for (int& end : pipe_ends) {
        if (end >= 0) close(end);
        end = -1;
    }
}

}  // namespace arclight::guestos
