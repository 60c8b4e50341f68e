#include "guestos/machine/board/pause_control.h"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "host/thread.h"

namespace arclight::guestos {

PauseControl::PauseControl(Actions actions)
    : actions_(std::move(actions)),
      thread_(host::start_thread("pause", ThreadRole::EventLoop, [this] { work(); })) {}

void PauseControl::begin_paused() {
    const std::lock_guard changing(changing_);
    // A debugger may have been faster.
    if (const std::lock_guard guard(lock_); standing_) return;
    if (!actions_.pause()) return;
    const std::lock_guard guard(lock_);
    state_ = RunState::Prelaunch;
    standing_ = told_standing_ = true;
    changed_.notify_all();
}

RunState PauseControl::state() const {
    const std::lock_guard guard(lock_);
    return state_;
}

void PauseControl::pause(const std::string& why) {
    actions_.say(
        fmt::format("{}; the machine is paused: 'kill -CONT {}', or Ctrl-A R at its terminal, lets it go on "
                    "and try again",
                    why, getpid()));
    pause(RunState::IoError);
}

void PauseControl::pause(RunState why) {
    const std::lock_guard guard(lock_);
    if (pause_wanted_ != RunState::Shutdown) pause_wanted_ = why;
    changed_.notify_all();
}

void PauseControl::go_on() {
    const std::lock_guard guard(lock_);
    go_on_wanted_ = may_go_on();
    changed_.notify_all();
}

bool PauseControl::pause_now() {
    Lock held(lock_);
    if (!standing_ && !pause_wanted_) pause_wanted_ = RunState::Paused;
    changed_.notify_all();
    changed_.wait(held, [this] { return quit_ || (standing_ && told_standing_); });
    return standing_ && told_standing_;
}

bool PauseControl::go_on_now() {
    Lock held(lock_);
    if (!may_go_on()) return !quit_;
    go_on_wanted_ = true;
    changed_.notify_all();
    changed_.wait(held, [this] { return quit_ || !go_on_wanted_; });
    return !quit_;
}

void PauseControl::between_changes(const std::function<void(bool)>& look) {
    const std::lock_guard changing(changing_);
    Lock held(lock_);
    const bool standing = standing_;
    held.unlock();
    look(standing);
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
    Lock held(lock_);
    for (;;) {
        changed_.wait(held,
                      [this] { return quit_ || (standing_ ? go_on_wanted_ : pause_wanted_.has_value()); });
        if (quit_) return;
        if (standing_) {
            leave_pause(held);
        } else if (!enter_pause(held)) {
            quit_ = true;
            changed_.notify_all();
            return;
        }
    }
}

bool PauseControl::enter_pause(Lock& held) {
    held.unlock();
    const std::lock_guard changing(changing_);
    const bool paused = actions_.pause();
    held.lock();
    if (!paused) return false;
    // What was asked for meanwhile is this pause: in a machine that stands no device asks.
    state_ = *std::exchange(pause_wanted_, std::nullopt);
    standing_ = true;
    tell(held);
    return true;
}

void PauseControl::leave_pause(Lock& held) {
    held.unlock();
    const std::lock_guard changing(changing_);
    held.lock();
    standing_ = false;
    state_ = RunState::Running;
    tell(held);
    held.unlock();
    actions_.go_on();
    held.lock();
    go_on_wanted_ = false;
    changed_.notify_all();
}

void PauseControl::tell(Lock& held) {
    const RunState state = state_;
    const bool standing = standing_;
    held.unlock();
    for (const Observer& observer : observers_) observer(state);
    held.lock();
    told_standing_ = standing;
    changed_.notify_all();
}

}  // namespace arclight::guestos
