// Traditional shadow paging (`--mmu tsp`): which pages of guest RAM hold translation tables.
//
// Two rules keep the virtual CPUs' translations true without a TLBI:
//  1. what is derived from a table is derived while its page is in state Table: the page was found so before
//  the
//     descriptor was read;
//  2. a page in any state but None has no writable translation in any CPU, once that CPU has answered. So
//  each
//     store to it comes through write(), which says what has to be dropped.
// A page becomes a table in two steps, since other CPUs have to answer in between: begin(), their answers,
// finish(). It ceases to be one likewise: leave(), answers, left(). Hardware's updates of AF and dirty state
// are not stores in this sense: they only add rights.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "mmu/guest_memory.h"
#include "mmu/shadow.h"
#include "mmu/walk.h"

namespace arclight::mmu {

/// One for a machine; any thread.
class TablePages {
  public:
    explicit TablePages(const GuestMemory& memory);

    /// Must pa's page be written by write() alone?
    bool is_protected(uint64_t pa) const { return state(pa) != State::None; }
    /// May the 2 MiB around pa be mapped writable at once?
    bool block_is_free(uint64_t pa) const {
        const uint64_t block = (pa - base_) >> 21;
        return block < blocks_count_ && blocks_[block].load() == 0;
    }

    // ---- Walks
    /// Moves when a page has become a table: a walk is good if its tables are in_use() and this is as it was
    /// before.
    uint64_t generation() const { return generation_.load(); }
    /// Are the tables that led to va all known as such, at these places? Then they count as used.
    bool in_use(const WalkPath& path, uint64_t va, uint64_t root);

    /// What becoming a table asks of all CPUs. Nothing: another CPU is preparing what is missing.
    struct Change {
        std::vector<uint64_t> protect;  ///< pages: take back writable translations
        std::vector<Derived> drop;      ///< what was derived from a page in its earlier place
        std::vector<uint64_t> pages;    ///< for finish()
    };
    Change begin(const WalkPath& path, uint64_t va, uint64_t root);
    void finish(const Change& change);

    // ---- Stores
    struct Write {
        std::vector<Derived> drop;
        uint64_t leaving = kNoPage;  ///< a page that is written a lot and walked no more: leave() has begun
        unsigned changed = 0;        ///< descriptors that were valid and are not what they were
    };
    static constexpr uint64_t kNoPage = ~uint64_t{0};

    /// Makes a store of `bytes` at pa (and `more` at `next_pa`, if it crosses a page) and says what it
    /// undoes.
    template <typename Store>
    Write write(uint64_t pa, unsigned bytes, uint64_t next_pa, unsigned more, Store store) {
        const std::lock_guard guard(lock_);
        Watched watched[2] = {watch(pa, bytes), watch(next_pa, more)};
        store();
        Write result;
        for (const Watched& w : watched) compare(w, result);
        return result;
    }
    /// The CPUs have dropped what write() said.
    void left(uint64_t page);

    uint64_t count() const { return count_.load(std::memory_order_relaxed); }

  private:
    enum class State : uint8_t { None, Preparing, Table, Leaving };
    struct Info {
        uint64_t va = 0;  ///< that the table begins at
        uint64_t root = 0;
        uint8_t level = 0;
        bool anywhere = false;  ///< found in several places: any change drops everything
        uint8_t places = 0;     ///< how often the place changed
        uint32_t writes = 0;    ///< since it was last walked through
        uint32_t preparing = 0;
    };
    struct Watched {  ///< descriptors that a store touches, as they were
        uint64_t page = kNoPage;
        unsigned first = 0, count = 0;
        uint64_t old[10];
    };

    // After so many stores in a row a table is being torn down, or is none any more (as KVM's write
    // flooding).
    static constexpr uint32_t kFlood = 8;
    static constexpr uint8_t kMostPlaces = 4;

    State state(uint64_t pa) const {
        const uint64_t page = (pa - base_) >> 12;
        return page < pages_count_ ? states_[page].load() : State::None;
    }
    void set_state(uint64_t page, State state);
    Watched watch(uint64_t pa, unsigned bytes) const;
    void compare(const Watched& watched, Write& result);
    static bool is_at(const Info& info, const WalkPath& path, unsigned step, uint64_t va, uint64_t root);
    static Derived all_of(const Info& info);

    const GuestMemory memory_;
    const uint64_t base_, pages_count_, blocks_count_;
    std::unique_ptr<std::atomic<State>[]> states_;
    std::unique_ptr<std::atomic<uint32_t>[]> blocks_;  ///< pages in any state but None
    std::atomic<uint64_t> generation_{0}, count_{0};

    std::mutex lock_;
    std::unordered_map<uint64_t, Info> infos_;  ///< of the pages in any state but None
};

}  // namespace arclight::mmu
