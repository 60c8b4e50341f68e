// Numbers by 64-bit keys that are hashes: what std::unordered_multimap is, without a node for each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace arclight::jit {

/// Several numbers may have one key. Nothing is taken out but all. What is looked up is mostly not there, which a byte for each
/// entry tells: they stay in the host's cache, which keys and numbers do not.
class KeyIndex {
  public:
    void add(uint64_t key, uint32_t number) {
        if (2 * (used_ + 1) > tags_.size()) grow();
        insert({key, number});
        ++used_;
    }
    /// A number with this key that `f` accepts. False: there is none.
    template <typename F>
    bool find(uint64_t key, uint32_t& number, F&& f) const {
        if (tags_.empty()) return false;
        const size_t mask = tags_.size() - 1;
        const uint8_t tag = tag_of(key);
        for (size_t k = key & mask; tags_[k] != kNone; k = (k + 1) & mask)
            if (tags_[k] == tag && entries_[k].key == key && f(entries_[k].number)) {
                number = entries_[k].number;
                return true;
            }
        return false;
    }
    void clear() {
        tags_ = {};
        entries_ = {};
        used_ = 0;
    }

  private:
    struct Entry {
        uint64_t key = 0;
        uint32_t number = 0;
    };
    static constexpr size_t kLeast = 1024;
    static constexpr uint8_t kNone = 0;
    /// By other bits than the place.
    static uint8_t tag_of(uint64_t key) { return static_cast<uint8_t>(key >> 56 | 1); }
    void insert(const Entry& e) {
        const size_t mask = tags_.size() - 1;
        size_t k = e.key & mask;
        while (tags_[k] != kNone) k = (k + 1) & mask;
        tags_[k] = tag_of(e.key);
        entries_[k] = e;
    }
    void grow() {
        const size_t size = tags_.empty() ? kLeast : 2 * tags_.size();
        std::vector<uint8_t> tags(size);
        std::vector<Entry> entries(size);
        tags.swap(tags_);
        entries.swap(entries_);
        for (size_t k = 0; k < tags.size(); ++k)
            if (tags[k] != kNone) insert(entries[k]);
    }

    std::vector<uint8_t> tags_;   ///< of entries_; kNone: nothing is there
    std::vector<Entry> entries_;  ///< open addressing, a power of two
    size_t used_ = 0;
};

}  // namespace arclight::jit
