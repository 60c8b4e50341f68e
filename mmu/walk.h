// Stage 1 translation at EL1&0 (ARM ARM D8): tables in guest memory to a physical address. Each half of the address space
// has a granule of its own, of 4, 16 or 64 KiB; all else here, soft TLBs, RAM's pages, has pages of 4 KiB.
//
// The only side effect of a walk is the hardware update of AF and the dirty state in the descriptor
// (FEAT_HAFDBS). A fault is a value: the caller raises it and decides what to cache.
#pragma once

#include <cstdint>

#include "mmu/guest_memory.h"

namespace arclight::mmu {

/// ID_AA64MMFR0_EL1.PARange of 0b0010: 1 TiB, above the end of the largest RAM of the machine.
inline constexpr uint8_t kPhysicalAddressBits = 40;
/// With FEAT_LPA, PARange of 0b0110. There is nothing above those 40 bits.
inline constexpr uint8_t kLargePhysicalAddressBits = 52;

/// log2 of the sizes of pages and tables.
namespace granule {
inline constexpr uint8_t k4K = 12, k16K = 14, k64K = 16;
}
/// Of mappings (WalkResult::page_bits).
constexpr bool is_block(unsigned page_bits) { return page_bits > granule::k64K; }
/// The lowest bit of the address that chooses an entry in a table of this level, -1 to 3; an entry maps 2 to the power of it bytes.
constexpr unsigned level_shift(unsigned granule_bits, int level) {
    return granule_bits + (granule_bits - 3) * static_cast<unsigned>(3 - level);
}

/// What a CPU's tables may be like.
struct TranslationOptions {
    bool granule_16k = true;
    bool granule_64k = true;
    bool small_tables = true;  ///< FEAT_TTST: address spaces of less than 25 bits
    bool tags = false;         ///< FEAT_MTE2: MAIR attribute 0xf0 is Tagged Normal memory
    bool lva = false;          ///< FEAT_LVA: address spaces of up to 52 bits with a granule of 64 KiB
    bool lpa = false;          ///< FEAT_LPA: physical addresses of 52 bits
    bool lpa2 = false;         ///< FEAT_LPA2: TCR_EL1.DS, with which the other granules have both
};

/// SCTLR_EL1, TCR_EL1, TTBR0/1_EL1 and MAIR_EL1 with their fields decoded (ARM ARM D8.2). Write the raw
/// values, then call update(), or update_tables() if only a TTBR changed; a walk decodes nothing.
struct TranslationRegs {
    uint64_t sctlr = 0, tcr = 0, ttbr0 = 0, ttbr1 = 0, mair = 0;
    TranslationOptions options;

    /// One half of the address space: bit 55 of the address chooses it.
    struct Half {
        uint64_t table = 0;      ///< physical address of the first table
        uint64_t sign_mask = 0;  ///< address bits that must all equal bit 55
        uint8_t granule_bits = granule::k4K;
        int8_t start_level = 0;
        uint8_t va_bits = 48;
        uint8_t output_bits = 32;  ///< physical address size: TCR.IPS, at most what the CPU has
        bool large_descriptors =
            false;  ///< TCR.DS, of granules of 4 and 16 KiB: descriptors have addresses of 52 bits
        uint8_t shareability = 0;            ///< TCR.SHn, which counts with large_descriptors
        bool disabled = false;               ///< EPDn: every miss is a level 0 translation fault
        bool unprivileged_disabled = false;  ///< E0PDn
        bool tbi = false;
        bool tbid = false;                ///< TBIDn: tags are of data alone
        bool tcma = false;                ///< TCMAn: the half's own tag, all 0 or all 1, is not checked
        bool hierarchy_disabled = false;  ///< HPDn: APTable, UXNTable and PXNTable are ignored
        bool bad_base = false;            ///< the TTBR's address exceeds the output size
    };
    Half half[2];
    bool enabled = false;  ///< SCTLR.M
    bool wxn = false;
    bool hardware_af = false;     ///< TCR.HA
    bool hardware_dirty = false;  ///< TCR.HA and TCR.HD
    uint16_t asid = 0;            ///< of the TTBR that TCR.A1 selects, in the size TCR.AS selects
    uint8_t device_mask = 0;      ///< bit n: MAIR attribute n is a Device type

    void update();
    void update_tables();

