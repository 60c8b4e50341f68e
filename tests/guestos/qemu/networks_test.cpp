#include <gtest/gtest.h>

#include "tests/guestos/qemu/qemu_line.h"

namespace arclight::guestos::qemu {
namespace {

std::string devices_for(std::string_view line) {
    const auto request = request_for(line);
    return request ? devices_of(*request) + notes_of(*request) : "error: " + request.error();
}

TEST(QemuNetworks, Forms) {
    EXPECT_EQ(devices_for("-netdev user,id=n -device virtio-net-device,netdev=n"), "virtio-net network=n");
    EXPECT_EQ(
        devices_for("-netdev user,id=n -device virtio-net-pci,netdev=n,mac=52:54:00:00:00:07,host_mtu=1400"),
        "virtio-net-pci network=n mac=52:54:00:00:00:07 mtu=1400");
    EXPECT_EQ(devices_for("-nic user"), "virtio-net-pci network=nic0");
    EXPECT_EQ(devices_for("-nic user,id=x,model=virtio-net-pci,mac=52:54:00:00:00:07"),
              "virtio-net-pci network=x mac=52:54:00:00:00:07");
    EXPECT_EQ(devices_for("-net nic -net user"), "virtio-net-pci network=hub0");
    EXPECT_EQ(devices_for("-net nic,model=virtio -net user,hostfwd=tcp::1-:2"),
              "virtio-net-pci network=hub0");
    EXPECT_EQ(devices_for("-netdev user,id=n -net nic,netdev=n"), "virtio-net-pci network=n");
    EXPECT_EQ(devices_for("-nic none"), "");
    EXPECT_EQ(devices_for("-net none"), "");
    EXPECT_EQ(devices_for("-nodefaults -serial stdio"), "");
    // The board has an adapter of its own.
    EXPECT_EQ(devices_for(""), "virtio-net-pci network=hub0");
}

// Adapters of the board's come before -device, whatever the order of the words; default addresses count up.
TEST(QemuNetworks, Order) {
    EXPECT_EQ(devices_for("-device virtio-net-device,netdev=n -netdev user,id=n -nic user"),
              "virtio-net-pci network=nic0; virtio-net network=n mac=52:54:00:12:34:57");
}

TEST(QemuNetworks, Words) {
    const auto request = request_for(
        "-netdev "
        "user,id=n,restrict=on,hostfwd=tcp:127.0.0.1:10022-:22,hostfwd=udp::5-:6,net=10.9.0.0/"
        "24,dhcpstart=10.9.0.9 -device virtio-net-pci,netdev=n");
    ASSERT_TRUE(request) << request.error();
    ASSERT_EQ(request->options.networks.size(), 1u);
    const NetOptions& net = request->options.networks[0];
    EXPECT_EQ(net.id, "n");
    EXPECT_TRUE(net.restrict_guest);
    ASSERT_EQ(net.forwards.size(), 2u);
    EXPECT_EQ(net.forwards[0].host_port, 10022);
    EXPECT_TRUE(net.forwards[1].udp);
    EXPECT_EQ(net.dhcp_start, 0x0a09'0009u);
    const auto json = request_for(
        R"(-netdev '{"type":"user","id":"n","hostfwd":[{"str":"tcp::1-:2"}]}' -device virtio-net,netdev=n)");
    ASSERT_TRUE(json) << json.error();
    EXPECT_EQ(json->options.networks[0].forwards.size(), 1u);
}

TEST(QemuNetworks, OtherBackEnds) {
    const auto request = request_for(
        "-netdev tap,id=a -netdev tap,id=b,script=no,downscript=no,vhost=off,ifname=t "
        "-netdev socket,id=c,listen=:1 -netdev "
        "stream,id=d,server=off,addr.type=unix,addr.path=/p,reconnect=1 "
        "-nic dgram,id=e,local.type=unix,local.path=/a,remote.type=unix,remote.path=/b -net nic -net "
        "socket,mcast=230.0.0.1:1");
    ASSERT_TRUE(request) << request.error();
    const auto& nets = request->options.networks;
    ASSERT_EQ(nets.size(), 6u);
    EXPECT_EQ(nets[0].script, "/etc/qemu-ifup");
    EXPECT_EQ(nets[1].script, "");
    EXPECT_EQ(nets[1].interface, "t");
    EXPECT_EQ(nets[1].vhost, NetOptions::Vhost::Off);
    EXPECT_TRUE(nets[2].server);
    EXPECT_EQ(nets[3].remote.path, "/p");
    EXPECT_EQ(nets[3].reconnect_ms, 1000u);
    EXPECT_EQ(nets[4].id + nets[4].local.path, "e/a");
    EXPECT_EQ(nets[5].id, "hub0");
    EXPECT_EQ(nets[5].kind, NetOptions::Kind::Datagram);
    const auto json = request_for(
        R"(-netdev '{"type":"stream","id":"n","server":false,"addr":{"type":"unix","path":"/p,q"}}')");
    ASSERT_TRUE(json) << json.error();
    EXPECT_EQ(json->options.networks[0].remote.path, "/p,q");
}

// As in QEMU the adapter has as many pairs as its network, and only with mq=on.
TEST(QemuNetworks, PairsOfQueues) {
    const std::string tap = "-netdev tap,id=n,queues=4,script=no,downscript=no,vhost=on ";
    EXPECT_EQ(devices_for(tap + "-device virtio-net-pci,netdev=n,mq=on,vectors=10"),
              "virtio-net-pci network=n queues=4");
    EXPECT_EQ(devices_for(tap + "-device virtio-net-device,netdev=n,mq=on"), "virtio-net network=n queues=4");
    EXPECT_EQ(devices_for(tap + "-device virtio-net-pci,netdev=n"), "virtio-net-pci network=n");
    EXPECT_EQ(devices_for(tap + "-device virtio-net-pci,netdev=n,mq=off"), "virtio-net-pci network=n");
    EXPECT_EQ(devices_for(tap + "-global virtio-net-pci.mq=on -device virtio-net-pci,netdev=n"),
              "virtio-net-pci network=n queues=4");
    EXPECT_EQ(devices_for("-netdev user,id=n -device virtio-net-pci,netdev=n,mq=on"),
              "virtio-net-pci network=n");
    EXPECT_EQ(devices_for("-netdev tap,id=n,fds=8:9,vhostfds=10:11 -device virtio-net-pci,netdev=n,mq=on"),
              "virtio-net-pci network=n queues=2");
    EXPECT_EQ(devices_for("-netdev user,id=n -device virtio-net-pci,netdev=n,mq=3"),
              "error: -device virtio-net-pci,netdev=n,mq=3: Parameter 'mq' expects 'on' or 'off'");
    const auto request = request_for(tap + "-device virtio-net-pci,netdev=n");
    ASSERT_TRUE(request) << request.error();
    EXPECT_EQ(request->options.networks[0].queue_pairs, 4u);
    EXPECT_EQ(request->options.networks[0].vhost, NetOptions::Vhost::On);
}

TEST(QemuNetworks, GuestForwards) {
    const auto request = request_for(
        "-chardev null,id=c -nic user,guestfwd=tcp:10.0.2.9:1-chardev:c,guestfwd=tcp:10.0.2.9:2-tcp:h:3");
    ASSERT_TRUE(request) << request.error();
    ASSERT_EQ(request->options.networks[0].guest_forwards.size(), 2u);
    EXPECT_EQ(request->options.chardevs.back().id, "guestfwd.tcp.2");
}

TEST(QemuNetworks, Errors) {
    const std::pair<std::string_view, std::string_view> wrong[] = {
        {"-netdev user", "-netdev user: Parameter 'id' is missing"},
        {"-netdev foo,id=x", "-netdev foo,id=x: Parameter 'type' does not accept value 'foo'"},
        {"-netdev vde,id=x", "-netdev vde,id=x: network 'vde' is not there"},
        {"-netdev user,id=x,queues=2", "-netdev user,id=x,queues=2: Invalid parameter 'queues'"},
        {"-netdev tap,id=x,queues=99", "-netdev tap,id=x,queues=99: queues '99' is not 1 to 32"},
        {"-netdev stream,id=x", "-netdev stream,id=x: addr.type is missing"},
        {"-netdev user,id=x,guestfwd=tcp:10.0.2.9:1-chardev:c",
         "-netdev user,id=x,guestfwd=tcp:10.0.2.9:1-chardev:c: chardev \"c\" not found"},
        {"-netdev user,id=x,hostfw=a", "-netdev user,id=x,hostfw=a: unknown key 'hostfw'"},
        {"-netdev user,id=x,smb=/", "-netdev user,id=x,smb=/: 'smb' is not there"},
        {"-netdev user,id=x,mac=52:54:00:00:00:07",
         "-netdev user,id=x,mac=52:54:00:00:00:07: Invalid parameter 'mac'"},
        {"-netdev user,id=x -netdev user,id=x", "-netdev user,id=x: Duplicate ID 'x' for netdev"},
        {"-nic user,model=e10000", "-nic user,model=e10000: Unsupported NIC model: e10000"},
        {"-nic user,mac=zz", "-nic user,mac=zz: "},
        {"-net nic", "-net nic: the adapter has no network"},
        {"-device virtio-net-pci", "-device virtio-net-pci: netdev property not set"},
        {"-device virtio-net-pci,netdev=q",
         "-device virtio-net-pci,netdev=q: Property 'virtio-net-pci.netdev' can't find value 'q'"},
        {"-netdev user,id=n -device virtio-net-pci,netdev=n,mac=1",
         "-device virtio-net-pci,netdev=n,mac=1: "},
    };
    for (const auto& [line, error] : wrong) {
        const std::string got = devices_for(line);
        EXPECT_TRUE(got.starts_with("error: " + std::string(error))) << line << " gives " << got;
    }
    EXPECT_EQ(devices_for("-netdev user,id=n"), "warning: netdev n has no peer\n");
}

}  // namespace
}  // namespace arclight::guestos::qemu
