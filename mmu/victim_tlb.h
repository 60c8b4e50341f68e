// The victim TLB behind a soft TLB.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "mmu/checked_page.h"
#include "mmu/no_speculation.h"
#include "mmu/soft_tlb.h"

namespace arclight::mmu {

/// Holds entries that a soft TLB evicted. A soft TLB is direct mapped: without a victim TLB, pages that lie a
/// multiple of its reach (kTlbEntries pages) apart would cause a table walk each time the guest alternates
/// between them. glibc's malloc places every thread's arena at a multiple of 64 MiB, which is that reach.
/// Emitted code reads it (backend/x64/emit_stubs.cpp): plain data, entries in order of their index.
class VictimTlb {
  public:
    struct alignas(64) Entry {
        TlbEntry tlb;
        bool non_global = false;
        bool block = false;  ///< comes from a 2 MiB or 1 GiB block
        /// The guest virtual page that it translates; the last one if it is empty.
        uint64_t page() const {
            return (tlb.read_tag != TlbEntry::kInvalidTag ? tlb.read_tag : tlb.write_tag) & kPageMask;
        }
        /// Whether it is of the page of this access, whose allocation tag is to be compared.
        bool is_checked(uint64_t va, bool write) const {
            return (write ? tlb.write_tag : tlb.read_tag) == checked_tag(va);
        }
        /// Whether it translates this access.
        bool serves(uint64_t va, bool write) const {
            return (write ? tlb.write_tag : tlb.read_tag) == (va & kPageMask);
        }
        /// Where it says that va is, if serves().
        uint8_t* host(uint64_t va, bool write) const {
            const uint64_t tag = write ? tlb.write_tag : tlb.read_tag;
            // NOLINTNEXTLINE(performance-no-int-to-ptr): what the soft TLB holds are sums
            return reinterpret_cast<uint8_t*>((tlb.addend + va) & mask_if_equal(tag, va & kPageMask));
        }
        void clear() { tlb.read_tag = tlb.write_tag = TlbEntry::kInvalidTag; }
    };

    static constexpr unsigned kBits = 10;
    /// Which entry may hold the page of va. Pages that share the soft TLB's entry differ above its index, so these bits
    /// choose; neighbours have different entries. The tag (bits 63:56) has no part in it, because TLBI ignores the tag.
    static constexpr uint64_t index(uint64_t va) {
        return (va >> kPageBits ^ va >> (kPageBits + kTlbBits)) & ((uint64_t{1} << kBits) - 1);
    }
    Entry& at(uint64_t va) { return entries_[index(va)]; }
    void clear() {
        for (Entry& e : entries_) e.clear();
    }
    template <typename F>
    void for_each(F f) {
        for (Entry& e : entries_) f(e);
    }

  private:
    std::array<Entry, size_t{1} << kBits> entries_;
};
static_assert(sizeof(VictimTlb::Entry) == 64);

}  // namespace arclight::mmu
