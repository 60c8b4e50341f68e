// The soft TLB and the jump cache that translated code reads: one SoftTlb per translation context (EL, PAN,
// ASID).
//
// Plain data at fixed offsets, because emitted code addresses it; mmu/soft_tlb_set.h fills and empties it.
#pragma once

#include <cstdint>

namespace arclight::mmu {

inline constexpr unsigned kPageBits = 12;
inline constexpr uint64_t kPageSize = uint64_t{1} << kPageBits;
inline constexpr uint64_t kPageMask = ~(kPageSize - 1);

/// An entry hits when (va & (kPageMask | align-1)) equals the tag of the access kind; then host = va +
/// addend. One compare thus also misses on an invalid entry and on a misaligned access that must be aligned.
struct TlbEntry {
    uint64_t read_tag = kInvalidTag;
    uint64_t write_tag = kInvalidTag;
    uint64_t addend = 0;  ///< host address minus guest virtual address
    uint64_t pa = 0;      ///< guest physical address of the page, for slow paths
    static constexpr uint64_t kInvalidTag = ~uint64_t{0};
};
static_assert(sizeof(TlbEntry) == 32);

inline constexpr unsigned kTlbBits = 14;
inline constexpr uint64_t kTlbEntries = uint64_t{1} << kTlbBits;
constexpr uint64_t tlb_index(uint64_t va) { return va >> kPageBits & (kTlbEntries - 1); }

inline constexpr unsigned kJumpCacheBits = 14;
inline constexpr uint64_t kJumpCacheEntries = uint64_t{1} << kJumpCacheBits;
/// The page number is added so that the same offsets of different pages do not collide.
constexpr uint64_t jump_cache_index(uint64_t pc) {
    // As emitted code has it. Of addresses of instructions, whose lowest bits are 0: (pc >> 2) + (pc >> kPageBits).
    return ((pc << 2) + (pc >> (kPageBits - 4))) >> 4 & (kJumpCacheEntries - 1);
}

/// Behind the lines that emitted code looks at itself there are those for what had to make way in them.
inline constexpr unsigned kSecondJumpCacheBits = 12;
inline constexpr uint64_t kJumpCacheLines = kJumpCacheEntries + (uint64_t{1} << kSecondJumpCacheBits);
constexpr uint64_t second_jump_cache_index(uint64_t pc) {
    return kJumpCacheEntries +
           (((pc >> 2) ^ (pc >> (2 + kSecondJumpCacheBits))) & ((uint64_t{1} << kSecondJumpCacheBits) - 1));
}

/// Maps a guest virtual PC to host code, for indirect branches and cross-page jumps. Emitted code compares
/// the whole address and nothing else, so an empty line holds an address that indexes another line. A
/// misaligned PC hits no line.
struct JumpCacheEntry {
    uint64_t pc = 0;
    const void* code = nullptr;
    static constexpr JumpCacheEntry empty(uint64_t index) {
        return {index == 0 || index == kJumpCacheEntries ? 4u : 0u, nullptr};
    }
};
static_assert(jump_cache_index(0) == 0 && jump_cache_index(4) != 0);
static_assert(second_jump_cache_index(0) == kJumpCacheEntries &&
              second_jump_cache_index(4) != kJumpCacheEntries);

/// Fastmem slots (mmu/fastmem.h): the two 2^48-byte halves of the guest's address space in units of 512 GiB.
inline constexpr unsigned kFastmemSlotBits = 39;
inline constexpr unsigned kFastmemSlots = 1024;

class VictimTlb;
/// One that is always empty.
extern const VictimTlb kNoVictims;

/// What translated code needs to translate addresses in one translation context. A context switch changes one
/// pointer (GuestState::tlb and the host register that mirrors it) and flushes nothing.
struct alignas(64) SoftTlb {
    /// Unique over all soft TLBs and over time. It changes whenever the translation of a page that code was
    /// fetched through in this soft TLB may have changed. Chained cross-page jumps compare it
    /// (backend/x64/emit_exits.cpp).
    uint32_t epoch = 0;
    /// With CodeBuffer::spectre(), an access on a wrong prediction is at the epoch: no secret, nor is this behind it.
    uint32_t no_secret[8] = {};
    /// How many more direct branches to other pages, which are not linked for this soft TLB, translated code may serve by the jump
    /// cache. Then the next one is linked for it.
    int32_t cross_page_uses = kCrossPageUses;
    /// How many more accesses translated code may serve by the victim TLB. Then the next one takes the slow path, which
    /// changes places: a page that is used more than the other in its entry does not stay a victim.
    int32_t victim_uses = kVictimUses;
    /// Likewise of indirect branches by the second lines of the jump cache.
    int32_t second_jump_uses = kVictimUses;
    const VictimTlb* victims = &kNoVictims;
    uint64_t tag_bias = 0;  ///< where allocation tags are: TagMemory::bias()
    TlbEntry entries[kTlbEntries];
    JumpCacheEntry jump_cache[kJumpCacheLines];
    /// By guest slot: host address minus guest virtual address, or a poison value.
    uint64_t fastmem_offset[kFastmemSlots];

    static constexpr int32_t kVictimUses = 64, kCrossPageUses = 1024;
};

}  // namespace arclight::mmu
