// The network device against a driver of the test's own: frames both ways, what the control queue says, and drivers that
// break the rules.
#include <gtest/gtest.h>

#include <random>

#include "devices/virtio/net_frame.h"
#include "tests/devices/net_driver.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices {
namespace {

using test::Bytes;
using test::EchoNetwork;
using test::eventually;
using test::FakeNetwork;
using test::NetDriver;
using namespace virtio;

constexpr MacAddress kGuest{0x52, 0x54, 0, 0x12, 0x34, 0x56};

Bytes frame_to(const MacAddress& to, size_t size, uint8_t seed = 1) {
    Bytes frame(size);
    for (size_t i = 0; i < size; i++) frame[i] = static_cast<uint8_t>(i * 7 + seed);
    if (size < 14) return frame;
    std::ranges::copy(to, frame.begin());
    frame[12] = 0x88, frame[13] = 0xb5;  // a local experiment's type
    return frame;
}

/// A TCP segment over IPv4 or IPv6 with right checksums.
Bytes tcp_frame(bool ipv6, size_t data) {
    const size_t tcp = ipv6 ? 54 : 34, size = tcp + 20 + data;
    Bytes frame(size);
    for (size_t i = tcp; i < size; i++) frame[i] = static_cast<uint8_t>(i * 13);
    std::ranges::copy(kGuest, frame.begin());
    const auto length = static_cast<uint16_t>(size - (ipv6 ? tcp : 14));
    if (ipv6) {
        frame[12] = 0x86, frame[13] = 0xdd;
        frame[14] = 0x60, frame[18] = static_cast<uint8_t>(length >> 8),
        frame[19] = static_cast<uint8_t>(length);
        frame[20] = 6;
    } else {
        frame[12] = 0x08, frame[13] = 0;
        frame[14] = 0x45, frame[16] = static_cast<uint8_t>(length >> 8),
        frame[17] = static_cast<uint8_t>(length);
        frame[23] = 6;
    }
    frame[tcp + 12] = 0x50;
    const auto found = find_tcp(frame);
    const uint16_t pseudo = tcp_pseudo_sum(frame, *found, size - tcp);
    std::memcpy(&frame[tcp + 16], &pseudo, 2);
    complete_checksum(frame, tcp, 16);
    return frame;
}

bool tcp_checksum_right(const Bytes& frame) {
    const auto tcp = find_tcp(frame);
    if (!tcp) return false;
    const auto segment = std::span(frame).subspan(tcp->tcp);
    return checksum_sum(segment, tcp_pseudo_sum(frame, *tcp, segment.size())) == 0xffff;
}

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

struct NetDevice : testing::Test {
    FakeNetwork network;
    NetDriver driver{network};
};

TEST_F(NetDevice, ShowsWhatItIs) {
    EXPECT_EQ(driver.get(8), 1u);
    driver.set(0x14, 0);
    EXPECT_EQ(driver.get(0x10) & NetDriver::kAll, NetDriver::kAll);
    EXPECT_EQ(driver.get(0x10) & NetDriver::kMtu, 0u) << "no MTU was asked for";
    EXPECT_EQ(driver.device.read(0x100, 4), 0x1200'5452u);
    EXPECT_EQ(driver.device.read(0x104, 2), 0x5634u);
    EXPECT_EQ(driver.device.read(0x106, 2), 1u) << "the link is up";
    EXPECT_EQ(driver.device.read(0x108, 2), 1u) << "a pair of queues";
    EXPECT_EQ(driver.device.read(0x10c, 8), 0u) << "behind the end";

    FakeNetwork small(false);
    NetDriver other(small, {.mac = {2, 0, 0, 0, 0, 9}, .mtu = 9000});
    other.set(0x14, 0);
    EXPECT_EQ(other.get(0x10) & (NetDriver::kHostTcp4 | NetDriver::kGuestTcp4 | NetDriver::kGuestTcp6), 0u);
    EXPECT_EQ(other.get(0x10) & NetDriver::kMtu, NetDriver::kMtu);
    EXPECT_EQ(other.device.read(0x10a, 2), 9000u);
    EXPECT_EQ(other.device.read(0x104, 2), 0x0900u);
}

TEST_F(NetDevice, TellsOfTheLink) {
    driver.start_net();
    const uint32_t generation = driver.get(0xfc);
    network.set_link(false);
    EXPECT_EQ(driver.device.read(0x106, 2), 0u);
    EXPECT_EQ(driver.get(0x60), 2u);
    EXPECT_NE(driver.get(0xfc), generation);
    driver.set(0x64, 2);
    network.set_link(true);
    EXPECT_EQ(driver.device.read(0x106, 2), 1u);
    EXPECT_TRUE(driver.wire());
}

// ---- from the guest

TEST_F(NetDevice, SendsFramesInTheirOrder) {
    driver.start_net();
    std::vector<Bytes> frames;
    for (unsigned i = 0; i < 5; i++)
        frames.push_back(frame_to(kGuest, 60 + i * 300, static_cast<uint8_t>(i)));
    for (unsigned i = 0; i < 5; i++) driver.send(i, {}, frames[i]);
    EXPECT_EQ(driver.used_count(NetDriver::kTransmit), 0) << "no CPU waits for the network";
    network.run();
    EXPECT_EQ(network.sent, frames);
    EXPECT_EQ(driver.used_count(NetDriver::kTransmit), 5);
    EXPECT_TRUE(driver.wire());
    driver.send(0, {}, frames[0], 5);  // the header is in three buffers
    network.run();
    EXPECT_EQ(network.sent.back(), frames[0]);
    EXPECT_EQ(network.sent.size(), 6u);
    EXPECT_FALSE(driver.broken());
}

TEST_F(NetDevice, CompletesChecksums) {
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

TEST_F(NetDevice, LosesFramesWhoseHeaderMakesNoSense) {
    driver.start_net(NetDriver::kAll & ~NetDriver::kHostTcp6);
    const Bytes frame = frame_to(kGuest, 100);
    const uint8_t needs = NetHeader::kNeedsChecksum;
    const NetHeader wrong[] = {
        {.flags = needs, .checksum_start = 99},
        {.flags = needs, .checksum_start = 101},
        {.flags = needs, .checksum_start = 98, .checksum_offset = 1},
        {.flags = needs, .checksum_start = 50, .checksum_offset = 49},
        {.flags = needs, .checksum_start = 0xffff, .checksum_offset = 0xffff},
        {.gso_type = NetHeader::kGsoTcp4, .gso_size = 10, .checksum_start = 34, .checksum_offset = 16},
        {.flags = needs,
         .gso_type = NetHeader::kGsoTcp6,
         .gso_size = 10,
         .checksum_start = 34,
         .checksum_offset = 16},
        {.flags = needs, .gso_type = 3, .gso_size = 10, .checksum_start = 34, .checksum_offset = 16},
        {.flags = needs, .gso_type = 0x7f, .gso_size = 10, .checksum_start = 34, .checksum_offset = 16}};
    for (const NetHeader& header : wrong) driver.send(0, header, frame);
    driver.send(0, {}, {});
    network.run();
    EXPECT_TRUE(network.sent.empty());
    EXPECT_EQ(driver.used_count(NetDriver::kTransmit), std::size(wrong) + 1) << "the buffers are handed back";
    EXPECT_FALSE(driver.broken());

    driver.start_net(0);
    driver.send(0, {.flags = needs, .checksum_start = 34, .checksum_offset = 16}, frame);
    network.run();
    EXPECT_TRUE(network.sent.empty()) << "without the feature nobody completes checksums";
}

TEST_F(NetDevice, TakesLargeSegmentsWhole) {
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

TEST_F(NetDevice, SizesAtTheLimits) {
    driver.start_net();
    driver.send(0, {}, frame_to(kGuest, NetBackend::kMaxFrame));
    driver.send(20, {}, frame_to(kGuest, 1));
    network.run();
    ASSERT_EQ(network.sent.size(), 2u);
    EXPECT_EQ(network.sent[0], frame_to(kGuest, NetBackend::kMaxFrame));
    EXPECT_EQ(network.sent[1].size(), 1u);
    driver.send(0, {}, frame_to(kGuest, NetBackend::kMaxFrame + 1));
    network.run();
    EXPECT_EQ(network.sent.size(), 2u) << "longer than anything";
    // The same 800 KiB of RAM again and again, 16 MiB in a chain.
    for (unsigned i = 0; i < 20; i++)
        driver.describe_in(1, i, driver.kData, 0xc'8000, i < 19 ? driver.kNext : 0,
                           static_cast<uint16_t>(i + 1));
    driver.offer_in(1, 0);
    network.run();
    EXPECT_EQ(network.sent.size(), 2u);
    EXPECT_EQ(driver.used_count(1), 4);
    EXPECT_FALSE(driver.broken());
    driver.describe_in(1, 0, driver.kData, sizeof(NetHeader) - 1, 0);
    driver.offer_in(1, 0);
    network.run();
    EXPECT_TRUE(driver.broken()) << "no room for a header";
}

TEST_F(NetDevice, MoreFramesThanABatch) {
    driver.start_net();
    for (unsigned round = 0; round < 10; round++)
        for (unsigned i = 0; i < 32; i++) {
            driver.send(i, {}, frame_to(kGuest, 60, static_cast<uint8_t>(round * 32 + i)));
            if (i == 31) network.run();
        }
    ASSERT_EQ(network.sent.size(), 320u);
    for (unsigned i = 0; i < 320; i++)
        EXPECT_EQ(network.sent[i], frame_to(kGuest, 60, static_cast<uint8_t>(i)));
}

// ---- to the guest

TEST_F(NetDevice, ReceivesIntoOneBuffer) {
    driver.start_net();
    driver.offer_room(0);
    network.receive(frame_to(kGuest, 1514));
    ASSERT_EQ(driver.used_count(0), 1);
    EXPECT_EQ(driver.used_size(0, 0), sizeof(NetHeader) + 1514);
    const NetHeader header = driver.received_header(0);
    EXPECT_EQ(header.flags, NetHeader::kDataValid);
    EXPECT_EQ(header.gso_type, 0);
    EXPECT_EQ(header.buffers, 1);
    const Bytes all = driver.received(0, sizeof header + 1514);
    EXPECT_EQ(Bytes(all.begin() + sizeof header, all.end()), frame_to(kGuest, 1514));
    EXPECT_TRUE(driver.wire());

    driver.start_net(0);
    driver.offer_room(0);
    network.receive(frame_to(kGuest, 60));
    EXPECT_EQ(driver.received_header(0).flags, 0) << "the driver checks sums itself";
    EXPECT_EQ(driver.received_header(0).buffers, 1);
}

TEST_F(NetDevice, SpreadsAFrameOverBuffers) {
    driver.start_net();
    const Bytes frame = frame_to(kGuest, 5000);
    for (unsigned i = 0; i < 4; i++) driver.offer_room(i, 2000);
    network.receive(frame);
    ASSERT_EQ(driver.used_count(0), 3);
    EXPECT_EQ(driver.received_header(0).buffers, 3);
    Bytes all;
    for (unsigned i = 0; i < 3; i++) {
        const Bytes part = driver.received(i, driver.used_size(0, i));
        all.insert(all.end(), part.begin(), part.end());
    }
    EXPECT_EQ(Bytes(all.begin() + sizeof(NetHeader), all.end()), frame);
    // All or nothing: one buffer is left, and then there are three.
    network.receive(frame);
    EXPECT_EQ(driver.used_count(0), 3);
    driver.offer_room(4, 2000);
    network.run();
    EXPECT_EQ(driver.used_count(0), 3);
    driver.offer_room(5, 2000);
    network.run();
    EXPECT_EQ(driver.used_count(0), 6);
    EXPECT_EQ(driver.received_header(3).buffers, 3);
    EXPECT_FALSE(driver.broken());
}

TEST_F(NetDevice, WithoutMergeableBuffersAFrameFitsOrIsLost) {
    driver.start_net(NetDriver::kAll & ~NetDriver::kMergeable);
    driver.offer_room(0, 1000);
    driver.offer_room(1, 1000);
    network.receive(frame_to(kGuest, 989));
    EXPECT_EQ(driver.used_count(0), 0) << "a byte too long";
    network.receive(frame_to(kGuest, 988));
    ASSERT_EQ(driver.used_count(0), 1) << "the same buffer serves";
    EXPECT_EQ(driver.used_size(0, 0), 1000u);
    EXPECT_FALSE(driver.broken());
}

TEST_F(NetDevice, FramesWaitForBuffersInTheirOrder) {
    driver.start_net();
    for (unsigned i = 0; i < 3; i++) network.receive(frame_to(kGuest, 100 + i));
    EXPECT_EQ(driver.used_count(0), 0);
    driver.offer_room(0);
    driver.offer_room(1);
    network.run();
    ASSERT_EQ(driver.used_count(0), 2);
    network.receive(frame_to(kGuest, 103));
    driver.offer_room(2);
    driver.offer_room(3);
    network.run();
    ASSERT_EQ(driver.used_count(0), 4);
    for (unsigned i = 0; i < 4; i++) EXPECT_EQ(driver.used_size(0, i), sizeof(NetHeader) + 100 + i);
    // A guest that takes nothing costs no more than some MiB.
    driver.start_net();
    const Bytes large = frame_to(kGuest, 60'000);
    for (unsigned i = 0; i < 1000; i++) network.receive(large);
    unsigned delivered = 0;
    for (unsigned round = 0; round < 300; round++) {
        // Two frames of 15 buffers each.
        for (unsigned i = 0; i < 30; i++) driver.offer_room(i, NetDriver::kBuffer, i == 29);
        const uint16_t before = driver.used_count(0);
        network.run();
        delivered += static_cast<uint16_t>(driver.used_count(0) - before) / 15u;
    }
    EXPECT_GT(delivered, 100u);
    EXPECT_LT(delivered, 200u);
}

TEST_F(NetDevice, GivesLargeSegmentsToThoseThatTakeThem) {
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

// Nobody has looked at what another machine sends.
TEST_F(NetDevice, UncheckedFramesAreNotSaidToBeRight) {
    driver.start_net();
    driver.offer_room(0);
    driver.offer_room(1);
    const Bytes frame = frame_to(kGuest, 100);
    network.receive({.bytes = frame, .checked = false});
    network.receive(ReceivedFrame{.bytes = frame});
    ASSERT_EQ(driver.used_count(NetDriver::kReceive), 2);
    EXPECT_EQ(driver.received_header(0).flags, 0);
    EXPECT_EQ(driver.received_header(1).flags, NetHeader::kDataValid);
}

TEST_F(NetDevice, ABufferWithoutRoomForAHeaderIsAgainstTheRules) {
    driver.start_net();
    driver.offer_room(0, sizeof(NetHeader) - 1);
    network.receive(frame_to(kGuest, 60));
    EXPECT_TRUE(driver.broken());
    driver.start_net();
    driver.offer_room(0);
    network.receive(frame_to(kGuest, 60));
    EXPECT_EQ(driver.used_count(0), 1) << "a reset mends it";
}

// ---- the control queue

TEST_F(NetDevice, FiltersWhatTheDriverDoesNotWant) {
    driver.start_net();
    const MacAddress broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, group{1, 0, 0x5e, 0, 0, 1},
        other{2, 0, 0, 0, 0, 7};
    unsigned next = 0;
    const auto gets = [&](const Bytes& frame) {
        const uint16_t before = driver.used_count(0);
        driver.offer_room(next++ % 32);
        network.receive(frame);
        return driver.used_count(0) != before;
    };
    EXPECT_TRUE(gets(frame_to(other, 60))) << "all until the driver says otherwise";
    EXPECT_EQ(driver.control({0, 0, 0}), 0);  // not promiscuous
    EXPECT_TRUE(gets(frame_to(kGuest, 60)));
    EXPECT_TRUE(gets(frame_to(broadcast, 60)));
    EXPECT_FALSE(gets(frame_to(group, 60)));
    EXPECT_FALSE(gets(frame_to(other, 60)));
    Bytes table{1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 7, 1, 0, 0, 0, 1, 0, 0x5e, 0, 0, 1};
    EXPECT_EQ(driver.control(table), 0);
    EXPECT_TRUE(gets(frame_to(group, 60)));
    EXPECT_TRUE(gets(frame_to(other, 60)));
    EXPECT_EQ(driver.control({1, 0, 0, 0, 0, 0, 0, 0, 0, 0}), 0);  // empty tables
    EXPECT_FALSE(gets(frame_to(other, 60)));
    EXPECT_EQ(driver.control({0, 1, 1}), 0);  // all multicast
    EXPECT_TRUE(gets(frame_to(group, 60)));
    EXPECT_EQ(driver.control({0, 3, 1}), 0);  // no multicast
    EXPECT_FALSE(gets(frame_to(group, 60)));
    EXPECT_EQ(driver.control({0, 5, 1}), 0);  // no broadcast
    EXPECT_FALSE(gets(frame_to(broadcast, 60)));
    EXPECT_EQ(driver.control({0, 4, 1}), 0);  // no unicast
    EXPECT_FALSE(gets(frame_to(kGuest, 60)));
    EXPECT_EQ(driver.control({0, 4, 0}), 0);
    // Another address, which the configuration shows.
    EXPECT_EQ(driver.control({1, 1, 2, 0, 0, 0, 0, 7}), 0);
    EXPECT_TRUE(gets(frame_to(other, 60)));
    EXPECT_FALSE(gets(frame_to(kGuest, 60)));
    EXPECT_EQ(driver.device.read(0x100, 1), 2u);
    // VLANs.
    Bytes tagged = frame_to(other, 64);
    tagged[12] = 0x81, tagged[13] = 0, tagged[14] = 0x20, tagged[15] = 0x05;
    EXPECT_FALSE(gets(tagged));
    EXPECT_EQ(driver.control({2, 0, 5, 0}), 0);
    EXPECT_TRUE(gets(tagged));
    EXPECT_EQ(driver.control({2, 1, 5, 0}), 0);
    EXPECT_FALSE(gets(tagged));
    // A reset forgets it all.
    driver.start_net();
    next = 0;
    EXPECT_TRUE(gets(frame_to({2, 9, 9, 9, 9, 9}, 60)));
    EXPECT_EQ(driver.device.read(0x100, 4), 0x1200'5452u);
    EXPECT_FALSE(driver.broken());
}

TEST_F(NetDevice, ManyAddressesLetAllPass) {
    driver.start_net();
    EXPECT_EQ(driver.control({0, 0, 0}), 0);
    Bytes table{1, 0, 65, 0, 0, 0};
    for (unsigned i = 0; i < 65; i++) table.insert(table.end(), {2, 0, 0, 0, 1, static_cast<uint8_t>(i)});
    table.insert(table.end(), {0, 0, 0, 0});
    EXPECT_EQ(driver.control(table), 0);
    driver.offer_room(0);
    network.receive(frame_to({2, 0, 0, 0, 0, 9}, 60));
    EXPECT_EQ(driver.used_count(0), 1);
}

TEST_F(NetDevice, RefusesCommandsWithoutTheirForm) {
    driver.start_net();
    const Bytes wrong[] = {{0},
                           {0, 0},
                           {0, 0, 1, 1},
                           {0, 6, 1},
                           {1, 0},
                           {1, 0, 1, 0, 0, 0},
                           {1, 0, 0, 0, 0, 0},
                           {1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
                           {1, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f},
                           {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                           {1, 1, 2, 0, 0, 0, 0},
                           {1, 1, 2, 0, 0, 0, 0, 7, 8},
                           {1, 2, 0},
                           {2, 0, 0},
                           {2, 0, 0, 0x10},
                           {2, 2, 0, 0},
                           {3, 0},
                           {4, 0, 1, 0},
                           {255, 255, 255}};
    for (const Bytes& command : wrong)
        EXPECT_EQ(driver.control(command), 1) << testing::PrintToString(command);
    EXPECT_FALSE(driver.broken());
    EXPECT_EQ(driver.device.read(0x100, 4), 0x1200'5452u);
    driver.start_net(NetDriver::kAll &
                     ~(NetDriver::kControlRx | NetDriver::kControlVlan | NetDriver::kControlMac));
    EXPECT_EQ(driver.control({0, 0, 0}), 1) << "not negotiated";
    EXPECT_EQ(driver.control({1, 1, 2, 0, 0, 0, 0, 7}), 1);
    EXPECT_EQ(driver.control({2, 0, 5, 0}), 1);
    // Nowhere to answer.
    driver.describe_in(2, 0, driver.kData, 3, 0);
    driver.offer_in(2, 0);
    EXPECT_TRUE(driver.broken());
}

// ---- state

TEST_F(NetDevice, MovesWithWhatTheDriverHasSaid) {
    driver.start_net();
    EXPECT_EQ(driver.control({0, 0, 0}), 0);
    EXPECT_EQ(driver.control({1, 1, 2, 0, 0, 0, 0, 7}), 0);
    driver.send(0, {}, frame_to(kGuest, 60));  // nobody has taken it yet
    driver.offer_room(0);
    driver.device.quiesce();
    network.receive(frame_to({2, 0, 0, 0, 0, 7}, 60));
    EXPECT_EQ(driver.used_count(0), 0) << "the machine stands";
    const auto stream = test::save(driver.device);

    FakeNetwork there;
    NetDriver moved(there);
    std::ranges::copy(driver.ram, moved.ram.begin());
    moved.device.quiesce();
    ASSERT_EQ(test::load(moved.device, stream), "");
    moved.device.resume();
    there.run();
    ASSERT_EQ(there.sent.size(), 1u);
    EXPECT_EQ(moved.device.read(0x100, 1), 2u);
    there.receive(frame_to(kGuest, 60));
    EXPECT_EQ(moved.used_count(0), 0) << "filtered, as before";
    there.receive(frame_to({2, 0, 0, 0, 0, 7}, 60));
    EXPECT_EQ(moved.used_count(0), 1);
    // Here everything goes on as well, with what came meanwhile.
    driver.device.resume();
    network.run();
    EXPECT_EQ(driver.used_count(0), 1);
    EXPECT_EQ(network.sent.size(), 1u);

    std::mt19937_64 random(3);
    test::survives_damage(stream, random, [&](const std::vector<uint8_t>& damaged) {
        FakeNetwork network;
        NetDriver driver(network);
        const bool loaded = test::load(driver.device, damaged).empty();
        driver.device.resume();
        network.run();
        network.receive(frame_to(kGuest, 2000));
        driver.start_net();
        driver.offer_room(0);
        network.receive(frame_to(kGuest, 60));
        EXPECT_EQ(driver.used_count(0), 1);
        return loaded;
    });
}

// ---- drivers that break the rules, while the network is at work

TEST(NetDeviceHostile, ResetsInFlight) {
    EchoNetwork network;
    NetDriver driver(network);
    for (unsigned round = 0; round < 300; round++) {
        driver.start_net();
        for (unsigned i = 0; i < 8; i++) driver.offer_room(i);
        for (unsigned i = 0; i < 8; i++) driver.send(i, {}, frame_to(kGuest, 60 + round));
        if (round % 3 == 0) {
            EXPECT_TRUE(eventually([&] { return driver.used_count(0) != 0; }));
        }
        driver.set(0x70, 0);
        // From here on nobody writes to the guest's memory.
        std::memset(driver.ram.data(), 0xa5, driver.ram.size());
        if (round % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(2));
        EXPECT_TRUE(std::ranges::all_of(driver.ram, [](uint8_t byte) { return byte == 0xa5; })) << round;
    }
    EXPECT_GT(network.frames, 100u);
    driver.device.quiesce();
    driver.device.resume();
}

TEST(NetDeviceHostile, RandomRingsAreSurvived) {
#ifdef __SANITIZE_THREAD__
    GTEST_SKIP() << "the driver writes to its rings while the device reads them, which is a guest's right "
                    "and a race here";
#endif
    EchoNetwork network;
    NetDriver driver(network);
    std::mt19937_64 random(7);
    for (unsigned round = 0; round < 400; round++) {
        driver.start_net((NetDriver::kAll & random()) | random() % 2 * virtio::kFeatureEventIndex |
                         random() % 2 * virtio::kFeatureIndirect);
        for (unsigned step = 0; step < 40; step++) {
            const auto queue = static_cast<unsigned>(random() % 3);
            const auto i = static_cast<unsigned>(random() % driver.size);
            static constexpr uint32_t kLengths[] = {0, 1, 11, 12, 13, 60, 4096, 65565, 0xc'0000, 0xffff'ffff};
            const uint64_t address = random() % 8 != 0 ? driver.kData + random() % 0xe'0000 : random();
            driver.describe_in(queue, i, address, kLengths[random() % std::size(kLengths)],
                               static_cast<uint16_t>(random() % 8),
                               static_cast<uint16_t>(random() % (driver.size + 1u)));
            if (random() % 4 == 0) driver.at<uint64_t>(driver.kData + random() % 0x1000 * 8) = random();
            driver.offer_in(queue, static_cast<uint16_t>(random() % (driver.size + 2u)), random() % 2 != 0);
            if (random() % 64 == 0)
                driver.at<uint16_t>(NetDriver::available(queue) + 2) = static_cast<uint16_t>(random());
            if (random() % 64 == 0) driver.device.write(random() % 0x120, random(), 4);
        }
    }
    driver.start_net();
    for (unsigned i = 0; i < 4; i++) driver.offer_room(i);
    driver.send(0, {}, frame_to(kGuest, 500));
    EXPECT_TRUE(eventually([&] { return driver.used_count(0) == 1; })) << "a reset mends it";
}

}  // namespace
}  // namespace arclight::devices
