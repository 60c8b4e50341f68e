#include "guestos/chardev/chardevs.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "guestos/chardev/pty.h"
#include "guestos/chardev/ringbuf.h"
#include "guestos/chardev/socket.h"
#include "tests/guestos/chardev/fake_frontend.h"

namespace arclight::guestos {
namespace {

using devices::CharEvent;
using Kind = ChardevOptions::Kind;
using test::eventually;
using test::FakeFrontend;

struct ChardevsTest : testing::Test {
    ChardevsTest() {
        char name[] = "/tmp/arclight-chardev-XXXXXX";
        directory = mkdtemp(name);
    }
    ~ChardevsTest() override {
        loop.stop();
        chardevs.reset();
        std::filesystem::remove_all(directory);
    }
    std::string path(const char* name) const { return directory + "/" + name; }
    /// Opens one named "c".
    devices::CharBackend& open(ChardevOptions options) {
        options.id = "c";
        RunOptions run;
        run.chardevs = {options};
        auto made = Chardevs::open(run, loop, {});
        if (!made) throw std::runtime_error(made.error());
        chardevs = std::move(*made);
        return *chardevs->claim("c").value();
    }
    static int connect_to(const std::string& path) {
        sockaddr_un address{.sun_family = AF_UNIX};
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
        close(fd);
        return -1;
    }
    static std::string read_some(int fd, size_t least) {
        std::string text;
        char buffer[4096];
        pollfd readable{.fd = fd, .events = POLLIN, .revents = 0};
        while (text.size() < least && poll(&readable, 1, 20'000) == 1) {
            const ssize_t got = read(fd, buffer, sizeof buffer);
            if (got <= 0) break;
            text.append(buffer, static_cast<size_t>(got));
        }
        return text;
    }
    static std::string content(const std::string& path) {
        std::ifstream in(path);
        return {std::istreambuf_iterator<char>(in), {}};
    }
    std::string directory;
    devices::EventLoop loop;
    std::unique_ptr<Chardevs> chardevs;
};

TEST_F(ChardevsTest, AFileTakesOutputAndALogTooAndCanBeAppendedTo) {
    for (const bool append : {false, true}) {
        devices::CharBackend& file =
            open({.kind = Kind::File, .path = path("f"), .append = append, .logfile = path("log")});
        file.write(test::bytes_of("line\n"));
        chardevs->flush();
        EXPECT_EQ(content(path("f")), append ? "line\nline\n" : "line\n");
        EXPECT_EQ(content(path("log")), "line\n");
    }
}

TEST_F(ChardevsTest, APipeIsTwoOrOne) {
    ASSERT_EQ(mkfifo(path("p.in").c_str(), 0600), 0);
    ASSERT_EQ(mkfifo(path("p.out").c_str(), 0600), 0);
    devices::CharBackend& pipe = open({.kind = Kind::Pipe, .path = path("p")});
    FakeFrontend guest;
    loop.start();
    {
        const devices::CharConnection connection(pipe, guest);
        const int in = ::open(path("p.in").c_str(), O_WRONLY), out = ::open(path("p.out").c_str(), O_RDONLY);
        ASSERT_EQ(write(in, "to guest", 8), 8);
        EXPECT_TRUE(eventually([&] { return guest.text() == "to guest"; }));
        pipe.write(test::bytes_of("from guest"));
        EXPECT_EQ(read_some(out, 10), "from guest");
        close(in);
        close(out);
    }
}

TEST_F(ChardevsTest, AServerHasOneClientAfterAnother) {
    devices::CharBackend& server =
        open({.kind = Kind::Socket, .path = path("s"), .server = true, .wait = false});
    FakeFrontend guest;
    loop.start();
    {
        const devices::CharConnection connection(server, guest);
        EXPECT_FALSE(server.is_open());
        server.write(test::bytes_of("nobody reads this"));
        EXPECT_EQ(chardevs->find("c")->filename(), "disconnected:unix:" + path("s") + ",server=on");
        for (int i = 0; i < 3; ++i) {
            const int client = connect_to(path("s"));
            ASSERT_GE(client, 0);
            const int next = connect_to(path("s"));  // waits for its turn
            ASSERT_EQ(write(client, "x", 1), 1);
            EXPECT_TRUE(eventually([&] { return guest.text().size() == size_t(2 * i + 1); }));
            server.write(test::bytes_of("hello"));
            EXPECT_EQ(read_some(client, 5), "hello");
            close(client);
            ASSERT_EQ(write(next, "y", 1), 1);
            EXPECT_TRUE(eventually([&] { return guest.text().size() == size_t(2 * i + 2); }));
            close(next);
            EXPECT_TRUE(eventually([&] { return !server.is_open(); }));
        }
        EXPECT_EQ(guest.text(), "xyxyxy");
        EXPECT_TRUE(guest.has(CharEvent::Opened) && guest.has(CharEvent::Closed));
    }
    loop.stop();
    chardevs.reset();
    EXPECT_FALSE(std::filesystem::exists(path("s"))) << "what was made is removed";
}

// While nothing of its input is taken.
TEST_F(ChardevsTest, AClientThatLeavesIsNoticed) {
    devices::CharBackend& server =
        open({.kind = Kind::Socket, .path = path("s"), .server = true, .wait = false});
    FakeFrontend guest;
    guest.room = 0;
    loop.start();
    const devices::CharConnection connection(server, guest);
    const int client = connect_to(path("s"));
    const std::string much(64 << 10, 'x');
    ASSERT_EQ(write(client, much.data(), much.size()), ssize_t(much.size()));
    EXPECT_TRUE(eventually([&] { return server.is_open(); }));
    close(client);
    EXPECT_TRUE(eventually([&] { return !server.is_open(); }));
}

TEST_F(ChardevsTest, ASlowClientHoldsOutputBackAndLosesNothing) {
    devices::CharBackend& server =
        open({.kind = Kind::Socket, .path = path("s"), .server = true, .wait = false});
    FakeFrontend guest;
    loop.start();
    const devices::CharConnection connection(server, guest);
    const int client = connect_to(path("s"));
    EXPECT_TRUE(eventually([&] { return server.is_open(); }));
    std::string sent;
    const std::string piece(1000, 'p');
    size_t taken = piece.size();
    while (taken == piece.size()) {
        taken = server.offer(test::bytes_of(piece));
        sent.append(piece, 0, taken);
        ASSERT_LT(sent.size(), size_t{64} << 20);
    }
    EXPECT_EQ(guest.told_writable, 0u);
    EXPECT_EQ(read_some(client, sent.size()), sent);
    EXPECT_TRUE(eventually([&] {
        const std::lock_guard hold(guest.lock);
        return guest.told_writable == 1;
    }));
    // A writer that waits is let go when the client leaves.
    std::thread writer([&] {
        const std::string much(8 << 20, 'm');
        server.write(test::bytes_of(much));
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    close(client);
    writer.join();
}

TEST_F(ChardevsTest, AClientComesBack) {
    const auto listen_at = [&] {
        sockaddr_un address{.sun_family = AF_UNIX};
        std::memcpy(address.sun_path, path("l").c_str(), path("l").size() + 1);
        const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        unlink(path("l").c_str());
        EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        EXPECT_EQ(listen(fd, 1), 0);
        return fd;
    };
    devices::CharBackend& client = open({.kind = Kind::Socket, .path = path("l"), .reconnect = 1});
    FakeFrontend guest;
    loop.start();
    const devices::CharConnection connection(client, guest);
    for (int i = 0; i < 2; ++i) {
        const int listener = listen_at();
        const int peer = accept(listener, nullptr, nullptr);
        ASSERT_EQ(write(peer, "z", 1), 1);
        EXPECT_TRUE(eventually([&] { return guest.text().size() == size_t(i + 1); }));
        close(peer);
        close(listener);
        EXPECT_TRUE(eventually([&] { return !client.is_open(); }));
    }
}

TEST_F(ChardevsTest, TcpBothWays) {
    devices::CharBackend& server = open({.kind = Kind::Socket,
                                         .host = "127.0.0.1",
                                         .port = "0",
                                         .server = true,
                                         .wait = false,
                                         .nodelay = true});
    const uint16_t port = dynamic_cast<SocketChardev&>(*chardevs->find("c")).bound_port();
    ASSERT_NE(port, 0);
    FakeFrontend guest;
    loop.start();
    const devices::CharConnection connection(server, guest);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(write(client, "ping", 4), 4);
    EXPECT_TRUE(eventually([&] { return guest.text() == "ping"; }));
    server.write(test::bytes_of("pong"));
    EXPECT_EQ(read_some(client, 4), "pong");
    close(client);
}

TEST_F(ChardevsTest, TelnetsCommandsAreNotInput) {
    devices::CharBackend& server = open({.kind = Kind::Socket,
                                         .host = "127.0.0.1",
                                         .port = "0",
                                         .server = true,
                                         .telnet = true,
                                         .wait = false});
    const uint16_t port = dynamic_cast<SocketChardev&>(*chardevs->find("c")).bound_port();
    FakeFrontend guest;
    loop.start();
    const devices::CharConnection connection(server, guest);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(read_some(client, 12), std::string("\xff\xfb\x01\xff\xfb\x03\xff\xfb\x00\xff\xfd\x00", 12));
    // DO ECHO, the size of a window with an escaped 255 in it, a 255 of data, and a command in two pieces.
    const std::string first(
        "a\xff\xfd\x01"
        "b\xff\xfa\x1f\x00\x50\xff\xff\x18\xff\xf0"
        "c\xff\xff"
        "d\xff",
        20);
    ASSERT_EQ(write(client, first.data(), first.size()), ssize_t(first.size()));
    EXPECT_TRUE(eventually([&] { return guest.text().size() == 5; }));
    ASSERT_EQ(write(client,
                    "\xf1"
                    "e",
                    2),
              2);
    EXPECT_TRUE(eventually([&] {
        return guest.text() ==
               "abc\xff"
               "de";
    }));
    close(client);
}

TEST_F(ChardevsTest, APtyIsThereWhileSomebodyHasItOpen) {
    devices::CharBackend& pty = open({.kind = Kind::Pty, .path = path("link")});
    const std::string name = dynamic_cast<PtyChardev&>(*chardevs->find("c")).name();
    EXPECT_EQ(std::filesystem::read_symlink(path("link")), name);
    FakeFrontend guest;
    loop.start();
    const devices::CharConnection connection(pty, guest);
    EXPECT_FALSE(pty.is_open());
    for (int i = 0; i < 2; ++i) {
        const int slave = ::open(name.c_str(), O_RDWR | O_NOCTTY | O_CLOEXEC);
        ASSERT_GE(slave, 0);
        termios mode{};
        tcgetattr(slave, &mode);
        cfmakeraw(&mode);
        tcsetattr(slave, TCSANOW, &mode);
        EXPECT_TRUE(eventually([&] { return pty.is_open(); }));
        ASSERT_EQ(write(slave, "k", 1), 1);
        EXPECT_TRUE(eventually([&] { return guest.text().size() == size_t(i + 1); }));
        pty.write(test::bytes_of("screen"));
        EXPECT_EQ(read_some(slave, 6), "screen");
        close(slave);
        EXPECT_TRUE(eventually([&] { return !pty.is_open(); }));
    }
}

TEST_F(ChardevsTest, ARingKeepsTheLastBytes) {
    devices::CharBackend& ring = open({.kind = Kind::Ringbuf, .ring_bytes = 8});
    ring.write(test::bytes_of("0123456789"));
    auto& ringbuf = dynamic_cast<RingbufChardev&>(*chardevs->find("c"));
    EXPECT_EQ(ringbuf.take(3), (std::vector<uint8_t>{'2', '3', '4'}));
    EXPECT_EQ(ringbuf.take(100).size(), 5u);
    EXPECT_TRUE(ringbuf.take(1).empty());
}

TEST_F(ChardevsTest, OneFrontEndUnlessItIsShared) {
    RunOptions options;
    options.chardevs = {{.id = "one"}, {.id = "many", .mux = true}};
    auto all = Chardevs::open(options, loop, {});
    ASSERT_TRUE(all) << all.error();
    EXPECT_TRUE((*all)->claim("one"));
    EXPECT_EQ((*all)->claim("one").error(), "chardev 'one' is in use; mux=on lets several share it");
    EXPECT_EQ((*all)->claim("none").error(), "there is no chardev 'none'");
    EXPECT_TRUE((*all)->claim_for_run("many"));
    for (int i = 0; i < 3; ++i) EXPECT_TRUE((*all)->claim("many"));
    EXPECT_FALSE((*all)->claim("many"));
    (*all)->begin_machine();
    EXPECT_TRUE((*all)->claim("one")) << "the machine is another one";
    for (int i = 0; i < 3; ++i) EXPECT_TRUE((*all)->claim("many"));
    EXPECT_FALSE((*all)->claim("many")) << "the monitor's stays";
}

TEST_F(ChardevsTest, WhatCannotBeOpenedIsOneLine) {
    for (const ChardevOptions& wrong :
         {ChardevOptions{.kind = Kind::File, .path = path("no/such")},
          {.kind = Kind::Pipe, .path = path("none")},
          {.kind = Kind::Socket, .path = path("none")},
          {.kind = Kind::Socket, .path = std::string(200, 'x')},
          {.kind = Kind::Socket, .path = path("no/such"), .server = true, .wait = false},
          {.kind = Kind::Null, .logfile = path("no/such")}}) {
        EXPECT_THROW(open(wrong), std::runtime_error);
    }
    RunOptions twice;
    twice.chardevs = {{.id = "a"}, {.id = "a"}};
    EXPECT_EQ(Chardevs::open(twice, loop, {}).error(), "chardev 'a' is there twice");
    twice.chardevs = {{.id = "a", .kind = Kind::Stdio}, {.id = "b", .kind = Kind::Stdio}};
    EXPECT_FALSE(Chardevs::open(twice, loop, {}));
}

}  // namespace
}  // namespace arclight::guestos
