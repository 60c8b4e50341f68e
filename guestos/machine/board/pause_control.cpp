#include "guestos/machine/board/pause_control.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "host/thread.h"

namespace arclight::guestos {

PauseControl::PauseControl(Actions actions)
    : actions_(std::move(actions)),
      thread_(host::start_thread("pause", ThreadRole::EventLoop, [this] { work(); })) {}

void PauseControl::pause(const std::string& why) {
    actions_.say(
        fmt::format("{}; the machine is paused: 'kill -CONT {}', or Ctrl-A R at its terminal, lets it go on "
                    "and try again",
                    why, getpid()));
    const std::lock_guard guard(lock_);
    pause_wanted_ = true;
    changed_.notify_all();
}

void PauseControl::go_on() {
    const std::lock_guard guard(lock_);
    go_on_wanted_ = state_ != State::Running || pause_wanted_;
    changed_.notify_all();
}

void PauseControl::stop() {
    {
        const std::lock_guard guard(lock_);
        quit_ = true;
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

void PauseControl::work() {
    std::unique_lock held(lock_);
    for (;;) {
        changed_.wait(held, [this] { return quit_ || pause_wanted_; });
        if (quit_) return;
        state_ = State::Pausing;
        held.unlock();
        const bool paused = actions_.pause();
        held.lock();
        if (!paused) return;
        // What was asked for meanwhile is this pause: in a machine that stands no device asks.
        pause_wanted_ = false;
        state_ = State::Paused;
        changed_.wait(held, [this] { return quit_ || go_on_wanted_; });
        if (quit_) return;
        go_on_wanted_ = false;
        state_ = State::Running;
        held.unlock();
        actions_.go_on();
        held.lock();
    }
}

}  // namespace arclight::guestos
