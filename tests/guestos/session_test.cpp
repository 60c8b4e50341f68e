#include "guestos/session.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tests/guestos/test_files.h"

namespace arclight::guestos {
namespace {

using namespace test;

// Sources the script in a shell and returns the words it set, NUL-separated.
std::string words_seen_by(const std::string& shell, const Session& session) {
    const TemporaryDirectory directory;
    const auto script = directory.write("session", session_script(session));
    const auto out = directory.path() / "out";
    const std::string command =
        shell + " -c '. " + script.native() + "; printf \"%s\\0\" \"$@\"' > " + out.native();
    EXPECT_EQ(std::system(command.c_str()), 0);
    std::ifstream in(out, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Session, WordsArriveExactly) {
    std::string every_byte;
    for (int c = 1; c < 256; ++c) every_byte += char(c);
    const std::vector<std::string> command = {
        "printf", "a b", "it's",      "\"quoted\"", "",   "line\nline", "$HOME `id` \\ *",
        "-n",     "--",  "żółć 漢字", "'",          "''", every_byte};
    std::string expected;
    for (const auto& word : command) expected += word + '\0';
    for (const char* shell : {"dash", "bash", "busybox sh"}) {
        if (std::system(fmt::format("{} -c : 2> /dev/null", shell).c_str()) != 0) continue;
        EXPECT_EQ(words_seen_by(shell, {.command = command}), expected) << shell;
    }
}

TEST(Session, RandomWordsArriveExactly) {
    std::srand(7);
    std::vector<std::string> command;
    std::string expected;
    for (int i = 0; i < 300; ++i) {
        std::string word;
        for (int length = std::rand() % 12; length > 0; --length) word += char(1 + std::rand() % 255);
        expected += word + '\0';
        command.push_back(word);
    }
    EXPECT_EQ(words_seen_by("sh", {.command = command}), expected);
}

TEST(Session, SaysWhatKindItIs) {
    EXPECT_EQ(session_script(
                  {.terminal = true, .term = "xterm", .rows = 50, .columns = 132, .modules = {"a", "b"}}),
              "console=terminal\nTERM='xterm'\nrows=50\ncolumns=132\nmodules='a b'\nmode=shell\n");
    EXPECT_EQ(
        session_script({.address = "10.0.2.15",
                        .netmask = "255.255.255.0",
                        .gateway = "10.0.2.2",
                        .nameserver = "10.0.2.3"}),
        "console=terminal\nTERM='linux'\nrows=24\ncolumns=80\nmodules=''\nmode=shell\naddress=10.0.2.15\n"
        "netmask=255.255.255.0\ngateway=10.0.2.2\nnameserver=10.0.2.3\n");
    EXPECT_EQ(session_script({.command = {"ls"}, .terminal = false}),
              "console=exact\nTERM='linux'\nrows=24\ncolumns=80\nmodules=''\nmode=command\nset -- 'ls'\n");
    EXPECT_TRUE(session_script({.mounts = {{"a", "/b"}, {"c", "/d", true, true}}})
                    .contains("mount_shares() {\nmount_share 'a' '/b' rw\nmount_virtiofs 'c' '/d' ro\n}\n"));
}

}  // namespace
}  // namespace arclight::guestos
