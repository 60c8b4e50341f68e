#include "guestos/net/datagram_network.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guestos/net/net_sockets.h"
#include "tests/guestos/net/fake_guest.h"

namespace arclight::guestos {
namespace {

using test::Bytes;
using test::FakeGuest;
using test::frame_of;
using Network = std::shared_ptr<devices::NetBackend>;

NetOptions options_for(NetAddress local, NetAddress remote) {
    NetOptions options{.id = "n", .kind = NetOptions::Kind::Datagram};
    options.local = std::move(local);
    options.remote = std::move(remote);
    return options;
}

NetAddress unix_at(const std::string& path) { return {.kind = NetAddress::Kind::Unix, .path = path}; }

TEST(DatagramNetwork, UnixPeersComeAndGo) {
    char name[] = "/tmp/arclight-net-XXXXXX";
    const std::string directory = mkdtemp(name), a = directory + "/a", b = directory + "/b";
    {
        const auto one = open_datagram_network(options_for(unix_at(a), unix_at(b)));
        ASSERT_TRUE(one) << one.error();
        FakeGuest guest(**one);
        guest.send(frame_of(64, 1));  // nobody is there
        for (uint8_t round = 0; round < 3; round++) {
            const auto two = open_datagram_network(options_for(unix_at(b), unix_at(a)));
            ASSERT_TRUE(two) << two.error();
            FakeGuest other(**two);
            // More than the queue of a socket holds.
            for (uint8_t i = 0; i < 100; i++) guest.send(frame_of(1500, i));
            uint8_t i = 0;
            for (; i < 100; i++) {
                Bytes got = other.next();
                if (round == 0 && got == frame_of(64, 1)) got = other.next();
                ASSERT_EQ(got, frame_of(1500, i)) << int{i};
            }
            other.send(frame_of(200, round));
            EXPECT_EQ(guest.next(), frame_of(200, round));
        }
    }
    EXPECT_EQ(access(a.c_str(), F_OK), -1);
    EXPECT_EQ(rmdir(directory.c_str()), 0);
}

TEST(DatagramNetwork, Descriptor) {
    int ends[2];
    ASSERT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends), 0);
    const SocketFd peer(ends[1]);
    const auto one =
        open_datagram_network(options_for({.kind = NetAddress::Kind::Descriptor, .descriptor = ends[0]}, {}));
    ASSERT_TRUE(one) << one.error();
    FakeGuest guest(**one);
    const Bytes frame = frame_of(80, 3), none(3, 1), longest = frame_of(70000, 4);
    for (const Bytes& bytes : {Bytes{}, none, longest, frame})
        send(peer.get(), bytes.data(), bytes.size(), 0);
    EXPECT_EQ(guest.next(), frame);  // the others are no frames
    guest.send(frame);
    Bytes got(100);
    got.resize(static_cast<size_t>(recv(peer.get(), got.data(), got.size(), 0)));
    EXPECT_EQ(got, frame);
}

TEST(DatagramNetwork, Multicast) {
    const NetAddress group{.kind = NetAddress::Kind::Inet, .host = "239.192.1.1", .port = "23456"},
        loopback{.kind = NetAddress::Kind::Inet, .host = "127.0.0.1"};
    const auto one = open_datagram_network(options_for(loopback, group)),
               two = open_datagram_network(options_for(loopback, group));
    ASSERT_TRUE(one) << one.error();
    ASSERT_TRUE(two) << two.error();
    FakeGuest guest(**one), other(**two);
    guest.send(frame_of(64, 1));
    EXPECT_EQ(other.next(), frame_of(64, 1));
}

TEST(DatagramNetwork, Errors) {
    const NetAddress here{.kind = NetAddress::Kind::Inet, .host = "127.0.0.1", .port = "9"},
        elsewhere{.kind = NetAddress::Kind::Inet, .host = "192.0.2.1", .port = "9"};
    EXPECT_EQ(open_datagram_network(options_for(elsewhere, here)).error(),
              "cannot have the address '192.0.2.1:9': Cannot assign requested address");
    EXPECT_EQ(open_datagram_network(options_for(unix_at("/nowhere/a"), unix_at("/nowhere/b"))).error(),
              "cannot have the address '/nowhere/a': No such file or directory");
    const NetAddress group{.kind = NetAddress::Kind::Inet, .host = "239.192.1.1", .port = "23456"};
    EXPECT_EQ(open_datagram_network(options_for(elsewhere, group)).error(),
              "multicast group '239.192.1.1:23456': no such interface: Cannot assign requested address");
    EXPECT_EQ(open_datagram_network(options_for({.kind = NetAddress::Kind::Inet, .host = "localhost"}, group))
                  .error(),
              "multicast group '239.192.1.1:23456': 'localhost' is no IPv4 address");
}

}  // namespace
}  // namespace arclight::guestos
