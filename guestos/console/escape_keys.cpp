#include "guestos/console/escape_keys.h"

namespace arclight::guestos {

EscapeKeys::Action EscapeKeys::filter(std::span<const uint8_t> bytes, std::deque<uint8_t>& out,
                                      size_t& used) {
    for (used = 0; used < bytes.size();) {
        const uint8_t byte = bytes[used++];
        if (!pending_) {
            if (byte == key_)
                pending_ = true;
            else
                out.push_back(byte);
            continue;
        }
        pending_ = false;
        if (byte == key_) {
            out.push_back(byte);
            continue;
        }
        switch (byte) {
            case 'x':
            case 'X': return Action::Quit;
            case 'r':
            case 'R': return Action::Resume;
            case 'c':
            case 'C': return Action::Switch;
            case 'b':
            case 'B': return Action::Break;
            case 'h':
            case 'H':
            case '?': return Action::Help;
            default:
                // With any other key both go to the guest.
                out.push_back(key_);
                out.push_back(byte);
        }
    }
    return Action::None;
}

}  // namespace arclight::guestos
