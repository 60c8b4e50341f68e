// Allocation tags (FEAT_MTE, ARM ARM D9): which accesses are checked and what a wrong tag does, and the choice of tags.
#pragma once

#include <cstdint>

#include "mmu/bits.h"
#include "mmu/tag_memory.h"

namespace arclight::frontend::a64 {

struct Cpu;

inline constexpr uint64_t kSctlrItfsb = bit(37), kSctlrTcf0 = bit(39) | bit(38),
                          kSctlrTcf = bit(41) | bit(40), kSctlrAta0 = bit(42), kSctlrAta = bit(43);
inline constexpr uint64_t kSctlrTags = kSctlrItfsb | kSctlrTcf0 | kSctlrTcf | kSctlrAta0 | kSctlrAta;

/// GMID_EL1.BS, and the bytes whose tags LDGM and STGM move.
inline constexpr unsigned kTagBlockWordsLog2 = 6;
inline constexpr uint64_t kTagBlockBytes = uint64_t{4} << kTagBlockWordsLog2;
static_assert(kTagBlockBytes / mmu::kTagGranule == 16);

inline constexpr unsigned kTagShift = 56;
constexpr unsigned tag_of(uint64_t address) { return address >> kTagShift & 15; }
constexpr uint64_t with_tag(uint64_t address, unsigned tag) {
    return (address & ~(uint64_t{15} << kTagShift)) | uint64_t{tag} << kTagShift;
}

/// AllocationTagAccessIsEnabled: SCTLR_EL1.ATA, or ATA0 of accesses with EL0's privileges.
bool tag_access_enabled(const Cpu& cpu, bool privileged);

enum class TagCheck : uint8_t { None, Synchronous, Asynchronous };
/// What a wrong tag would mean to an access of Tagged memory (AccessIsTagChecked, EffectiveTCF). `reads`: atomics do, too.
TagCheck tag_check(const Cpu& cpu, uint64_t va, bool privileged, bool reads);
/// Whether accesses to Tagged memory by this address may be checked, as far as TCR_EL1 decides it (TBI, TCMA).
bool has_tag_checks(const Cpu& cpu, uint64_t va);
/// Whether some access of the current tables may be checked at EL1: only TCO, which changes all the time, is not looked at.
bool tags_checked_at_el1(const Cpu& cpu);
/// An asynchronous fault: TFSR_EL1 or TFSRE0_EL1.
void note_tag_fault(Cpu& cpu, uint64_t va, bool privileged);

/// IRG: `address` with a random tag that is neither in `exclude` nor in GCR_EL1.Exclude.
uint64_t insert_random_tag(Cpu& cpu, uint64_t address, uint64_t exclude);
/// ADDG and SUBG: `address` with the tag that is `offset` allowed ones behind that of `base`.
uint64_t add_tag(const Cpu& cpu, uint64_t address, uint64_t base, unsigned offset);

/// What STG and the like and DC GVA do, as the third argument of Helper::StoreTags.
struct TagStore {
    unsigned granules = 1;
    bool zero = false;   ///< memory, too
    bool block = false;  ///< of DC ZVA's size: the address is any in it

    constexpr uint64_t pack() const { return granules | (zero ? 8u : 0) | (block ? 16u : 0); }
    static constexpr TagStore unpack(uint64_t v) {
        return {static_cast<unsigned>(v & 7), (v & 8) != 0, (v & 16) != 0};
    }
};

}  // namespace arclight::frontend::a64
