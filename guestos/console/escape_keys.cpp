#include "guestos/console/escape_keys.h"

namespace arclight::guestos {

namespace {

constexpr uint8_t kCtrlA = 1;

}  // namespace

EscapeKeys::Action EscapeKeys::filter(std::span<const uint8_t> bytes, std::deque<uint8_t>& out,
                                      size_t& used) {
    for (used = 0; used < bytes.size();) {
        const uint8_t byte = bytes[used++];
        if (!pending_) {
            if (byte == kCtrlA)
                pending_ = true;
            else
                out.push_back(byte);
            continue;
        }
        pending_ = false;
        if (byte == 'x' || byte == 'X') return Action::Quit;
        if (byte == 'r' || byte == 'R') return Action::Resume;
        if (byte == 'h' || byte == 'H' || byte == '?') return Action::Help;
        // Ctrl-A Ctrl-A sends one Ctrl-A; with any other key both go to the guest.
        out.push_back(kCtrlA);
        if (byte != kCtrlA) out.push_back(byte);
    }
    return Action::None;
}

}  // namespace arclight::guestos
