#include "jit/engine/linked_exits.h"

#include <gtest/gtest.h>

namespace arclight::jit {
namespace {

TEST(LinkedExitsTest, HoldsABitForEachSlot) {
    LinkedExits exits;
    const uint32_t slots[] = {0, 1, 63, 64, 65'535, 65'536, 1'000'000};
    for (const uint32_t slot : slots) {
        EXPECT_FALSE(exits.test(slot));
        exits.reset(slot);
        exits.set(slot);
        EXPECT_TRUE(exits.test(slot));
        EXPECT_FALSE(exits.test(slot + 2));
    }
    exits.reset(64);
    for (const uint32_t slot : slots) EXPECT_EQ(exits.test(slot), slot != 64);
    // What is no slot, or one too many.
    const uint32_t none = ~uint32_t{0};
    exits.set(none);
    EXPECT_FALSE(exits.test(none));
    exits.clear();
    for (const uint32_t slot : slots) EXPECT_FALSE(exits.test(slot));
}

}  // namespace
}  // namespace arclight::jit
