// Text for stderr that a signal handler makes: no allocation, no lock, no stdio.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace arclight::host {

/// What does not fit is cut off.
class SignalText {
  public:
    SignalText& operator<<(std::string_view text);
    SignalText& operator<<(int64_t number);
    /// As 0x and at least one digit.
    SignalText& hex(uint64_t number);
    std::string_view view() const { return {text_, used_}; }
    /// Writes it to stderr and starts anew.
    void flush();

  private:
    char text_[1024];
    size_t used_ = 0;
};

}  // namespace arclight::host
