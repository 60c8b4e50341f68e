// The server on a Unix socket: debuggers one after the other, garbage, the machine's reset and end.
#include "guestos/gdb/server.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "tests/guestos/gdb/fake_target.h"

namespace arclight::guestos::gdb {
namespace {

/// A debugger's end of a connection.
class Client {
  public:
    explicit Client(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_un address{.sun_family = AF_UNIX};
        std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
        EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0) << strerror(errno);
    }
    ~Client() { close(fd_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void send(std::string_view bytes) {
        // The other end may close it meanwhile.
        (void)!::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    }
    /// The next packet; empty: the connection has ended, or nothing has come in 20 s.
    std::string receive() {
        for (;;) {
            uint8_t byte = 0;
            pollfd waiting{.fd = fd_, .events = POLLIN, .revents = 0};
            if (poll(&waiting, 1, 20'000) != 1 || recv(fd_, &byte, 1, 0) != 1) return {};
            if (parser_.feed(byte) == PacketParser::Item::Packet) {
                send("+");
                return parser_.data();
            }
        }
    }
    std::string ask(std::string_view packet) {
        send(make_packet(packet));
        return receive();
    }

  private:
    int fd_;
    PacketParser parser_;
};

struct GdbServer : testing::Test {
    GdbServer() {
        directory = testing::TempDir() + "/gdb-XXXXXX";
        EXPECT_NE(mkdtemp(directory.data()), nullptr);
        path = directory + "/socket";
        auto listening = Server::listen("unix:" + path);
        EXPECT_TRUE(listening);
        server = std::move(*listening);
    }
    ~GdbServer() override {
        server.reset();
        EXPECT_FALSE(std::filesystem::exists(path)) << "the socket goes with the server";
        std::filesystem::remove_all(directory);
    }
    std::string directory, path;
    std::unique_ptr<Server> server;
    FakeTarget target;
};

TEST_F(GdbServer, DebuggersComeOneAfterTheOther) {
    server->begin(target);
    EXPECT_EQ(target.log, "started ");
    for (int round = 0; round < 3; ++round) {
        Client client(path);
        EXPECT_EQ(client.ask("?"), "T05thread:01;");
        EXPECT_EQ(client.ask("Z0,1000,4"), "OK");
        EXPECT_EQ(client.ask("D"), "OK");
    }
    {
        Client first(path);
        EXPECT_EQ(first.ask("qAttached"), "1");
        Client second(path);
        second.send(make_packet("qC"));
        EXPECT_EQ(first.ask("m1000,1"), "00") << "the second one waits";
    }
    server->end(false);
}

TEST_F(GdbServer, AnEventOfTheMachineIsTold) {
    server->begin(target);
    Client client(path);
    client.ask("?");
    target.on_resume = [this] {
        target.events.push_back({.cpu = 1});
        target.notify();
    };
    EXPECT_EQ(client.ask("c"), "T05thread:02;");
    EXPECT_EQ(client.ask("qC"), "QC02");
    server->end(false);
}

TEST_F(GdbServer, GarbageDoesNoHarm) {
    server->begin(target);
    std::mt19937 random(1);
    for (int round = 0; round < 20; ++round) {
        Client client(path);
        std::string bytes(random() % 20'000, '\0');
        for (char& c : bytes) c = static_cast<char>(random());
        // None of it is a packet that ends the machine.
        std::erase_if(bytes, [](char c) { return c == '#'; });
        client.send(bytes);
    }
    Client client(path);
    EXPECT_EQ(client.ask("?"), "T05thread:01;");
    server->end(false);
}

TEST_F(GdbServer, AResetMachineIsTheNextOne) {
    server->begin(target);
    Client client(path);
    EXPECT_EQ(client.ask("Z0,1000,4"), "OK");
    server->end(true);
    FakeTarget next;
    server->begin(next);
    EXPECT_EQ(next.log, "held ") << "the debugger had it stand";
    EXPECT_EQ(next.points.size(), 1u);
    EXPECT_EQ(client.ask("qC"), "QC01");
    server->end(false);
    EXPECT_EQ(client.receive(), "W00");
    EXPECT_EQ(client.receive(), "") << "closed";
}

TEST_F(GdbServer, ARunningMachineIsResetWithoutAStop) {
    server->begin(target);
    {
        Client client(path);
        EXPECT_EQ(client.ask("D"), "OK");
    }
    server->end(true);
    FakeTarget next;
    server->begin(next);
    EXPECT_EQ(next.log, "started ");
    server->end(false);
}

}  // namespace
}  // namespace arclight::guestos::gdb
