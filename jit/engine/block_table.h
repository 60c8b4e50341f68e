// Translation blocks by physical address and translation flags: a hash table that virtual CPUs look into without a lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace arclight::jit {

struct TranslationBlock;

/// One thread at a time changes it; any number look into it meanwhile. Who does so without the lock of those that change it must keep
/// blocks from being freed (for a virtual CPU its quiescent epoch does), and may be given one that was just taken out, as from a jump cache.
class BlockTable {
  public:
    BlockTable() { clear(); }

    /// Any thread. Null: there is none; without the lock, also where the table is being rearranged.
    TranslationBlock* find(uint64_t pa, uint32_t translation_flags) const {
        const uint32_t version = version_.load(std::memory_order_acquire);
        bool is_empty = false;
        const Entry& entry =
            entry_of(*newest_.load(std::memory_order_acquire), pa, translation_flags, is_empty);
        // What has been empty just now may be another block's by now.
        TranslationBlock* const block = is_empty ? nullptr : entry.block.load(std::memory_order_acquire);
        std::atomic_thread_fence(std::memory_order_acquire);
        const bool steady = (version & 1) == 0 && version_.load(std::memory_order_relaxed) == version;
        return steady ? block : nullptr;
    }

    // ---- With the lock
    /// There is none with this address and these flags.
    void insert(uint64_t pa, uint32_t translation_flags, TranslationBlock& block);
    void remove(uint64_t pa, uint32_t translation_flags);
    /// How many are there.
    size_t size() const { return live_; }
    /// Nobody looks into it meanwhile.
    void clear();

  private:
    static constexpr uint64_t kEmpty = ~uint64_t{0};  ///< no address
    static constexpr size_t kLeast = size_t{1} << 14;
    struct Entry {
        std::atomic<uint64_t> pa{kEmpty};
        std::atomic<TranslationBlock*> block{nullptr};
        std::atomic<uint32_t> translation_flags{0};
        /// Others see the flags before the address that they go with.
        void set_key(uint64_t address, uint32_t flags) {
            translation_flags.store(flags, std::memory_order_relaxed);
            pa.store(address, std::memory_order_release);
        }
    };
    /// Open addressing; an entry that was removed keeps its address and flags, without a block. Never full.
    struct Table {
        explicit Table(size_t size) : mask(size - 1), entries(std::make_unique<Entry[]>(size)) {}
        const size_t mask;
        const std::unique_ptr<Entry[]> entries;
    };

    static Entry& entry_of(const Table& table, uint64_t pa, uint32_t translation_flags, bool& is_empty);
    Table& newest() const { return *tables_.back(); }
    void rearrange();
    void grow();
    void copy(const Table& from, Table& to);

    /// The last is in use. The others, half as big each, are kept for those that may still be looking into them.
    std::vector<std::unique_ptr<Table>> tables_;
    std::atomic<const Table*> newest_{nullptr};
    std::atomic<uint32_t> version_{0};  ///< odd while entries are moved
    size_t used_ = 0, live_ = 0;        ///< entries with an address; with a block
};

}  // namespace arclight::jit
