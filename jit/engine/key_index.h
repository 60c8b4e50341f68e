// Numbers by 64-bit keys that are hashes: what std::unordered_multimap is, without a node for each.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace arclight::jit {

/// Several numbers may have one key. Nothing is taken out but all.
class KeyIndex {
  public:
    void add(uint64_t key, uint32_t number) {
        if (2 * (used_ + 1) > entries_.size()) grow();
        insert({key, number, true});
        ++used_;
    }
    /// A number with this key that `f` accepts. False: there is none.
    template <typename F>
    bool find(uint64_t key, uint32_t& number, F&& f) const {
        if (entries_.empty()) return false;
        const size_t mask = entries_.size() - 1;
        for (size_t k = key & mask; entries_[k].used; k = (k + 1) & mask)
            if (entries_[k].key == key && f(entries_[k].number)) {
                number = entries_[k].number;
                return true;
            }
        return false;
    }
    void clear() {
        entries_ = {};
        used_ = 0;
    }

  private:
    struct Entry {
        uint64_t key = 0;
        uint32_t number = 0;
        bool used = false;
    };
    static constexpr size_t kLeast = 1024;
    void insert(const Entry& e) {
        const size_t mask = entries_.size() - 1;
        size_t k = e.key & mask;
        while (entries_[k].used) k = (k + 1) & mask;
        entries_[k] = e;
    }
    void grow() {
        std::vector<Entry> old(entries_.empty() ? kLeast : 2 * entries_.size());
        old.swap(entries_);
        for (const Entry& e : old)
            if (e.used) insert(e);
    }

    std::vector<Entry> entries_;  ///< open addressing, a power of two
    size_t used_ = 0;
};

}  // namespace arclight::jit
