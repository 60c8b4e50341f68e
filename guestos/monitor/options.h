#pragma once

#include <cstdint>
#include <string>

namespace arclight::guestos {

/// A monitor on a chardev.
struct MonitorOptions {
    enum class Mode : uint8_t {
        Control,   ///< QMP: JSON, for programs
        Readline,  ///< for people
    };
    std::string chardev;
    Mode mode = Mode::Control;
    bool pretty = false;  ///< JSON in several lines
};

}  // namespace arclight::guestos
