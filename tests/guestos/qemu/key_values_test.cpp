#include "guestos/qemu/key_values.h"

#include <gtest/gtest.h>

namespace arclight::guestos::qemu {
namespace {

std::string parsed(std::string_view text, std::string_view implied = "") {
    const auto values = parse_key_values(text, implied);
    if (!values) return "error: " + values.error();
    std::string all;
    for (const auto& [key, value] : *values) all += key + "=[" + value + "]";
    return all;
}

// What `qemu-system-aarch64 -drive`, -name and -device make of the same texts.
TEST(QemuKeyValues, Forms) {
    EXPECT_EQ(parsed("a=1,b=2"), "a=[1]b=[2]");
    EXPECT_EQ(parsed("a=1,,2,b=,,"), "a=[1,2]b=[,]");
    EXPECT_EQ(parsed("a=x=y"), "a=[x=y]");
    EXPECT_EQ(parsed("word,b=2", "first"), "first=[word]b=[2]");
    EXPECT_EQ(parsed("wo,,rd,b=2", "first"), "first=[wo,rd]b=[2]");
    EXPECT_EQ(parsed("first=word", "first"), "first=[word]");
    EXPECT_EQ(parsed("flag"), "flag=[on]");
    EXPECT_EQ(parsed("word,flag,nowait", "first"), "first=[word]flag=[on]wait=[off]");
    EXPECT_EQ(parsed("virt,help", "type"), "type=[virt]help=[on]");
    EXPECT_EQ(parsed("help", "type"), "help=[on]");
    EXPECT_EQ(parsed(""), "");
    EXPECT_EQ(parsed("a=1,"), "a=[1]");
    EXPECT_EQ(parsed("a=1,a=2"), "a=[1]a=[2]");
}

TEST(QemuKeyValues, Json) {
    EXPECT_EQ(
        parsed(R"({"driver":"virtio-net-pci","mtu":1500,"mq":true,"addr":{"a":"x","b":[1,2]}})", "driver"),
        "addr.a=[x]addr.b.0=[1]addr.b.1=[2]driver=[virtio-net-pci]mq=[on]mtu=[1500]");
    EXPECT_EQ(parsed("{"), "error: the text is not a JSON object");
    EXPECT_EQ(parsed(R"({"a":null})"), "a=[]");
    EXPECT_EQ(parsed(std::string(100'000, '{')), "error: the JSON text is nested too deeply");
}

TEST(QemuKeyValues, Doubling) {
    const std::string text = ",a,,b,";
    EXPECT_EQ(parsed("v=" + doubled_commas(text)), "v=[" + text + "]");
}

TEST(QemuKeyValues, Sizes) {
    constexpr uint64_t kMiB = 1 << 20;
    const struct {
        std::string_view text;
        uint64_t bytes;
    } good[] = {{"1", kMiB},
                {"512", 512 * kMiB},
                {"1G", 1024 * kMiB},
                {"1g", 1024 * kMiB},
                {"1.5G", 1536 * kMiB},
                {"64k", 64 << 10},
                {"7b", 7},
                {"0x10", 16 * kMiB},
                {"2T", 2048ull << 30},
                {"0", 0},
                {"0.5m", kMiB / 2}};
    for (const auto& [text, bytes] : good) EXPECT_EQ(parse_size(text, kMiB), bytes) << text;
    for (const std::string_view text : {"", "x", "1X", "-1", "1MB", "99999999999999999999", "9999999E",
                                        "0xffffffffffffffff", "nan", "inf", "1e3"})
        EXPECT_FALSE(parse_size(text, kMiB)) << text;
    EXPECT_FALSE(parse_size("1.5", 1));
}

TEST(QemuKeyValues, Numbers) {
    EXPECT_EQ(parse_number("10"), 10u);
    EXPECT_EQ(parse_number("0x10"), 16u);
    EXPECT_EQ(parse_number("010"), 8u);
    EXPECT_EQ(parse_number("0"), 0u);
    EXPECT_FALSE(parse_number("1x"));
    EXPECT_FALSE(parse_number(""));
}

}  // namespace
}  // namespace arclight::guestos::qemu
