// Frames in a stream of bytes: however they are cut, the same ones come out, until the first length that is none.
#include <algorithm>
#include <string_view>
#include <vector>

#include "guestos/net/frame_reader.h"
#include "tests/fuzz/driver/target.h"

namespace arclight::fuzz {
namespace {

using guestos::FrameReader;
using Bytes = std::vector<uint8_t>;

struct Stream {
    std::vector<Bytes> frames;
    bool good = true;
};

Stream read_whole(std::span<const uint8_t> bytes) {
    Stream stream;
    while (bytes.size() >= FrameReader::kPrefix) {
        size_t length = 0;
        for (size_t i = 0; i < FrameReader::kPrefix; i++) length = length << 8 | bytes[i];
        stream.good = length <= FrameReader::kMaxLength;
        bytes = bytes.subspan(FrameReader::kPrefix);
        if (!stream.good || length > bytes.size()) break;
        stream.frames.emplace_back(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(length));
        bytes = bytes.subspan(length);
    }
    return stream;
}

Stream read_pieces(FrameReader& reader, std::span<const uint8_t> bytes, unsigned seed) {
    Stream stream;
    while (!bytes.empty() && stream.good) {
        const auto room = reader.room();
        require(!room.empty(), "there is room for more");
        seed = seed * 1103515245 + 12345;
        const size_t count = std::min({bytes.size(), room.size(), size_t{1} + (seed >> 16) % 97});
        std::copy_n(bytes.begin(), count, room.begin());
        bytes = bytes.subspan(count);
        stream.good = reader.received(
            count, [&](std::span<uint8_t> frame) { stream.frames.emplace_back(frame.begin(), frame.end()); });
    }
    return stream;
}

void run(std::span<const uint8_t> bytes) {
    if (bytes.empty()) return;
    const Stream whole = read_whole(bytes);
    FrameReader reader;
    for (int connection = 0; connection < 2; connection++) {
        const Stream pieces = read_pieces(reader, bytes, bytes[0]);
        require(pieces.frames == whole.frames && pieces.good == whole.good,
                "the same frames, however they come");
        reader.reset();
    }
}

using namespace std::string_view_literals;
const Registered registered({.name = "net_stream",
                             .run = run,
                             .max_size = 4096,
                             .words = {"\0\0\0\0"sv, "\0\0\0\1"sv, "\0\0\0\x40"sv, "\0\0\1\0"sv,
                                       "\0\1\x10\0"sv, "\0\1\x10\1"sv, "\xff\xff\xff\xff"sv}});

}  // namespace
}  // namespace arclight::fuzz
