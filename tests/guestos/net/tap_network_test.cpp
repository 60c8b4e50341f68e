// With an interface of the host's, where this user may make one.
#include "guestos/net/tap_network.h"

#include <gtest/gtest.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>

#include "guestos/net/net_sockets.h"
#include "tests/guestos/net/fake_guest.h"

namespace arclight::guestos {
namespace {

using test::Bytes;
using test::FakeGuest;

NetOptions tap(const std::string& interface) {
    NetOptions options{.id = "n", .kind = NetOptions::Kind::Tap};
    options.interface = interface;
    return options;
}

/// A tap device whose frames pass through this process.
Result<std::shared_ptr<devices::NetBackend>> frames_of(const NetOptions& options) {
    auto ends = open_tap_network(options, "");
    if (!ends) return std::unexpected(ends.error());
    return ends->frames;
}

void bring_up(const std::string& interface) {
    const SocketFd any(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    ifreq request{};
    std::strcpy(&request.ifr_name[0], interface.c_str());
    request.ifr_flags = IFF_UP;
    EXPECT_EQ(ioctl(any.get(), SIOCSIFFLAGS, &request), 0) << strerror(errno);
}

TEST(TapNetwork, FramesOfTheKernel) {
    const std::string interface = "arclt" + std::to_string(getpid());
    for (const bool header : {false, true}) {
        NetOptions options = tap(interface);
        options.vnet_header = header;
        const auto network = frames_of(options);
        if (!network) GTEST_SKIP() << network.error();
        EXPECT_EQ((*network)->takes_headers(), header);
        FakeGuest guest(**network);
        bring_up(interface);
        // An interface that comes up asks who else has its IPv6 address, or for routers.
        const Bytes frame = guest.next();
        ASSERT_GE(frame.size(), 14u);
        EXPECT_EQ(frame[0], 0x33);
        // What is no frame is the kernel's to refuse.
        for (const size_t size : {1, 11, 12, 13, 26, 2000}) guest.send(Bytes(size, 0xff));
    }
}

TEST(TapNetwork, SeveralQueues) {
    const std::string interface = "arcq" + std::to_string(getpid());
    NetOptions options = tap(interface);
    options.queue_pairs = 3;
    const auto network = frames_of(options);
    if (!network) GTEST_SKIP() << network.error();
    const auto lanes = (*network)->lanes();
    ASSERT_EQ(lanes.size(), 3u);
    EXPECT_EQ(lanes[0], network->get());
    {
        FakeGuest first(*lanes[0]), second(*lanes[1]), third(*lanes[2]);
        bring_up(interface);
        const auto frames = [&] { return first.received() + second.received() + third.received(); };
        for (int i = 0; i < 2000 && frames() == 0; i++) usleep(10'000);
        EXPECT_NE(frames(), 0u) << "what the kernel says when the interface comes up";
        for (FakeGuest* guest : {&first, &second, &third}) guest->send(Bytes(100, 0xff));
    }
    // It is there already, with as many queues as are opened.
    EXPECT_EQ(frames_of(tap(interface)).error(), "interface '" + interface + "': Invalid argument");
}

TEST(TapNetwork, ScriptIsRun) {
    NetOptions options = tap("");
    options.script = "/bin/false";
    const auto network = frames_of(options);
    ASSERT_FALSE(network);
    if (network.error().contains("not permitted") || network.error().contains("cannot open"))
        GTEST_SKIP() << network.error();
    EXPECT_EQ(network.error(), "script '/bin/false' has failed");
    options.script = "/nowhere/script";
    EXPECT_EQ(frames_of(options).error(), "script '/nowhere/script' cannot be run");
}

TEST(TapNetwork, Errors) {
    NetOptions options = tap("");
    options.tap_descriptors = {STDIN_FILENO};
    EXPECT_EQ(frames_of(options).error(), "fd 0 is no tap device");
    const auto long_name = frames_of(tap("a-name-of-sixteen"));
    ASSERT_FALSE(long_name);
    if (!long_name.error().contains("cannot open")) {
        EXPECT_EQ(long_name.error(), "'a-name-of-sixteen' is longer than an interface's name may be");
    }
}

}  // namespace
}  // namespace arclight::guestos
