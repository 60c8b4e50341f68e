#include "mmu/soft_tlb_set.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <system_error>
#include <utility>

#include "mmu/bits.h"
#include "mmu/walk.h"

namespace arclight::mmu {
namespace {

constexpr uint64_t kAddressBits = (uint64_t{1} << 56) - 1;  // of an address, without its tag

bool same_range(uint64_t a, uint64_t b, unsigned range_bits) {
    return ((a ^ b) & kAddressBits) >> range_bits == 0;
}
constexpr uint64_t first_of(uint64_t va, unsigned bits) { return va >> bits << bits; }
constexpr uint64_t last_of(uint64_t va, unsigned bits) { return va | low_bits(bits); }

constexpr uint64_t kFewPages = 64;
constexpr size_t kMaxDroppedLeaves = 1024;
constexpr unsigned kBlock2M = 21, kBlock1G = 30;  // fastmem knows blocks of these sizes by itself
/// The number of the block of this size that va is in.
unsigned block_hash(uint64_t va, unsigned bits) {
    return static_cast<unsigned>(hash_bits((va & kAddressBits) >> bits | uint64_t{bits} << 56, 12));
}
/// Calls fn with the number of each set bit, lowest first.
template <typename Fn>
void for_each_bit(uint64_t bits, Fn fn) {
    for (; bits != 0; bits &= bits - 1) fn(static_cast<unsigned>(std::countr_zero(bits)));
}
/// Sign-extends an address of a WriterMap, which keeps bits 48:12.
uint64_t extended(uint64_t va) { return static_cast<uint64_t>(static_cast<int64_t>(va << 15) >> 15); }
bool is_lower_half(uint64_t va) { return (va >> 55 & 1) == 0; }

/// The page of an entry that is valid for reads or writes.
uint64_t page_of(const TlbEntry& entry) {
    return entry.read_tag != TlbEntry::kInvalidTag ? entry.read_tag : entry.write_tag;
}

template <size_t N>
bool test(const std::array<uint64_t, N>& map, unsigned n) {
    return (map[n / 64] >> (n % 64) & 1) != 0;
}
template <size_t N>
void set(std::array<uint64_t, N>& map, unsigned n) {
    map[n / 64] |= uint64_t{1} << (n % 64);
}
template <size_t N>
void clear(std::array<uint64_t, N>& map, unsigned n) {
    map[n / 64] &= ~(uint64_t{1} << (n % 64));
}

/// Calls fn with the number of each set bit of map[first .. last).
template <size_t N, typename Fn>
void for_each(const std::array<uint64_t, N>& map, unsigned first, unsigned last, Fn fn) {
    for (unsigned w = first; w < last; ++w) for_each_bit(map[w], [&](unsigned n) { fn(w * 64 + n); });
}

uint32_t next_epoch() {
    static std::atomic<uint32_t> counter{0};
    uint32_t epoch = 0;
    while (epoch == 0) epoch = counter.fetch_add(1, std::memory_order_relaxed) + 1;
    return epoch;
}

// The soft TLBs lie in one region of 2 MiB host pages, if the host has them, because every lookup in a soft
// TLB itself goes through the host's TLB.
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kRegionBytes = (sizeof(SoftTlb) * (2 + kMaxRoots) + kHugePage - 1) / kHugePage * kHugePage;
constexpr size_t kMappingBytes = kRegionBytes + kHugePage;

}  // namespace

constinit const VictimTlb kNoVictims{};

SoftTlbSet::SoftTlbSet(HostTables* host_tables, const ShadowOptions& options, const GuestMemory* memory)
    : options_(options), slots_used_(2 + options.el0_tlbs()) {
    if (protects_tables(options.policy) && memory != nullptr)
        writers_.emplace(memory->base(), WriterMap(memory->size() >> kPageBits),
                         WriterMap((memory->size() >> kBlock2M) + 1));
    if (host_tables != nullptr) fastmem_ = std::make_unique<FastmemSet>(*host_tables);
    mapping_ = mmap(nullptr, kMappingBytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping_ == MAP_FAILED)
        throw std::system_error(errno, std::generic_category(), "cannot map the soft TLBs of a virtual CPU");
    const auto start = (reinterpret_cast<uintptr_t>(mapping_) + kHugePage - 1) & ~(kHugePage - 1);
    tlbs_ = reinterpret_cast<SoftTlb*>(start);  // zero bytes are a valid SoftTlb, but see initialise()
    (void)madvise(tlbs_, kRegionBytes, MADV_HUGEPAGE);  // advice only
    for (unsigned i = 0; i < kSlots; ++i) {
        slots_[i].tlb = tlbs_ + i;
        slots_[i].number = i;
    }
    initialise(slots_[0]);
    initialise(slots_[1]);
}

SoftTlbSet::~SoftTlbSet() { munmap(mapping_, kMappingBytes); }

// An entry of all zeros hits in two cases only: an address in page 0, which has entry 0, and a misaligned
// access that begins in the last page, where emitted code compares the end with the last page's entry. So
// zero pages from mmap are an empty TLB once these two entries are set, and the host allocates the others
// when they are used.
void SoftTlbSet::initialise(Slot& slot) {
    for (TlbEntry* entry : {&slot.tlb->entries[0], &slot.tlb->entries[kTlbEntries - 1]})
        entry->read_tag = entry->write_tag = TlbEntry::kInvalidTag;
    for (const uint64_t line : {uint64_t{0}, kJumpCacheEntries})
        slot.tlb->jump_cache[line] = JumpCacheEntry::empty(line);
    slot.tlb->victims = &kNoVictims;
    renew_epoch(slot);
    slot.initialised = true;
    if (fastmem_ != nullptr) fastmem_->initialise(slot.number, slot.tlb);
}

SoftTlbSet::Slot& SoftTlbSet::slot_of(SoftTlb* tlb) { return slots_[static_cast<size_t>(tlb - tlbs_)]; }

uint64_t SoftTlbSet::key_of(const Root& root) const {
    switch (options_.policy) {
        case ShadowPolicy::Ssp:
        case ShadowPolicy::Asp: break;
        case ShadowPolicy::SspNoCache: return uint64_t{root.asid} << 48 | root.table0;
        case ShadowPolicy::Tsp:
        case ShadowPolicy::TspUnsync: return root.table0;
    }
    return root.asid;
}

SoftTlb* SoftTlbSet::select(unsigned el, bool pan, const Root& root) {
    const uint64_t key = key_of(root);
    if (writers_ && root.table1 != table1_) {
        table1_ = root.table1;
        flush_all();
    }
    if (el == 0) return el0_slot(key, root, true).tlb;
    Slot& slot = slots_[pan ? 1 : 0];
    if (keys_[slot.number] != key) {
        drop_non_global(slot);
        if (!slot.tables.empty()) slot.tables.erase_non_global();
        keys_[slot.number] = key;
    }
    set_asid(slot, root.asid);
    return slot.tlb;
}

SoftTlbSet::Slot& SoftTlbSet::el0_slot(uint64_t key, const Root& root, bool running) {
    const bool exact = running && tells_tables_apart();
    const auto is_of_key = [&](unsigned i) { return keys_[i] == key && slots_[i].initialised; };
    const auto is_of_root = [&](unsigned i) { return is_of_key(i) && first_tables_[i] == root.table0; };
    if (tells_tables_apart() ? is_of_root(last_el0_) : is_of_key(last_el0_)) return slots_[last_el0_];
    Slot* oldest = &slots_[2];
    Slot* found = nullptr;
    Slot* of_key = nullptr;
    for (unsigned i = 2; i < slots_used_; ++i) {
        Slot& slot = slots_[i];
        if (is_of_key(i)) {
            // An empty one may be of any table.
            if (!tells_tables_apart() || first_tables_[i] == root.table0) {
                found = &slot;
                break;
            }
            if (!exact || (!slot.has_entries && slot.unsynchronised.empty())) of_key = &slot;
        }
        if (slot.last_used < oldest->last_used) oldest = &slot;
    }
    if (found == nullptr) found = of_key;
    if (found == nullptr) {
        found = oldest;
        flush(*found);
        found->tables.clear();
        found->unsynchronised.clear();
        if (!found->initialised) initialise(*found);
        keys_[found->number] = key;
        first_tables_[found->number] = root.table0;
        fresh_tlbs_ |= 1u << found->number;
    } else if (!found->has_entries && found->unsynchronised.empty()) {
        first_tables_[found->number] = root.table0;
    }
    set_asid(*found, root.asid);
    found->last_used = ++clock_;
    last_el0_ = found->number;
    return *found;
}

bool SoftTlbSet::is_of(SoftTlb* tlb, const Root& root) const {
    const auto number = static_cast<size_t>(tlb - tlbs_);
    return keys_[number] == key_of(root) && asids_[number] == root.asid &&
           (number < 2 || first_tables_[number] == root.table0);
}

bool SoftTlbSet::count_switch(const SoftTlb* tlb) {
    const uint32_t bit = 1u << static_cast<unsigned>(tlb - tlbs_);
    const bool missed = (fresh_tlbs_ & bit) != 0;
    ++(missed ? stats_.root_misses : stats_.root_hits);
    fresh_tlbs_ &= ~bit;
    running_ = tlb;
    ++switches_;
    return missed || !tells_tables_apart();
}

void SoftTlbSet::mark(Slot& slot, bool non_global) {
    filled_ |= 1u << slot.number;
    if (!non_global) filled_global_ |= 1u << slot.number;
}

uint32_t SoftTlbSet::slots_of_key(uint64_t key) const {
    uint32_t mask = 0;
    for (unsigned i = 0; i < kSlots; ++i) mask |= static_cast<uint32_t>(keys_[i] == key) << i;
    return mask;
}

uint32_t SoftTlbSet::slots_of_asid(uint16_t asid) {
    if (sought_asid_ == asid) return slots_of_sought_;
    uint32_t mask = 0;
    for (unsigned i = 0; i < kSlots; ++i) mask |= static_cast<uint32_t>(asids_[i] == asid) << i;
    sought_asid_ = asid;
    return slots_of_sought_ = mask;
}

void SoftTlbSet::set_asid(const Slot& slot, uint16_t asid) {
    if (std::exchange(asids_[slot.number], asid) != asid) sought_asid_.reset();
}

bool SoftTlbSet::fill(SoftTlb* tlb, const Mapping& mapping) {
    Mapping m = mapping;
    if (m.host == nullptr || !m.may_cache || !(m.readable || m.writable)) return false;
    Slot& slot = slot_of(tlb);
    if (writers_) {
        m.non_global = is_lower_half(m.va);
        if (m.writable) note_writer(slot.number, m);
    }
    const auto index = static_cast<unsigned>(tlb_index(m.va));
    const uint64_t page = m.va & kPageMask;

    if (test(slot.valid, index) && page_of(tlb->entries[index]) != page) evict(slot, index);
    if (slot.has_victim_tlb && slot.victim_tlb->at(page).page() == page) slot.victim_tlb->at(page).clear();
    put(slot, index,
        {.tlb = {.read_tag = m.readable ? page : TlbEntry::kInvalidTag,
                 .write_tag = m.writable ? page : TlbEntry::kInvalidTag,
                 .addend = reinterpret_cast<uint64_t>(m.host) - m.va,
                 .pa = m.pa & kPageMask},
         .non_global = m.non_global,
         .block = is_block(m.page_bits)});
    enter_fastmem(slot, m);

    mark(slot, m.non_global);
    slot.has_entries = true;
    ++stats_.fills;
    if (slot.recent_since != switches_) {
        slot.recent.fill(0);
        slot.recent_since = switches_;
    }
    set(slot.recent, index);
    (m.non_global ? slot.has_non_global : slot.has_global) = true;
    note_block(slot, m);
    return true;
}

void SoftTlbSet::note_block(Slot& slot, const Mapping& m) {
    if (!is_block(m.page_bits)) return;
    slot.block_sizes |= bit(m.page_bits);
    set(slot.blocks, block_hash(m.va, m.page_bits));
}

// ---- VictimTlb

/// Saves the entry in the victim TLB. Code that uses fastmem never looks there, and traditional shadow paging
/// must find every writable entry in its place.
void SoftTlbSet::evict(Slot& slot, unsigned index) {
    if (fastmem_ != nullptr || writers_) return;
    if (slot.victim_tlb == nullptr) {
        slot.victim_tlb = std::make_unique<VictimTlb>();
        slot.tlb->victims = slot.victim_tlb.get();
    }
    const TlbEntry& entry = slot.tlb->entries[index];
    slot.victim_tlb->at(page_of(entry)) = {entry, test(slot.non_global, index), test(slot.block, index)};
    slot.has_victim_tlb = true;
}

void SoftTlbSet::put(Slot& slot, unsigned index, const VictimTlb::Entry& entry) {
    slot.tlb->entries[index] = entry.tlb;
    set(slot.valid, index);
    if (entry.non_global) {
        set(slot.non_global, index);
        set(slot.non_global_summary, index / 64);
    } else {
        clear(slot.non_global, index);
    }
    if (entry.block)
        set(slot.block, index);
    else
        clear(slot.block, index);
}

uint8_t* SoftTlbSet::victim_hit(SoftTlb* tlb, uint64_t va, bool write) {
    Slot& slot = slot_of(tlb);
    if (!slot.has_victim_tlb) return nullptr;
    tlb->victim_uses = SoftTlb::kVictimUses;
    VictimTlb::Entry& place = slot.victim_tlb->at(va);
    if (!place.serves(va, write)) return nullptr;
    const VictimTlb::Entry entry = place;
    place.clear();
    const auto index = static_cast<unsigned>(tlb_index(va));
    if (test(slot.valid, index)) evict(slot, index);
    put(slot, index, entry);
    return entry.host(va, write);
}

void SoftTlbSet::drop_victim_tlb(Slot& slot) {
    if (!slot.has_victim_tlb) return;
    slot.victim_tlb->clear();
    slot.has_victim_tlb = false;
}

void SoftTlbSet::fill_fastmem(SoftTlb* tlb, const Mapping& mapping) {
    Mapping m = mapping;
    Slot& slot = slot_of(tlb);
    if (writers_) {
        m.non_global = is_lower_half(m.va);
        if (m.writable && m.host != nullptr) note_writer(slot.number, m);
    }
    enter_fastmem(slot, m);
}

bool SoftTlbSet::add_to_fastmem(SoftTlb* tlb, const Mapping& mapping) {
    return !writers_ && enter_fastmem(slot_of(tlb), mapping, true);
}

bool SoftTlbSet::enter_fastmem(Slot& slot, const Mapping& m, bool only_add) {
    if (fastmem_ == nullptr || !m.readable || !m.may_cache || m.host == nullptr) return false;
    const FastmemSet::Page page{.va = m.va,
                                .host = m.host,
                                .page_bits = m.page_bits,
                                .writable = m.writable,
                                .non_global = m.non_global,
                                .large = m.large && m.page_bits >= kBlock2M};
    const bool entered = only_add ? fastmem_->add(slot.number, page) : fastmem_->fill(slot.number, page);
    if (only_add && !entered) return false;
    (m.non_global ? slot.has_non_global : slot.has_global) = true;
    slot.has_entries = true;
    note_block(slot, m);
    mark(slot, m.non_global);
    return entered;
}

void SoftTlbSet::note_code_page(SoftTlb* tlb, uint64_t va, uint8_t page_bits, bool non_global) {
    Slot& slot = slot_of(tlb);
    if (writers_) non_global = is_lower_half(va);
    mark(slot, non_global);
    (non_global ? slot.has_non_global_code : slot.has_global_code) = true;
    slot.code_sizes |= bit(page_bits);
    slot.code.insert(PageSet::key(va, page_bits), non_global);
}

void SoftTlbSet::fill_jump(SoftTlb* tlb, uint64_t pc, const void* code) {
    Slot& slot = slot_of(tlb);
    const auto enter = [&](uint64_t index, const JumpCacheEntry& line) {
        tlb->jump_cache[index] = line;
        set(slot.jumps, static_cast<unsigned>(index));
    };
    const uint64_t index = jump_cache_index(pc);
    const JumpCacheEntry before = tlb->jump_cache[index];
    if (test(slot.jumps, static_cast<unsigned>(index)) && before.pc != pc)
        enter(second_jump_cache_index(before.pc), before);
    enter(index, {pc, code});
    // What made way for another one long ago may have been found there since then.
    JumpCacheEntry& second = tlb->jump_cache[second_jump_cache_index(pc)];
    if (second.pc == pc) second.code = code;
    tlb->second_jump_uses = SoftTlb::kVictimUses;
    slot.has_jumps = true;
}

void SoftTlbSet::clear_jump_caches() {
    for (Slot& slot : slots_) clear_jumps(slot);
}

void SoftTlbSet::renew_epochs() {
    for (Slot& slot : slots_)
        if (slot.has_code()) renew_epoch(slot);
}

void SoftTlbSet::renew_epoch(Slot& slot) { slot.tlb->epoch = next_epoch(); }

void SoftTlbSet::change_translation_flags(Slot& slot, uint32_t translation_flags) {
    clear_jumps(slot);
    renew_epoch(slot);
    slot.translation_flags = translation_flags;
}

void SoftTlbSet::clear_jumps(Slot& slot) {
    if (!slot.has_jumps) return;
    for_each(slot.jumps, 0, kJumpWords,
             [&](unsigned i) { slot.tlb->jump_cache[i] = JumpCacheEntry::empty(i); });
    slot.jumps.fill(0);
    slot.has_jumps = false;
}

bool SoftTlbSet::Span::contains(uint64_t va) const { return (va & kAddressBits) - first <= last - first; }

/// Code at these addresses may be elsewhere now: no jump finds it without a look-up.
void SoftTlbSet::drop_code(Slot& slot, Span span) {
    renew_epoch(slot);
    if (!slot.has_jumps) return;
    for_each(slot.jumps, 0, kJumpWords, [&](unsigned i) {
        JumpCacheEntry& line = slot.tlb->jump_cache[i];
        if (!span.contains(line.pc)) return;
        line = JumpCacheEntry::empty(i);
        clear(slot.jumps, i);
    });
}

void SoftTlbSet::drop_entry(Slot& slot, unsigned index) {
    ++stats_.dropped;
    stats_.wasted_fills += slot.recent_since == switches_ && test(slot.recent, index);
    TlbEntry& entry = slot.tlb->entries[index];
    entry.read_tag = entry.write_tag = TlbEntry::kInvalidTag;
    clear(slot.valid, index);
    clear(slot.non_global, index);
}

/// What is to be synchronised.
void SoftTlbSet::drop_leaf(Slot& slot, unsigned index) {
    Leaf leaf{.tlb = slot.tlb,
              .va = page_of(slot.tlb->entries[index]),
              .el = slot.number < 2 ? 1u : 0u,
              .pan = slot.number == 1};
    const uint64_t wasted = stats_.wasted_fills;
    drop_entry(slot, index);
    leaf.wasted = stats_.wasted_fills != wasted;
    // A caller that takes none needs none.
    if (options_.policy != ShadowPolicy::Tsp && dropped_leaves_.size() < kMaxDroppedLeaves)
        dropped_leaves_.push_back(leaf);
}

void SoftTlbSet::flush(Slot& slot) {
    if (fastmem_ != nullptr) fastmem_->drop_all(slot.number);
    drop_victim_tlb(slot);
    if (slot.has_entries) {
        for (unsigned w = 0; w < kTlbWords; ++w) {
            if (slot.valid[w] == 0) continue;
            stats_.dropped += static_cast<unsigned>(std::popcount(slot.valid[w]));
            if (slot.recent_since == switches_)
                stats_.wasted_fills += static_cast<unsigned>(std::popcount(slot.valid[w] & slot.recent[w]));
        }
        for_each(slot.valid, 0, kTlbWords, [&](unsigned i) {
            slot.tlb->entries[i].read_tag = slot.tlb->entries[i].write_tag = TlbEntry::kInvalidTag;
        });
        slot.valid.fill(0);
        slot.non_global.fill(0);
        slot.block.fill(0);
        slot.non_global_summary.fill(0);
        if (slot.block_sizes != 0) slot.blocks.fill(0);
        slot.block_sizes = 0;
        slot.has_entries = slot.has_global = slot.has_non_global = false;
    }
    clear_jumps(slot);
    if (slot.has_code()) {
        slot.code.clear();
        slot.has_global_code = slot.has_non_global_code = false;
        slot.code_sizes = 0;
        renew_epoch(slot);
    }
    filled_ &= ~(1u << slot.number);
    filled_global_ &= ~(1u << slot.number);
}

void SoftTlbSet::drop_non_global(Slot& slot) {
    if (!slot.has_global && !slot.has_global_code) return flush(slot);
    if (slot.has_non_global) {
        if (fastmem_ != nullptr) fastmem_->drop_non_global(slot.number);
        drop_victim_tlb(slot);
        for_each(slot.non_global_summary, 0, static_cast<unsigned>(slot.non_global_summary.size()),
                 [&](unsigned w) {
                     for_each(slot.non_global, w, w + 1, [&](unsigned i) { drop_entry(slot, i); });
                 });
        slot.non_global_summary.fill(0);
        slot.has_non_global = false;
    }
    if (slot.has_non_global_code) {
        // Which lines are non-global is not recorded, so all go. The filter cannot forget single pages:
        // theirs stay, as if they were global.
        clear_jumps(slot);
        slot.has_non_global_code = false;
        slot.has_global_code = true;
        renew_epoch(slot);
    }
}

void SoftTlbSet::drop_address(Slot& slot, uint64_t va, bool globals, bool non_globals) {
    const unsigned page_bits = page_bits_[is_lower_half(va) ? 0 : 1];
    if (fastmem_ != nullptr) fastmem_->drop_address(slot.number, va, globals, non_globals, page_bits);
    for_each_bit(slot.block_sizes, [&](unsigned bits) {
        if (test(slot.blocks, block_hash(va, bits))) drop_block(slot, va, bits, globals, non_globals);
    });
    const uint64_t first = first_of(va, page_bits), size = uint64_t{1} << page_bits;
    for (uint64_t offset = 0; offset != size; offset += kPageSize)
        drop_page(slot, first + offset, globals, non_globals);

    if (slot.code.empty()) return;
    for_each_bit(slot.code_sizes, [&](unsigned bits) {
        if (!slot.code.erase(PageSet::key(va, bits), globals, non_globals)) return;
        const uint64_t address = va & kAddressBits;
        drop_code(slot, {first_of(address, bits), last_of(address, bits)});
    });
}

/// Of 4 KiB.
void SoftTlbSet::drop_page(Slot& slot, uint64_t va, bool globals, bool non_globals) {
    const auto index = static_cast<unsigned>(tlb_index(va));
    if (test(slot.valid, index) && (test(slot.non_global, index) ? non_globals : globals) &&
        same_range(page_of(slot.tlb->entries[index]), va, kPageBits)) {
        drop_leaf(slot, index);
    }
    if (slot.has_victim_tlb) {
        VictimTlb::Entry& victim = slot.victim_tlb->at(va);
        if (same_range(victim.page(), va, kPageBits) && (victim.non_global ? non_globals : globals))
            victim.clear();
    }
}

void SoftTlbSet::drop_block(Slot& slot, uint64_t va, unsigned block_bits, bool globals, bool non_globals) {
    drop_victim_tlb(slot);
    if (fastmem_ != nullptr && block_bits != kBlock2M && block_bits != kBlock1G)
        fastmem_->drop_span(slot.number, first_of(va, block_bits), last_of(va, block_bits), globals,
                            non_globals);
    unsigned first = 0, last = kTlbWords;
    if (block_bits < kPageBits + kTlbBits) {
        first = static_cast<unsigned>(tlb_index(first_of(va, block_bits))) / 64;
        last = first + (1u << (block_bits - kPageBits)) / 64;
    }
    for (unsigned w = first; w < last; ++w) {
        uint64_t bits = slot.valid[w] & slot.block[w];
        if (!globals) bits &= slot.non_global[w];
        if (!non_globals) bits &= ~slot.non_global[w];
        for (; bits != 0; bits &= bits - 1) {
            const unsigned index = w * 64 + static_cast<unsigned>(std::countr_zero(bits));
            if (same_range(page_of(slot.tlb->entries[index]), va, block_bits)) drop_entry(slot, index);
        }
    }
}

/// The span with all of the mappings that its ends are in.
SoftTlbSet::Span SoftTlbSet::whole_mappings(const Slot& slot, Span span) const {
    const unsigned page_bits = page_bits_[is_lower_half(span.first) ? 0 : 1];
    span = {first_of(span.first, page_bits), last_of(span.last, page_bits)};
    for_each_bit(slot.block_sizes, [&](unsigned bits) {
        if (test(slot.blocks, block_hash(span.first, bits))) span.first = first_of(span.first, bits);
        if (test(slot.blocks, block_hash(span.last, bits))) span.last = last_of(span.last, bits);
    });
    return span;
}

/// In a time that what is held decides, however long the span is.
void SoftTlbSet::drop_span(Slot& slot, Span span, bool globals, bool non_globals) {
    span = whole_mappings(slot, span);
    if (fastmem_ != nullptr) fastmem_->drop_span(slot.number, span.first, span.last, globals, non_globals);
    if (span.pages() <= kFewPages) {
        for (uint64_t va = span.first; va < span.last; va += kPageSize)
            drop_page(slot, va, globals, non_globals);
    } else {
        drop_victim_tlb(slot);
        drop_entries(slot, span, globals, non_globals);
    }
    if (slot.code.empty()) return;
    if (const auto code =
            slot.code.erase_span({span.first, span.last}, slot.code_sizes, globals, non_globals))
        drop_code(slot, {code->first, code->last});
}

/// Of the soft TLB: the entries that the span's pages have in the table, which go on at its beginning.
void SoftTlbSet::drop_entries(Slot& slot, Span span, bool globals, bool non_globals) {
    const auto drop_words = [&](unsigned first, unsigned last) {
        for (unsigned w = first; w < last; ++w) {
            uint64_t bits = slot.valid[w];
            if (!globals) bits &= slot.non_global[w];
            if (!non_globals) bits &= ~slot.non_global[w];
            for_each_bit(bits, [&](unsigned n) {
                if (span.contains(page_of(slot.tlb->entries[w * 64 + n]))) drop_leaf(slot, w * 64 + n);
            });
        }
    };
    const auto first = static_cast<unsigned>(tlb_index(span.first)) / 64,
               last = static_cast<unsigned>(tlb_index(span.last)) / 64 + 1;
    if (span.pages() + 128 > kTlbEntries) {
        drop_words(0, kTlbWords);
    } else if (first < last) {
        drop_words(first, last);
    } else {
        drop_words(first, kTlbWords);
        drop_words(0, last);
    }
}

void SoftTlbSet::apply(TlbiRequest request) {
    using Kind = TlbiRequest::Kind;
    const uint32_t own = slots_of_asid(request.asid);
    const auto each = [&](uint32_t slots, auto fn) {
        for (uint32_t rest = slots; rest != 0; rest &= rest - 1) fn(slots_[std::countr_zero(rest)]);
    };
    const auto drop_addresses = [&](Slot& slot, bool non_globals) {
        if (request.pages == 1) [[likely]]
            return drop_address(slot, request.va, true, non_globals);
        const uint64_t first = request.va & kAddressBits;
        drop_span(slot, {first, first + request.pages * kPageSize - 1}, true, non_globals);
    };
    switch (request.kind) {
        case Kind::All:
            dropped_leaves_.clear();
            return each(filled_, [&](Slot& slot) {
                keep_leaves(slot);
                flush(slot);
            });
        case Kind::Asid:
            return each(filled_ & own, [&](Slot& slot) {
                keep_leaves(slot);
                drop_non_global(slot);
            });
        case Kind::Va:
            return each((filled_ & own) | filled_global_,
                        [&](Slot& slot) { drop_addresses(slot, (own >> slot.number & 1) != 0); });
        case Kind::VaAllAsids: return each(filled_, [&](Slot& slot) { drop_addresses(slot, true); });
    }
}

/// Before a TLBI takes them: those of an EL0 soft TLB whose ASID another first table has too. With ASIDs a TLBI of one
/// comes before its tables go, and what they held is of no use.
void SoftTlbSet::keep_leaves(Slot& slot) {
    constexpr size_t kMost = 512;
    if (!tells_tables_apart() || slot.number < 2 || !slot.has_non_global) return;
    bool shared = false;
    for (unsigned i = 2; i < slots_used_; ++i)
        shared |= i != slot.number && slots_[i].initialised && asids_[i] == asids_[slot.number];
    if (!shared) return;
    for_each(slot.non_global, 0, kTlbWords, [&](unsigned i) {
        if (slot.unsynchronised.size() < kMost)
            slot.unsynchronised.push_back(
                {.tlb = slot.tlb, .va = page_of(slot.tlb->entries[i]), .lost = false});
    });
}

void SoftTlbSet::rewrite(const Leaf& leaf, const Mapping& mapping) {
    const uint64_t fills = stats_.fills;
    if (!fill(leaf.tlb, mapping)) return;
    stats_.fills = fills;
    ++stats_.rewritten;
    stats_.dropped -= leaf.lost;
    stats_.wasted_fills -= leaf.wasted;
}

// ---- Traditional shadow paging

void SoftTlbSet::drop(const Derived& derived) {
    if (derived.bits >= 56) return flush_all();
    const Span span{derived.va & kAddressBits, last_of(derived.va & kAddressBits, derived.bits)};
    const uint32_t tlbs = is_lower_half(derived.va) && derived.root != Derived::kAnyRoot
                              ? slots_of_key(derived.root)
                              : ~uint32_t{0};
    for (uint32_t rest = filled_ & tlbs; rest != 0; rest &= rest - 1) {
        Slot& slot = slots_[std::countr_zero(rest)];
        if (derived.bits == kPageBits)
            drop_address(slot, derived.va, true, true);
        else
            drop_span(slot, span, true, true);
    }
}

void SoftTlbSet::note_writer(unsigned number, const Mapping& m) {
    const uint64_t offset = m.pa - writers_->base;
    const WriterMap::Place place{number, m.va};
    writers_->pages.insert(offset >> kPageBits, place,
                           [&](WriterMap::Place there) { return is_writer(there, m, false); });
    if (fastmem_ != nullptr && m.large)
        writers_->blocks.insert(offset >> kBlock2M, place,
                                [&](WriterMap::Place there) { return is_writer(there, m, true); });
}

bool SoftTlbSet::is_writer(WriterMap::Place place, const Mapping& m, bool large) {
    const TlbEntry& entry = slots_[place.tlb].tlb->entries[tlb_index(place.va)];
    if (!large && entry.write_tag != TlbEntry::kInvalidTag && entry.pa == (m.pa & kPageMask)) return true;
    return fastmem_ != nullptr && fastmem_->is_writable(place.tlb, extended(place.va), m.host);
}

void SoftTlbSet::write_protect(uint64_t pa) {
    const uint64_t offset = pa - writers_->base;
    const auto search = [&] { protect_everywhere(pa); };
    writers_->pages.take(
        offset >> kPageBits,
        [&](WriterMap::Place place) {
            TlbEntry& entry = slots_[place.tlb].tlb->entries[tlb_index(place.va)];
            if (entry.pa == (pa & kPageMask)) entry.write_tag = TlbEntry::kInvalidTag;
            if (fastmem_ != nullptr) fastmem_->write_protect(place.tlb, extended(place.va));
        },
        search);
    if (fastmem_ == nullptr) return;
    writers_->blocks.take(
        offset >> kBlock2M,
        [&](WriterMap::Place place) { fastmem_->write_protect(place.tlb, extended(place.va)); }, search);
}

/// Write-protects a page whose mappings are no longer all known: searches every soft TLB.
void SoftTlbSet::protect_everywhere(uint64_t pa) {
    for (uint32_t rest = filled_; rest != 0; rest &= rest - 1) {
        Slot& slot = slots_[std::countr_zero(rest)];
        for_each(slot.valid, 0, kTlbWords, [&](unsigned i) {
            TlbEntry& entry = slot.tlb->entries[i];
            if (entry.pa == (pa & kPageMask)) entry.write_tag = TlbEntry::kInvalidTag;
        });
        if (fastmem_ != nullptr) fastmem_->drop_all(slot.number);
    }
}

}  // namespace arclight::mmu
