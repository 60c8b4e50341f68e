// A hash set of guest virtual mappings.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "mmu/bits.h"

namespace arclight::mmu {

/// A set of mappings (page or block address with its size) that code was fetched through. It is exact,
/// because most TLBIs name addresses without code and must not affect code.
class PageSet {
  public:
    PageSet() : keys_(kFirstCapacity, kEmpty) {}

    /// The key of the mapping of 2^bits bytes that contains va.
    static uint64_t key(uint64_t va, unsigned bits) {
        return (va & kAddressBits & ~((uint64_t{1} << bits) - 1)) | bits;
    }

    bool empty() const { return size_ == 0; }
    bool contains(uint64_t key) const { return keys_[find(key)] != kEmpty; }

    void insert(uint64_t key, bool non_global) {
        const size_t at = find(key);
        if (keys_[at] != kEmpty) {
            // A global and a non-global mapping of this address: keep the kind that more invalidations name.
            if (!non_global) keys_[at] &= ~kNonGlobal;
            return;
        }
        keys_[at] = key | (non_global ? kNonGlobal : 0);
        if (++size_ * 2 > keys_.size()) grow();
    }

    /// Removes the mapping if it is present and of one of these kinds. True if it was removed.
    bool erase(uint64_t key, bool globals, bool non_globals) {
        size_t at = find(key);
        if (keys_[at] == kEmpty || !((keys_[at] & kNonGlobal) != 0 ? non_globals : globals)) return false;
        // Linear probing without tombstones: move later members of the run into the hole if their home slot
        // allows it.
        const size_t mask = keys_.size() - 1;
        for (size_t next = (at + 1) & mask; keys_[next] != kEmpty; next = (next + 1) & mask) {
            const size_t home = hash(keys_[next] & ~kNonGlobal);
            if (((next - home) & mask) >= ((next - at) & mask)) {
                keys_[at] = keys_[next];
                at = next;
            }
        }
        keys_[at] = kEmpty;
        --size_;
        return true;
    }

    struct Span {
        uint64_t first, last;  ///< addresses without tags
    };
    /// Removes the mappings of these kinds that have an address in the span. `sizes` has a bit for each size there is (bit n:
    /// 2^n bytes). Returns what the removed ones map, at least, or nothing.
    std::optional<Span> erase_span(Span span, uint64_t sizes, bool globals, bool non_globals) {
        std::optional<Span> erased;
        const auto note = [&](uint64_t first, unsigned bits) {
            const uint64_t last = first + ((uint64_t{1} << bits) - 1);
            erased = erased ? Span{std::min(first, erased->first), std::max(last, erased->last)}
                            : Span{first, last};
        };
        // By look-ups if they are few, else by a look at all.
        uint64_t lookups = 0;
        for (uint64_t rest = sizes; rest != 0; rest &= rest - 1)
            lookups += ((span.last - span.first) >> std::countr_zero(rest)) + 2;
        if (lookups < keys_.size() / 8) {
            for (uint64_t rest = sizes; rest != 0; rest &= rest - 1) {
                const auto bits = static_cast<unsigned>(std::countr_zero(rest));
                for (uint64_t at = span.first >> bits << bits; at <= span.last; at += uint64_t{1} << bits)
                    if (erase(key(at, bits), globals, non_globals)) note(at, bits);
            }
            return erased;
        }
        std::vector<uint64_t> kept;
        for (const uint64_t key : keys_) {
            if (key == kEmpty) continue;
            const auto bits = static_cast<unsigned>(key & kSizeBits);
            const uint64_t first = key & kAddressBits & ~kSizeBits;
            const bool meant = first <= span.last && first + ((uint64_t{1} << bits) - 1) >= span.first &&
                               ((key & kNonGlobal) != 0 ? non_globals : globals);
            meant ? note(first, bits) : kept.push_back(key);
        }
        if (!erased) return erased;
        std::ranges::fill(keys_, kEmpty);
        for (const uint64_t key : kept) keys_[find(key & ~kNonGlobal)] = key;
        size_ = kept.size();
        return erased;
    }

    void erase_non_global() {
        std::vector<uint64_t> old = std::exchange(keys_, std::vector<uint64_t>(keys_.size(), kEmpty));
        size_ = 0;
        for (uint64_t key : old)
            if (key != kEmpty && (key & kNonGlobal) == 0) insert(key, false);
    }

    void clear() {
        if (size_ == 0) return;
        keys_.assign(keys_.size(), kEmpty);
        size_ = 0;
    }

  private:
    static constexpr size_t kFirstCapacity = 64;
    static constexpr uint64_t kEmpty = 0;  // no key: the size is in the low bits
    static constexpr uint64_t kSizeBits = 63;
    static constexpr uint64_t kNonGlobal = uint64_t{1} << 63;
    static constexpr uint64_t kAddressBits = (uint64_t{1} << 56) - 1;

    size_t hash(uint64_t key) const { return hash_bits(key, 32) & (keys_.size() - 1); }
    size_t find(uint64_t key) const {
        size_t at = hash(key);
        while (keys_[at] != kEmpty && (keys_[at] & ~kNonGlobal) != key) at = (at + 1) & (keys_.size() - 1);
        return at;
    }
    void grow() {
        std::vector<uint64_t> old = std::exchange(keys_, std::vector<uint64_t>(keys_.size() * 2, kEmpty));
        for (uint64_t key : old)
            if (key != kEmpty) keys_[find(key & ~kNonGlobal)] = key;
    }

    std::vector<uint64_t> keys_;
    size_t size_ = 0;
};

}  // namespace arclight::mmu
