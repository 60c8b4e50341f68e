#pragma once

#include <cstdint>

namespace arclight::guestos {

/// Whether the guest runs, and if not why.
enum class RunState : uint8_t {
    Prelaunch,  ///< it has not begun (RunOptions::start_paused)
    Running,
    Paused,    ///< by the user
    IoError,   ///< a device has asked for it
    Watchdog,  ///< the guest's watchdog has expired
    Shutdown,  ///< the guest has powered off (RunOptions::pause_at_shutdown): it can be reset, and does not go on
};

}  // namespace arclight::guestos
