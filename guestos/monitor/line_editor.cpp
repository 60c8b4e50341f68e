#include "guestos/monitor/line_editor.h"

#include <utility>

namespace arclight::guestos {

namespace {
constexpr const char* kPrompt = "(qemu) ";  // which programs wait for
constexpr uint8_t kBackspace = 0x08, kDelete = 0x7f, kCtrlU = 0x15, kCtrlW = 0x17, kEscape = 0x1b;
}  // namespace

void LineEditor::prompt() {
    line_.clear();
    at_ = history_.size();
    print_(kPrompt);
}

void LineEditor::erase(size_t from) {
    std::string back;
    for (size_t i = from; i < line_.size(); ++i) back += "\b \b";
    line_.resize(from);
    print_(back);
}

void LineEditor::replace(const std::string& line) {
    erase(0);
    line_ = line;
    print_(line_);
}

void LineEditor::step_history(bool back) {
    if (back ? at_ == 0 : at_ >= history_.size()) return;
    at_ = back ? at_ - 1 : at_ + 1;
    replace(at_ < history_.size() ? history_[at_] : std::string());
}

bool LineEditor::type(uint8_t byte) {
    if (state_ == State::Escape) {
        state_ = byte == '[' || byte == 'O' ? State::Sequence : State::Plain;
        return false;
    }
    if (state_ == State::Sequence) {
        if (byte >= '0' && byte <= ';') return false;  // a parameter
        state_ = State::Plain;
        if (byte == 'A' || byte == 'B') step_history(byte == 'A');
        return false;
    }
    // A program's "\r\n" is one end of line.
    if (std::exchange(after_return_, byte == '\r') && byte == '\n') return false;
    if (byte == '\r' || byte == '\n') {
        print_("\r\n");
        if (!line_.empty() && (history_.empty() || history_.back() != line_)) history_.push_back(line_);
        if (history_.size() > kMaxHistory) history_.erase(history_.begin());
        return true;
    }
    if (byte == kEscape) {
        state_ = State::Escape;
    } else if (byte == kBackspace || byte == kDelete) {
        if (!line_.empty()) erase(line_.size() - 1);
    } else if (byte == kCtrlU) {
        erase(0);
    } else if (byte == kCtrlW) {
        size_t from = line_.size();
        while (from != 0 && line_[from - 1] == ' ') --from;
        while (from != 0 && line_[from - 1] != ' ') --from;
        erase(from);
    } else if (byte >= 0x20 && line_.size() < kMaxLine) {
        line_ += static_cast<char>(byte);
        print_(std::string(1, static_cast<char>(byte)));
    }
    return false;
}

}  // namespace arclight::guestos
