#include "jit/engine/block_table.h"

#include <utility>

#include "mmu/bits.h"

namespace arclight::jit {

/// The entry with this key, or the one that it would have; `there` is which of the two: `key`, or kEmpty.
BlockTable::Entry& BlockTable::entry_of(const Table& table, uint64_t key, uint64_t& there) {
    // Half of them at least are empty, but not for one who looks while they are moved.
    size_t i = hash_bits(key, 32) & table.mask;
    for (size_t others = table.mask; others != 0; --others) {
        there = table.entries[i].key.load(std::memory_order_acquire);
        if (there == key || there == kEmpty) break;
        i = (i + 1) & table.mask;
    }
    return table.entries[i];
}

void BlockTable::insert(uint64_t pa, uint32_t translation_flags, TranslationBlock& block) {
    if (used_ * 2 >= newest().mask + 1) {
        if (live_ * 4 < newest().mask + 1)
            rearrange();
        else
            grow();
    }
    uint64_t there = 0;
    Entry& e = entry_of(newest(), key(pa, translation_flags), there);
    if (there == kEmpty) ++used_;
    ++live_;
    e.block.store(&block, std::memory_order_release);
    e.key.store(key(pa, translation_flags), std::memory_order_release);
}

void BlockTable::remove(uint64_t pa, uint32_t translation_flags) {
    uint64_t there = 0;
    entry_of(newest(), key(pa, translation_flags), there).block.store(nullptr, std::memory_order_relaxed);
    --live_;
}

/// Most entries are keys of blocks that were removed: those that have blocks, once more into the same table.
void BlockTable::rearrange() {
    std::vector<std::pair<uint64_t, TranslationBlock*>> there;
    there.reserve(live_);
    Table& table = newest();
    version_.fetch_add(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    for (size_t k = 0; k <= table.mask; ++k) {
        Entry& e = table.entries[k];
        if (TranslationBlock* block = e.block.load(std::memory_order_relaxed); block != nullptr)
            there.emplace_back(e.key.load(std::memory_order_relaxed), block);
        e.key.store(kEmpty, std::memory_order_relaxed);
        e.block.store(nullptr, std::memory_order_relaxed);
    }
    for (const auto& [k, block] : there) {
        uint64_t free = 0;
        Entry& e = entry_of(table, k, free);
        e.key.store(k, std::memory_order_relaxed);
        e.block.store(block, std::memory_order_relaxed);
    }
    used_ = there.size();
    version_.fetch_add(1, std::memory_order_release);
}

void BlockTable::grow() {
    const Table& old = newest();
    auto table = std::make_unique<Table>(2 * (old.mask + 1));
    used_ = 0;
    for (size_t k = 0; k <= old.mask; ++k) {
        TranslationBlock* const block = old.entries[k].block.load(std::memory_order_relaxed);
        if (block == nullptr) continue;
        const uint64_t key = old.entries[k].key.load(std::memory_order_relaxed);
        uint64_t free = 0;
        Entry& e = entry_of(*table, key, free);
        e.block.store(block, std::memory_order_relaxed);
        e.key.store(key, std::memory_order_relaxed);
        ++used_;
    }
    newest_.store(table.get(), std::memory_order_release);
    tables_.push_back(std::move(table));
}

void BlockTable::clear() {
    auto table = std::make_unique<Table>(kLeast);
    newest_.store(table.get(), std::memory_order_release);
    tables_.clear();
    tables_.push_back(std::move(table));
    used_ = live_ = 0;
}

}  // namespace arclight::jit
