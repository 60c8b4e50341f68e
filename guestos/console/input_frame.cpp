#include "guestos/console/input_frame.h"

#include <algorithm>

namespace arclight::guestos {

void InputFramer::add(std::span<const uint8_t> bytes, std::deque<uint8_t>& out) {
    while (!bytes.empty()) {
        const auto piece = bytes.first(std::min<size_t>(bytes.size(), kMaxPiece));
        for (const uint8_t byte : piece) {
            if (byte == kEndOfPiece || byte == kLiteralNext || byte == '\n') out.push_back(kLiteralNext);
            out.push_back(byte);
        }
        out.push_back(kEndOfPiece);
        bytes = bytes.subspan(piece.size());
    }
}

void InputFramer::end(std::deque<uint8_t>& out) { out.push_back(kEndOfPiece); }

}  // namespace arclight::guestos
