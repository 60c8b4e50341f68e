// The device thread of self-virtualized I/O: how it shares itself, and guests of it that are good and bad.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "devices/svio/disk.h"
#include "devices/svio/network.h"
#include "devices/svio/segmentation.h"
#include "host/crash_report.h"
#include "host/send_files.h"
#include "tests/devices/svio_guest.h"

namespace arclight::devices {
namespace {

using namespace svio;
using test::Address, test::SvioGuest;
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

Bytes frame_to(const MacAddress& to, const MacAddress& from, size_t data = 46, uint8_t fill = 7) {
    Bytes frame(to.begin(), to.end());
    frame.insert(frame.end(), from.begin(), from.end());
    frame.insert(frame.end(), {0x88, 0xb5});
    frame.resize(14 + data, fill);
    return frame;
}
constexpr MacAddress kA{2, 0, 0, 0, 0, 1}, kB{2, 0, 0, 0, 0, 2}, kC{2, 0, 0, 0, 0, 3},
    kAll{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

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

struct Server {
    explicit Server(std::unique_ptr<Resource> resource, unsigned poll_us = 0) {
        static const bool reporting = (host::report_crashes("test", 0, nullptr), true);
        EXPECT_TRUE(reporting);
        auto started = DeviceThread::start(std::move(resource), {.poll = std::chrono::microseconds(poll_us),
                                                                 .say = [this](const std::string& line) {
                                                                     const std::lock_guard guard(lock);
                                                                     said.push_back(line);
                                                                 }});
        EXPECT_TRUE(started);
        device = std::move(*started);
    }
    explicit Server(Network::Mode mode, unsigned poll_us = 0)
        : Server(std::make_unique<Network>(mode), poll_us) {}

    Address add(const InterfaceOptions& options) {
        Address address;
        const auto added = device->add(options, address.listener);
        EXPECT_TRUE(added) << added.error();
        return address;
    }
    DeviceThread::InterfaceReport of(const std::string& name) {
        for (const auto& one : device->report().interfaces)
            if (one.options.name == name) return one;
        ADD_FAILURE() << "no interface " << name;
        return {};
    }
    template <typename Holds>
    bool until(const std::string& name, Holds holds) {
        for (unsigned i = 0; i < 6000; ++i) {
            if (holds(of(name))) return true;
            usleep(10'000);
        }
        return false;
    }
    std::string line() {
        const std::lock_guard guard(lock);
        return said.empty() ? "" : said.back();
    }

    std::mutex lock;
    std::vector<std::string> said;
    std::unique_ptr<DeviceThread> device;
};

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

// ---- bad guests

/// Does something bad as `bad`; the interface fails, and another one goes on.
template <typename Bad>
void expect_failure_of_one(Bad bad) {
    Server server(Network::Mode::Echo);
    const Address at_bad = server.add({.name = "bad"}), at_good = server.add({.name = "good"});
    SvioGuest worse(at_bad), good(at_good);
    bad(worse);
    EXPECT_TRUE(server.until("bad", [](const auto& r) { return r.failed; }));
    EXPECT_TRUE(worse.wait_error());
    good.offer_room(2);
    good.send(frame_to(kB, kA));
    EXPECT_TRUE(good.wait_used(0, 1));
    EXPECT_FALSE(server.of("good").failed);
}

TEST(Svio, ABadDescriptorCostsOneInterface) {
    using Guest = SvioGuest;
    struct Case {
        uint64_t address;
        uint32_t length;
        uint16_t flags, next;
    };
    constexpr uint64_t kEnd = Guest::kBase + Guest::kRamSize;
    for (const Case& c : {Case{0, 100, 0, 0}, Case{kEnd - 50, 100, 0, 0}, Case{~uint64_t{0}, 100, 0, 0},
                          Case{Guest::kBase, 100, 1, 200}, Case{Guest::kBase, 100, 1, 0},
                          Case{kEnd - 8, 32, 4, 0}, Case{Guest::kBase, 100, 2, 0}})
        expect_failure_of_one([&](Guest& guest) {
            guest.describe(1, 0, c.address, c.length, c.flags, c.next);
            guest.offer(1, 0);
            guest.kick(1);
        });
    // More requests than the ring has.
    expect_failure_of_one([](Guest& guest) {
        guest.at<uint16_t>(Guest::available(1) + 2) = 1000;
        guest.kick(1);
    });
    // A buffer for frames that is to be read, or lies elsewhere.
    for (const Case& c : {Case{Guest::kBase, 100, 0, 0}, Case{kEnd, 4096, 2, 0}})
        expect_failure_of_one([&](Guest& guest) {
            guest.describe(0, 0, c.address, c.length, c.flags, c.next);
            guest.offer(0, 0);
            guest.send(frame_to(kB, kA));
            guest.kick(1);
        });
}

TEST(Svio, MemoryThatIsTakenAwayCostsOneInterface) {
    expect_failure_of_one([](SvioGuest& guest) {
        guest.send(frame_to(kB, kA));
        ASSERT_TRUE(guest.wait_used(1, 1));
        ASSERT_EQ(ftruncate(guest.ram.file(), 0), 0);
        for (unsigned i = 0; i < 2; ++i) guest.kick(i);
    });
}

/// A front end that says something of its own.
struct Speaker {
    explicit Speaker(const Address& address) : socket(address.connect()) {}
    ~Speaker() { close(socket); }
    void say(uint32_t request, std::span<const uint8_t> payload, std::vector<int> files = {},
             uint32_t flags = vhost_user::kVersion) {
        const vhost_user::Header header{request, flags, static_cast<uint32_t>(payload.size())};
        Bytes all(sizeof header + payload.size());
        std::memcpy(all.data(), &header, sizeof header);
        std::ranges::copy(payload, all.begin() + sizeof header);
        ASSERT_EQ(host::send_with_files(socket, all, files), static_cast<ssize_t>(all.size()));
    }
    template <typename T>
    void say(vhost_user::Request request, const T& payload, std::vector<int> files = {}) {
        say(static_cast<uint32_t>(request), {reinterpret_cast<const uint8_t*>(&payload), sizeof payload},
            std::move(files));
    }
    bool hung_up() const {
        pollfd waits{socket, POLLIN, 0};
        char byte;
        return poll(&waits, 1, 60'000) == 1 && recv(socket, &byte, 1, 0) <= 0;
    }
    const int socket;
};

TEST(Svio, AFrontEndThatMakesNoSenseLosesItsConnection) {
    using vhost_user::Request;
    Server server(Network::Mode::Echo);
    const Address address = server.add({.name = "a"});
    const test::TestRam ram(1 << 16);
    const int event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), file = open("/proc/self/exe", O_RDONLY);
    std::array<int, 2> ends{};
    ASSERT_EQ(pipe(ends.data()), 0);
    const vhost_user::MemoryTable good{1, 0, 0x1000, 1 << 16, 0x1000, 0};
    const auto expect = [&](const std::string& why, auto say) {
        Speaker speaker(address);
        say(speaker);
        EXPECT_TRUE(speaker.hung_up()) << why;
        EXPECT_TRUE(server.until("a", [](const auto& r) { return !r.connected; }));
        EXPECT_EQ(server.line(), "interface 'a': " + why);
    };
    const auto memory = [](uint64_t guest, uint64_t size, uint64_t offset) {
        return vhost_user::MemoryTable{1, 0, guest, size, 0x1000, offset};
    };
    expect("the front end does not speak vhost-user", [](Speaker& s) { s.say(1, {}, {}, 2); });
    expect("the front end sends message 99", [](Speaker& s) { s.say(99, {}); });
    expect("the front end wants features that were not offered",
           [](Speaker& s) { s.say(Request::SetFeatures, ~uint64_t{0}); });
    expect("the front end has memory of 0 regions",
           [](Speaker& s) { s.say(Request::SetMemTable, uint64_t{0}); });
    expect("its memory has 1 regions and 0 files", [&](Speaker& s) { s.say(Request::SetMemTable, good); });
    expect("its memory is no memory file", [&](Speaker& s) { s.say(Request::SetMemTable, good, {ends[0]}); });
    expect("its memory is no memory file", [&](Speaker& s) { s.say(Request::SetMemTable, good, {file}); });
    expect("its memory is not in the file",
           [&](Speaker& s) { s.say(Request::SetMemTable, memory(0x1000, 1 << 20, 0), {ram.file()}); });
    expect("its memory is not in the file",
           [&](Speaker& s) { s.say(Request::SetMemTable, memory(0x1000, 0x1000, ~0xfffull), {ram.file()}); });
    for (const uint64_t size : {uint64_t{0}, uint64_t{100}, ~uint64_t{0xfff}})
        expect("its memory is of a size or at an address that cannot be",
               [&](Speaker& s) { s.say(Request::SetMemTable, memory(0x1000, size, 0), {ram.file()}); });
    expect("the front end has a ring 2 of 2", [](Speaker& s) {
        s.say(Request::SetVringNum, vhost_user::VringState{2, 8});
    });
    expect("the front end sends no eventfd with a ring",
           [&](Speaker& s) { s.say(Request::SetVringKick, uint64_t{0}, {ends[1]}); });
    expect("the front end sends no eventfd with a ring", [&](Speaker& s) {
        s.say(Request::SetVringCall, uint64_t{0}, {event, event});
    });
    const auto ring = [&](Speaker& s, uint32_t entries, uint64_t at,
                          uint64_t features = virtio::kFeatureVersion1) {
        s.say(Request::SetFeatures, features);
        s.say(Request::SetMemTable, good, {ram.file()});
        s.say(Request::SetVringNum, vhost_user::VringState{0, entries});
        s.say(Request::SetVringAddr, vhost_user::VringAddress{0, 0, at, at + 0x800, at + 0x400, 0});
        s.say(Request::SetVringKick, uint64_t{0}, {event});
    };
    expect("the front end's driver knows virtio 0.9 only", [&](Speaker& s) { ring(s, 8, 0x2000, 0); });
    expect("a ring is not in the front end's memory", [&](Speaker& s) { ring(s, 8, 1 << 20); });
    for (const uint32_t entries : {0u, 3u, 2048u, 0x8000'0000u})
        expect(fmt::format("a ring of {} entries cannot be, or not there", entries),
               [&](Speaker& s) { ring(s, entries, 0x2000); });
    expect("the front end changes a ring that runs", [&](Speaker& s) {
        ring(s, 8, 0x2000);
        s.say(Request::SetVringNum, vhost_user::VringState{0, 16});
    });
    for (const int fd : {event, file, ends[0], ends[1]}) close(fd);
    // None of that has cost the interface anything.
    SvioGuest guest(address);
    guest.offer_room(1);
    guest.send(frame_to(kB, kA));
    EXPECT_TRUE(guest.wait_used(0, 1));
}

TEST(Svio, MemoryMayHaveSeveralRegions) {
    using vhost_user::MappedRam, vhost_user::Region;
    const test::TestRam one(0x2000), two(0x3000);
    const std::array<int, 2> files{two.file(), one.file()};
    const std::array<Region, 2> regions{{{0x6000, 0x2000, 0x90000, 0x1000}, {0x4000, 0x2000, 0x10000, 0}}};
    const auto mapped = MappedRam::map(regions, files);
    ASSERT_TRUE(mapped);
    const auto& memory = (*mapped)->memory();
    EXPECT_TRUE(memory.contains(0x4000, 0x4000) && !memory.contains(0x3fff, 1) &&
                !memory.contains(0x8000, 1));
    EXPECT_EQ((*mapped)->guest_address(0x10008), 0x4008u);
    EXPECT_EQ((*mapped)->guest_address(0x91fff), 0x7fffu);
    EXPECT_EQ((*mapped)->guest_address(0x92000), std::nullopt);
    *memory.host(0x6000, 1) = 0x5a;
    EXPECT_EQ(two.begin()[0x1000], 0x5a);
    const std::array<Region, 2> gap{{{0x7000, 0x2000, 0x90000, 0}, {0x4000, 0x2000, 0x10000, 0}}};
    EXPECT_EQ(MappedRam::map(gap, files).error(), "its memory has a gap at 0x6000");
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
