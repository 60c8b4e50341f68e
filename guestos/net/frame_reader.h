#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace arclight::guestos {

/// Frames out of a stream of bytes, in the form that QEMU's `-netdev socket` and `stream` have and passt: 32 bits of length, big
/// endian, and the frame.
class FrameReader {
  public:
    /// The longest that QEMU takes (its NET_BUFSIZE). A longer one is no frame.
    static constexpr size_t kMaxLength = 4096 + 65536;
    static constexpr size_t kPrefix = 4;

    /// Where the next bytes go; never empty.
    std::span<uint8_t> room() { return std::span(buffer_).subspan(end_); }
    /// `count` bytes have come into room(); `frame(span)` is called for each frame that is complete with them. False: what
    /// comes is no sequence of frames, and the connection is of no use any more.
    template <typename Frame>
    bool received(size_t count, Frame&& frame) {
        end_ += count;
        size_t at = 0;
        bool good = true;
        while (end_ - at >= kPrefix) {
            const uint8_t* const p = buffer_.data() + at;
            const size_t length = size_t{p[0]} << 24 | size_t{p[1]} << 16 | size_t{p[2]} << 8 | p[3];
            good = length <= kMaxLength;
            if (!good || end_ - at - kPrefix < length) break;
            frame(std::span(buffer_).subspan(at + kPrefix, length));
            at += kPrefix + length;
        }
        drop_front(at);
        return good;
    }
    /// Another connection: a part of a frame is forgotten.
    void reset() { end_ = 0; }

  private:
    void drop_front(size_t count);

    std::vector<uint8_t> buffer_ = std::vector<uint8_t>(4 * (kPrefix + kMaxLength));
    size_t end_ = 0;
};

}  // namespace arclight::guestos
