#include "guestos/net/frame_reader.h"

#include <gtest/gtest.h>

#include "tests/guestos/net/fake_guest.h"

namespace arclight::guestos {
namespace {

using test::Bytes;

struct Feed {
    FrameReader reader;
    std::vector<Bytes> frames;

    bool operator()(const Bytes& bytes) {
        std::copy(bytes.begin(), bytes.end(), reader.room().begin());
        return reader.received(
            bytes.size(), [&](std::span<uint8_t> frame) { frames.emplace_back(frame.begin(), frame.end()); });
    }
};

TEST(FrameReader, FramesInPieces) {
    Feed feed;
    EXPECT_TRUE(feed({0, 0}));
    EXPECT_TRUE(feed({0, 3, 'a', 'b'}));
    EXPECT_TRUE(feed.frames.empty());
    EXPECT_TRUE(feed({'c', 0, 0, 0, 0, 0, 0, 0, 1, 'd', 0}));
    EXPECT_EQ(feed.frames, (std::vector<Bytes>{{'a', 'b', 'c'}, {}, {'d'}}));
}

TEST(FrameReader, LengthLimits) {
    Feed feed;
    const size_t most = FrameReader::kMaxLength;
    Bytes longest(FrameReader::kPrefix + most);
    longest[1] = static_cast<uint8_t>(most >> 16);
    longest[2] = static_cast<uint8_t>(most >> 8);
    longest[3] = static_cast<uint8_t>(most);
    EXPECT_TRUE(feed(longest));
    ASSERT_EQ(feed.frames.size(), 1u);
    EXPECT_EQ(feed.frames[0].size(), most);
    longest[3]++;
    EXPECT_FALSE(feed(longest));
    EXPECT_EQ(feed.frames.size(), 1u);
    feed.reader.reset();
    EXPECT_FALSE(feed({0xff, 0xff, 0xff, 0xff}));
    feed.reader.reset();
    EXPECT_TRUE(feed({0, 0, 0, 1, 'x'}));
    EXPECT_EQ(feed.frames.size(), 2u);
}

// A reader that kept nothing free for the longest frame would stand still.
TEST(FrameReader, RoomForTheRest) {
    Feed feed;
    const size_t most = FrameReader::kMaxLength;
    EXPECT_TRUE(feed(
        {0, static_cast<uint8_t>(most >> 16), static_cast<uint8_t>(most >> 8), static_cast<uint8_t>(most)}));
    for (size_t left = most; left != 0;) {
        const size_t count = std::min<size_t>(left, 5000);
        ASSERT_GE(feed.reader.room().size(), count);
        EXPECT_TRUE(feed(Bytes(count)));
        left -= count;
    }
    EXPECT_EQ(feed.frames.size(), 1u);
}

}  // namespace
}  // namespace arclight::guestos
