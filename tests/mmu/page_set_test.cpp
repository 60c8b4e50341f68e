#include "mmu/page_set.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

namespace arclight::mmu {
namespace {

// Against a map, with few enough keys that runs collide, wrap around and are closed up again.
TEST(PageSet, AgreesWithAMap) {
    PageSet set;
    std::map<uint64_t, bool> model;  // key to non-global
    uint64_t seed = 7;
    const auto random = [&] { return (seed = seed * 6364136223846793005 + 1442695040888963407) >> 33; };
    for (unsigned i = 0; i < 200'000; ++i) {
        const unsigned bits = random() % 4 == 0 ? 21 : 12;
        const uint64_t key = PageSet::key(random() % 300 << 12, bits);
        const bool non_global = random() % 2 != 0;
        switch (random() % 8) {
            case 0:
            case 1:
            case 2:
                set.insert(key, non_global);
                if (!model.contains(key)) {
                    model[key] = non_global;
                } else if (!non_global) {
                    model[key] = false;
                }
                break;
            default: {
                const bool globals = random() % 2 != 0, non_globals = random() % 2 != 0;
                const auto it = model.find(key);
                const bool expected = it != model.end() && (it->second ? non_globals : globals);
                ASSERT_EQ(set.erase(key, globals, non_globals), expected);
                if (expected) model.erase(it);
            }
        }
        if (i % 5000 == 0) {
            set.erase_non_global();
            std::erase_if(model, [](const auto& e) { return e.second; });
        }
        if (i % 1'700 == 0) {
            const unsigned bits = i % 2 == 0 ? 21 : 13;
            const uint64_t from = random() & 0x3f'f000;
            const auto inside = [&](const auto& e) {
                return ((e.first ^ from) & ((uint64_t{1} << 56) - 1)) >> bits == 0;
            };
            ASSERT_EQ(set.erase_range(from, bits), std::any_of(model.begin(), model.end(), inside));
            std::erase_if(model, inside);
        }
        if (i % 30'000 == 0) {
            set.clear();
            model.clear();
        }
        ASSERT_EQ(set.empty(), model.empty());
    }
}

TEST(PageSet, TagsDoNotMatter) {
    PageSet set;
    set.insert(PageSet::key(0x5a00'0000'0000'1000, 12), true);
    EXPECT_TRUE(set.erase(PageSet::key(0x1fff, 12), false, true));
    EXPECT_TRUE(set.empty());
}

}  // namespace
}  // namespace arclight::mmu
