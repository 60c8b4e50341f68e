#include "mmu/lightv/json.h"

#include <gtest/gtest.h>

namespace arclight::mmu::lightv {
namespace {

std::string nested(size_t levels, bool objects) {
    std::string text;
    for (size_t i = 0; i < levels; ++i) text += objects ? "{\"a\":" : "[";
    text += "1";
    return text + std::string(levels, objects ? '}' : ']');
}

TEST(Json, OfMoreLevelsThanTheLimitIsRefused) {
    for (const bool objects : {false, true}) {
        EXPECT_TRUE(parse_json(nested(kMaxJsonDepth, objects), kMaxPolicyBytes));
        for (const size_t levels : {size_t{kMaxJsonDepth} + 1, size_t{1'000'000}}) {
            const auto result = parse_json(nested(levels, objects), kMaxPolicyBytes);
            ASSERT_FALSE(result);
            EXPECT_EQ(result.error(), "JSON with more than 64 levels");
        }
    }
}

TEST(Json, LargerThanTheLimitOrDamagedIsRefused) {
    EXPECT_TRUE(parse_json("[1, 2]", 6));
    EXPECT_EQ(parse_json("[1, 2] ", 6).error(), "JSON of more than 0 KiB");
    EXPECT_EQ(parse_json("[1, ", 100).error().substr(0, 8), "not JSON");
    EXPECT_TRUE(parse_json("[1] // one", 100, true));
    EXPECT_FALSE(parse_json("[1] // one", 100));
}

}  // namespace
}  // namespace arclight::mmu::lightv
