// `--gdb` and the socket that it makes.
#include "guestos/gdb/address.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

namespace arclight::guestos::gdb {
namespace {

TEST(GdbAddress, Words) {
    const auto port = parse_address("tcp::1234");
    ASSERT_TRUE(port);
    EXPECT_FALSE(port->local);
    EXPECT_EQ(port->host, "127.0.0.1") << "not every host's";
    EXPECT_EQ(port->port, 1234);
    EXPECT_EQ(parse_address("tcp:0.0.0.0:1")->host, "0.0.0.0");
    EXPECT_EQ(parse_address("tcp:[::1]:1")->host, "::1");
    EXPECT_EQ(parse_address("tcp::1,server=on,wait=off")->port, 1);
    EXPECT_EQ(parse_address("unix:/tmp/a b,server,nowait")->path, "/tmp/a b");
    for (const char* wrong : {"", "1234", "tcp", "tcp:", "tcp:1234", "tcp::", "tcp::0", "tcp::65536",
                              "tcp::12x", "unix:", "udp::1", "tcp::1,server=off", "unix:/a,"})
        EXPECT_FALSE(parse_address(wrong)) << wrong;
}

TEST(GdbAddress, APathIsThisUsersAndADeadOneIsTaken) {
    std::string directory = testing::TempDir() + "/gdb-XXXXXX";
    ASSERT_NE(mkdtemp(directory.data()), nullptr);
    const Address address = *parse_address("unix:" + directory + "/socket");
    const auto first = listen_at(address);
    ASSERT_TRUE(first) << first.error();
    struct stat status {};
    ASSERT_EQ(stat(address.path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777, 0600u);
    EXPECT_FALSE(listen_at(address)) << "it is in use";
    close(*first);
    const auto second = listen_at(address);
    EXPECT_TRUE(second);
    if (second) close(*second);
    EXPECT_FALSE(listen_at(*parse_address("unix:" + directory + "/none/socket")));
    EXPECT_FALSE(listen_at(*parse_address("unix:/" + std::string(200, 'x'))));
    std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace arclight::guestos::gdb
