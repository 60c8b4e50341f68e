// Which exits of blocks are linked, for threads without the engine's lock.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace arclight::jit {

/// A bit for each link slot (LinkSlot). One thread at a time sets them.
class LinkedExits {
  public:
    /// Any thread. False for what is no slot, too.
    bool test(uint32_t slot) const {
        const Chunk* chunk = chunk_of(slot);
        return chunk != nullptr &&
               ((*chunk)[word_of(slot)].load(std::memory_order_relaxed) & bit_of(slot)) != 0;
    }
    /// One that there is no room for stays unset.
    void set(uint32_t slot) {
        if (slot >> kChunkBits >= kChunks) return;
        Chunk* chunk = chunk_of(slot);
        if (chunk == nullptr) {
            chunk = owned_.emplace_back(std::make_unique<Chunk>()).get();
            chunks_[slot >> kChunkBits].store(chunk, std::memory_order_release);
        }
        (*chunk)[word_of(slot)].fetch_or(bit_of(slot), std::memory_order_relaxed);
    }
    void reset(uint32_t slot) {
        if (Chunk* chunk = chunk_of(slot); chunk != nullptr)
            (*chunk)[word_of(slot)].fetch_and(~bit_of(slot), std::memory_order_relaxed);
    }
    /// No other thread tests meanwhile.
    void clear() {
        for (auto& chunk : chunks_) chunk.store(nullptr, std::memory_order_relaxed);
        owned_.clear();
    }

  private:
    static constexpr unsigned kChunkBits = 16;
    static constexpr size_t kChunks = 1024;
    using Chunk = std::array<std::atomic<uint64_t>, (size_t{1} << kChunkBits) / 64>;

    static size_t word_of(uint32_t slot) { return (slot & ((1u << kChunkBits) - 1)) / 64; }
    static uint64_t bit_of(uint32_t slot) { return uint64_t{1} << slot % 64; }
    Chunk* chunk_of(uint32_t slot) const {
        const size_t number = slot >> kChunkBits;
        return number < kChunks ? chunks_[number].load(std::memory_order_acquire) : nullptr;
    }

    std::array<std::atomic<Chunk*>, kChunks> chunks_{};
    std::vector<std::unique_ptr<Chunk>> owned_;
};

}  // namespace arclight::jit
