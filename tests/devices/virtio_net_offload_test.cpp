// Checksums and large segments of the network device: frames and their sums, what the device fills in, and what it leaves to driver
// and back end.
#include <gtest/gtest.h>

#include <random>

#include "tests/devices/net_frames.h"

namespace arclight::devices {
namespace {

using test::Bytes;
using test::FakeNetwork;
using test::frame_to;
using test::kGuest;
using test::NetDriver;
using test::tcp_checksum_right;
using test::tcp_frame;
using namespace virtio;

TEST(NetFrame, SumsAreTheWordsSums) {
    std::mt19937 random(1);
    for (size_t size = 0; size < 70; size++) {
        Bytes bytes(size);
        for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
        uint32_t sum = 0;
        for (size_t i = 0; i < size; i += 2)
            sum += static_cast<uint32_t>(bytes[i] | (i + 1 < size ? bytes[i + 1] << 8 : 0));
        while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
        EXPECT_EQ(checksum_sum(bytes), sum) << size;
    }
    EXPECT_EQ(checksum_sum(Bytes(65536, 0xff)), 0xffff);
}

TEST(NetFrame, FindsTcpWhereItIsWhole) {
    for (const bool ipv6 : {false, true}) {
        Bytes frame = tcp_frame(ipv6, 100);
        ASSERT_TRUE(find_tcp(frame));
        EXPECT_TRUE(tcp_checksum_right(frame));
        EXPECT_EQ(find_tcp(frame)->data, frame.size() - 100);
        for (size_t size = 0; size < frame.size(); size++)
            EXPECT_FALSE(find_tcp(std::span(frame).first(size))) << "the packet ends in the air, " << size;
        Bytes options = frame;
        options[find_tcp(frame)->tcp + 12] = 0x40;
        EXPECT_FALSE(find_tcp(options)) << "a header of 16 bytes";
        options[find_tcp(frame)->tcp + 12] = 0xf0;
        EXPECT_EQ(find_tcp(options)->data, find_tcp(frame)->tcp + 60);
    }
    Bytes fragment = tcp_frame(false, 100);
    fragment[21] = 1;
    EXPECT_FALSE(find_tcp(fragment));
    Bytes tagged = tcp_frame(false, 100);
    tagged.insert(tagged.begin() + 12, {0x81, 0, 0, 5});
    EXPECT_EQ(find_tcp(tagged)->tcp, 38u);
}

TEST(NetFrame, MacAddressesHaveOneForm) {
    EXPECT_EQ(parse_mac("52:54:00:12:34:56"), kGuest);
    EXPECT_EQ(format_mac(kGuest), "52:54:00:12:34:56");
    EXPECT_TRUE(parse_mac("fe:DC:ba:98:76:54"));
    for (const char* wrong : {"", "52:54:00:12:34", "52:54:00:12:34:5", "52:54:00:12:34:56:",
                              "52:54:00:12:34:5g", "52-54-00-12-34-56", "525400123456", "52:54:00:12:34:+6",
                              "53:54:00:12:34:56", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff"})
        EXPECT_FALSE(parse_mac(wrong)) << wrong;
}

struct NetOffloads : testing::Test {
    FakeNetwork network;
    NetDriver driver{network};
};

TEST_F(NetOffloads, CompletesChecksums) {
    driver.start_net();
    for (const size_t size : {60u, 61u, 1514u}) {
        Bytes frame = frame_to(kGuest, size);
        const NetHeader header{
            .flags = NetHeader::kNeedsChecksum, .checksum_start = 34, .checksum_offset = 6};
        Bytes expected = frame;
        ASSERT_TRUE(complete_checksum(expected, 34, 6));
        driver.send(0, header, frame);
        network.run();
        EXPECT_EQ(network.sent.back(), expected);
    }
    // The sum of a packet with its checksum is all ones; one that would be zero is written as all ones.
    Bytes zero(60);
    driver.send(0, {.flags = NetHeader::kNeedsChecksum, .checksum_start = 14, .checksum_offset = 44}, zero);
    network.run();
    EXPECT_EQ(network.sent.back()[58], 0xff);
    EXPECT_EQ(network.sent.back()[59], 0xff);
}

TEST_F(NetOffloads, TakesLargeSegmentsWhole) {
    driver.start_net();
    for (const bool ipv6 : {false, true}) {
        const Bytes whole = tcp_frame(ipv6, 30'000);
        Bytes frame = whole;
        const auto tcp = *find_tcp(frame);
        const uint16_t pseudo = tcp_pseudo_sum(frame, tcp, frame.size() - tcp.tcp);
        std::memcpy(&frame[tcp.tcp + 16], &pseudo, 2);
        driver.send(0,
                    {.flags = NetHeader::kNeedsChecksum,
                     .gso_type = static_cast<uint8_t>(ipv6 ? NetHeader::kGsoTcp6
                                                           : NetHeader::kGsoTcp4 | NetHeader::kGsoEcn),
                     .gso_size = 1448,
                     .checksum_start = static_cast<uint16_t>(tcp.tcp),
                     .checksum_offset = 16},
                    frame);
        network.run();
        EXPECT_EQ(network.sent.back(), whole);
    }
}

TEST_F(NetOffloads, GivesLargeSegmentsToThoseThatTakeThem) {
    for (const bool ipv6 : {false, true}) {
        driver.start_net();
        EXPECT_TRUE(network.guest()->takes_large_segments(ipv6));
        const Bytes frame = tcp_frame(ipv6, 9000);
        for (unsigned i = 0; i < 4; i++) driver.offer_room(i);
        network.receive(frame, 1448);
        ASSERT_EQ(driver.used_count(0), 3);
        const NetHeader header = driver.received_header(0);
        const auto tcp = *find_tcp(frame);
        EXPECT_EQ(header.flags, NetHeader::kNeedsChecksum);
        EXPECT_EQ(header.gso_type, ipv6 ? NetHeader::kGsoTcp6 : NetHeader::kGsoTcp4);
        EXPECT_EQ(header.gso_size, 1448);
        EXPECT_EQ(header.header_bytes, tcp.data);
        EXPECT_EQ(header.checksum_start, tcp.tcp);
        EXPECT_EQ(header.checksum_offset, 16);
        Bytes all;
        for (unsigned i = 0; i < 3; i++) {
            const Bytes part = driver.received(i, driver.used_size(0, i));
            all.insert(all.end(), part.begin(), part.end());
        }
        Bytes got(all.begin() + sizeof header, all.end());
        ASSERT_TRUE(complete_checksum(got, header.checksum_start, header.checksum_offset));
        EXPECT_EQ(got, frame) << "the rest of the checksum makes it whole";

        driver.start_net(NetDriver::kAll & ~(ipv6 ? NetDriver::kGuestTcp6 : NetDriver::kGuestTcp4));
        EXPECT_FALSE(network.guest()->takes_large_segments(ipv6));
        for (unsigned i = 0; i < 4; i++) driver.offer_room(i);
        network.receive(frame, 1448);
        EXPECT_EQ(driver.used_count(0), 0);
        driver.start_net(NetDriver::kAll & ~NetDriver::kGuestChecksum);
        EXPECT_FALSE(network.guest()->takes_large_segments(ipv6)) << "5.1.3.1: only with GUEST_CSUM";
    }
}

// ---- a back end that takes part in checksums and segmentation

struct NetDeviceWithHeaders : testing::Test {
    FakeNetwork network{true, true};
    NetDriver driver{network};

    static NetHeader partial(bool ipv6, uint8_t type, uint16_t segment = 1000) {
        NetHeader header{};
        header.flags = NetHeader::kNeedsChecksum;
        header.gso_type = type;
        header.gso_size = type != NetHeader::kGsoNone ? segment : 0;
        header.header_bytes = ipv6 ? 74 : 54;
        header.checksum_start = ipv6 ? 54 : 34;
        header.checksum_offset = 16;
        return header;
    }
    /// With the pseudo header's sum only where the checksum goes.
    static Bytes incomplete(Bytes frame) {
        const auto tcp = find_tcp(frame);
        const uint16_t sum = tcp_pseudo_sum(frame, *tcp, frame.size() - tcp->tcp);
        std::memcpy(&frame[tcp->tcp + 16], &sum, sizeof sum);
        return frame;
    }
};

TEST_F(NetDeviceWithHeaders, LeavesTheWorkToIt) {
    driver.start_net();
    const Bytes frame = incomplete(tcp_frame(false, 3000));
    const NetHeader header = partial(false, NetHeader::kGsoTcp4);
    driver.send(0, header, frame);
    network.run();
    ASSERT_EQ(network.sent.size(), 1u);
    Bytes expected(sizeof header);
    std::memcpy(expected.data(), &header, sizeof header);
    expected.insert(expected.end(), frame.begin(), frame.end());
    EXPECT_EQ(network.sent[0], expected);
}

TEST_F(NetDeviceWithHeaders, SendsNothingThatTheDriverHasNotAgreedTo) {
    driver.start_net(NetDriver::kMac | NetDriver::kChecksum | NetDriver::kHostTcp6);
    driver.send(0, partial(false, NetHeader::kGsoTcp4), incomplete(tcp_frame(false, 100)));
    network.run();
    EXPECT_TRUE(network.sent.empty());
    NetDriver other(network);
    other.start_net(NetDriver::kMac);
    other.send(0, partial(false, NetHeader::kGsoNone), incomplete(tcp_frame(false, 100)));
    network.run();
    EXPECT_TRUE(network.sent.empty());
}

TEST_F(NetDeviceWithHeaders, PassesHeadersToTheDriver) {
    for (const bool ipv6 : {false, true}) {
        NetDriver fresh(network);
        fresh.start_net();
        const Bytes frame = incomplete(tcp_frame(ipv6, 2000));
        const NetHeader header = partial(ipv6, ipv6 ? NetHeader::kGsoTcp6 : NetHeader::kGsoTcp4);
        fresh.offer_room(0);
        network.receive({.bytes = frame, .checked = false, .header = &header});
        ASSERT_EQ(fresh.used_count(NetDriver::kReceive), 1);
        NetHeader got = fresh.received_header(0);
        EXPECT_EQ(got.buffers, 1);
        got.buffers = 0;
        EXPECT_EQ(std::memcmp(&got, &header, sizeof got), 0);
        Bytes bytes = fresh.received(0, sizeof header + frame.size());
        bytes.erase(bytes.begin(), bytes.begin() + sizeof header);
        EXPECT_EQ(bytes, frame);
    }
}

// Frames that the kernel has made before the driver was another one.
TEST_F(NetDeviceWithHeaders, CompletesWhatTheDriverDoesNotTake) {
    driver.start_net(NetDriver::kMac | NetDriver::kMergeable);
    const Bytes frame = incomplete(tcp_frame(false, 500));
    const NetHeader plain = partial(false, NetHeader::kGsoNone), large = partial(false, NetHeader::kGsoTcp4);
    NetHeader outside = plain;
    outside.checksum_start = static_cast<uint16_t>(frame.size());
    driver.offer_room(0);
    network.receive({.bytes = frame, .checked = false, .header = &large});
    network.receive({.bytes = frame, .checked = false, .header = &outside});
    EXPECT_EQ(driver.used_count(NetDriver::kReceive), 0) << "they are lost";
    network.receive({.bytes = frame, .checked = false, .header = &plain});
    ASSERT_EQ(driver.used_count(NetDriver::kReceive), 1);
    EXPECT_EQ(driver.received_header(0).flags, 0);
    Bytes got = driver.received(0, sizeof plain + frame.size());
    got.erase(got.begin(), got.begin() + sizeof plain);
    EXPECT_EQ(got, tcp_frame(false, 500));
}

TEST_F(NetDeviceWithHeaders, HeadersWaitWithTheirFrames) {
    driver.start_net();
    const Bytes frame = incomplete(tcp_frame(false, 500));
    const NetHeader header = partial(false, NetHeader::kGsoNone);
    network.receive({.bytes = frame, .checked = false, .header = &header});
    driver.offer_room(0);
    network.run();
    ASSERT_EQ(driver.used_count(NetDriver::kReceive), 1);
    EXPECT_EQ(driver.received_header(0).flags, NetHeader::kNeedsChecksum);
    EXPECT_EQ(driver.received_header(0).checksum_start, 34);
}

}  // namespace
}  // namespace arclight::devices
