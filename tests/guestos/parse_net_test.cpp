// The words of --net.
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
    for (const char* wrong : {"",
                              "tcp",
                              "tcp:",
                              "tcp::1",
                              "tcp::1-",
                              "tcp::1-2",
                              "sctp::1-:2",
                              "tcp::0-:1",
                              "tcp::1-:0",
                              "tcp::65536-:1",
                              "tcp::1-:65536",
                              "tcp::x-:1",
                              "tcp:1.2.3:1-:1",
                              "tcp:host:1-:1",
                              "tcp:::1:1-:1",
                              "tcp:[::1:1-:1",
                              "tcp:[1.2.3.4]:1-:1",
                              "tcp:127.0.0.1:1-[fec0::5]:1",
                              "tcp:[::1]:1-:1",
                              "tcp:[::1]:1-10.0.2.15:1"})
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

TEST(ParseNet, ErrorsAreOneLine) {
    EXPECT_EQ(error("tap"), "'tap' is no kind of network (known: user, none)");
    EXPECT_EQ(error("none,mtu=1500"), "'none' is no kind of network (known: user, none)");
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
