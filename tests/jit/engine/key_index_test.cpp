#include "jit/engine/key_index.h"

#include <gtest/gtest.h>

#include <random>
#include <unordered_map>

namespace arclight::jit {
namespace {

TEST(KeyIndexTest, FindsWhatAMultimapFinds) {
    std::mt19937_64 random(1);
    std::unordered_multimap<uint64_t, uint32_t> right;
    KeyIndex index;
    // Keys that differ above the table's size only, and numbers with one key, have to go side by side.
    const auto key = [&] { return random() % 500 | (random() % 8) << 60; };
    uint32_t number = 0;
    EXPECT_FALSE(index.find(1, number, [](uint32_t) { return true; }));
    for (uint32_t n = 0; n < 5000; ++n) {
        const uint64_t k = key();
        right.emplace(k, n);
        index.add(k, n);
        const uint64_t asked = key();
        size_t seen = 0;
        EXPECT_FALSE(index.find(asked, number, [&](uint32_t) { return ++seen == 0; }));
        EXPECT_EQ(seen, right.count(asked));
    }
    for (const auto& [k, n] : right) {
        ASSERT_TRUE(index.find(k, number, [want = n](uint32_t found) { return found == want; }));
        EXPECT_EQ(number, n);
    }
    index.clear();
    EXPECT_FALSE(index.find(right.begin()->first, number, [](uint32_t) { return true; }));
}

}  // namespace
}  // namespace arclight::jit
