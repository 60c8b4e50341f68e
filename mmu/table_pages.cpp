#include "mmu/table_pages.h"

#include <algorithm>

namespace arclight::mmu {

namespace {
constexpr uint64_t kPageMask = ~uint64_t{0xfff};
constexpr unsigned kEntriesBits = 9;  // of 4 KiB of a table
/// log2 of the bytes that an entry of this table maps.
uint8_t entry_bits(const WalkPath& path, unsigned step) {
    return static_cast<uint8_t>(level_shift(path.granule_bits, path.first_level + static_cast<int>(step)));
}
constexpr uint64_t without_low(uint64_t va, unsigned bits) { return va >> bits << bits; }
/// The address without its tag.
constexpr uint64_t canonical(uint64_t va) {
    return static_cast<uint64_t>(static_cast<int64_t>(va << 8) >> 8);
}
uint64_t table_start(const WalkPath& path, unsigned step, uint64_t va) {
    const unsigned bits = entry_bits(path, step) + kEntriesBits;
    return without_low(canonical(va), step == 0 ? std::min<unsigned>(bits, path.va_bits) : bits);
}
uint64_t load(const uint8_t* host) {
    return __atomic_load_n(reinterpret_cast<const uint64_t*>(host), __ATOMIC_RELAXED);
}
}  // namespace

TablePages::TablePages(const GuestMemory& memory, ShadowPolicy policy)
    : memory_(memory),
      unsynchronised_leaves_(policy == ShadowPolicy::TspUnsync),
      base_(memory.base()),
      pages_count_(memory.size() >> 12),
      blocks_count_((memory.size() >> 21) + 1),
      states_(new std::atomic<State>[pages_count_]()),
      blocks_(new std::atomic<uint32_t>[blocks_count_]()) {}

void TablePages::set_state(uint64_t page, State state) {
    const uint64_t number = (page - base_) >> 12;
    const State old = states_[number].exchange(state);
    if ((old == State::None) == (state == State::None)) return;
    auto& block = blocks_[(page - base_) >> 21];
    if (state == State::None)
        --block, --count_;
    else
        ++block, ++count_;
}

namespace {
struct Announced {
    uint64_t pa, bytes;
    bool counted = false;  ///< in TablePages::device_writing_
};
/// What this thread has announced and not yet finished. A device's thread serves one machine.
thread_local std::vector<Announced> announced;
}  // namespace

/// A page that a device writes to may become a table meanwhile.
void TablePages::count_device_writes() {
    for (Announced& a : announced)
        for (uint64_t page = a.pa & kPageMask; page < a.pa + a.bytes && !a.counted; page += ~kPageMask + 1)
            if (is_protected(page)) {
                a.counted = true;
                ++device_writing_;
            }
}

void TablePages::device_writes(uint64_t pa, uint64_t bytes) {
    announced.push_back({pa, bytes});
    count_device_writes();
}

void TablePages::device_has_written() {
    count_device_writes();
    for (const Announced& a : announced) {
        if (!a.counted) continue;
        ++device_writes_;
        --device_writing_;
    }
    announced.clear();
}

bool TablePages::is_at(const Info& info, const WalkPath& path, unsigned step, uint64_t va, uint64_t root) {
    return info.entry_bits == entry_bits(path, step) && info.va == table_start(path, step, va) &&
           info.root == root;
}

Derived TablePages::all_of(const Info& info) {
    if (info.anywhere) return {};
    // 55: all of the half.
    return {info.va, info.root, static_cast<uint8_t>(std::min(info.entry_bits + kEntriesBits, 55u))};
}

bool TablePages::in_use(const WalkPath& path, uint64_t va, uint64_t root) {
    const std::lock_guard guard(lock_);
    for (unsigned step = 0; step < path.count; ++step) {
        const uint64_t page = path.table[step] & kPageMask;
        if (!is_ram(page)) continue;
        if (const State now = state(page); now != State::Table && now != State::Unsynchronised) return false;
        const Info& info = infos_[page];
        if (!info.anywhere && !is_at(info, path, step, va, root)) return false;
    }
    for (unsigned step = 0; step < path.count; ++step)
        if (const uint64_t page = path.table[step] & kPageMask; is_ram(page)) infos_[page].writes = 0;
    return true;
}

TablePages::Change TablePages::begin(const WalkPath& path, uint64_t va, uint64_t root) {
    const std::lock_guard guard(lock_);
    Change change;
    for (unsigned step = 0; step < path.count; ++step) {
        const uint64_t page = path.table[step] & kPageMask;
        if (!is_ram(page)) continue;
        const State now = state(page);
        Info& info = infos_[page];
        const bool elsewhere = now != State::None && !info.anywhere && !is_at(info, path, step, va, root);
        // Another CPU may prepare this page already, and will finish it.
        if (now != State::None && now != State::Leaving && !elsewhere) continue;
        if (elsewhere) {
            change.drop.push_back(all_of(info));
            info.anywhere = ++info.places > kMaxPlaces;
        }
        info.entry_bits = entry_bits(path, step);
        info.va = table_start(path, step, va);
        // A first table smaller than a page: the page may hold other tables, which are not distinguished.
        info.anywhere |= (path.table[step] & ~kPageMask) != 0;
        info.root = root;
        info.writes = 0;
        ++info.preparing;
        set_state(page, State::Preparing);
        change.protect.push_back(page);
        change.pages.push_back(page);
    }
    return change;
}

TablePages::Change TablePages::synchronise() {
    const std::lock_guard guard(lock_);
    Change change;
    for (const uint64_t page : unsynchronised_) {
        if (state(page) != State::Unsynchronised) continue;
        Info& info = infos_[page];
        info.writes = 0;
        ++info.preparing;
        set_state(page, State::Preparing);
        change.drop.push_back(all_of(info));
        change.protect.push_back(page);
        change.pages.push_back(page);
    }
    unsynchronised_.clear();
    return change;
}

void TablePages::finish(const Change& change) {
    const std::lock_guard guard(lock_);
    for (const uint64_t page : change.pages) {
        const auto found = infos_.find(page);
        if (found == infos_.end() || found->second.preparing == 0) continue;
        if (--found->second.preparing == 0 && state(page) == State::Preparing) set_state(page, State::Table);
    }
    ++generation_;
}

TablePages::Watched TablePages::watch(uint64_t pa, unsigned bytes) const {
    Watched w;
    if (bytes == 0 || state(pa) == State::None) return w;
    w.page = pa & kPageMask;
    w.first = static_cast<unsigned>(pa & 0xfff) / 8;
    w.count = static_cast<unsigned>((pa & 0xfff) + bytes - 1) / 8 - w.first + 1;
    w.count = std::min<unsigned>(w.count, std::size(w.old));
    const uint8_t* host = memory_.host(w.page, 4096);
    for (unsigned i = 0; i < w.count; ++i) w.old[i] = load(host + (w.first + i) * 8);
    return w;
}

/// An entry that led to a table is gone. An unsynchronised table is of no use any more, and its page will be something else.
void TablePages::forget_child(uint64_t descriptor) {
    constexpr uint64_t kAddress = ((uint64_t{1} << 48) - 1) & kPageMask;
    const uint64_t page = descriptor & kAddress;
    if ((descriptor & 3) != 3 || state(page) != State::Unsynchronised) return;
    infos_.erase(page);
    set_state(page, State::None);
}

void TablePages::compare(const Watched& w, Write& result) {
    if (w.page == kNoPage) return;
    Info& info = infos_[w.page];
    constexpr uint8_t kLevel1 = 30;  // of the granule whose entries there map least
    if (unsynchronised_leaves_ && !is_block(info.entry_bits) && !info.anywhere &&
        state(w.page) == State::Table) {
        set_state(w.page, State::Unsynchronised);
        unsynchronised_.push_back(w.page);
        result.unsynchronised = true;
        return;
    }
    const uint8_t* host = memory_.host(w.page, 4096);
    for (unsigned i = 0; i < w.count; ++i) {
        // No translation is derived from an invalid descriptor.
        if ((w.old[i] & 1) == 0 || load(host + (w.first + i) * 8) == w.old[i]) continue;
        ++result.changed;
        if (is_block(info.entry_bits) && info.entry_bits < kLevel1) forget_child(w.old[i]);
        if (info.anywhere) {
            result.drop.assign(1, {});
            continue;
        }
        const uint8_t bits = info.entry_bits;
        result.drop.push_back({info.va + (uint64_t{w.first + i} << bits), info.root, bits});
    }
    if (++info.writes < kFlood || state(w.page) != State::Table || result.leaving != kNoPage) return;
    set_state(w.page, State::Leaving);
    result.leaving = w.page;
    result.drop.push_back(all_of(info));
}

void TablePages::left(uint64_t page) {
    const std::lock_guard guard(lock_);
    if (state(page) != State::Leaving) return;  // it became a table again in the meantime
    infos_.erase(page);
    set_state(page, State::None);
}

}  // namespace arclight::mmu
