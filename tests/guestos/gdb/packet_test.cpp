// Frames of the remote protocol.
#include "guestos/gdb/packet.h"

#include <gtest/gtest.h>

#include <vector>

namespace arclight::guestos::gdb {
namespace {

using Item = PacketParser::Item;

/// What the bytes are, but for None.
std::vector<Item> feed(PacketParser& parser, std::string_view bytes) {
    std::vector<Item> items;
    for (const char c : bytes)
        if (const Item item = parser.feed(static_cast<uint8_t>(c)); item != Item::None) items.push_back(item);
    return items;
}

TEST(GdbPacket, ItemsComeInOrder) {
    PacketParser parser;
    EXPECT_EQ(feed(parser, "+$m10,4#2e-\x03"),
              (std::vector{Item::Ack, Item::Packet, Item::Nack, Item::Interrupt}));
    EXPECT_EQ(parser.data(), "m10,4");
    EXPECT_EQ(feed(parser, "$#00"), std::vector{Item::Packet});
    EXPECT_EQ(parser.data(), "");
}

TEST(GdbPacket, EscapedBytesComeBack) {
    std::string all;
    for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
    PacketParser parser;
    EXPECT_EQ(feed(parser, make_packet(all)), std::vector{Item::Packet});
    EXPECT_EQ(parser.data(), all);
    EXPECT_EQ(make_packet("a*b"),
              "$a}\x0a"
              "b#4a");
}

TEST(GdbPacket, WhatIsDamagedIsAskedForAgain) {
    PacketParser parser;
    EXPECT_EQ(feed(parser, "$m10,4#2f"), std::vector{Item::Bad}) << "the checksum";
    EXPECT_EQ(feed(parser, "$m10,4#2x"), std::vector{Item::Bad}) << "no digit";
    EXPECT_EQ(feed(parser, "$m}#ea"), std::vector{Item::Bad}) << "an escape at the end";
    EXPECT_EQ(feed(parser, "$m10$?#3f"), std::vector{Item::Packet}) << "the end of the first one is lost";
    EXPECT_EQ(parser.data(), "?");
    EXPECT_EQ(feed(parser, "GET / HTTP/1.1\r\n\r\n"), std::vector<Item>{});
    EXPECT_EQ(feed(parser, "$?#3f"), std::vector{Item::Packet});
}

TEST(GdbPacket, OneThatIsTooLongIsBadAndTheNextIsGood) {
    PacketParser parser;
    const std::string longest(kMaxPacket - 1, 'x');
    EXPECT_EQ(feed(parser, make_packet(longest)), std::vector{Item::Packet});
    EXPECT_EQ(parser.data(), longest);
    EXPECT_EQ(feed(parser, make_packet(std::string(3 * kMaxPacket, 'x'))), std::vector{Item::Bad});
    EXPECT_LT(parser.data().size(), kMaxPacket);
    EXPECT_EQ(feed(parser, "$?#3f"), std::vector{Item::Packet});
}

TEST(GdbPacket, Numbers) {
    std::string_view text = "Ff,ffffffffffffffff,10000000000000000,";
    uint64_t value = 0;
    EXPECT_TRUE(take_number(text, value) && take(text, ','));
    EXPECT_EQ(value, 0xffu);
    EXPECT_TRUE(take_number(text, value) && take(text, ','));
    EXPECT_EQ(value, ~uint64_t{0});
    EXPECT_FALSE(take_number(text, value)) << "17 digits";
    text = "";
    EXPECT_FALSE(take_number(text, value));
    std::string bytes;
    EXPECT_TRUE(from_hex("00fFa5", bytes));
    EXPECT_EQ(bytes, std::string("\0\xff\xa5", 3));
    EXPECT_EQ(to_hex(bytes), "00ffa5");
    EXPECT_FALSE(from_hex("0", bytes));
    EXPECT_FALSE(from_hex("0g", bytes));
}

}  // namespace
}  // namespace arclight::guestos::gdb
