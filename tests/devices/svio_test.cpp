// The device thread of self-virtualized I/O: how it shares itself, its networks and disks.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "devices/svio/disk.h"
#include "devices/svio/network.h"
#include "devices/svio/segmentation.h"
#include "tests/devices/svio_server.h"

namespace arclight::devices {
namespace {

using namespace svio;
using namespace test;
using Bytes = SvioGuest::Bytes;
using virtio::MacAddress, virtio::NetHeader;

constexpr int64_t kSecond = 1'000'000'000;

// ---- shares

TEST(SvioTokenBucket, HoldsARateAndABurst) {
    TokenBucket bucket;
    bucket.set(1000, 500, 0);
    EXPECT_EQ(bucket.ready_at(0), 0);
    bucket.take(500);
    EXPECT_EQ(bucket.ready_at(0), 1'000'000 / 1'000'000);  // the next part of a token
    EXPECT_EQ(bucket.ready_at(kSecond / 10), kSecond / 10);
    // More than there is may be taken, and is owed: 1000 of 100 are 900 at 1000 a second.
    bucket.take(1000);
    EXPECT_NEAR(static_cast<double>(bucket.ready_at(kSecond / 10)), 1e9, 2);
    EXPECT_EQ(bucket.ready_at(kSecond + 1), kSecond + 1);
    // What nobody takes does not add up to more than a burst, however long.
    EXPECT_EQ(bucket.ready_at(kSecond * 100'000), kSecond * 100'000);
    bucket.take(500 + 1000);
    EXPECT_NEAR(static_cast<double>(bucket.ready_at(kSecond * 100'000)), 1e9 * 100'001, 2);
}

TEST(SvioTokenBucket, IsFullAfterYears) {
    TokenBucket bucket;
    bucket.set(1, 1, 0);
    bucket.take(uint64_t{1} << 26);
    constexpr int64_t kYears = kSecond * 3600 * 24 * 365 * 200;
    EXPECT_EQ(bucket.ready_at(kYears), kYears);
    bucket.set(TokenBucket::kMaxRate, 1, 0);
    EXPECT_EQ(bucket.ready_at(kYears), kYears);
}

TEST(SvioTokenBucket, WithoutARateIsAlwaysReady) {
    TokenBucket bucket;
    bucket.take(uint64_t{1} << 60);
    EXPECT_EQ(bucket.ready_at(7), 7);
    bucket.set(TokenBucket::kMaxRate, uint64_t{1} << 32, 0);
    bucket.take(uint64_t{1} << 32);
    EXPECT_EQ(bucket.ready_at(kSecond), kSecond);
}

TEST(SvioFairClock, SharesByWeight) {
    FairClock clock;
    FairClock::Flow one{.weight = 1}, three{.weight = 3};
    uint64_t cost_one = 0, cost_three = 0;
    for (unsigned i = 0; i < 4000; ++i) {
        const bool first = clock.start(one) < clock.start(three);
        const uint64_t cost = first ? 1500 : 100 + i % 1000;  // sizes do not matter
        clock.charge(first ? one : three, cost);
        (first ? cost_one : cost_three) += cost;
    }
    EXPECT_NEAR(static_cast<double>(cost_three) / static_cast<double>(cost_one), 3, 0.02);
}

TEST(SvioFairClock, ALightFlowIsNextAndSavesNothing) {
    FairClock clock;
    FairClock::Flow greedy, light;
    for (unsigned i = 0; i < 1000; ++i) clock.charge(greedy, 10'000);
    // It was silent and goes first, but then it has no more claim than the other.
    EXPECT_LT(clock.start(light), clock.start(greedy));
    clock.charge(light, 10'000);
    unsigned turns = 0;
    for (unsigned i = 0; i < 100; ++i) {
        FairClock::Flow& next = clock.start(light) < clock.start(greedy) ? light : greedy;
        turns += &next == &light ? 1 : 0;
        clock.charge(next, 10'000);
    }
    EXPECT_NEAR(turns, 50, 1);
}

// ---- frames

/// TCP over IPv4 with `data` bytes, which count up.
Bytes tcp_segment(size_t data, uint8_t flags) {
    Bytes frame = frame_to(kB, kA, 20 + 20 + data);
    frame[12] = 8, frame[13] = 0;
    uint8_t* ip = &frame[14];
    std::memset(ip, 0, 40);
    const size_t length = 40 + data;
    ip[0] = 0x45, ip[2] = static_cast<uint8_t>(length >> 8), ip[3] = static_cast<uint8_t>(length);
    ip[4] = 0x12, ip[5] = 0xff, ip[8] = 64, ip[9] = 6;
    ip[12] = 10, ip[15] = 1, ip[16] = 10, ip[19] = 2;
    ip[20 + 4] = 0xff, ip[20 + 5] = 0xff, ip[20 + 6] = 0xff, ip[20 + 7] = 0xf0;  // the sequence wraps
    ip[20 + 12] = 0x50, ip[20 + 13] = flags;
    for (size_t i = 0; i < data; ++i) ip[40 + i] = static_cast<uint8_t>(i * 7);
    return frame;
}

TEST(SvioSegmentation, CutsATcpSegment) {
    constexpr uint8_t kFinPushAck = 0x19;
    const Bytes frame = tcp_segment(2500, kFinPushAck);
    std::vector<Bytes> parts;
    ASSERT_TRUE(cut_segment(
        frame, 1000, 12, [&](std::span<uint8_t> one) { parts.emplace_back(one.begin() + 12, one.end()); }));
    ASSERT_EQ(parts.size(), 3u);
    size_t at = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
        const auto tcp = virtio::find_tcp(parts[i]);
        ASSERT_TRUE(tcp);
        const auto part = std::span<const uint8_t>(parts[i]);
        const size_t bytes = part.size() - tcp->data;
        EXPECT_EQ(bytes, i == 2 ? 500u : 1000u);
        EXPECT_EQ(part[14 + 2] << 8 | part[14 + 3], static_cast<int>(part.size()) - 14);
        EXPECT_EQ(part[14 + 4] << 8 | part[14 + 5], 0x12ff + static_cast<int>(i));
        EXPECT_EQ(virtio::checksum_sum(part.subspan(14, 20)), 0xffff);
        EXPECT_EQ(
            virtio::checksum_sum(part.subspan(34), virtio::tcp_pseudo_sum(part, *tcp, part.size() - 34)),
            0xffff);
        const uint32_t sequence = uint32_t{part[38]} << 24 | part[39] << 16 | part[40] << 8 | part[41];
        EXPECT_EQ(sequence, 0xffff'fff0u + static_cast<uint32_t>(at));
        EXPECT_EQ(part[47], i == 2 ? kFinPushAck : 0x10);
        EXPECT_TRUE(std::equal(part.begin() + 54, part.end(), frame.begin() + 54 + static_cast<int>(at)));
        at += bytes;
    }
    EXPECT_FALSE(cut_segment(frame_to(kA, kB), 1000, 12, [](std::span<uint8_t>) {}));
    EXPECT_FALSE(cut_segment(frame, 0, 12, [](std::span<uint8_t>) {}));
}

// ---- the device thread

TEST(Svio, AnEchoReturnsWhatIsSent) {
    for (const unsigned poll_us : {0u, 1'000'000u}) {
        Server server(Network::Mode::Echo, poll_us);
        const Address address = server.add({.name = "a"});
        SvioGuest guest(address);
        guest.offer_room(8);
        for (unsigned i = 0; i < 200; ++i) {
            guest.send(frame_to(kB, kA, 46 + i, static_cast<uint8_t>(i)));
            ASSERT_TRUE(guest.wait_used(0, static_cast<uint16_t>(i + 1)));
            EXPECT_EQ(guest.received(i), frame_to(kA, kB, 46 + i, static_cast<uint8_t>(i)));
            guest.offer_room(1);
        }
        EXPECT_TRUE(guest.wait_signal(0, SvioGuest::kCall));
        const auto report = server.of("a");
        EXPECT_EQ(report.counts.sent, 200u);
        EXPECT_EQ(report.counts.received, 200u);
        EXPECT_EQ(report.counts.lost + report.counts.refused, 0u);
        // While it looks by itself, nobody has to notify it.
        if (poll_us != 0) {
            EXPECT_LT(guest.kicks, 100u);
        }
    }
}

TEST(Svio, ASwitchHandsFramesToWhoseTheyAre) {
    Server server(Network::Mode::Switch);
    const Address at_a = server.add({.name = "a"}), at_b = server.add({.name = "b"}),
                  at_c = server.add({.name = "c"});
    SvioGuest a(at_a), b(at_b), c(at_c);
    for (SvioGuest* guest : {&a, &b, &c}) guest->offer_room(16);
    a.send(frame_to(kB, kA));  // nobody knows B: to all
    ASSERT_TRUE(b.wait_used(0, 1) && c.wait_used(0, 1));
    b.send(frame_to(kA, kB));
    ASSERT_TRUE(a.wait_used(0, 1));
    a.send(frame_to(kB, kA, 100));
    ASSERT_TRUE(b.wait_used(0, 2));
    EXPECT_EQ(b.received(1), frame_to(kB, kA, 100));
    a.send(frame_to(kAll, kA));
    ASSERT_TRUE(b.wait_used(0, 3) && c.wait_used(0, 2));
    EXPECT_EQ(c.received(1), frame_to(kAll, kA));
    EXPECT_EQ(a.used_count(0), 1);
    // C does not become B.
    c.send(frame_to(kA, kB));
    c.send(frame_to(kA, kC));
    ASSERT_TRUE(a.wait_used(0, 2));
    EXPECT_EQ(a.received(1), frame_to(kA, kC));
    EXPECT_EQ(server.of("c").counts.refused, 1u);
}

TEST(Svio, AnAddressCanBeAnInterfacesAlone) {
    Server server(Network::Mode::Switch);
    const Address at_a = server.add({.name = "a", .port = {.mac = kA}}), at_b = server.add({.name = "b"});
    Address other;
    const auto again = server.device->add({.name = "c", .port = {.mac = kA}}, other.listener);
    EXPECT_EQ(again.error(), "the address 02:00:00:00:00:01 is another interface's");
    close(other.listener);
    SvioGuest a(at_a), b(at_b);
    a.offer_room(4), b.offer_room(4);
    b.send(frame_to(kAll, kA));  // before A has said anything
    a.send(frame_to(kAll, kC));
    a.send(frame_to(kAll, kA));
    ASSERT_TRUE(b.wait_used(0, 1));
    EXPECT_EQ(b.received(0), frame_to(kAll, kA));
    ASSERT_TRUE(server.until("b", [](const auto& r) { return r.counts.refused == 1; }));
    EXPECT_EQ(server.of("a").counts.refused, 1u);
    EXPECT_EQ(a.used_count(0), 0);
}

TEST(Svio, FramesWaitForRoom) {
    Server server(Network::Mode::Echo);
    SvioGuest guest(server.add({.name = "a"}));
    guest.offer_room(1, 600);
    for (unsigned i = 0; i < 3; ++i) guest.send(frame_to(kB, kA, 1000));  // two buffers each
    ASSERT_TRUE(guest.wait_used(1, 3));
    EXPECT_EQ(guest.used_count(0), 0);
    for (unsigned i = 0; i < 5; ++i) guest.offer_room(1, 600);
    ASSERT_TRUE(guest.wait_used(0, 6));
    EXPECT_EQ(guest.used_size(0, 0), 600u);
    EXPECT_EQ(guest.used_size(0, 1), 1014u + 12 - 600);
    EXPECT_EQ(server.of("a").counts.received, 3u);
    EXPECT_EQ(server.of("a").counts.lost, 0u);
}

TEST(Svio, OnlyAMegabyteWaits) {
    Server server(Network::Mode::Echo);
    SvioGuest guest(server.add({.name = "a"}));
    for (uint16_t i = 0; i < 400; ++i) {
        guest.send(frame_to(kB, kA, 4000 - 14 - 12));
        ASSERT_TRUE(guest.wait_used(1, static_cast<uint16_t>(i + 1)));
    }
    EXPECT_EQ(server.of("a").counts.lost, 400u - (1 << 20) / 4000);
}

TEST(Svio, ADriverWithoutOffloadsGetsWholePackets) {
    Server server(Network::Mode::Switch);
    const Address at_a = server.add({.name = "a"}), at_b = server.add({.name = "b"});
    SvioGuest a(at_a), b(at_b, virtio::kNetFeatureMac & 0);
    b.offer_room(8);
    NetHeader header{};
    header.flags = NetHeader::kNeedsChecksum;
    header.checksum_start = 34, header.checksum_offset = 16;
    header.gso_type = NetHeader::kGsoTcp4, header.gso_size = 1000;
    Bytes large = tcp_segment(2500, 0x10);
    const auto tcp = virtio::find_tcp(large);
    ASSERT_TRUE(tcp);
    a.send(large, header);
    ASSERT_TRUE(b.wait_used(0, 3));
    // One checksum is missing, of what is not large.
    Bytes small = tcp_segment(100, 0x10);
    const uint16_t pseudo = virtio::tcp_pseudo_sum(small, *tcp, small.size() - 34);
    std::memcpy(&small[34 + 16], &pseudo, sizeof pseudo);
    header.gso_type = NetHeader::kGsoNone, header.gso_size = 0;
    a.send(small, header);
    ASSERT_TRUE(b.wait_used(0, 4));
    for (unsigned i = 0; i < 4; ++i) {
        const Bytes got = b.received(i);
        const auto part = std::span<const uint8_t>(got);
        EXPECT_EQ(
            virtio::checksum_sum(part.subspan(34), virtio::tcp_pseudo_sum(part, *tcp, part.size() - 34)),
            0xffff);
    }
    // Words about checksums that lie outside of the frame.
    header.checksum_start = 5000;
    a.send(small, header);
    ASSERT_TRUE(server.until("a", [](const auto& r) { return r.counts.refused == 1; }));
    EXPECT_EQ(b.used_count(0), 4);
}

TEST(Svio, ARateHoldsBack) {
    Server server(Network::Mode::Echo);
    const Address address = server.add({.name = "a", .rate = 1, .burst = 1000});
    SvioGuest guest(address);
    guest.offer_room(16);
    guest.send(frame_to(kB, kA, 2000));  // owes a thousand seconds
    ASSERT_TRUE(guest.wait_used(0, 1));
    guest.send(frame_to(kB, kA));
    // What others ask is answered meanwhile.
    for (unsigned i = 0; i < 5; ++i) EXPECT_EQ(server.of("a").counts.sent, 1u);
    EXPECT_TRUE(server.device->change({.name = "a", .weight = 5}));
    ASSERT_TRUE(guest.wait_used(0, 2));
    EXPECT_EQ(server.of("a").options.weight, 5u);
}

TEST(Svio, InterfacesComeAndGo) {
    Server server(Network::Mode::Switch);
    EXPECT_EQ(server.device->remove("a").error(), "there is no interface 'a'");
    EXPECT_EQ(server.device->change({.name = "a"}).error(), "there is no interface 'a'");
    {
        const Address at_a = server.add({.name = "a"});
        Address again;
        EXPECT_EQ(server.device->add({.name = "a"}, again.listener).error(), "there is an interface 'a'");
        close(again.listener);
        SvioGuest guest(at_a);
        EXPECT_TRUE(server.of("a").connected);
        // One guest at a time.
        const int second = at_a.connect();
        char byte;
        EXPECT_EQ(recv(second, &byte, 1, 0), 0);
        close(second);
        ASSERT_TRUE(server.device->remove("a"));
        pollfd gone{guest.connection->socket(), POLLIN, 0};
        EXPECT_EQ(poll(&gone, 1, 60'000), 1);
        EXPECT_FALSE(guest.connection->serve());
    }
    const Address at_a = server.add({.name = "a"});
    for (unsigned i = 0; i < 3; ++i) {
        // The next guest of the same interface.
        SvioGuest guest(at_a);
        EXPECT_TRUE(server.of("a").connected);
        guest.send(frame_to(kB, kA));
        EXPECT_TRUE(guest.wait_used(1, 1));
        guest.connection.reset();
        EXPECT_TRUE(server.until("a", [](const auto& r) { return !r.connected; }));
    }
    std::vector<Address> rest(DeviceThread::kMaxInterfaces);
    for (size_t i = 1; i < DeviceThread::kMaxInterfaces; ++i)
        EXPECT_TRUE(server.device->add({.name = std::to_string(i)}, rest[i].listener));
    EXPECT_EQ(server.device->add({.name = "x"}, rest[0].listener).error(), "there are 64 interfaces");
    close(rest[0].listener);
}

TEST(Svio, ARingThatStopsGoesOnWhereItStood) {
    Server server(Network::Mode::Echo);
    SvioGuest guest(server.add({.name = "a"}));
    guest.offer_room(8);
    guest.send(frame_to(kB, kA));
    ASSERT_TRUE(guest.wait_used(0, 1));
    const auto position = guest.connection->stop_ring(1);
    ASSERT_TRUE(position);
    EXPECT_EQ(*position, 1);
    guest.send(frame_to(kB, kA, 60));
    EXPECT_EQ(server.of("a").counts.sent, 1u);
    ASSERT_TRUE(guest.connection->start_ring(
        1, {SvioGuest::kEntries, SvioGuest::table(1), SvioGuest::available(1), SvioGuest::used(1), *position},
        guest.signals[1][0], guest.signals[1][1], guest.signals[1][2]));
    ASSERT_TRUE(guest.wait_used(0, 2));
    EXPECT_EQ(guest.received(1), frame_to(kA, kB, 60));
}

// ---- parts of a disk

struct Silent final : MachineHost {
    void say(const std::string&) override {}
    void pause(const std::string&) override {}
};

TEST(Svio, InterfacesArePartsOfADisk) {
    const std::string path = testing::TempDir() + "svio_disk";
    {
        std::ofstream file(path, std::ios::binary);
        for (unsigned i = 0; i < 64; ++i) file << std::string(512, static_cast<char>('A' + i % 26));
    }
    Silent host;
    auto disk = DiskResource::open(path, {.raw = true}, &host);
    ASSERT_TRUE(disk) << disk.error();
    Server server(std::move(*disk));
    const Address at_a = server.add({.name = "a", .port = {.size = 8192}}),
                  at_b = server.add({.name = "b", .port = {.offset = 8192}});
    const auto refuse = [&](const PortOptions& port, const std::string& why) {
        Address other;
        EXPECT_EQ(server.device->add({.name = "c", .port = port}, other.listener).error(), why);
        close(other.listener);
    };
    refuse({.offset = 4096, .size = 512}, "the part from 4096 of 512 bytes is in another interface's too");
    refuse({.offset = 100, .size = 512}, "offset and size are no whole sectors of 512 bytes");
    refuse({.offset = 32256, .size = 1024},
           "the part from 32256 of 1024 bytes is not in the image, which has 32768");
    constexpr uint64_t kFlush = 1 << 9;
    SvioGuest a(at_a, kFlush, 1, 60), b(at_b, kFlush, 1, 60);
    uint64_t capacity = 0;
    std::memcpy(&capacity, b.connection->config().data(), sizeof capacity);
    EXPECT_EQ(capacity, 48u);
    // A request in three descriptors: header, data, status.
    const auto request = [](SvioGuest& guest, uint32_t type, uint64_t sector, uint8_t fill) {
        const uint16_t before = guest.used_count(0);
        guest.at<uint32_t>(SvioGuest::buffer(0, 0)) = type;
        guest.at<uint64_t>(SvioGuest::buffer(0, 0) + 8) = sector;
        std::memset(&guest.at<uint8_t>(SvioGuest::buffer(0, 1)), fill, 512);
        guest.at<uint8_t>(SvioGuest::buffer(0, 2)) = 0xee;
        guest.describe(0, 0, SvioGuest::buffer(0, 0), 16, 1, 1);
        guest.describe(0, 1, SvioGuest::buffer(0, 1), 512, type == 0 ? 3 : 1, 2);
        guest.describe(0, 2, SvioGuest::buffer(0, 2), 1, 2);
        guest.offer(0, 0);
        EXPECT_TRUE(guest.wait_used(0, static_cast<uint16_t>(before + 1)));
        return guest.at<uint8_t>(SvioGuest::buffer(0, 2));
    };
    EXPECT_EQ(request(b, 0, 1, 0), 0);
    EXPECT_EQ(b.at<uint8_t>(SvioGuest::buffer(0, 1)), 'A' + 17);
    EXPECT_EQ(request(a, 1, 15, 'x'), 0);
    EXPECT_EQ(request(b, 1, 0, 'y'), 0);
    EXPECT_EQ(request(a, 0, 16, 0), 1);  // what is behind its part is none of it
    std::ifstream file(path, std::ios::binary);
    const std::string content((std::istreambuf_iterator<char>(file)), {});
    EXPECT_EQ(content.substr(7680, 1024), std::string(512, 'x') + std::string(512, 'y'));
    EXPECT_EQ(server.of("a").counts.sent, 2u);
    // A request that is none.
    a.describe(0, 0, SvioGuest::buffer(0, 0), 8, 0);
    a.offer(0, 0);
    EXPECT_TRUE(server.until("a", [](const auto& r) { return r.failed; }));
    EXPECT_EQ(request(b, 0, 0, 0), 0);
    std::filesystem::remove(path);
}

}  // namespace
}  // namespace arclight::devices
