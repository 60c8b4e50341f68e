#pragma once

#include <array>
#include <cstdint>

#include "mmu/soft_tlb.h"

namespace arclight::mmu {

/// Entries that another page has pushed out of a soft TLB, where each page has one place: pages that lie a
/// multiple of the TLB's reach (kTlbEntries pages) apart would else be walked to each time they take
/// turns. glibc's malloc puts every thread's arena at a multiple of 64 MiB, which is that reach.
class VictimTlb {
  public:
    struct Entry {
        TlbEntry tlb;
        bool non_global = false;
        bool block = false;  ///< comes from a 2 MiB or 1 GiB block
        /// The page it translates; kInvalidTag: none.
        uint64_t page() const { return tlb.read_tag != TlbEntry::kInvalidTag ? tlb.read_tag : tlb.write_tag; }
        bool serves(uint64_t va, bool write) const {
            return (write ? tlb.write_tag : tlb.read_tag) == (va & kPageMask);
        }
        void clear() { tlb.read_tag = tlb.write_tag = TlbEntry::kInvalidTag; }
    };

    /// Where the page of va is, if it is here: at most one page has this place. Addresses that differ in
    /// their tags share one, since TLBI names them all.
    Entry& at(uint64_t va) {
        constexpr unsigned kTagBits = 8;
        return entries_[(va << kTagBits >> (kTagBits + kPageBits)) * 0x9e37'79b9'7f4a'7c15 >> (64 - kBits)];
    }
    void clear() {
        for (Entry& e : entries_) e.clear();
    }

  private:
    static constexpr unsigned kBits = 10;
    std::array<Entry, size_t{1} << kBits> entries_;
};

}  // namespace arclight::mmu
