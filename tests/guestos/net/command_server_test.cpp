#include "guestos/net/command_server.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

namespace arclight::guestos {
namespace {

SocketFd connect_to(const std::string& path) {
    const auto address = resolve({.kind = NetAddress::Kind::Unix, .path = path}, SOCK_STREAM, false);
    SocketFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(connect(fd.get(), address->get(), address->size), 0);
    return fd;
}

std::string rest_of(const SocketFd& fd) {
    std::string all;
    char bytes[100];
    for (ssize_t got; (got = read(fd.get(), bytes, sizeof bytes)) > 0;)
        all.append(bytes, static_cast<size_t>(got));
    return all;
}

TEST(CommandServer, EachConnectionHasItsOwn) {
    auto server = CommandServer::start("read a; echo \"got $a\"; echo more >&2");
    ASSERT_TRUE(server) << server.error();
    const std::string path = (*server)->path();
    std::vector<SocketFd> connections;
    for (int i = 0; i < 3; i++) connections.push_back(connect_to(path));
    for (const std::string_view word : {"2\n", "1\n", "0\n"}) {
        const SocketFd& one = connections[static_cast<size_t>(word[0] - '0')];
        EXPECT_EQ(write(one.get(), word.data(), word.size()), 2);
        EXPECT_EQ(rest_of(one), "got " + std::string(word) + "more\n");
    }
    server->reset();
    const std::string directory = path.substr(0, path.rfind('/'));
    for (int i = 0; i < 2000 && access(directory.c_str(), F_OK) == 0; i++) usleep(10'000);
    EXPECT_EQ(access(directory.c_str(), F_OK), -1);
}

TEST(CommandServer, ACommandThatIsNoneEndsItsConnection) {
    auto server = CommandServer::start("/nowhere/program");
    ASSERT_TRUE(server) << server.error();
    EXPECT_TRUE(rest_of(connect_to((*server)->path())).contains("/nowhere/program"));
}

}  // namespace
}  // namespace arclight::guestos
