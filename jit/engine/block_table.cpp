#include "jit/engine/block_table.h"

#include <utility>

#include "mmu/bits.h"

namespace arclight::jit {

/// The entry of this address and these flags, or the empty one that would be theirs.
BlockTable::Entry& BlockTable::entry_of(const Table& table, uint64_t pa, uint32_t translation_flags,
                                        bool& is_empty) {
    // Half of them at least are empty, but not for one who looks while they are moved.
    size_t i = hash_bits(pa ^ uint64_t{translation_flags} << 36, 32) & table.mask;
    for (size_t others = table.mask; others != 0; --others) {
        const Entry& e = table.entries[i];
        const uint64_t there = e.pa.load(std::memory_order_acquire);
        is_empty = there == kEmpty;
        if (is_empty ||
            (there == pa && e.translation_flags.load(std::memory_order_relaxed) == translation_flags))
            break;
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
    bool is_empty = false;
    Entry& e = entry_of(newest(), pa, translation_flags, is_empty);
    ++live_;
    e.block.store(&block, std::memory_order_release);
    if (!is_empty) return;
    ++used_;
    e.set_key(pa, translation_flags);
}

void BlockTable::remove(uint64_t pa, uint32_t translation_flags) {
    bool is_empty = false;
    entry_of(newest(), pa, translation_flags, is_empty).block.store(nullptr, std::memory_order_relaxed);
    --live_;
}

/// Most entries are of blocks that were removed: those that have blocks, once more into the same table.
void BlockTable::rearrange() {
    const Table old(newest().mask + 1);
    Table& table = newest();
    version_.fetch_add(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    for (size_t k = 0; k <= table.mask; ++k) {
        Entry &from = table.entries[k], &to = old.entries[k];
        to.set_key(from.pa.load(std::memory_order_relaxed),
                   from.translation_flags.load(std::memory_order_relaxed));
        to.block.store(from.block.exchange(nullptr, std::memory_order_relaxed), std::memory_order_relaxed);
        from.pa.store(kEmpty, std::memory_order_relaxed);
    }
    copy(old, table);
    version_.fetch_add(1, std::memory_order_release);
}

void BlockTable::grow() {
    auto table = std::make_unique<Table>(2 * (newest().mask + 1));
    copy(newest(), *table);
    newest_.store(table.get(), std::memory_order_release);
    tables_.push_back(std::move(table));
}

/// What has a block in `from`, into `to`, which is empty.
void BlockTable::copy(const Table& from, Table& to) {
    used_ = 0;
    for (size_t k = 0; k <= from.mask; ++k) {
        const Entry& e = from.entries[k];
        TranslationBlock* const block = e.block.load(std::memory_order_relaxed);
        if (block == nullptr) continue;
        const uint64_t pa = e.pa.load(std::memory_order_relaxed);
        const uint32_t flags = e.translation_flags.load(std::memory_order_relaxed);
        bool is_empty = false;
        Entry& there = entry_of(to, pa, flags, is_empty);
        there.block.store(block, std::memory_order_relaxed);
        there.set_key(pa, flags);
        ++used_;
    }
}

void BlockTable::clear() {
    auto table = std::make_unique<Table>(kLeast);
    newest_.store(table.get(), std::memory_order_release);
    tables_.clear();
    tables_.push_back(std::move(table));
    used_ = live_ = 0;
}

}  // namespace arclight::jit
