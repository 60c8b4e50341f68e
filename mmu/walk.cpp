#include "mmu/walk.h"

#include <algorithm>

#include "host/memory_fault.h"
#include "mmu/bits.h"

namespace arclight::mmu {
namespace {

// TCR_EL1 (D19.2.139)
constexpr unsigned kTcrEpd0 = 7, kTcrSh0 = 12, kTcrSh1 = 28, kTcrTg0 = 14, kTcrTg1 = 30, kTcrA1 = 22,
                   kTcrEpd1 = 23, kTcrAs = 36, kTcrTbi0 = 37, kTcrTbi1 = 38, kTcrHa = 39, kTcrHd = 40,
                   kTcrHpd0 = 41, kTcrHpd1 = 42, kTcrTbid0 = 51, kTcrTbid1 = 52, kTcrE0pd0 = 55,
                   kTcrE0pd1 = 56, kTcrTcma0 = 57, kTcrTcma1 = 58, kTcrDs = 59;
constexpr uint64_t kSctlrM = bit(0), kSctlrI = bit(12), kSctlrWxn = bit(19);

// Descriptors (D8.3)
constexpr uint64_t kValid = bit(0), kTableOrPage = bit(1), kAp1El0 = bit(6), kAp2ReadOnly = bit(7),
                   kAf = bit(10), kNotGlobal = bit(11), kGuarded = bit(50), kDbm = bit(51),
                   kContiguous = bit(52), kPxn = bit(53), kUxn = bit(54), kPxnTable = bit(59),
                   kUxnTable = bit(60), kApTableNoEl0 = bit(61), kApTableReadOnly = bit(62);
/// Entries of 4 KiB of a table.
constexpr unsigned kPageEntriesBits = 9;

/// TCR_EL1.TG0 and TG1, which count differently. What is reserved or not implemented is as one that is implemented (D19.2.139).
uint8_t granule_of(uint64_t tcr, bool upper, const TranslationOptions& options) {
    const uint64_t field = tcr >> (upper ? kTcrTg1 : kTcrTg0) & 3;
    const bool is_16k = field == (upper ? 1 : 2), is_64k = field == (upper ? 3 : 1);
    if (is_16k && options.granule_16k) return granule::k16K;
    if (is_64k && options.granule_64k) return granule::k64K;
    return granule::k4K;
}
/// The largest TxSZ (D8.2.1).
uint64_t largest_size_field(uint8_t granule_bits, const TranslationOptions& options) {
    if (!options.small_tables) return 39;
    return granule_bits == granule::k64K ? 47 : 48;
}
/// Whether a descriptor of this level may be a block's (D8.3.1).
constexpr bool has_blocks(const TranslationRegs::Half& half, bool lpa, int level) {
    if (level == 2) return true;
    switch (half.granule_bits) {
        case granule::k4K: return level == 1 || (level == 0 && half.large_descriptors);
        case granule::k16K: return level == 1 && half.large_descriptors;
        default: return level == 1 && lpa;
    }
}

/// The address in a descriptor, without what is below `low` (D8.3.1). Bits 51:48 are elsewhere: with TCR.DS in 9:8 and 49:48, with
/// a granule of 64 KiB and addresses of 52 bits in 15:12.
constexpr uint64_t address_in(uint64_t descriptor, const TranslationRegs::Half& half, unsigned low) {
    uint64_t address = descriptor & low_bits(half.large_descriptors ? 50 : 48) & ~low_bits(low);
    if (half.large_descriptors) {
        address |= (descriptor >> 8 & 3) << 50;
    } else if (half.output_bits > 48) {
        address |= (descriptor >> 12 & 15) << 48;
    }
    return address;
}

// MAIR attributes: 0b0000dd00 is Device. (0b0000ddxx with xx != 0 is UNPREDICTABLE without FEAT_XS; treated
// alike.)
constexpr bool is_device_attribute(uint8_t attribute) { return (attribute & 0xf0) == 0; }

constexpr uint8_t kTaggedAttribute = 0xf0;

WalkResult fault(FaultKind kind, int level) {
    WalkResult r;
    r.fault = kind;
    r.level = static_cast<int8_t>(level);
    return r;
}

// Permissions at EL0 and EL1 from AP, UXN, PXN and WXN (D8.4.1).
uint8_t permissions_of(uint64_t descriptor, uint64_t tables, const TranslationRegs& regs) {
    bool read_only = (descriptor & kAp2ReadOnly) != 0;
    if (regs.hardware_dirty && (descriptor & kDbm) != 0) read_only = false;
    read_only |= (tables & kApTableReadOnly) != 0;
    const bool el0 = (descriptor & kAp1El0) != 0 && (tables & kApTableNoEl0) == 0;
    const bool uxn = ((descriptor & kUxn) | (tables & kUxnTable)) != 0;
    const bool pxn = ((descriptor & kPxn) | (tables & kPxnTable)) != 0;

    const bool el0_write = el0 && !read_only;
    uint8_t p = permission::kEl1Read;
    if (!read_only) p |= permission::kEl1Write;
    if (el0) p |= permission::kEl0Read;
    if (el0_write) p |= permission::kEl0Write;
    if (!uxn && !(regs.wxn && el0_write)) p |= permission::kEl0Execute;
    // EL1 never executes a page that EL0 can write.
    if (!pxn && !el0_write && !(regs.wxn && !read_only)) p |= permission::kEl1Execute;
    return p;
}

bool permitted(uint8_t permissions, const Access& access) {
    using namespace permission;
    switch (access.kind) {
        case AccessKind::Execute: return (permissions & (access.privileged ? kEl1Execute : kEl0Execute)) != 0;
        case AccessKind::Read:
        case AccessKind::Write: break;
    }
    const bool write = access.kind == AccessKind::Write;
    if (!access.privileged) return (permissions & (write ? kEl0Write : kEl0Read)) != 0;
    if (access.pan && (permissions & kEl0Read) != 0) return false;
    return (permissions & (write ? kEl1Write : kEl1Read)) != 0;
}

enum class Replaced : uint8_t { Yes, Changed, Refused };

/// Compare and exchange of a descriptor. Changed: it had another value.
Replaced replace(const GuestMemory& memory, uint64_t pa, uint64_t expected, uint64_t desired) {
    auto* slot = reinterpret_cast<uint64_t*>(memory.host(pa, 8));
    if (slot == nullptr) return Replaced::Refused;  // in read-only memory
    const auto exchange = [&] {
        bool replaced = false;
        if (!host::touch([&] {
                replaced = __atomic_compare_exchange_n(slot, &expected, desired, false, __ATOMIC_ACQ_REL,
                                                       __ATOMIC_ACQUIRE);
            }))
            return host::take_withheld() ? Replaced::Changed : Replaced::Refused;
        return replaced ? Replaced::Yes : Replaced::Changed;
    };
    if (!memory.has_intercepted_pages()) return exchange();
    // The overlay may be moving the table's page.
    const PageOverlay::Access guard(memory.overlay());
    if ((memory.page_flags(pa) & page_flag::kNoWrite) != 0) return Replaced::Refused;
    if ((memory.page_flags(pa) & page_flag::kTracked) != 0)
        memory.overlay().mark(pa, PageOverlay::kAccessed | PageOverlay::kDirty);
    slot = reinterpret_cast<uint64_t*>(memory.host(pa, 8));
    return exchange();
}

constexpr uint8_t physical_bits(const TranslationOptions& options) {
    return options.lpa ? kLargePhysicalAddressBits : kPhysicalAddressBits;
}

// Stage 1 off (D8.2.12): flat, data is Device-nGnRnE, fetches are Normal.
WalkResult flat(const TranslationRegs& regs, uint64_t va, const Access& access) {
    const uint64_t pa = regs.without_tag(va);
    if (pa >> physical_bits(regs.options) != 0) return fault(FaultKind::AddressSize, 0);
    WalkResult r;
    r.pa = pa;
    r.stage1_off = true;
    r.permissions = permission::kAll;
    r.shareability = 0b10;
    if (access.kind == AccessKind::Execute) {
        r.attributes = (regs.sctlr & kSctlrI) != 0 ? 0xaa : 0x44;  // write-through cacheable or non-cacheable
    } else {
        r.memory = MemoryType::Device;
    }
    return r;
}

}  // namespace

void TranslationRegs::update() {
    enabled = (sctlr & kSctlrM) != 0;
    wxn = (sctlr & kSctlrWxn) != 0;
    hardware_af = (tcr & bit(kTcrHa)) != 0;
    hardware_dirty = hardware_af && (tcr & bit(kTcrHd)) != 0;

    static constexpr uint8_t kOutputBits[8] = {32, 36, 40, 42, 44, 48, 52, 52};
    const uint8_t output_bits = std::min(kOutputBits[tcr >> 32 & 7], physical_bits(options));

    device_mask = 0;
    for (unsigned i = 0; i < 8; ++i)
        if (is_device_attribute(static_cast<uint8_t>(mair >> (8 * i))))
            device_mask |= static_cast<uint8_t>(1u << i);

    for (unsigned i = 0; i < 2; ++i) {
        Half& h = half[i];
        h.granule_bits = granule_of(tcr, i != 0, options);
        const bool is_64k = h.granule_bits == granule::k64K;
        h.large_descriptors = options.lpa2 && !is_64k && (tcr & bit(kTcrDs)) != 0;
        h.output_bits = is_64k || h.large_descriptors ? output_bits : std::min<uint8_t>(output_bits, 48);
        h.shareability = static_cast<uint8_t>(tcr >> (i == 0 ? kTcrSh0 : kTcrSh1) & 3);
        const uint64_t smallest = h.large_descriptors || (is_64k && options.lva) ? 12 : 16;
        // Other values of TxSZ are CONSTRAINED UNPREDICTABLE: they behave as the nearest legal one (D8.2.1).
        const uint64_t size =
            std::clamp<uint64_t>(tcr >> (16 * i) & 63, smallest, largest_size_field(h.granule_bits, options));
        h.va_bits = static_cast<uint8_t>(64 - size);
        h.start_level = static_cast<int8_t>(3 - (h.va_bits - h.granule_bits - 1) / (h.granule_bits - 3));
        h.disabled = (tcr & bit(i == 0 ? kTcrEpd0 : kTcrEpd1)) != 0;
        h.tbi = (tcr & bit(i == 0 ? kTcrTbi0 : kTcrTbi1)) != 0;
        h.tbid = (tcr & bit(i == 0 ? kTcrTbid0 : kTcrTbid1)) != 0;
        h.tcma = (tcr & bit(i == 0 ? kTcrTcma0 : kTcrTcma1)) != 0;
        h.hierarchy_disabled = (tcr & bit(i == 0 ? kTcrHpd0 : kTcrHpd1)) != 0;
        h.unprivileged_disabled = (tcr & bit(i == 0 ? kTcrE0pd0 : kTcrE0pd1)) != 0;
        h.sign_mask = ~low_bits(h.va_bits);
        if (h.tbi) h.sign_mask &= low_bits(56);
    }
    update_tables();
}

void TranslationRegs::update_tables() {
    for (unsigned i = 0; i < 2; ++i) {
        Half& h = half[i];
        // Bits below the first table's size are RES0, CnP included (D19.2.147).
        const unsigned entries_bits = h.va_bits - level_shift(h.granule_bits, h.start_level);
        const uint64_t ttbr = i == 0 ? ttbr0 : ttbr1;
        h.table = ttbr & low_bits(48) & ~low_bits(entries_bits + 3);
        // Bits 51:48 are in 5:2, of which such a table's address has none (D19.2.147).
        if (h.large_descriptors || h.output_bits > 48)
            h.table = (h.table & ~low_bits(6)) | (ttbr >> 2 & 15) << 48;
        h.bad_base = h.table >> h.output_bits != 0;
    }
    const uint64_t selected = (tcr & bit(kTcrA1)) != 0 ? ttbr1 : ttbr0;
    asid = static_cast<uint16_t>(selected >> 48);
    if ((tcr & bit(kTcrAs)) == 0) asid &= 0xff;
}

WalkResult walk(const TranslationRegs& regs, const GuestMemory& memory, uint64_t va, Access access,
                WalkPath* path) {
    if (!regs.enabled) return flat(regs, va, access);

    const TranslationRegs::Half& half = regs.half[va >> 55 & 1];
    const bool whole = half.tbid && access.kind == AccessKind::Execute;
    const uint64_t sign_mask = half.sign_mask | (whole ? ~low_bits(56) : 0);
    const uint64_t expected = (va >> 55 & 1) != 0 ? sign_mask : 0;
    if ((va & sign_mask) != expected || half.disabled || (half.unprivileged_disabled && !access.privileged))
        return fault(FaultKind::Translation, 0);
    if (half.bad_base) return fault(FaultKind::AddressSize, 0);

    const unsigned granule_bits = half.granule_bits, level_bits = granule_bits - 3;
    int level = half.start_level;
    unsigned shift = level_shift(granule_bits, level);
    uint64_t table = half.table;
    uint64_t tables = 0;  // bits 62:59 of the table descriptors passed, combined
    uint64_t offset = (va & low_bits(half.va_bits)) >> shift;
    if (path != nullptr)
        *path = {.first_level = half.start_level, .va_bits = half.va_bits, .granule_bits = half.granule_bits};
    const auto note_table = [&] {
        if (path != nullptr) path->table[path->count++] = table + (offset >> kPageEntriesBits << 12);
    };
    note_table();

    unsigned withheld = 0;
    for (;;) {
        const uint64_t place = table + offset * 8;
        const uint8_t* host = memory.readable(place, 8);
        const uint8_t flags = memory.page_flags(place);
        if (host == nullptr || (flags & page_flag::kNoRead) != 0)
            return fault(FaultKind::ExternalOnWalk, level);
        if ((flags & page_flag::kTracked) != 0) memory.overlay().mark(place, PageOverlay::kAccessed);
        // Tables are naturally aligned in memory whose host mapping is page aligned; other CPUs write them at
        // any time.
        uint64_t descriptor = 0;
        if (!host::touch_word(reinterpret_cast<const uint64_t*>(host), descriptor)) {
            // It is not gone: it was elsewhere for a moment (HostStage).
            if (host::take_withheld() && ++withheld <= host::kMaxWithheld) continue;
            return fault(FaultKind::ExternalOnWalk, level);
        }

        if ((descriptor & kValid) == 0) return fault(FaultKind::Translation, level);
        if (level < 3 && (descriptor & kTableOrPage) != 0) {
            table = address_in(descriptor, half, granule_bits);
            if (table >> half.output_bits != 0) return fault(FaultKind::AddressSize, level);
            tables |= descriptor;
            ++level;
            shift -= level_bits;
            offset = va >> shift & low_bits(level_bits);
            note_table();
            continue;
        }
        // 0b01 at level 3 is reserved, and so are blocks that are too large.
        if (level == 3 ? (descriptor & kTableOrPage) == 0 : !has_blocks(half, regs.options.lpa, level))
            return fault(FaultKind::Translation, level);

        const uint64_t base = address_in(descriptor, half, shift);
        if (base >> half.output_bits != 0) return fault(FaultKind::AddressSize, level);
        if ((descriptor & kAf) == 0 && !regs.hardware_af) return fault(FaultKind::AccessFlag, level);

        WalkResult r;
        r.level = static_cast<int8_t>(level);
        r.permissions = permissions_of(descriptor, half.hierarchy_disabled ? 0 : tables, regs);
        if (!permitted(r.permissions, access)) return fault(FaultKind::Permission, level);

        // FEAT_HAFDBS (D8.4.6): set AF, and on a write clear AP[2] of a page with DBM. If another observer
        // changed the descriptor in the meantime, read it again.
        uint64_t updated = descriptor | kAf;
        const bool dirty_managed = regs.hardware_dirty && (descriptor & kDbm) != 0;
        if (dirty_managed && access.kind == AccessKind::Write) updated &= ~kAp2ReadOnly;
        if (updated != descriptor && access.update) {
            const Replaced done = replace(memory, place, descriptor, updated);
            if (done == Replaced::Refused) return fault(FaultKind::ExternalOnWalk, level);
            if (done == Replaced::Changed) continue;
        } else {
            updated = descriptor;
        }

        r.clean =
            dirty_managed && (updated & kAp2ReadOnly) != 0 && (r.permissions & permission::kEl1Write) != 0;
        r.accessed = (updated & kAf) != 0;
        r.page_bits = static_cast<uint8_t>(shift);
        r.pa = base | (va & low_bits(shift));
        r.non_global = (descriptor & kNotGlobal) != 0;
        r.guarded = (descriptor & kGuarded) != 0;
        r.contiguous = (descriptor & kContiguous) != 0;
        r.shareability =
            half.large_descriptors ? half.shareability : static_cast<uint8_t>(descriptor >> 8 & 3);
        const unsigned attribute = descriptor >> 2 & 7;
        r.attributes = static_cast<uint8_t>(regs.mair >> (8 * attribute));
        r.tagged = regs.options.tags && r.attributes == kTaggedAttribute;
        if ((regs.device_mask >> attribute & 1) != 0) {
            r.memory = MemoryType::Device;
            r.shareability = 0b10;
        }
        return r;
    }
}

}  // namespace arclight::mmu
