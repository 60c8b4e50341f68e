#include "guestos/loader.h"

#include <gtest/gtest.h>

#include <numeric>

#include "tests/guestos/test_files.h"

namespace arclight::guestos {
namespace {

constexpr uint64_t kBase = 0x4000'0000;

struct LoadTest : testing::Test {
    std::vector<uint8_t> bytes = std::vector<uint8_t>(0x1000, 0xaa);
    Ram ram{kBase, bytes};
};

TEST_F(LoadTest, Values) {
    const LoadOptions loads[] = {
        {.address = kBase + 1, .value = 0x1234, .value_bytes = 2},
        {.address = kBase + 4, .value = 0x1234, .value_bytes = 4, .big_endian = true}};
    const auto start = load_more(loads, ram);
    ASSERT_TRUE(start);
    EXPECT_FALSE(*start);
    EXPECT_EQ(std::vector<uint8_t>(bytes.begin(), bytes.begin() + 9),
              (std::vector<uint8_t>{0xaa, 0x34, 0x12, 0xaa, 0, 0, 0x12, 0x34, 0xaa}));
    const LoadOptions beyond[] = {{.address = kBase + 0xfff, .value_bytes = 2}};
    EXPECT_FALSE(load_more(beyond, ram));
}

TEST_F(LoadTest, FilesAndStart) {
    const test::TemporaryDirectory directory;
    const std::string file = directory.write("raw", std::string_view("\x7f"
                                                                     "ELF raw"));
    LoadOptions load{.file = file, .raw = true, .address = kBase + 0x10, .starts_cpu = true};
    const auto start = load_more({&load, 1}, ram);
    ASSERT_TRUE(start) << start.error();
    EXPECT_EQ(*start, kBase + 0x10);
    EXPECT_EQ(std::string(bytes.begin() + 0x10, bytes.begin() + 0x18),
              "\x7f"
              "ELF raw");
    // As an ELF it is cut off.
    load.raw = false;
    EXPECT_FALSE(load_more({&load, 1}, ram));
    load = {.file = file, .raw = true, .address = kBase + 0xffc};
    EXPECT_TRUE(load_more({&load, 1}, ram).error().contains("does not fit"));
    load = {.file = file + "none"};
    EXPECT_FALSE(load_more({&load, 1}, ram));
}

}  // namespace
}  // namespace arclight::guestos
