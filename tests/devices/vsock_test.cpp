#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <filesystem>

#include "devices/vsock/device.h"
#include "tests/devices/queues_driver.h"
#include "tests/devices/state_damage.h"

namespace arclight::devices::vsock {
namespace {

using test::eventually;
using test::QueuesDriver;

constexpr uint64_t kCid = 7;
constexpr uint32_t kGuestPort = 1000, kGuestBuffer = 4096;

std::pair<int, int> socket_pair() {
    std::array<int, 2> pair{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair.data()) != 0) std::abort();
    return {pair[0], pair[1]};
}

/// A guest's side of the hub, with one socket of the host's behind each port.
struct Peers {
    ~Peers() {
        for (const auto& [port, socket] : host) close(socket);
    }
    Header header(Op op, uint32_t host_port, uint32_t flags = 0) const {
        return {.source_cid = kCid,
                .destination_cid = kHostCid,
                .source_port = kGuestPort,
                .destination_port = host_port,
                .length = 0,
                .type = kStream,
                .op = op,
                .flags = flags,
                .buffer = kGuestBuffer,
                .forwarded = forwarded};
    }
    void say(Op op, uint32_t port, std::string_view data = {}, uint32_t flags = 0) {
        hub.receive(header(op, port, flags), {reinterpret_cast<const uint8_t*>(data.data()), data.size()});
    }
    /// What the guest gets, after a look at the sockets.
    std::vector<Packet> take(size_t room = 1 << 20) {
        look();
        std::vector<Packet> all;
        for (Packet packet; hub.next(packet, room);) all.push_back(packet);
        return all;
    }
    void look() {
        std::vector<pollfd> ready;
        hub.add_to(ready, true);
        poll(ready.data(), ready.size(), 0);
        hub.serve(ready, now);
    }
    /// The one packet that there is.
    Packet only(Op op) {
        auto all = take();
        EXPECT_EQ(all.size(), 1u);
        if (all.empty()) return {};
        EXPECT_EQ(all[0].header.op, op);
        EXPECT_EQ(all[0].header.destination_cid, kCid);
        EXPECT_EQ(all[0].header.length, all[0].data.size());
        return all[0];
    }
    void connect(uint32_t port) {
        say(Op::Request, port);
        EXPECT_EQ(only(Op::Response).header.source_port, port);
    }
    std::string read(uint32_t port) {
        std::string text(1 << 20, 0);
        const ssize_t got = recv(host[port], text.data(), text.size(), MSG_DONTWAIT);
        text.resize(got > 0 ? static_cast<size_t>(got) : 0);
        return got == 0 ? "(end)" : text;
    }
    void write(uint32_t port, std::string_view text) {
        EXPECT_EQ(send(host[port], text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }
    bool listens = true;
    std::map<uint32_t, int> host;
    uint32_t forwarded = 0;
    Hub::Clock::time_point now = Hub::Clock::now();
    Hub hub{kCid, [this](uint32_t port) {
                if (!listens) return -1;
                const auto [ours, theirs] = socket_pair();
                host[port] = theirs;
                return ours;
            }};
};

std::string text_of(const Packet& packet) { return {packet.data.begin(), packet.data.end()}; }

TEST(VsockHubTest, TheGuestConnects) {
    Peers peers;
    peers.connect(5);
    peers.say(Op::Data, 5, "hello");
    EXPECT_EQ(peers.read(5), "hello");
    peers.write(5, "welcome");
    const Packet answer = peers.only(Op::Data);
    EXPECT_EQ(text_of(answer), "welcome");
    EXPECT_EQ(answer.header.forwarded, 5u);
    EXPECT_EQ(answer.header.buffer, Hub::kBuffer);
    peers.say(Op::Shutdown, 5, {}, kNoSend | kNoReceive);
    peers.only(Op::Reset);
    EXPECT_EQ(peers.read(5), "(end)");
    EXPECT_EQ(peers.hub.connections(), 0u);
}

TEST(VsockHubTest, NobodyListens) {
    Peers peers;
    peers.listens = false;
    peers.say(Op::Request, 5);
    EXPECT_EQ(peers.only(Op::Reset).header.destination_port, kGuestPort);
    EXPECT_EQ(peers.hub.connections(), 0u);
}

TEST(VsockHubTest, EachDirectionEndsByItself) {
    Peers peers;
    peers.connect(5);
    peers.say(Op::Data, 5, "question");
    peers.say(Op::Shutdown, 5, {}, kNoSend);
    EXPECT_EQ(peers.read(5), "question");
    EXPECT_EQ(peers.read(5), "(end)");
    peers.write(5, "answer");
    EXPECT_EQ(text_of(peers.only(Op::Data)), "answer");
    shutdown(peers.host[5], SHUT_WR);
    EXPECT_EQ(peers.only(Op::Shutdown).header.flags, kNoSend);

    peers.connect(6);
    peers.write(6, "last words");
    shutdown(peers.host[6], SHUT_WR);
    const auto end = peers.take();
    ASSERT_EQ(end.size(), 2u);
    EXPECT_EQ(text_of(end[0]), "last words");
    EXPECT_EQ(end[1].header.op, Op::Shutdown);
    EXPECT_EQ(end[1].header.flags, kNoSend);
    EXPECT_TRUE(peers.take().empty());
    peers.say(Op::Data, 6, "thanks");
    EXPECT_EQ(peers.read(6), "thanks");
    peers.say(Op::Shutdown, 6, {}, kNoSend);
    peers.only(Op::Reset);
    EXPECT_EQ(peers.read(6), "(end)");
}

TEST(VsockHubTest, NoMoreIsSentThanTheGuestHasRoomFor) {
    Peers peers;
    peers.connect(5);
    peers.write(5, std::string(kGuestBuffer + 100, 'x'));
    auto all = peers.take(1000);
    size_t sent = 0;
    for (const Packet& packet : all) {
        sent += packet.data.size();
        EXPECT_LE(packet.data.size(), 1000u);
    }
    EXPECT_EQ(sent, kGuestBuffer);
    EXPECT_EQ(all.back().header.op, Op::CreditRequest);
    EXPECT_TRUE(peers.take().empty());
    peers.forwarded = 60;
    peers.say(Op::CreditUpdate, 5);
    all = peers.take();
    ASSERT_FALSE(all.empty());
    EXPECT_EQ(all[0].data.size(), 60u);
    peers.forwarded = kGuestBuffer;
    peers.say(Op::CreditUpdate, 5);
    EXPECT_EQ(peers.only(Op::Data).data.size(), 40u);
}

TEST(VsockHubTest, WhatTheHostDoesNotTakeWaits) {
    Peers peers;
    peers.connect(5);
    const std::string piece(Hub::kMaxData, 'y');
    // Until the socket's own buffer is full, and then the hub's.
    uint32_t sent = 0, forwarded = 0;
    while (sent - forwarded + piece.size() <= Hub::kBuffer) {
        peers.say(Op::Data, 5, piece);
        sent += static_cast<uint32_t>(piece.size());
        for (const Packet& packet : peers.take()) forwarded = packet.header.forwarded;
        ASSERT_LT(sent, 100u << 20);
    }
    size_t got = 0;
    bool told = false;
    for (int i = 0; i < 1000 && got < sent; ++i) {
        got += peers.read(5).size();
        for (const Packet& packet : peers.take()) {
            told |= packet.header.op == Op::CreditUpdate;
            forwarded = packet.header.forwarded;
        }
    }
    EXPECT_EQ(got, sent);
    EXPECT_TRUE(told);
    EXPECT_GE(forwarded, sent - Hub::kBuffer / 2);
    // One that sends without room for it.
    for (unsigned i = 0; i < 200 && peers.hub.connections() != 0; ++i) {
        peers.say(Op::Data, 5, piece);
        if (i == 199) ADD_FAILURE() << "it goes on";
        if (!peers.hub.has_packet()) continue;
        if (peers.take().back().header.op == Op::Reset) break;
    }
    EXPECT_EQ(peers.hub.connections(), 0u);
}

TEST(VsockHubTest, CreditIsToldWhenTheGuestAsks) {
    Peers peers;
    peers.connect(5);
    peers.say(Op::Data, 5, "abc");
    peers.say(Op::CreditRequest, 5);
    EXPECT_EQ(peers.only(Op::CreditUpdate).header.forwarded, 3u);
}

TEST(VsockHubTest, TheHostConnects) {
    Peers peers;
    const auto [ours, theirs] = socket_pair();
    peers.host[0] = theirs;
    peers.hub.accept(ours);
    peers.write(0, "CONN");
    EXPECT_TRUE(peers.take().empty());
    peers.write(0, "ECT 1000\nearly");
    const Packet request = peers.only(Op::Request);
    EXPECT_EQ(request.header.destination_port, kGuestPort);
    const uint32_t port = request.header.source_port;
    EXPECT_TRUE(peers.take().empty());
    peers.say(Op::Response, port);
    EXPECT_EQ(peers.read(0), "OK " + std::to_string(port) + "\n");
    EXPECT_EQ(text_of(peers.only(Op::Data)), "early");
    close(peers.host[0]);
    peers.host.erase(0);
    EXPECT_EQ(peers.only(Op::Shutdown).header.flags, kNoSend);
    peers.say(Op::Data, port, "too late");
    EXPECT_EQ(peers.only(Op::Shutdown).header.flags, kNoSend | kNoReceive);
    peers.say(Op::Reset, port);
    EXPECT_EQ(peers.hub.connections(), 0u);
}

TEST(VsockHubTest, ClientsThatSayNothingUsefulAreSentAway) {
    Peers peers;
    uint32_t n = 0;
    for (const char* text : {"HELLO\n", "CONNECT \n", "CONNECT x\n", "CONNECT 4294967296\n", "CONNECT 1 2\n",
                             "CONNECT 00000000000000000000000000000000000000000\n", "\n"}) {
        const auto [ours, theirs] = socket_pair();
        peers.host[n] = theirs;
        peers.hub.accept(ours);
        peers.write(n, text);
        EXPECT_TRUE(peers.take().empty()) << text;
        EXPECT_EQ(peers.hub.connections(), 0u) << text;
        ++n;
    }
    // One that says nothing, and one that the guest does not answer.
    const auto [silent, silent_end] = socket_pair();
    const auto [asking, asking_end] = socket_pair();
    peers.host[n] = silent_end, peers.host[n + 1] = asking_end;
    peers.hub.accept(silent);
    peers.hub.accept(asking);
    peers.write(n + 1, "CONNECT 1000\n");
    peers.only(Op::Request);
    EXPECT_TRUE(peers.hub.has_deadlines());
    peers.now += Hub::kPatience + std::chrono::seconds(2);
    peers.look();
    EXPECT_EQ(peers.read(n), "(end)");
    EXPECT_EQ(peers.read(n + 1), "(end)");
    peers.only(Op::Reset);
    EXPECT_FALSE(peers.hub.has_deadlines());
    EXPECT_EQ(peers.hub.connections(), 0u);
}

TEST(VsockHubTest, AGuestThatBreaksTheRulesHarmsItself) {
    Peers peers;
    // To what is not there, by what it is not.
    peers.say(Op::Data, 9, "x");
    peers.only(Op::Reset);
    peers.say(Op::Reset, 9);
    EXPECT_TRUE(peers.take().empty());
    Header odd = peers.header(Op::Request, 9);
    odd.type = 2;
    peers.hub.receive(odd, {});
    EXPECT_EQ(peers.only(Op::Reset).header.type, 2u);
    odd = peers.header(Op::Request, 9);
    odd.destination_cid = 99;
    peers.hub.receive(odd, {});
    EXPECT_EQ(peers.take().size(), 1u);
    EXPECT_EQ(peers.hub.connections(), 0u);
    // A connection that is there: a second request, an answer to nothing, an operation that there is not.
    for (const auto op : {Op::Request, Op::Response, static_cast<Op>(77)}) {
        peers.connect(5);
        peers.say(op, 5);
        peers.only(Op::Reset);
        EXPECT_EQ(peers.read(5), "(end)");
        close(peers.host[5]);
        peers.host.erase(5);
        EXPECT_EQ(peers.hub.connections(), 0u);
    }
    // Room and progress that cannot be.
    peers.connect(5);
    peers.forwarded = 12345;
    peers.say(Op::CreditUpdate, 5);
    peers.write(5, "data");
    EXPECT_TRUE(peers.take().empty());
    // Answers that it does not take are not kept without end.
    for (unsigned i = 0; i < 100000; ++i) peers.say(Op::Data, 100 + i);
    EXPECT_LT(peers.take().size(), 1000u);
    for (unsigned i = 0; i < 3000; ++i) {
        Header header = peers.header(Op::Request, 6);
        header.source_port = 5000 + i;
        const int before = peers.host.contains(6) ? peers.host[6] : -1;
        peers.hub.receive(header, {});
        if (before >= 0 && peers.host[6] != before) close(before);
    }
    EXPECT_LE(peers.hub.connections(), Hub::kMaxConnections);
}

// ---- behind a transport

struct Board {
    static std::filesystem::path directory() {
        return std::filesystem::temp_directory_path() / ("arclight-vsock-" + std::to_string(getpid()));
    }
    Board() { std::filesystem::create_directories(directory()); }
    ~Board() { std::filesystem::remove_all(directory()); }
    static std::string path() { return directory() / "v"; }
    static std::unique_ptr<virtio::Backend> device() {
        auto made = Device::make({.cid = kCid, .path = path()});
        if (!made) throw std::runtime_error(made.error());
        return std::move(*made);
    }
    static int connect_to(const std::string& path) {
        sockaddr_un address{.sun_family = AF_UNIX};
        std::strcpy(address.sun_path, path.c_str());
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return fd;
        close(fd);
        return -1;
    }
    static std::string packet(Op op, uint32_t port, std::string_view data = {}) {
        const Header header{.source_cid = kCid,
                            .destination_cid = kHostCid,
                            .source_port = kGuestPort,
                            .destination_port = port,
                            .length = static_cast<uint32_t>(data.size()),
                            .type = kStream,
                            .op = op,
                            .flags = 0,
                            .buffer = kGuestBuffer,
                            .forwarded = 0};
        return std::string(reinterpret_cast<const char*>(&header), sizeof header).append(data);
    }
};

TEST(VsockDeviceTest, BytesGoBothWays) {
    Board board;
    QueuesDriver driver(Board::device());
    EXPECT_EQ(driver.get(0x100), kCid);
    EXPECT_EQ(Board::connect_to(Board::path() + "_5"), -1);
    // Without a driver nobody is let in for long.
    const int early = Board::connect_to(Board::path());
    char byte = 0;
    EXPECT_EQ(recv(early, &byte, 1, 0), 0);
    close(early);

    driver.start_queues(0);
    const int client = Board::connect_to(Board::path());
    ASSERT_GE(client, 0);
    ASSERT_EQ(send(client, "CONNECT 1000\nhi", 15, 0), 15);
    std::vector<std::string> got;
    const auto wait = [&] {
        return eventually([&] {
            for (auto& one : driver.take(0)) got.push_back(one);
            return !got.empty();
        });
    };
    for (int i = 0; i < 4; ++i) driver.room(0);
    ASSERT_TRUE(wait());
    Header header{};
    std::memcpy(&header, got[0].data(), sizeof header);
    EXPECT_EQ(header.op, Op::Request);
    EXPECT_TRUE(eventually([&] { return driver.wire(); }));
    got.clear();
    driver.send(1, Board::packet(Op::Response, header.source_port));
    ASSERT_TRUE(wait());
    EXPECT_EQ(got[0].substr(sizeof header), "hi");
    driver.send(1, Board::packet(Op::Data, header.source_port, "ho"));
    std::string read(64, 0);
    const std::string wanted = "OK " + std::to_string(header.source_port) + "\nho";
    for (size_t at = 0; at < wanted.size();) {
        const ssize_t more = recv(client, read.data() + at, read.size() - at, 0);
        ASSERT_GT(more, 0);
        at += static_cast<size_t>(more);
    }
    EXPECT_EQ(read.substr(0, wanted.size()), wanted);
    // A pause takes nothing away; a reset ends it.
    driver.device.quiesce();
    ASSERT_EQ(send(client, "later", 5, 0), 5);
    driver.device.resume();
    got.clear();
    ASSERT_TRUE(wait());
    EXPECT_EQ(got[0].substr(sizeof header), "later");
    driver.set(0x70, 0);
    EXPECT_EQ(recv(client, &byte, 1, 0), 0);
    close(client);
}

TEST(VsockDeviceTest, ARestoredGuestLearnsThatItsConnectionsHaveEnded) {
    Board board;
    std::vector<uint8_t> stream;
    test::TestRam ram(QueuesDriver::kRamSize);
    {
        QueuesDriver driver(Board::device());
        driver.start_queues(0);
        driver.room(2, 4);
        driver.device.quiesce();
        stream = test::save(driver.device);
        ram = driver.ram;
    }
    QueuesDriver next(Board::device());
    next.ram = ram;
    ASSERT_EQ(test::load(next.device, stream), "");
    next.device.resume();
    std::vector<std::string> events;
    ASSERT_TRUE(eventually([&] { return !(events = next.take(2)).empty(); }));
    EXPECT_EQ(events[0], std::string(4, 0));
}

TEST(VsockDeviceTest, MalformedPacketsBreakTheDeviceAlone) {
    Board board;
    QueuesDriver driver(Board::device());
    for (const std::string& bytes :
         {std::string("short"), Board::packet(Op::Data, 5).replace(24, 4, "\xff\xff\xff\xff")}) {
        driver.start_queues(0);
        driver.send(1, bytes);
        EXPECT_TRUE(eventually([&] { return driver.broken(); }));
    }
}

TEST(VsockDeviceTest, APathIsOneDevices) {
    Board board;
    const auto first = Device::make({.cid = kCid, .path = Board::path()});
    ASSERT_TRUE(first);
    const auto second = Device::make({.cid = kCid, .path = Board::path()});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error(), "virtio-vsock '" + Board::path() + "': somebody listens there");
    EXPECT_FALSE(Device::make({.cid = kCid, .path = std::string(200, 'x')}));
}

}  // namespace
}  // namespace arclight::devices::vsock
