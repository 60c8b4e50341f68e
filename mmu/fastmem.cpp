#include "mmu/fastmem.h"

#include <algorithm>

namespace arclight::mmu {

namespace {
constexpr unsigned kTableEntries = HostPageFormat::kTableEntries;
constexpr auto table_index = HostPageFormat::table_index;
constexpr unsigned kBlock2M = 21, kBlock1G = 30;  // blocks of the guest's that are an entry of a host table

constexpr uint64_t span_of(unsigned level) { return uint64_t{1} << (12 + 9 * level); }
constexpr unsigned guest_slot(uint64_t va) { return va >> kFastmemSlotBits & (kFastmemSlots - 1); }

/// The address without its tag; bit 55 selects the half.
constexpr uint64_t canonical(uint64_t va) {
    constexpr uint64_t kBits = (uint64_t{1} << 49) - 1;
    return (va >> 55 & 1) != 0 ? va | ~kBits : va & kBits;
}
/// Slots are of addresses of 48 bits and a sign; of others, which a guest has with FEAT_LVA or FEAT_LPA2, none is ever mapped.
constexpr bool has_slot(uint64_t va) {
    return ((va ^ canonical(va)) & ((uint64_t{1} << 56) - 1)) == 0 && (va >> 48 & 1) == (va >> 55 & 1);
}
constexpr uint64_t slot_base(unsigned guest) {
    const uint64_t base = uint64_t{guest} << kFastmemSlotBits;
    return guest >= kFastmemSlots / 2 ? base | ~((uint64_t{1} << 49) - 1) : base;
}
/// Added to any address of this slot it gives a non-canonical address.
constexpr uint64_t poison(const HostPageFormat& format, unsigned guest) {
    return format.non_canonical - slot_base(guest);
}
}  // namespace

FastmemSet::FastmemSet(HostTables& host) : host_(host), format_(host.format()) {}

void FastmemSet::initialise(unsigned number, SoftTlb* tlb) {
    tlbs_[number].tlb = tlb;
    for (unsigned guest = 0; guest < kFastmemSlots; ++guest)
        tlb->fastmem_offset[guest] = poison(format_, guest);
}

// ---- Filling

/// Whether the 2^bits bytes around va contain the first or the last page of a slot, which are never mapped
/// (fastmem.h).
static bool at_end_of_slot(uint64_t va, unsigned bits) {
    constexpr uint64_t kMask = (uint64_t{1} << kFastmemSlotBits) - 1;
    const uint64_t first = (va & kMask) >> bits, last = kMask >> bits;
    return first == 0 || first == last;
}

bool FastmemSet::fill(unsigned number, const Page& page) {
    Fastmem& w = tlbs_[number];
    w.last_used = ++clock_;
    if (!has_slot(page.va) || at_end_of_slot(page.va, 12)) return false;
    const std::optional<uint64_t> physical = host_.physical_of_page(page.host);
    if (!physical) return false;
    while (!try_fill(w, page, *physical, Change::Anything)) {
        if (pending_) {  // tables that were dropped already may be enough
            invalidate();
            continue;
        }
        // This soft TLB itself is evicted last. If that was not enough, the page stays unmapped. On demand, it stays: the block
        // that runs may have an offset of it in a register (MemoryEmitter::check_grouped_fastmem).
        const Fastmem* victim = evict(host_.on_demand() ? &w : nullptr);
        if (victim == nullptr || victim == &w) return try_fill(w, page, *physical, Change::Anything);
    }
    return true;
}

bool FastmemSet::add(unsigned number, const Page& page) {
    if (!has_slot(page.va) || at_end_of_slot(page.va, 12) || !host_.knows_page(page.host)) return false;
    const std::optional<uint64_t> physical = host_.physical_of_page(page.host);
    return physical && try_fill(tlbs_[number], page, *physical, Change::OnlyAdd);
}

std::optional<uint64_t> FastmemSet::guest_address(unsigned number, uint64_t host_address) const {
    const Fastmem& w = tlbs_[number];
    for (const Slot& s : w.slots)
        if (s.entry == host_address >> kFastmemSlotBits) return host_address - w.tlb->fastmem_offset[s.guest];
    return std::nullopt;
}

FastmemSet::Slot* FastmemSet::find_slot(Fastmem& w, unsigned guest) {
    for (Slot& s : w.slots)
        if (s.guest == guest) return &s;
    return nullptr;
}

FastmemSet::Slot* FastmemSet::take_slot(Fastmem& w, unsigned guest) {
    unsigned entry = 0;
    while (entry < taken_.size() && (taken_[entry] || !host_.may_use_root_entry(entry))) ++entry;
    if (entry == taken_.size()) return nullptr;
    uint64_t* table = host_.take_table();
    if (table == nullptr) return nullptr;
    taken_[entry] = true;
    ++stats_.root_entries;
    host_.root()[entry] =
        host_.physical_of_table(table) | format_.present | format_.writable | format_.user | format_.accessed;
    w.slots.push_back({static_cast<uint16_t>(guest), static_cast<uint16_t>(entry), table});
    w.tlb->fastmem_offset[guest] = (uint64_t{entry} << kFastmemSlotBits) - slot_base(guest);
    return &w.slots.back();
}

/// The table below the entry, allocated if the entry is not present. Null if no table is left.
uint64_t* FastmemSet::descend(uint64_t& entry, uint64_t mark) {
    if ((entry & format_.present) == 0) {
        uint64_t* table = host_.take_table();
        if (table == nullptr) return nullptr;
        entry = host_.physical_of_table(table) | format_.present | format_.writable | format_.user |
                format_.accessed;
    }
    entry |= mark;
    return host_.table_at(entry & format_.address_mask);
}

/// False if a table or a host slot is missing, or if the change is not allowed.
bool FastmemSet::try_fill(Fastmem& w, const Page& page, uint64_t page_physical, Change allowed) {
    const uint64_t va = canonical(page.va);
    const unsigned guest = guest_slot(va);
    Slot* slot = find_slot(w, guest);
    if (slot == nullptr && allowed == Change::Anything) slot = take_slot(w, guest);
    if (slot == nullptr) return false;
    const uint64_t host_va = va + w.tlb->fastmem_offset[guest];
    uint64_t& top = slot->level2[table_index(host_va, 2)];
    uint64_t* level1 = descend(top, page.page_bits == kBlock1G ? block() : 0);
    if (level1 == nullptr) return false;
    uint64_t& middle = level1[table_index(host_va, 1)];

    const auto enter = [&](uint64_t* table, uint64_t& parent, unsigned level, uint64_t physical,
                           uint64_t extra) {
        uint64_t& entry = table[table_index(host_va, level)];
        const uint64_t value = physical | format_.present | format_.user | format_.accessed |
                               format_.no_execute | extra |
                               (page.writable ? format_.writable | format_.dirty : 0) |
                               (page.non_global ? non_global() : 0) | (page.intercepted ? intercepted() : 0);
        const uint64_t old = entry;
        if (allowed == Change::OnlyAdd && (old & format_.present) != 0) return false;
        if (page.non_global && (parent & listed()) == 0) {
            parent |= listed();
            w.non_global.push_back({table, &parent, host_va & ~(span_of(level + 1) - 1), level});
        }
        entry = value;
        // Added rights need no invalidation (Intel SDM vol. 3, 4.10.4.3). Other changes must not outlive this
        // call.
        if ((old & format_.present) != 0 &&
            (((old ^ value) & format_.address_mask) != 0 || (old & ~value & format_.writable) != 0)) {
            pend(host_va);
            invalidate();
        }
        host_.entered(host_va, level, value);
        ++(level != 0 ? stats_.large_fills : stats_.fills);
        return true;
    };
    constexpr uint64_t kLargeMask = (uint64_t{2} << 20) - 1;
    const bool fits = page.large && !at_end_of_slot(va, 21) &&
                      ((reinterpret_cast<uint64_t>(page.host) ^ va) & kLargeMask) == 0;
    if (fits && ((middle & format_.present) == 0 || (middle & format_.large) != 0)) {
        return enter(level1, top, 1, page_physical & ~kLargeMask, format_.large);
    }
    if ((middle & format_.large) != 0) {  // the guest has split the block
        if (allowed == Change::OnlyAdd) return false;
        drop_entry(middle, 1, host_va);
        invalidate();
    }
    const bool of_block = page.page_bits == kBlock2M || page.page_bits == kBlock1G;
    uint64_t* level0 = descend(middle, of_block ? block() : 0);
    if (level0 == nullptr) return false;
    return enter(level0, middle, 0, page_physical & format_.address_mask, 0);
}

/// Unmaps the soft TLB whose last fill is oldest; the one that asks for room is the newest. Null if none has
/// a slot.
const FastmemSet::Fastmem* FastmemSet::evict(const Fastmem* spared) {
    Fastmem* victim = nullptr;
    for (Fastmem& w : tlbs_)
        if (!w.slots.empty() && &w != spared && (victim == nullptr || w.last_used < victim->last_used))
            victim = &w;
    if (victim == nullptr) return nullptr;
    ++stats_.evictions;
    drop_all(static_cast<unsigned>(victim - tlbs_.data()));
    invalidate();
    return victim;
}

// ---- Dropping

void FastmemSet::pend(uint64_t host_address) {
    pending_ = true;
    ++stats_.dropped_pages;
    if (addresses_.size() >= host_.max_addresses())
        pending_all_ = true;
    else
        addresses_.push_back(host_address);
}

void FastmemSet::invalidate() {
    if (!pending_) return;
    ++stats_.invalidations;
    if (host_.on_demand())
        for (const uint16_t entry : old_entries_) host_.release_root_entry(entry);
    else
        pending_all_ |= pending_roots_;
    if (pending_all_)
        host_.invalidate({});
    else if (!addresses_.empty())
        host_.invalidate(addresses_);
    addresses_.clear();
    pending_ = pending_all_ = pending_roots_ = false;
    for (uint64_t* table : old_tables_) host_.give_back_table(table);
    for (const uint16_t entry : old_entries_) taken_[entry] = false;
    old_tables_.clear();
    old_entries_.clear();
}

/// Drops the table and all tables below it. They are freed after the invalidation, which the caller makes one of all.
void FastmemSet::drop_tree(uint64_t* table, unsigned level) {
    if (level != 0)
        for (unsigned i = 0; i < kTableEntries; ++i)
            if ((table[i] & format_.present) != 0 && (table[i] & format_.large) == 0)
                drop_tree(host_.table_at(table[i] & format_.address_mask), level - 1);
    old_tables_.push_back(table);
    pending_ = true;
}

/// Drops an entry of a table of this level, with all tables below it.
void FastmemSet::drop_entry(uint64_t& entry, unsigned level, uint64_t host_address) {
    const uint64_t old = entry;
    entry = 0;
    if (level != 0 && (old & format_.large) == 0) {
        drop_tree(host_.table_at(old & format_.address_mask), level - 1);
        pending_all_ = true;
    } else {
        pend(host_address);
    }
}

void FastmemSet::drop_address(unsigned number, uint64_t any_va, bool globals, bool non_globals,
                              unsigned page_bits) {
    if (!has_slot(any_va)) return;
    Fastmem& w = tlbs_[number];
    const uint64_t va = canonical(any_va);
    Slot* slot = find_slot(w, guest_slot(va));
    if (slot == nullptr) return;
    const uint64_t host_va = va + w.tlb->fastmem_offset[slot->guest];
    uint64_t* table = slot->level2;
    for (unsigned level = 2; level != 0; --level) {
        uint64_t& entry = table[table_index(host_va, level)];
        if ((entry & format_.present) == 0) return;
        if ((entry & format_.large) != 0) {
            if (is_of(entry, globals, non_globals)) drop_entry(entry, level, host_va);
            return;
        }
        // Part of a guest block: a TLBI of any of its addresses names the whole block.
        if ((entry & block()) != 0) {
            // This frees tables that Fastmem::non_global may list. Dropping all is simpler than removing them
            // there.
            if (!w.non_global.empty()) return drop_all(number);
            return drop_entry(entry, level, host_va);
        }
        table = host_.table_at(entry & format_.address_mask);
    }
    // Host slots are aligned, so that a page of the guest's has neighbouring entries of one table.
    const uint64_t first = host_va >> page_bits << page_bits, size = uint64_t{1} << page_bits;
    for (uint64_t at = first; at != first + size; at += span_of(0)) {
        uint64_t& entry = table[table_index(at, 0)];
        if ((entry & format_.present) != 0 && is_of(entry, globals, non_globals)) drop_entry(entry, 0, at);
    }
}

/// Host addresses of one slot, and what of them is meant.
struct FastmemSet::Span {
    uint64_t first, last;
    bool globals, non_globals;
};

/// Clears the leaves of a table. The tables stay, so that Fastmem::non_global remains valid.
void FastmemSet::clear_leaves(uint64_t* table, unsigned level, const Span& span) {
    const uint64_t entry_span = span_of(level);
    for (uint64_t at = span.first & ~(entry_span - 1); at <= span.last; at += entry_span) {
        uint64_t& entry = table[table_index(at, level)];
        if ((entry & format_.present) == 0) continue;
        if (level == 0 || (entry & format_.large) != 0) {
            if (!is_of(entry, span.globals, span.non_globals)) continue;
            entry = 0;
            pend(at);
            continue;
        }
        Span below = span;
        if ((entry & block()) != 0) {
            below.first = at, below.last = at + (entry_span - 1);
        } else {
            below.first = std::max(span.first, at), below.last = std::min(span.last, at + (entry_span - 1));
        }
        clear_leaves(host_.table_at(entry & format_.address_mask), level - 1, below);
    }
}

void FastmemSet::drop_span(unsigned number, uint64_t first_va, uint64_t last_va, bool globals,
                           bool non_globals) {
    Fastmem& w = tlbs_[number];
    constexpr uint64_t kHalf = uint64_t{1} << 48, kSlot = uint64_t{1} << kFastmemSlotBits;
    const bool upper = (first_va >> 55 & 1) != 0;
    // Sign-extended, and no more than a half has.
    const auto extended = [](uint64_t va) {
        return static_cast<uint64_t>(static_cast<int64_t>(va << 8) >> 8);
    };
    const uint64_t first = upper ? std::max(extended(first_va), uint64_t{0} - kHalf) : extended(first_va),
                   last = upper ? extended(last_va) : std::min(extended(last_va), kHalf - 1);
    if (last < first) return;
    if (last - first >= kSlot - 1) return drop_all(number);
    for (const Slot& slot : w.slots) {
        const uint64_t base = slot_base(slot.guest), offset = w.tlb->fastmem_offset[slot.guest];
        const uint64_t from = std::max(first, base), to = std::min(last, base + (kSlot - 1));
        if (from <= to) clear_leaves(slot.level2, 2, {from + offset, to + offset, globals, non_globals});
    }
}

/// The entry that maps va, or null.
uint64_t* FastmemSet::leaf(Fastmem& w, uint64_t va, unsigned& level, uint64_t& host_va) {
    Slot* slot = find_slot(w, guest_slot(va));
    if (slot == nullptr) return nullptr;
    host_va = va + w.tlb->fastmem_offset[slot->guest];
    uint64_t* table = slot->level2;
    for (level = 2;; --level) {
        uint64_t& entry = table[table_index(host_va, level)];
        if ((entry & format_.present) == 0) return nullptr;
        if (level == 0 || (entry & format_.large) != 0) return &entry;
        table = host_.table_at(entry & format_.address_mask);
    }
}

void FastmemSet::drop_pages(unsigned number, std::span<const uint64_t> pages) {
    for (const Slot& slot : tlbs_[number].slots)
        for (unsigned i = 0; i < kTableEntries; ++i)
            clear_pages(slot.level2[i], 2, (uint64_t{slot.entry} << kFastmemSlotBits) + i * span_of(2),
                        pages);
}

/// The tables stay, as with clear_leaves().
void FastmemSet::clear_pages(uint64_t& entry, unsigned level, uint64_t host_address,
                             std::span<const uint64_t> pages) {
    if ((entry & format_.present) == 0) return;
    if (level != 0 && (entry & format_.large) == 0) {
        uint64_t* table = host_.table_at(entry & format_.address_mask);
        for (unsigned i = 0; i < kTableEntries; ++i)
            clear_pages(table[i], level - 1, host_address + i * span_of(level - 1), pages);
        return;
    }
    const uint64_t physical = entry & format_.address_mask & ~(span_of(level) - 1);
    const auto next = std::ranges::lower_bound(pages, physical);
    const bool named = next != pages.end() && *next - physical < span_of(level);
    if (!named && (entry & intercepted()) == 0) return;
    entry = 0;
    pend(host_address);
}

void FastmemSet::write_protect(unsigned number, uint64_t va) {
    unsigned level;
    uint64_t host_va;
    uint64_t* entry = has_slot(va) ? leaf(tlbs_[number], canonical(va), level, host_va) : nullptr;
    if (entry == nullptr || (*entry & format_.writable) == 0) return;
    *entry = level == 0 ? *entry & ~(format_.writable | format_.dirty) : 0;
    pend(host_va);
}

bool FastmemSet::is_writable(unsigned number, uint64_t va, const uint8_t* host) {
    unsigned level;
    uint64_t host_va;
    const uint64_t* entry = has_slot(va) ? leaf(tlbs_[number], canonical(va), level, host_va) : nullptr;
    if (entry == nullptr || (*entry & format_.writable) == 0) return false;
    const std::optional<uint64_t> physical = host_.physical_of_page(host);
    return physical && ((*entry ^ *physical) & format_.address_mask) >> (12 + 9 * level) == 0;
}

void FastmemSet::drop_non_global(unsigned number) {
    Fastmem& w = tlbs_[number];
    for (const Leaves& leaves : w.non_global) {
        for (unsigned i = 0; i < kTableEntries; ++i) {
            uint64_t& entry = leaves.table[i];
            const bool leaf = leaves.level == 0 || (entry & format_.large) != 0;
            if ((entry & format_.present) == 0 || !leaf || (entry & non_global()) == 0) continue;
            entry = 0;
            pend(leaves.host_address + i * span_of(leaves.level));
        }
        *leaves.parent &= ~listed();
    }
    w.non_global.clear();
}

void FastmemSet::drop_all(unsigned number) {
    Fastmem& w = tlbs_[number];
    for (const Slot& slot : w.slots) {
        host_.root()[slot.entry] = 0;
        w.tlb->fastmem_offset[slot.guest] = poison(format_, slot.guest);
        old_entries_.push_back(slot.entry);
        drop_tree(slot.level2, 2);
        pending_roots_ = true;
    }
    w.slots.clear();
    w.non_global.clear();
}

}  // namespace arclight::mmu
