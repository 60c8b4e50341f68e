// Ctrl-A is the console's own key: Ctrl-A X leaves, Ctrl-A H helps, Ctrl-A Ctrl-A sends one Ctrl-A.
#pragma once

#include <cstdint>
#include <deque>
#include <span>

namespace arclight::guestos {

class EscapeKeys {
  public:
    enum class Action : uint8_t { none, quit, help };

    // Moves what is meant for the guest to `out`. Stops at the first action; `used` says how far it came.
    Action filter(std::span<const uint8_t> bytes, std::deque<uint8_t>& out, size_t& used);

  private:
    bool pending_ = false;  // a Ctrl-A has been pressed
};

}  // namespace arclight::guestos
