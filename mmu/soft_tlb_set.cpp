#include "mmu/soft_tlb_set.h"

#include <sys/mman.h>

#include <atomic>
#include <bit>
#include <cerrno>
#include <system_error>
#include <utility>

#include "mmu/bits.h"
#include "mmu/soft_tlb_bits.h"
#include "mmu/walk.h"

namespace arclight::mmu {

using namespace soft_tlb;

namespace {

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
    slot.tlb->tag_bias = tag_bias_;
    renew_epoch(slot);
    slot.initialised = true;
    if (fastmem_ == nullptr) return;
    fastmem_->initialise(slot.number, slot.tlb);
    slot.uses_fastmem = !fastmem_->on_demand();
}

void SoftTlbSet::set_tag_bias(uint64_t bias) {
    tag_bias_ = bias;
    for (Slot& slot : slots_)
        if (slot.initialised) slot.tlb->tag_bias = bias;
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
    // Nothing would be lost if it became another root's.
    const auto is_empty = [](const Slot& slot) {
        return slot.initialised && !slot.has_entries && !slot.has_jumps && !slot.has_code() &&
               slot.tables.empty() && slot.unsynchronised.empty();
    };
    Slot* oldest = &slots_[2];
    Slot* empty = nullptr;
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
        if (is_empty(slot) && (empty == nullptr || slot.last_used > empty->last_used)) empty = &slot;
    }
    if (found == nullptr) found = of_key;
    if (found == nullptr) {
        // What was emptied last, as when a process has ended, has no translations to lose, and the host has memory for it, and its
        // lines in its caches: a guest that starts one process after another would go round all slots else.
        found = empty != nullptr ? empty : oldest;
        flush(*found);
        found->tables.clear();
        found->unsynchronised.clear();
        if (!found->initialised) initialise(*found);
        keys_[found->number] = key;
        first_tables_[found->number] = root.table0;
        fresh_tlbs_ |= 1u << found->number;
        change_owner(*found);
    } else if (!found->has_entries && found->unsynchronised.empty()) {
        first_tables_[found->number] = root.table0;
        // The kernel's own accesses may be made with a table in between.
        if (running && found->owner_table != root.table0) change_owner(*found);
    }
    if (running) found->owner_table = root.table0;
    set_asid(*found, root.asid);
    found->last_used = ++clock_;
    last_el0_ = found->number;
    return *found;
}

/// The slot is empty.
void SoftTlbSet::change_owner(Slot& slot) {
    ++slot.owners;
    if (has_fastmem_on_demand()) slot.uses_fastmem = false;
}

/// The victim TLB would serve what is to be entered.
void SoftTlbSet::use_fastmem(SoftTlb* tlb, bool use) {
    Slot& slot = slot_of(tlb);
    if (slot.uses_fastmem == use) return;
    slot.uses_fastmem = use;
    if (use)
        drop_victim_tlb(slot);
    else
        fastmem_->drop_all(slot.number);
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
    const uint64_t tag = m.checked ? checked_tag(m.va) : m.va & kPageMask, page = tag & kPageMask;
    const uint64_t va = m.checked ? without_address_tag(m.va) : m.va;

    if (test(slot.valid, index) && page_of(tlb->entries[index]) != page) evict(slot, index);
    if (slot.has_victim_tlb && slot.victim_tlb->at(page).page() == page) slot.victim_tlb->at(page).clear();
    put(slot, index,
        {.tlb = {.read_tag = m.readable ? tag : TlbEntry::kInvalidTag,
                 .write_tag = m.writable ? tag : TlbEntry::kInvalidTag,
                 .addend = reinterpret_cast<uint64_t>(m.host) - va,
                 .pa = m.pa & kPageMask},
         .non_global = m.non_global,
         .block = is_block(m.page_bits)});
    if (!m.checked) enter_fastmem(slot, m);

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
    if (slot.uses_fastmem || writers_) return;
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
    const bool serves = place.serves(va, write);
    if (!serves && !place.is_checked(va, write)) return nullptr;
    const VictimTlb::Entry entry = place;
    place.clear();
    const auto index = static_cast<unsigned>(tlb_index(va));
    if (test(slot.valid, index)) evict(slot, index);
    put(slot, index, entry);
    return serves ? entry.host(va, write) : nullptr;
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
    if (!slot.uses_fastmem || !m.readable || !m.may_cache || m.host == nullptr) return false;
    const FastmemSet::Page page{.va = m.va,
                                .host = m.host,
                                .page_bits = m.page_bits,
                                .writable = m.writable,
                                .non_global = m.non_global,
                                .intercepted = m.intercepted,
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

void SoftTlbSet::clear_jumps_within_pages(uint32_t first, uint32_t last) {
    for (Slot& slot : slots_) {
        if (!slot.has_jumps) continue;
        for_each(slot.jumps, 0, kJumpWords, [&](unsigned i) {
            JumpCacheEntry& line = slot.tlb->jump_cache[i];
            const auto offset = static_cast<uint32_t>(line.pc & (kPageSize - 1));
            if (offset < first || offset > last) return;
            line = JumpCacheEntry::empty(i);
            clear(slot.jumps, i);
        });
    }
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

}  // namespace arclight::mmu
