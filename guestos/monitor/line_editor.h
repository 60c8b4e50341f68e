// A line of input as a person types it on a terminal in raw mode.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace arclight::guestos {

/// Echoes, erases (Backspace, Ctrl-U, Ctrl-W) and remembers lines (the arrows up and down). Edits at the end of the line only.
class LineEditor {
  public:
    explicit LineEditor(std::function<void(const std::string&)> print) : print_(std::move(print)) {}

    /// True: line() is complete.
    bool type(uint8_t byte);
    const std::string& line() const { return line_; }
    /// The next line begins: prints the prompt.
    void prompt();

    static constexpr size_t kMaxLine = 4096;
    static constexpr size_t kMaxHistory = 100;

  private:
    enum class State : uint8_t { Plain, Escape, Sequence };
    void replace(const std::string& line);
    void erase(size_t from);
    void step_history(bool back);

    const std::function<void(const std::string&)> print_;
    std::string line_;
    std::vector<std::string> history_;
    size_t at_ = 0;  ///< in history_, or its end
    State state_ = State::Plain;
    bool after_return_ = false;
};

}  // namespace arclight::guestos
