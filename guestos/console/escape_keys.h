// The console's escape key, Ctrl-A if no other one is chosen, and the keys that may follow it: X ends the machine, C goes to the
// next front end, R ends a pause, B sends a break, H prints help, and the escape key again sends itself.
#pragma once

#include <cstdint>
#include <deque>
#include <span>

namespace arclight::guestos {

class EscapeKeys {
  public:
    enum class Action : uint8_t { None, Quit, Help, Resume, Switch, Break };
    static constexpr uint8_t kCtrlA = 1;

    explicit EscapeKeys(uint8_t key = kCtrlA) : key_(key) {}

    /// Appends the guest's input to `out`. Stops at the first action; `used` is the number of bytes consumed.
    Action filter(std::span<const uint8_t> bytes, std::deque<uint8_t>& out, size_t& used);
    uint8_t key() const { return key_; }

  private:
    const uint8_t key_;
    bool pending_ = false;  ///< the escape key has been pressed
};

}  // namespace arclight::guestos
