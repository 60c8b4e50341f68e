#include "guestos/cpio.h"

#include <gtest/gtest.h>

#include <array>
#include <cstdio>

#include "tests/guestos/test_files.h"

namespace arclight::guestos {
namespace {

using namespace test;

std::string output_of(const std::string& command) {
    std::string text;
    FILE* pipe = popen(command.c_str(), "r");
    std::array<char, 4096> buffer;
    while (const size_t got = fread(buffer.data(), 1, buffer.size(), pipe)) text.append(buffer.data(), got);
    EXPECT_EQ(pclose(pipe), 0) << command;
    return text;
}

Bytes bytes(std::string_view text) { return Bytes(text.begin(), text.end()); }

CpioArchive sample() {
    CpioArchive archive;
    archive.add_file("/etc/deep/er/file", bytes("hello"), 0640);
    archive.add_link("bin/sh", "busybox");
    archive.add_character_device("dev/console", 5, 1, 0600);
    archive.add_directory("tmp", 01777);
    archive.add_file("./a//b", {});
    return archive;
}

TEST(Cpio, CpioReadsItBack) {
    const TemporaryDirectory directory;
    const auto file = directory.write("a.cpio", sample().encode());
    EXPECT_EQ(
        output_of("cpio -t --quiet < " + file.native()),
        ".\na\na/b\nbin\nbin/sh\ndev\ndev/console\netc\netc/deep\netc/deep/er\netc/deep/er/file\ntmp\n");
    const std::string listing = output_of("cpio -tv --quiet < " + file.native());
    EXPECT_NE(listing.find("-rw-r-----   1 root     root            5"), std::string::npos) << listing;
    EXPECT_NE(listing.find("bin/sh -> busybox"), std::string::npos) << listing;
    EXPECT_NE(listing.find("5,   1"), std::string::npos) << listing;
    EXPECT_NE(listing.find("drwxrwxrwt"), std::string::npos) << listing;
    EXPECT_EQ(output_of("cd " + directory.path().native() +
                        " && cpio -i --to-stdout --quiet etc/deep/er/file < a.cpio"),
              "hello");
}

TEST(Cpio, IsReproducible) { EXPECT_EQ(sample().encode(), sample().encode()); }

TEST(Cpio, LengthIsAMultipleOfFour) {
    for (size_t length = 0; length < 9; ++length) {
        CpioArchive archive;
        archive.add_file("f", Bytes(length, 'x'));
        EXPECT_EQ(archive.encode().size() % 4, 0u);
    }
}

TEST(Cpio, LaterEntriesReplaceEarlierOnes) {
    CpioArchive archive;
    archive.add_link("bin/gzip", "busybox");
    archive.add_file("/bin/gzip", bytes("real"));
    EXPECT_TRUE(archive.contains("bin//gzip"));
    const TemporaryDirectory directory;
    const auto file = directory.write("a.cpio", archive.encode());
    EXPECT_EQ(output_of("cpio -i --to-stdout --quiet bin/gzip < " + file.native()), "real");
    EXPECT_EQ(output_of("cpio -t --quiet < " + file.native()), ".\nbin\nbin/gzip\n");
}

}  // namespace
}  // namespace arclight::guestos
