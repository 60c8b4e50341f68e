// How arbitrary bytes, and their end, travel through a terminal line in canonical mode.
//
// A terminal in raw mode has no end of input. One in canonical mode has (^D), and delivers bytes only at the end of a
// line or at a ^D. So the guest's /init leaves canonical mode on with only two special characters,
// and the host sends pieces:
//   - ^V before any byte that is special to the line: ^D, ^V and newline (an unquoted newline is harmless, but each
//     line would cost the guest a system call);
//   - ^D after each piece, which makes its bytes readable. Pieces stay well below the line's 4095 bytes;
//   - a second ^D, ending an empty piece, at the end of input: the guest's read returns 0.
// Linux: drivers/tty/n_tty.c, n_tty_receive_char_special() and canon_copy_from_read_buf().
#pragma once

#include <cstdint>
#include <deque>
#include <span>

namespace arclight::guestos {

class InputFramer {
  public:
    /// Bytes per piece. A prime below a page: readers' buffer sizes are powers of two, and line disciplines have had bugs with
    /// a ^D exactly at the end of a buffer.
    static constexpr unsigned kMaxPiece = 1021;

    /// Appends the framed form of `bytes`.
    void add(std::span<const uint8_t> bytes, std::deque<uint8_t>& out);
    /// Appends the end of input.
    void end(std::deque<uint8_t>& out);

  private:
    static constexpr uint8_t kEndOfPiece = 0x04;
    static constexpr uint8_t kLiteralNext = 0x16;
};

}  // namespace arclight::guestos
