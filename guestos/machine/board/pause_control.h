// Pauses of the machine: by the user, or because a device asks for one, until the user ends them.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "guestos/machine/board/run_state.h"

namespace arclight::guestos {

/// On a thread of its own: who asks is itself waited for when the machine is quiesced.
class PauseControl {
  public:
    struct Actions {
        std::function<bool()> pause;  ///< returns when the machine stands; false: it ends
        std::function<void()> go_on;
        std::function<void(const std::string&)> say;  ///< one line for the user; any thread
    };
    using Observer = std::function<void(RunState)>;
    explicit PauseControl(Actions actions);
    ~PauseControl() { stop(); }
    PauseControl(const PauseControl&) = delete;
    PauseControl& operator=(const PauseControl&) = delete;

    /// Called at each change, before the machine goes on and after it stands. Before the first one.
    void observe(Observer observer) { observers_.push_back(std::move(observer)); }
    /// Before the machine runs: it stands from its first instruction on, as Prelaunch.
    void begin_paused();
    RunState state() const;

    /// For a device; returns at once. Several requests before the machine stands are one pause.
    void pause(RunState why);
    /// IoError, and says why.
    void pause(const std::string& why);
    /// Ends a pause; nothing without one, and with Shutdown. Any thread.
    void go_on();

    /// These return when it is done and the observers know; false: the machine ends. Nothing in a machine that stands already,
    /// or runs. Any thread but a CPU's, the event loop's, and observers'.
    bool pause_now();
    bool go_on_now();

    /// Calls look(standing) at a moment at which no pause begins or ends. `standing`: the machine is quiesced.
    void between_changes(const std::function<void(bool standing)>& look);

    /// No action is under way or begins any more. The machine has been told to end, if it may be paused.
    void stop();

  private:
    using Lock = std::unique_lock<std::mutex>;
    void work();
    bool enter_pause(Lock& held);
    void leave_pause(Lock& held);
    void tell(Lock& held);
    /// A pause that is there, or wanted, and may end before the machine does.
    bool may_go_on() const {
        return pause_wanted_ ? *pause_wanted_ != RunState::Shutdown
                             : standing_ && state_ != RunState::Shutdown;
    }

    const Actions actions_;
    std::vector<Observer> observers_;
    std::mutex changing_;  ///< before lock_
    mutable std::mutex lock_;
    std::condition_variable changed_;
    RunState state_ = RunState::Running;
    bool standing_ = false;
    bool told_standing_ = false;  ///< what observers know
    std::optional<RunState> pause_wanted_;
    bool go_on_wanted_ = false;
    bool quit_ = false;
    std::thread thread_;
};

}  // namespace arclight::guestos
