// Guests and front ends of a device thread that are not good: they lose their own interface or connection, and nothing else.
#include <fcntl.h>
#include <gtest/gtest.h>

#include "host/send_files.h"
#include "tests/devices/svio_server.h"

namespace arclight::devices {
namespace {

using namespace svio;
using namespace test;
using Bytes = SvioGuest::Bytes;

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
    const TestRam ram(1 << 16);
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
    const TestRam one(0x2000), two(0x3000);
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

}  // namespace
}  // namespace arclight::devices
