// What a soft TLB loses: by TLBI, by a switch of its address space, by a store to the guest's tables, by LightV.
#include <algorithm>
#include <bit>
#include <vector>

#include "mmu/bits.h"
#include "mmu/soft_tlb_bits.h"
#include "mmu/soft_tlb_set.h"
#include "mmu/walk.h"

namespace arclight::mmu {

using namespace soft_tlb;

namespace {
constexpr uint64_t kFewPages = 64;
constexpr size_t kMaxDroppedLeaves = 1024;
}  // namespace

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

void SoftTlbSet::forget_pages(std::span<const uint64_t> pages, const GuestMemory& memory) {
    if (pages.empty()) return;
    std::vector<uint64_t> physical;
    if (fastmem_ != nullptr) {
        for (const uint64_t pa : pages)
            if (const auto at = fastmem_->physical_of_page(memory.host_base() + (pa - memory.base())))
                physical.push_back(*at & kPageMask);
        std::ranges::sort(physical);
    }
    const auto named = [&](uint64_t pa) {
        return pa >= pages.front() && pa <= pages.back() && std::ranges::binary_search(pages, pa);
    };
    for (uint32_t rest = filled_; rest != 0; rest &= rest - 1) {
        Slot& slot = slots_[std::countr_zero(rest)];
        for_each(slot.valid, 0, kTlbWords, [&](unsigned i) {
            if (named(slot.tlb->entries[i].pa)) drop_entry(slot, i);
        });
        if (slot.has_victim_tlb)
            slot.victim_tlb->for_each([&](VictimTlb::Entry& victim) {
                if (named(victim.tlb.pa)) victim.clear();
            });
        if (fastmem_ != nullptr) fastmem_->drop_pages(slot.number, physical);
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
    constexpr size_t kMaxKept = 512;
    if (!tells_tables_apart() || slot.number < 2 || !slot.has_non_global) return;
    bool shared = false;
    for (unsigned i = 2; i < slots_used_; ++i)
        shared |= i != slot.number && slots_[i].initialised && asids_[i] == asids_[slot.number];
    if (!shared) return;
    for_each(slot.non_global, 0, kTlbWords, [&](unsigned i) {
        if (slot.unsynchronised.size() < kMaxKept)
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
    if (!writers_) return;
    auto& writers = *writers_;
    const uint64_t offset = m.pa - writers.base;
    const WriterMap::Place place{number, m.va};
    writers.pages.insert(offset >> kPageBits, place,
                         [&](WriterMap::Place there) { return is_writer(there, m, false); });
    if (fastmem_ != nullptr && m.large)
        writers.blocks.insert(offset >> kBlock2M, place,
                              [&](WriterMap::Place there) { return is_writer(there, m, true); });
}

bool SoftTlbSet::is_writer(WriterMap::Place place, const Mapping& m, bool large) {
    const TlbEntry& entry = slots_[place.tlb].tlb->entries[tlb_index(place.va)];
    if (!large && entry.write_tag != TlbEntry::kInvalidTag && entry.pa == (m.pa & kPageMask)) return true;
    return fastmem_ != nullptr && fastmem_->is_writable(place.tlb, extended(place.va), m.host);
}

void SoftTlbSet::write_protect(uint64_t pa) {
    if (!writers_) return protect_everywhere(pa);
    auto& writers = *writers_;
    const uint64_t offset = pa - writers.base;
    const auto search = [&] { protect_everywhere(pa); };
    writers.pages.take(
        offset >> kPageBits,
        [&](WriterMap::Place place) {
            TlbEntry& entry = slots_[place.tlb].tlb->entries[tlb_index(place.va)];
            if (entry.pa == (pa & kPageMask)) entry.write_tag = TlbEntry::kInvalidTag;
            if (fastmem_ != nullptr) fastmem_->write_protect(place.tlb, extended(place.va));
        },
        search);
    if (fastmem_ == nullptr) return;
    writers.blocks.take(
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
