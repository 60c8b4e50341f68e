// Frames through connections: between two machines, and with peers that keep to nothing.
#include "guestos/net/stream_network.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/guestos/net/fake_guest.h"

namespace arclight::guestos {
namespace {

using test::Bytes;
using test::FakeGuest;
using test::frame_of;
using Network = std::shared_ptr<devices::NetBackend>;

NetOptions options_at(const std::string& path, bool server, unsigned reconnect_ms = 0) {
    NetOptions options{.id = "n", .kind = NetOptions::Kind::Stream};
    options.server = server;
    options.reconnect_ms = reconnect_ms;
    options.remote = {.kind = NetAddress::Kind::Unix, .path = path};
    return options;
}

Network open(const NetOptions& options) {
    auto opened = open_stream_network(options);
    EXPECT_TRUE(opened) << opened.error();
    return opened ? *opened : nullptr;
}

class StreamNetwork : public testing::Test {
  protected:
    StreamNetwork() {
        char name[] = "/tmp/arclight-net-XXXXXX";
        directory_ = mkdtemp(name);
        path_ = directory_ + "/s";
    }
    ~StreamNetwork() override {
        unlink(path_.c_str());
        rmdir(directory_.c_str());
    }
    /// A peer that the test plays.
    SocketFd peer() {
        const auto address = resolve({.kind = NetAddress::Kind::Unix, .path = path_}, SOCK_STREAM, false);
        SocketFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        EXPECT_EQ(connect(fd.get(), address->get(), address->size), 0);
        const timeval limit{.tv_sec = 20, .tv_usec = 0};
        setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        return fd;
    }
    static void put(const SocketFd& fd, const Bytes& bytes) {
        EXPECT_EQ(::send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
    }
    static Bytes with_length(const Bytes& frame) {
        const size_t size = frame.size();
        Bytes out = {static_cast<uint8_t>(size >> 24), static_cast<uint8_t>(size >> 16),
                     static_cast<uint8_t>(size >> 8), static_cast<uint8_t>(size)};
        out.insert(out.end(), frame.begin(), frame.end());
        return out;
    }
    static Bytes get(const SocketFd& fd, size_t count) {
        Bytes out(count);
        const ssize_t got = recv(fd.get(), out.data(), count, MSG_WAITALL);
        out.resize(got > 0 ? static_cast<size_t>(got) : 0);
        return out;
    }
    /// The other side has closed it.
    static bool at_end(const SocketFd& fd) {
        uint8_t byte;
        const ssize_t got = recv(fd.get(), &byte, 1, 0);
        return got == 0 || (got < 0 && errno == ECONNRESET);
    }

    std::string directory_, path_;
};

TEST_F(StreamNetwork, BothWays) {
    const Network server = open(options_at(path_, true)), client = open(options_at(path_, false));
    ASSERT_TRUE(server && client);
    FakeGuest one(*server), two(*client);
    const Bytes first = frame_of(60, 1);
    EXPECT_EQ(one.send_until(two, first), first);
    // More than the socket holds, in both directions at once.
    std::vector<Bytes> all;
    for (unsigned i = 0; i < 300; i++) all.push_back(frame_of(14 + i * 211 % 65000, static_cast<uint8_t>(i)));
    for (const Bytes& frame : all) {
        one.send(frame);
        two.send(frame);
    }
    for (const Bytes& frame : all) {
        EXPECT_EQ(one.next(), frame);
        Bytes got = two.next();
        while (got == first) got = two.next();
        EXPECT_EQ(got, frame);
    }
    EXPECT_FALSE(one.checked || two.checked);
}

TEST_F(StreamNetwork, WireForm) {
    const Network server = open(options_at(path_, true));
    FakeGuest guest(*server);
    const SocketFd fd = peer();
    const Bytes frame = frame_of(100, 5);
    put(fd, with_length(frame));
    EXPECT_EQ(guest.next(), frame);
    guest.send(frame);
    EXPECT_EQ(get(fd, 104), with_length(frame));
}

TEST_F(StreamNetwork, LengthsThatAreNone) {
    const Network server = open(options_at(path_, true));
    FakeGuest guest(*server);
    testing::internal::CaptureStderr();
    for (const Bytes& bad :
         {Bytes{0xff, 0xff, 0xff, 0xff}, Bytes{0, 1, 0x10, 1}, Bytes{0x7f, 0, 0, 0, 1, 2}}) {
        const SocketFd fd = peer();
        const Bytes frame = frame_of(64, bad[0]);
        put(fd, with_length(frame));
        put(fd, bad);
        EXPECT_EQ(guest.next(), frame);
        EXPECT_TRUE(at_end(fd));
    }
    // Frames that are too short for Ethernet are lost, and the longest that has a length is read over.
    const SocketFd fd = peer();
    put(fd, {0, 0, 0, 0});
    put(fd, with_length({1, 2, 3}));
    put(fd, with_length(frame_of(64, 9)));
    EXPECT_EQ(guest.next(), frame_of(64, 9));
    EXPECT_EQ(testing::internal::GetCapturedStderr(),
              "arclight: network 'n': the peer sends what are no frames; its connection ends\n");
}

TEST_F(StreamNetwork, PeersVanish) {
    const Network server = open(options_at(path_, true));
    FakeGuest guest(*server);
    for (uint8_t round = 0; round < 8; round++) {
        SocketFd fd = peer();
        const Bytes frame = frame_of(200, round);
        put(fd, with_length(frame));
        EXPECT_EQ(guest.next(), frame);
        // In the middle of a frame, and of what the guest sends.
        put(fd, {0, 0, 1, 0, 1, 2, 3});
        for (int i = 0; i < 100; i++) guest.send(frame_of(60000, round));
        fd.reset();
    }
    const SocketFd last = peer();
    put(last, with_length(frame_of(64, 77)));
    EXPECT_EQ(guest.next(), frame_of(64, 77));
}

// A peer that reads nothing holds the guest's frames up, without end of memory, and loses none.
TEST_F(StreamNetwork, SlowPeer) {
    const Network server = open(options_at(path_, true));
    FakeGuest guest(*server);
    const SocketFd fd = peer();
    put(fd, with_length(frame_of(64, 1)));
    EXPECT_EQ(guest.next(), frame_of(64, 1));
    for (uint8_t i = 0; i < 200; i++) guest.send(frame_of(60000, i));
    usleep(20'000);
    put(fd, with_length(frame_of(64, 2)));
    EXPECT_EQ(guest.next(), frame_of(64, 2));  // the other direction goes on
    for (uint8_t i = 0; i < 200; i++) ASSERT_EQ(get(fd, 60004), with_length(frame_of(60000, i))) << int{i};
}

TEST_F(StreamNetwork, Reconnects) {
    const Network client = open(options_at(path_, false, 5));
    FakeGuest guest(*client);
    for (uint8_t round = 0; round < 3; round++) {
        const Network server = open(options_at(path_, true));
        FakeGuest other(*server);
        const Bytes frame = frame_of(99, round);
        EXPECT_EQ(guest.send_until(other, frame), frame);
    }
}

TEST_F(StreamNetwork, WithoutReconnectIsLost) {
    Network server = open(options_at(path_, true));
    const Network client = open(options_at(path_, false));
    FakeGuest guest(*client);
    server.reset();
    server = open(options_at(path_, true));
    FakeGuest other(*server);
    for (int i = 0; i < 20; i++) guest.send(frame_of(64, 1));
    usleep(20'000);
    EXPECT_EQ(other.received(), 0u);
}

// The connection outlives the machine, as a reset makes a new one.
TEST_F(StreamNetwork, GuestsOneAfterTheOther) {
    const Network server = open(options_at(path_, true)), client = open(options_at(path_, false));
    FakeGuest other(*client);
    for (uint8_t round = 0; round < 3; round++) {
        FakeGuest guest(*server);
        const Bytes frame = frame_of(70, round);
        EXPECT_EQ(guest.send_until(other, frame), frame);
    }
}

TEST_F(StreamNetwork, ByTcp) {
    NetOptions options{.id = "n", .kind = NetOptions::Kind::Stream};
    options.remote = {.kind = NetAddress::Kind::Inet, .host = "127.0.0.1", .port = "0"};
    // A port that is free.
    SocketFd probe(socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in any{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    ASSERT_EQ(bind(probe.get(), reinterpret_cast<sockaddr*>(&any), sizeof any), 0);
    socklen_t size = sizeof any;
    getsockname(probe.get(), reinterpret_cast<sockaddr*>(&any), &size);
    options.remote.port = std::to_string(ntohs(any.sin_port));
    EXPECT_EQ(open_stream_network(options).error(),
              "cannot connect to '127.0.0.1:" + options.remote.port + "': Connection refused");
    probe.reset();
    options.server = true;
    const Network server = open(options);
    options.server = false;
    const Network client = open(options);
    ASSERT_TRUE(server && client);
    FakeGuest one(*server), two(*client);
    EXPECT_EQ(one.send_until(two, frame_of(60, 1)), frame_of(60, 1));
}

TEST_F(StreamNetwork, Errors) {
    EXPECT_EQ(open_stream_network(options_at(path_, false)).error(),
              "cannot connect to '" + path_ + "': No such file or directory");
    const Network server = open(options_at(path_, true));
    EXPECT_EQ(open_stream_network(options_at(path_, true)).error(),
              "cannot listen at '" + path_ + "': Address already in use");
    EXPECT_EQ(open_stream_network(options_at(std::string(200, 'x'), true)).error(),
              "'" + std::string(200, 'x') + "' is longer than a socket's path may be");
    NetOptions options{.id = "n", .kind = NetOptions::Kind::Stream};
    options.remote = {.kind = NetAddress::Kind::Descriptor, .descriptor = 77};
    EXPECT_EQ(open_stream_network(options).error(), "fd 77: Bad file descriptor");
    const SocketFd datagrams(socket(AF_INET, SOCK_DGRAM, 0));
    options.remote.descriptor = datagrams.get();
    EXPECT_EQ(open_stream_network(options).error(),
              "fd " + std::to_string(datagrams.get()) + " is no socket for a connection");
}

}  // namespace
}  // namespace arclight::guestos
