// Ctrl-A is the console's escape key: Ctrl-A X ends the machine, Ctrl-A R ends a pause, Ctrl-A H prints help, Ctrl-A Ctrl-A
// sends one Ctrl-A.
#pragma once

#include <cstdint>
#include <deque>
#include <span>

namespace arclight::guestos {

class EscapeKeys {
  public:
    enum class Action : uint8_t { None, Quit, Help, Resume };

    /// Appends the guest's input to `out`. Stops at the first action; `used` is the number of bytes consumed.
    Action filter(std::span<const uint8_t> bytes, std::deque<uint8_t>& out, size_t& used);

  private:
    bool pending_ = false;  ///< a Ctrl-A has been pressed
};

}  // namespace arclight::guestos
