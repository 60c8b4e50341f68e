// The words of --net.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "guestos/cli/parse.h"

namespace arclight::guestos::cli {
namespace {

std::string error(std::string_view text) {
    const auto parsed = parse_net(text);
    return parsed ? "" : parsed.error();
}
NetOptions parsed(std::string_view text) {
    const auto net = parse_net(text);
    EXPECT_TRUE(net && *net) << text << ": " << (net ? "none" : net.error());
    return net && *net ? **net : NetOptions();
}

TEST(ParseNet, NoneAndUser) {
    ASSERT_TRUE(parse_net("none"));
    EXPECT_FALSE(*parse_net("none"));
    const NetOptions net = parsed("user");
    EXPECT_TRUE(net.mac.empty() && net.forwards.empty() && net.tftp.empty());
    EXPECT_TRUE(net.ipv4 && net.ipv6 && !net.restrict_guest);
    EXPECT_EQ(net.dhcp_start, 0x0a00'020fu);
    const NetOptions all = parsed(
        "user,id=n0,mac=52:54:00:00:00:01,mtu=9000,ipv6=off,restrict=on,hostname=h,domainname=d,dnssearch=a,"
        "dnssearch=b,tftp=/a,,b,bootfile=f");
    EXPECT_EQ(all.mac, "52:54:00:00:00:01");
    EXPECT_EQ(all.mtu, 9000u);
    EXPECT_TRUE(!all.ipv6 && all.restrict_guest);
    EXPECT_EQ(all.hostname + all.domain + all.tftp + all.bootfile, "hd/a,bf");
    EXPECT_EQ(all.dns_search, (std::vector<std::string>{"a", "b"}));
}

TEST(ParseNet, Forwards) {
    const NetOptions net = parsed(
        "user,hostfwd=tcp:127.0.0.1:2222-:22,hostfwd=udp::53-10.0.2.20:5353,hostfwd=::80-:8080,"
        "hostfwd=tcp:[::1]:81-[fec0::5]:82");
    ASSERT_EQ(net.forwards.size(), 4u);
    EXPECT_EQ(net.forwards[0].host_address, "127.0.0.1");
    EXPECT_EQ(net.forwards[0].host_port, 2222);
    EXPECT_EQ(net.forwards[0].guest_port, 22);
    EXPECT_TRUE(!net.forwards[0].udp && net.forwards[0].guest_address.empty());
    EXPECT_TRUE(net.forwards[1].udp && net.forwards[1].host_address.empty());
    EXPECT_EQ(net.forwards[1].guest_address, "10.0.2.20");
    EXPECT_TRUE(!net.forwards[2].udp);
    EXPECT_TRUE(net.forwards[3].ipv6);
    EXPECT_EQ(net.forwards[3].host_address, "::1");
    EXPECT_EQ(net.forwards[3].guest_address, "fec0::5");
    EXPECT_EQ(parsed("user,hostfwd=:127.0.0.1:0-:22").forwards[0].host_port, 0u) << "the kernel chooses one";
    for (const char* wrong :
         {"", "tcp", "tcp:", "tcp::1", "tcp::1-", "tcp::1-2", "sctp::1-:2", "tcp::1-:0", "tcp::65536-:1",
          "tcp::1-:65536", "tcp::x-:1", "tcp:1.2.3:1-:1", "tcp:host:1-:1", "tcp:::1:1-:1", "tcp:[::1:1-:1",
          "tcp:[1.2.3.4]:1-:1", "tcp:127.0.0.1:1-[fec0::5]:1", "tcp:[::1]:1-:1", "tcp:[::1]:1-10.0.2.15:1"})
        EXPECT_NE(error(std::string("user,hostfwd=") + wrong), "") << wrong;
}

TEST(ParseNet, Networks) {
    const NetOptions small = parsed("user,dns=192.168.76.5,net=192.168.76.0/24");
    EXPECT_EQ(small.network, 0xc0a8'4c00u);
    EXPECT_EQ(small.host, 0xc0a8'4c02u);
    EXPECT_EQ(small.dns, 0xc0a8'4c05u);
    EXPECT_EQ(small.dhcp_start, 0xc0a8'4c0fu);
    const NetOptions wide = parsed("user,net=10.1.2.3");  // class A
    EXPECT_EQ(wide.netmask, 0xff00'0000u);
    EXPECT_EQ(wide.host, 0x0a00'0202u);
    EXPECT_EQ(parsed("user,net=172.20.0.0/255.255.240.0").netmask, 0xffff'f000u);
    EXPECT_EQ(parsed("user,net=172.20.0.0/27").host, 0xac14'0002u);
    for (const char* wrong : {"net=", "net=10.0.2", "net=10.0.2.0/", "net=10.0.2.0/33", "net=10.0.2.0/0",
                              "net=10.0.2.0/28", "net=10.0.2.0/255.0.255.0", "net=10.0.2.0/x", "dns=10.0.3.3",
                              "dns=here", "host=10.0.2.3", "dhcpstart=10.0.2.2"})
        EXPECT_NE(error(std::string("user,") + wrong), "") << wrong;
}

TEST(ParseNet, GuestForwards) {
    const NetOptions net = parsed(
        "user,guestfwd=tcp:10.0.2.100:80-cmd:tr a-z A-Z,,guestfwd=:10.0.2.101:81-chardev:c,"
        "guestfwd=tcp:10.0.2.102:82-tcp:127.0.0.1:8080");
    ASSERT_EQ(net.guest_forwards.size(), 2u);
    EXPECT_EQ(net.guest_forwards[0].command, "tr a-z A-Z,guestfwd=:10.0.2.101:81-chardev:c");
    EXPECT_EQ(net.guest_forwards[0].address, 0x0a00'0264u);
    EXPECT_EQ(net.guest_forwards[1].chardev, "guestfwd.tcp.82");
    ASSERT_EQ(net.chardevs.size(), 1u);
    EXPECT_EQ(net.chardevs[0].port, "8080");
    EXPECT_EQ(parsed("user,guestfwd=:10.0.2.101:81-chardev:c").guest_forwards[0].chardev, "c");
    for (const char* wrong :
         {"", "tcp", "tcp:10.0.2.100:80", "udp:10.0.2.100:80-cmd:x", "tcp:10.0.2.100-cmd:x", "tcp::80-cmd:x",
          "tcp:[::1]:80-cmd:x", "tcp:10.0.2.100:0-cmd:x",
          "tcp:10.0.2.100:80-cmd:", "tcp:10.0.2.100:80-nothing"})
        EXPECT_NE(error(std::string("user,guestfwd=") + wrong), "") << wrong;
}

TEST(ParseNet, Tap) {
    const NetOptions net = parsed("tap,ifname=t0,script=no,downscript=no,vnet_hdr=off,vhost=off,mtu=9000");
    EXPECT_EQ(net.kind, NetOptions::Kind::Tap);
    EXPECT_EQ(net.interface, "t0");
    EXPECT_TRUE(net.script.empty() && !net.vnet_header);
    EXPECT_EQ(net.mtu, 9000u);
    EXPECT_EQ(parsed("tap,fd=7").tap_descriptors, std::vector{7});
    EXPECT_EQ(parsed("tap,fds=7:9:8").tap_descriptors, std::vector({7, 9, 8}));
    EXPECT_EQ(parsed("tap,fds=7:9:8").queue_pairs, 3u);
    EXPECT_TRUE(parsed("tap").vnet_header);
    EXPECT_EQ(error("tap,fd=x"), "fd 'x' is no number of an open file");
    EXPECT_EQ(error("tap,fd=-1"), "fd '-1' is no number of an open file");
    EXPECT_EQ(error("tap,fd=7,ifname=x").substr(0, 3), "fd=");
    EXPECT_EQ(error("tap,fds=7:"), "fds '' is no number of an open file");
    EXPECT_EQ(error("tap,fd=7,queues=2").substr(0, 3), "fd=");
    EXPECT_EQ(error("tap,downscript=/x").substr(0, 15), "downscript '/x'");
    EXPECT_EQ(error("tap,hostfwd=x").substr(0, 21), "unknown key 'hostfwd'");
}

// QEMU's: vhostfd= and vhostforce=on mean vhost=on, unless that is off.
TEST(ParseNet, Vhost) {
    using Vhost = NetOptions::Vhost;
    EXPECT_EQ(parsed("tap").vhost, Vhost::Off);
    EXPECT_EQ(parsed("tap,vhost=on").vhost, Vhost::On);
    EXPECT_EQ(parsed("tap,vhost=on,vhostforce=off").vhost, Vhost::On);
    EXPECT_EQ(parsed("tap,vhostforce=on").vhost, Vhost::Force);
    EXPECT_EQ(parsed("tap,vhostforce=on,vhost=off").vhost, Vhost::Off);
    EXPECT_EQ(parsed("tap,vhostfd=7").vhost, Vhost::Force);
    EXPECT_EQ(parsed("tap,fds=5:6,vhost=on,vhostfds=7:8").vhost_descriptors, std::vector({7, 8}));
    EXPECT_EQ(error("tap,fds=5:6,vhostfds=7"), "vhostfds: 1 for 2 queues");
    EXPECT_EQ(error("tap,vhostfd=7,vhost=off"), "vhostfd= says nothing with vhost=off");
    EXPECT_EQ(error("tap,vhostfd=x"), "vhostfd 'x' is no number of an open file");
    EXPECT_EQ(error("tap,vhost=x"), "vhost is on or off, not 'x'");
}

TEST(ParseNet, PairsOfQueues) {
    EXPECT_EQ(parsed("tap").queue_pairs, 1u);
    for (const char* kind : {"tap", "user", "passt", "socket,fd=5"})
        EXPECT_EQ(parsed(std::string(kind) + ",queues=4").queue_pairs, 4u) << kind;
    for (const char* wrong : {"0", "33", "x", ""})
        EXPECT_EQ(error(std::string("user,queues=") + wrong),
                  fmt::format("queues '{}' is not 1 to 32 pairs of queues", wrong));
}

TEST(ParseNet, Sockets) {
    using Kind = NetAddress::Kind;
    const NetOptions listen = parsed("socket,listen=:1234");
    EXPECT_TRUE(listen.kind == NetOptions::Kind::Stream && listen.server);
    EXPECT_EQ(listen.remote.host + ":" + listen.remote.port, ":1234");
    const NetOptions connect = parsed("socket,connect=[::1]:99");
    EXPECT_TRUE(connect.kind == NetOptions::Kind::Stream && !connect.server);
    EXPECT_EQ(connect.remote.host, "::1");
    const NetOptions group = parsed("socket,mcast=230.0.0.1:1234,localaddr=127.0.0.1");
    EXPECT_EQ(group.kind, NetOptions::Kind::Datagram);
    EXPECT_EQ(group.remote.host + group.local.host, "230.0.0.1127.0.0.1");
    const NetOptions udp = parsed("socket,udp=h:1,localaddr=:2");
    EXPECT_EQ(udp.remote.port + udp.local.port, "12");
    EXPECT_EQ(parsed("socket,fd=5").remote.descriptor, 5);
    EXPECT_EQ(error("socket"), "exactly one of listen=, connect=, mcast=, udp= and fd= is required");
    EXPECT_EQ(error("socket,listen=:1,connect=h:1"), error("socket"));
    EXPECT_EQ(error("socket,udp=h:1"), "localaddr= is mandatory with udp=");
    EXPECT_EQ(error("socket,listen=:1,localaddr=h"), "localaddr= goes with mcast= or udp=");
    EXPECT_EQ(error("socket,connect=:1"), "connect ':1' has no host");
    EXPECT_EQ(error("socket,connect=h"), "connect 'h' is not of the form [HOST]:PORT");
    EXPECT_EQ(error("socket,listen=:65536"), "listen ':65536' is not of the form [HOST]:PORT");

    const NetOptions stream = parsed("stream,server=off,addr.type=inet,addr.host=h,addr.port=1,reconnect=2");
    EXPECT_EQ(stream.remote.kind, Kind::Inet);
    EXPECT_EQ(stream.reconnect_ms, 2000u);
    EXPECT_EQ(parsed("stream,addr.type=unix,addr.path=/p,reconnect-ms=5").reconnect_ms, 5u);
    EXPECT_TRUE(parsed("stream,addr.type=unix,addr.path=/p,addr.abstract=on").remote.abstract);
    EXPECT_EQ(parsed("stream,addr.type=fd,addr.str=4").remote.descriptor, 4);
    EXPECT_EQ(error("stream"), "addr.type is missing");
    EXPECT_EQ(error("stream,addr.type=unix"), "addr.path is missing");
    EXPECT_EQ(error("stream,addr.path=/p"), "addr.type is inet, unix or fd, not ''");
    EXPECT_EQ(error("stream,addr.type=inet,addr.host=h"), "addr.port is missing");
    EXPECT_EQ(error("stream,server=on,addr.type=unix,addr.path=/p,reconnect=1"),
              "reconnect= is for clients, not with server=on");
    EXPECT_EQ(error("stream,addr.color=red").substr(0, 24), "unknown key 'addr.color'");
    EXPECT_EQ(error("stream,addr=x").substr(0, 18), "unknown key 'addr'");

    const NetOptions dgram =
        parsed("dgram,local.type=unix,local.path=/a,remote.type=unix,remote.path=/b,mac=52:54:00:00:00:01");
    EXPECT_EQ(dgram.local.path + dgram.remote.path + dgram.mac, "/a/b52:54:00:00:00:01");
    EXPECT_EQ(parsed("dgram,local.type=fd,local.str=4").local.descriptor, 4);
    EXPECT_EQ(error("dgram"), "remote.type is missing");
    EXPECT_EQ(error("dgram,local.type=unix,local.path=/a,remote.type=inet,remote.host=h,remote.port=1"),
              "local.type and remote.type must be the same");

    EXPECT_EQ(parsed("passt,path=/x,param=-4,tcp-ports=80").arguments,
              (std::vector<std::string>{"-4", "--tcp-ports", "80"}));
}

TEST(ParseNet, ErrorsAreOneLine) {
    constexpr std::string_view kKnown = "(known: user, tap, socket, stream, dgram, passt, none)";
    EXPECT_EQ(error("vde"), fmt::format("'vde' is no kind of network {}", kKnown));
    EXPECT_EQ(error("none,mtu=1500"), fmt::format("'none' is no kind of network {}", kKnown));
    EXPECT_EQ(error("user,restrict"), "'restrict' is not of the form key=value");
    EXPECT_EQ(error("user,restrict=maybe"), "restrict is on or off, not 'maybe'");
    EXPECT_EQ(error("user,mtu=67"), "mtu '67' is not 68 to 65521");
    EXPECT_EQ(error("user,mtu=65522"), "mtu '65522' is not 68 to 65521");
    EXPECT_EQ(error("user,mac=1"), "'1' is no MAC address of the form 52:54:00:12:34:56");
    EXPECT_EQ(error("user,ipv4=off,ipv6=off"), "ipv4=off and ipv6=off leave nothing");
    EXPECT_EQ(error("user,smb=/x").substr(0, 24), "unknown key 'smb' (known");
    EXPECT_EQ(error("user,hostfwd=tcp::1"),
              "hostfwd 'tcp::1' is not of the form tcp|udp:[ADDRESS]:PORT-[ADDRESS]:PORT");
}

}  // namespace
}  // namespace arclight::guestos::cli
