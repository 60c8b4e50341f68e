#include "jit/engine/block_table.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

#include "jit/engine/block_cache.h"

namespace arclight::jit {
namespace {

constexpr uint64_t kStep = 4;

TEST(BlockTableTest, FindsWhatAMapFinds) {
    std::mt19937_64 random(3);
    BlockTable table;
    std::map<std::pair<uint64_t, uint32_t>, TranslationBlock*> known;
    std::vector<TranslationBlock> blocks(30'000);
    for (int n = 0; n < 400'000; ++n) {
        const std::pair key(random() % 20'000 * kStep, static_cast<uint32_t>(random() % 2) << random() % 32);
        const auto there = known.find(key);
        ASSERT_EQ(table.find(key.first, key.second), there != known.end() ? there->second : nullptr);
        if (there != known.end() && random() % 2 == 0) {
            table.remove(key.first, key.second);
            known.erase(there);
        } else if (there == known.end()) {
            TranslationBlock& block = blocks[random() % blocks.size()];
            table.insert(key.first, key.second, block);
            known[key] = &block;
        }
        ASSERT_EQ(table.size(), known.size());
    }
    table.clear();
    EXPECT_EQ(table.size(), 0u);
    EXPECT_EQ(table.find(known.begin()->first.first, known.begin()->first.second), nullptr);
}

// What is found without the lock is the block of this address, or nothing; a block that stays is found again and again, while others
// come and go, the table grows, and its entries are moved.
TEST(BlockTableTest, IsLookedIntoWhileItChanges) {
    constexpr uint64_t kAddresses = 60'000;
    std::vector<TranslationBlock> blocks(kAddresses);
    for (uint64_t k = 0; k < kAddresses; ++k) blocks[k].pa = k * kStep;
    BlockTable table;
    const auto stays = [](uint64_t k) { return k % 16 == 0; };
    for (uint64_t k = 0; k < 4'000; ++k)
        if (stays(k)) table.insert(k * kStep, 1, blocks[k]);
    std::atomic<bool> stop{false};
    std::atomic<uint64_t> wrong{0}, found{0};
    std::vector<std::thread> readers;
    for (unsigned seed = 0; seed < 3; ++seed)
        readers.emplace_back([&, seed] {
            std::mt19937_64 random(seed);
            while (!stop.load(std::memory_order_relaxed)) {
                const uint64_t k = random() % kAddresses;
                const TranslationBlock* block = table.find(k * kStep, 1);
                if (block == nullptr) continue;
                found.fetch_add(1, std::memory_order_relaxed);
                if (block->pa != k * kStep) wrong.fetch_add(1);
            }
        });
    std::mt19937_64 random(99);
    std::vector<bool> there(kAddresses);
    // At first many of few addresses, which leaves keys behind; then all.
    for (int n = 0; n < 600'000; ++n) {
        const uint64_t k = random() % (n < 300'000 ? kAddresses / 4 : kAddresses);
        if (stays(k) && k < 4'000) {
            if (table.find(k * kStep, 1) != &blocks[k]) wrong.fetch_add(1);
        } else if (there[k]) {
            table.remove(k * kStep, 1);
            there[k] = false;
        } else {
            table.insert(k * kStep, 1, blocks[k]);
            there[k] = true;
        }
    }
    while (found.load() == 0) std::this_thread::yield();
    stop = true;
    for (std::thread& reader : readers) reader.join();
    EXPECT_EQ(wrong.load(), 0u);
}

}  // namespace
}  // namespace arclight::jit
