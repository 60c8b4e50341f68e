// What a block's description is made of: CompactVector and packed SavedLocations.
#include "jit/compact_vector.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "jit/engine/block_cache.h"
#include "jit/saved_location.h"

namespace arclight::jit {
namespace {

TEST(CompactVectorTest, TakesAPointerWhereItIsEmpty) {
    EXPECT_EQ(sizeof(CompactVector<uint64_t>), sizeof(void*));
    const CompactVector<uint64_t> v;
    EXPECT_TRUE(v.empty());
    EXPECT_EQ(v.begin(), v.end());
    EXPECT_EQ(v.allocated(), 0u);
}

TEST(CompactVectorTest, IsWhatAVectorIs) {
    CompactVector<uint32_t> v;
    std::vector<uint32_t> w;
    uint32_t random = 1;
    for (unsigned k = 0; k < 2000; ++k) {
        random = random * 1664525 + 1013904223;
        const uint32_t value = random >> 8 & 7;
        switch (random >> 28) {
            case 0:
                if (!w.empty()) {
                    const size_t at = value % w.size();
                    v.erase(v.begin() + at);
                    w.erase(w.begin() + static_cast<ptrdiff_t>(at));
                }
                break;
            case 1:
                v.remove(value);
                std::erase(w, value);
                break;
            case 2:
                v.resize(w.size() + value);
                w.resize(w.size() + value);
                break;
            case 3: {
                const std::vector<uint32_t> other(value, value);
                v.assign(other);
                w = other;
                break;
            }
            case 4: {
                CompactVector<uint32_t> copy = v;
                v.clear();
                v = std::move(copy);
                break;
            }
            default: v.push_back(value); w.push_back(value);
        }
        ASSERT_TRUE(std::ranges::equal(v, w)) << k;
    }
}

TEST(CompactVectorTest, TakesNoMoreThanItIsGiven) {
    CompactVector<uint64_t> v;
    v.assign(std::vector<uint64_t>(13));
    EXPECT_EQ(v.capacity(), 13u);
    v.push_back(v[0]);  // an element of its own, while it grows
    EXPECT_EQ(v.capacity(), 26u);
}

std::vector<LocationWord> packed(const std::vector<SavedLocation>& all) {
    std::vector<LocationWord> words(kMostLocationWords * all.size());
    LocationWord* end = words.data();
    for (const SavedLocation& where : all) end = put_location(where, end);
    words.resize(static_cast<size_t>(end - words.data()));
    return words;
}

TEST(SavedLocationTest, IsPackedWithAnyValue) {
    constexpr int64_t kMin = std::numeric_limits<int64_t>::min(), kMax = std::numeric_limits<int64_t>::max();
    std::vector<SavedLocation> all;
    for (unsigned slot = 0; slot < 69; ++slot) {
        for (const auto kind :
             {SavedLocation::Gpr, SavedLocation::Xmm128, SavedLocation::Xmm64, SavedLocation::Xmm32})
            all.push_back(
                {.slot = static_cast<uint8_t>(slot), .kind = kind, .reg = static_cast<uint8_t>(slot % 16)});
        for (const int64_t value :
             {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{0x7fff}, int64_t{0x8000}, int64_t{-0x8000},
              int64_t{-0x8001}, int64_t{0x7fff'ffff}, int64_t{0x8000'0000}, int64_t{-0x8000'0000},
              int64_t{-0x8000'0001}, kMin, kMax})
            for (const auto kind : {SavedLocation::Constant, SavedLocation::PageRelative})
                all.push_back({.slot = static_cast<uint8_t>(slot), .kind = kind, .value = value});
    }
    const std::vector<LocationWord> words = packed(all);
    LocationReader reader(words);
    for (const SavedLocation& where : all) EXPECT_EQ(reader.next(), where);
    EXPECT_FALSE(reader.next().has_value());
}

TEST(SavedLocationTest, NothingBehindTheWordsIsRead) {
    const std::vector<LocationWord> words =
        packed({{.slot = 3, .kind = SavedLocation::Constant, .value = int64_t{1} << 40}});
    ASSERT_EQ(words.size(), 5u);
    for (size_t n = 0; n < words.size(); ++n)
        EXPECT_FALSE(LocationReader(std::span(words).first(n)).next().has_value()) << n;
    FaultMap map;
    map.locations.assign(words);
    EXPECT_TRUE(map.locations_of({.first = 0, .words = 5}).next().has_value());
    EXPECT_FALSE(map.locations_of({.first = 1, .words = 5}).next().has_value());
    EXPECT_FALSE(map.locations_of({.first = ~uint32_t{0}, .words = 5}).next().has_value());
}

/// There are hundreds of thousands: what is added to all of them has to be worth it.
TEST(TranslationBlockTest, IsSmall) { EXPECT_LE(sizeof(TranslationBlock), 320u); }

}  // namespace
}  // namespace arclight::jit
