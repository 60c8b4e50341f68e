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
            // Few pages, which are looked for one by one, or many.
            const uint64_t pages = i % 2 == 0 ? 3 : 200;
            const uint64_t from = random() % 300 << 12;
            const PageSet::Span whole{from, from + (pages << 12) - 1};
            const bool globals = random() % 4 != 0, non_globals = random() % 4 != 0;
            uint64_t first = ~uint64_t{0}, last = 0;
            std::erase_if(model, [&](const auto& e) {
                const unsigned bits = e.first & 63;
                const uint64_t begin = e.first >> 12 << 12, end = begin + (uint64_t{1} << bits) - 1;
                if (begin > whole.last || end < whole.first || !(e.second ? non_globals : globals))
                    return false;
                first = std::min(first, begin), last = std::max(last, end);
                return true;
            });
            constexpr uint64_t kSizes = 1 << 12 | 1 << 21;
            const auto erased = set.erase_span(whole, kSizes, globals, non_globals);
            ASSERT_EQ(erased.has_value(), last != 0);
            if (erased) {
                ASSERT_EQ(erased->first, first);
                ASSERT_EQ(erased->last, last);
            }
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
