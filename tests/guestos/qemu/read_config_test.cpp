#include "guestos/qemu/read_config.h"

#include <gtest/gtest.h>

namespace arclight::guestos::qemu {
namespace {

TEST(QemuReadConfig, Sections) {
    const auto options = parse_config(
        "# a comment\n"
        "[machine]\n"
        "  type = \"virt\"\n"
        "  gic-version = \"3\"\n"
        "\n"
        "[drive \"hd0\"]\n"
        "  file = \"a,b.img\"\r\n"
        "[memory]\n"
        "size=\"1G\"\n",
        "f");
    ASSERT_TRUE(options) << options.error();
    ASSERT_EQ(options->size(), 3u);
    EXPECT_EQ((*options)[0].option, "machine");
    EXPECT_EQ((*options)[0].value("gic-version"), "3");
    EXPECT_EQ((*options)[1].value("id"), "hd0");
    EXPECT_EQ((*options)[1].value("file"), "a,b.img");
    EXPECT_EQ((*options)[2].option, "m");
    EXPECT_EQ((*options)[2].value("size"), "1G");
}

TEST(QemuReadConfig, Errors) {
    const std::pair<std::string_view, std::string_view> wrong[] = {
        {"a = \"b\"\n", "f:1: no group defined"},
        {"[drive]\nx = y\n", "f:2: parse error"},
        {"[drive]\nnonsense\n", "f:2: parse error"},
        {"[foo]\n", "f:1: there is no option group 'foo'"},
        {"[drive x]\n", "f:1: parse error"},
        {"[icount]\n", "f:1: guest time is the host's: it does not follow the count of instructions"},
    };
    for (const auto& [text, error] : wrong) {
        const auto options = parse_config(text, "f");
        ASSERT_FALSE(options) << text;
        EXPECT_EQ(options.error(), error);
    }
}

}  // namespace
}  // namespace arclight::guestos::qemu
