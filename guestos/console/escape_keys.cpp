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
        if (byte == 'x' || byte == 'X') return Action::quit;
        if (byte == 'h' || byte == 'H' || byte == '?') return Action::help;
        // Ctrl-A Ctrl-A is one; any other key after it was not meant for us.
        out.push_back(kCtrlA);
        if (byte != kCtrlA) out.push_back(byte);
    }
    return Action::none;
}

}  // namespace arclight::guestos