    uint8_t granule_bits(uint64_t va) const { return half[va >> 55 & 1].granule_bits; }
    bool tbi(uint64_t va) const { return half[va >> 55 & 1].tbi; }
    /// The address without its tag, where the half it belongs to ignores the top byte.
    uint64_t without_tag(uint64_t va) const {
        return tbi(va) ? static_cast<uint64_t>(static_cast<int64_t>(va << 8) >> 8) : va;
    }
    /// The same of code (BranchAddr, FAR of a fetch).
    uint64_t without_code_tag(uint64_t va) const { return half[va >> 55 & 1].tbid ? va : without_tag(va); }
};

enum class AccessKind : uint8_t { Read, Write, Execute };

struct Access {
    AccessKind kind = AccessKind::Read;
    bool privileged = true;  ///< false at EL0 and for LDTR and STTR
    bool pan = false;        ///< PSTATE.PAN, for privileged data accesses
    bool update = true;      ///< let hardware set AF and the dirty state (false: AT, debuggers)
};

enum class FaultKind : uint8_t {
    None,
    AddressSize,
    Translation,
    AccessFlag,
    Permission,
    ExternalOnWalk,  ///< a descriptor lies outside RAM
};

/// The fault status code as in ESR_ELx.{I,D}FSC and PAR_EL1.FST.
constexpr uint8_t fault_status_code(FaultKind kind, int level) {
    // Level -1 has codes of its own (D17.2.37), and no leaves, of which the others are.
    if (level < 0) {
        switch (kind) {
            case FaultKind::AddressSize: return 0b101001;
            case FaultKind::Translation: return 0b101011;
            case FaultKind::ExternalOnWalk: return 0b010011;
            case FaultKind::None:
            case FaultKind::AccessFlag:
            case FaultKind::Permission: break;
        }
        return 0;
    }
    switch (kind) {
        case FaultKind::None: break;
        case FaultKind::AddressSize: return static_cast<uint8_t>(0b000000 | level);
        case FaultKind::Translation: return static_cast<uint8_t>(0b000100 | level);
        case FaultKind::AccessFlag: return static_cast<uint8_t>(0b001000 | level);
        case FaultKind::Permission: return static_cast<uint8_t>(0b001100 | level);
        case FaultKind::ExternalOnWalk: return static_cast<uint8_t>(0b010100 | level);
    }
    return 0;
}
inline constexpr uint8_t kFscSynchronousExternal = 0b010000;
inline constexpr uint8_t kFscAlignment = 0b100001;

namespace permission {
inline constexpr uint8_t kEl0Read = 1, kEl0Write = 2, kEl0Execute = 4;
inline constexpr uint8_t kEl1Read = 8, kEl1Write = 16, kEl1Execute = 32;
inline constexpr uint8_t kAll = 63;
}  // namespace permission

enum class MemoryType : uint8_t { Normal, Device };

struct WalkResult {
    uint64_t pa = 0;  ///< of the address asked for, not of its page
    FaultKind fault = FaultKind::None;
    int8_t level = 0;  ///< of the fault, or of the leaf descriptor: -1 to 3
    /// log2 of the mapping's bytes: a page's 12, 14 or 16, a block's 21 and 30 (granules of 4 KiB), 25 (16 KiB), 29 (64 KiB), and
    /// where descriptors have addresses of 52 bits 39, 36, 42
    uint8_t page_bits = 12;
    uint8_t permissions = 0;  ///< before PAN; a clean page that hardware may make dirty counts as writable
    MemoryType memory = MemoryType::Normal;
    uint8_t attributes = 0;    ///< the MAIR byte
    uint8_t shareability = 0;  ///< SH
    bool non_global = false;
    bool guarded = false;     ///< GP (FEAT_BTI)
    bool tagged = false;      ///< has allocation tags (FEAT_MTE2)
    bool contiguous = false;  ///< one of several adjacent entries that map adjacent pages or blocks
    /// Writable, but the first write must set the dirty state: do not cache it as writable.
    bool clean = false;
    /// The access flag is set. It may be clear only without Access::update.
    bool accessed = true;
    bool stage1_off = false;  ///< SCTLR.M is 0: flat

    bool ok() const { return fault == FaultKind::None; }
    uint8_t fsc() const { return fault_status_code(fault, level); }

    // Which later accesses the cached translation may serve, with PAN applied.
    bool readable(bool privileged, bool pan) const {
        if (!privileged) return (permissions & permission::kEl0Read) != 0;
        return (permissions & permission::kEl1Read) != 0 && !refused_by(pan);
    }
    bool writable(bool privileged, bool pan) const {
        if (clean) return false;
        if (!privileged) return (permissions & permission::kEl0Write) != 0;
        return (permissions & permission::kEl1Write) != 0 && !refused_by(pan);
    }
    /// PAN is about what EL0 may read by its tables: nothing with stage 1 off.
    bool refused_by(bool pan) const {
        return pan && !stage1_off && (permissions & permission::kEl0Read) != 0;
    }
    bool executable(bool privileged) const {
        return (permissions & (privileged ? permission::kEl1Execute : permission::kEl0Execute)) != 0;
    }
    /// Whether a soft TLB may cache the translation. The slow path checks the alignment of Device accesses,
    /// so they must reach it. With stage 1 off all data is Device, but translated code checks alignment
    /// itself (translation flags), so RAM may be cached.
    bool may_cache() const { return memory == MemoryType::Normal || stage1_off; }
};

/// The translation tables that a walk read.
struct WalkPath {
    /// Physical addresses; of a table of more than 4 KiB, that of the 4 KiB which have the entry.
    uint64_t table[5] = {};
    uint8_t count = 0;
    int8_t first_level = 0;
    uint8_t va_bits = 48;  ///< log2 of the bytes that the first table maps
    uint8_t granule_bits = granule::k4K;
};

/// Translates va. Fills in `path` if it is given and stage 1 is on.
WalkResult walk(const TranslationRegs& regs, const GuestMemory& memory, uint64_t va, Access access,
                WalkPath* path = nullptr);

}  // namespace arclight::mmu
