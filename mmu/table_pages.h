// Traditional shadow paging (`--mmu tsp`): which pages of guest RAM hold translation tables.
//
// Two rules keep the virtual CPUs' translations correct without a TLBI:
//  1. A translation is derived from a table only while the table's page is in state Table; the state was read
//     before the descriptor.
//  2. A page in any state but None has no writable translation in any CPU once that CPU has acknowledged the
//     change. So each store to it goes through write(), which returns the shadow entries to drop.
// A table of 16 or 64 KiB is several pages here, each with the part of the addresses that its entries translate.
// A page becomes a table in two steps, because other CPUs must acknowledge in between: begin(),
// acknowledgements, finish(). It stops being one in the same way: write() returns it as `leaving`,
// acknowledgements, left(). The hardware updates of AF and the dirty state do not count as stores, because
// they only add rights.
//
// With unsynchronised leaves (ShadowPolicy::TspUnsync) the first store to a last-level table makes its page
// Unsynchronised: it may be written to, and translations are derived from it as if nobody looked, until
// synchronise() makes a table of it again. Whoever carries out a TLBI sees to what was derived in between.
//
// A device's store has no such rule: it writes beside the CPUs' translations, and no CPU notices. Software that
// lets a device write a table follows it with a TLBI, as on any CPU; so a TLBI that comes during or after such a
// store drops everything, where it would otherwise have nothing to do.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>
#include <utility>
#include <vector>

#include "mmu/guest_memory.h"
#include "mmu/shadow.h"
#include "mmu/walk.h"

namespace arclight::mmu {

/// One per machine; any thread.
class TablePages final : public DeviceWriteObserver {
  public:
    explicit TablePages(const GuestMemory& memory, ShadowPolicy policy = ShadowPolicy::Tsp);

    /// Whether stores to the page of pa must go through write().
    bool is_protected(uint64_t pa) const {
        const State now = state(pa);
        return now != State::None && now != State::Unsynchronised;
    }
    /// Whether one large page may map the 2 MiB around pa writable.
    bool block_is_free(uint64_t pa) const {
        const uint64_t block = (pa - base_) >> 21;
        return block < blocks_count_ && blocks_[block].load() == 0;
    }

    // ---- Walks
    /// Changes when a page has become a table. A walk is valid if its tables are in_use() and the generation
    /// is the same before and after it.
    uint64_t generation() const { return generation_.load(); }
    /// Whether all tables on the path to va are in state Table at these places. Resets their count of stores.
    bool in_use(const WalkPath& path, uint64_t va, uint64_t root);

    /// What all CPUs must do before pages become tables. Empty if another CPU prepares the same pages
    /// already.
    struct Change {
        std::vector<uint64_t> protect;  ///< pages to write-protect
        std::vector<Derived> drop;      ///< shadow entries derived from a page at its earlier place
        std::vector<uint64_t> pages;    ///< for finish()
    };
    /// Puts the missing tables of the path into state Preparing.
    Change begin(const WalkPath& path, uint64_t va, uint64_t root);
    /// Of all unsynchronised tables, with what was derived from them.
    Change synchronise();
    /// All CPUs have carried out the change: its pages are tables.
    void finish(const Change& change);

    // ---- Stores
    struct Write {
        std::vector<Derived> drop;
        uint64_t leaving =
            kNoPage;  ///< a page that is written often and no longer walked: call left() after the drop
        bool unsynchronised = false;  ///< the page may be written to from now on
        unsigned changed = 0;         ///< number of valid descriptors that the store changed
    };
    static constexpr uint64_t kNoPage = ~uint64_t{0};

    /// Carries out a store of `bytes` at pa (and `more` at `next_pa` if it crosses a page) by calling
    /// store(). Returns the shadow entries that it invalidates.
    template <typename Store>
    Write write(uint64_t pa, unsigned bytes, uint64_t next_pa, unsigned more, Store store) {
        const std::lock_guard guard(lock_);
        Watched watched[2] = {watch(pa, bytes), watch(next_pa, more)};
        store();
        Write result;
        for (const Watched& w : watched) compare(w, result);
        return result;
    }
    /// All CPUs have dropped what write() returned with `leaving`: the page is no table any more.
    void left(uint64_t page);

    // ---- Stores of devices
    void device_writes(uint64_t pa, uint64_t bytes) override;
    void device_has_written() override;
    /// For a TLBI: whether a device has written to a table since `seen`, which is brought up to date, or may be
    /// doing so.
    bool device_has_written_since(uint64_t& seen) const {
        const bool writing = device_writing_.load() != 0;
        const uint64_t now = device_writes_.load();
        return std::exchange(seen, now) != now || writing;
    }

    /// Number of pages in any state but None.
    uint64_t count() const { return count_.load(std::memory_order_relaxed); }

  private:
    enum class State : uint8_t { None, Preparing, Table, Leaving, Unsynchronised };
    struct Info {
        uint64_t va = 0;  ///< the first address that the table translates
        uint64_t root = 0;
        uint8_t entry_bits = 0;  ///< log2 of the bytes that an entry maps
        bool anywhere = false;   ///< found in several places: any change drops everything
        uint8_t places = 0;      ///< number of changes of place
        uint32_t writes = 0;     ///< stores since the last walk through it
        uint32_t preparing = 0;
    };
    struct Watched {  ///< the descriptors that a store touches, before the store
        uint64_t page = kNoPage;
        unsigned first = 0, count = 0;
        uint64_t old[10];
    };

    // After kFlood stores without a walk the page is being torn down or is no table any more (compare KVM's
    // detection of write flooding).
    static constexpr uint32_t kFlood = 8;
    static constexpr uint8_t kMaxPlaces = 4;

    State state(uint64_t pa) const {
        const uint64_t page = (pa - base_) >> 12;
        return page < pages_count_ ? states_[page].load() : State::None;
    }
    /// Tables elsewhere are in read-only memory: no store changes them.
    bool is_ram(uint64_t page) const { return (page - base_) >> 12 < pages_count_; }
    void set_state(uint64_t page, State state);
    Watched watch(uint64_t pa, unsigned bytes) const;
    void compare(const Watched& watched, Write& result);
    void forget_child(uint64_t descriptor);
    static bool is_at(const Info& info, const WalkPath& path, unsigned step, uint64_t va, uint64_t root);
    void count_device_writes();
    static Derived all_of(const Info& info);

    const GuestMemory memory_;
    const bool unsynchronised_leaves_;
    const uint64_t base_, pages_count_, blocks_count_;
    std::unique_ptr<std::atomic<State>[]> states_;
    std::unique_ptr<std::atomic<uint32_t>[]> blocks_;  ///< pages in any state but None
    std::atomic<uint64_t> generation_{0}, count_{0};
    std::atomic<uint64_t> device_writing_{0};  ///< stores of devices to tables that may be under way
    std::atomic<uint64_t> device_writes_{0};   ///< those that are done

    std::mutex lock_;
    std::unordered_map<uint64_t, Info> infos_;  ///< of the pages in any state but None
    std::vector<uint64_t> unsynchronised_;      ///< pages that were; some may be no more
};

}  // namespace arclight::mmu
