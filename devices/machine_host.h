#pragma once

#include <string>

namespace arclight::devices {

/// What a device asks of whoever runs the machine. Any thread; no call waits for the machine.
class MachineHost {
  public:
    virtual ~MachineHost() = default;

    /// One line for the user, without an end of line.
    virtual void say(const std::string& line) = 0;
    /// Says why, and pauses the machine until the user lets it go on. The machine is quiesced some time after
    /// the call and resumed when it goes on, as for a saved state (devices/state.h).
    virtual void pause(const std::string& why) = 0;
};

}  // namespace arclight::devices
