// Pauses of the machine that a device asks for, and that the user ends.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "devices/machine_host.h"

namespace arclight::guestos {

/// On a thread of its own: who asks is itself waited for when the machine is quiesced.
class PauseControl final : public devices::MachineHost {
  public:
    struct Actions {
        std::function<bool()> pause;  ///< returns when the machine stands; false: it ends
        std::function<void()> go_on;
        std::function<void(const std::string&)> say;  ///< one line for the user; any thread
    };
    explicit PauseControl(Actions actions);
    ~PauseControl() override { stop(); }
    PauseControl(const PauseControl&) = delete;
    PauseControl& operator=(const PauseControl&) = delete;

    void say(const std::string& line) override { actions_.say(line); }
    /// Several requests before the machine stands are one pause.
    void pause(const std::string& why) override;
    /// Ends a pause; nothing without one. Any thread.
    void go_on();
    /// No action is under way or begins any more. The machine has been told to end, if it may be paused.
    void stop();

  private:
    enum class State : uint8_t { Running, Pausing, Paused };
    void work();

    const Actions actions_;
    std::mutex lock_;
    std::condition_variable changed_;
    State state_ = State::Running;
    bool pause_wanted_ = false;
    bool go_on_wanted_ = false;
    bool quit_ = false;
    std::thread thread_;
};

}  // namespace arclight::guestos
