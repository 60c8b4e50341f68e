#include "guestos/console/input_frame.h"

#include <algorithm>

namespace arclight::guestos {

void InputFramer::add(std::span<const uint8_t> bytes, std::deque<uint8_t>& out) {
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min<size_t>(bytes.size(), max_piece));
        for (const uint8_t byte : piece) {
            if (byte == end_of_piece || byte == literal_next || byte == '\n') out.push_back(literal_next);
            out.push_back(byte);
        }
        out.push_back(end_of_piece);
        bytes = bytes.subspan(piece.size());
    }
}

void InputFramer::end(std::deque<uint8_t>& out) { out.push_back(end_of_piece); }

}  // namespace arclight::guestos
