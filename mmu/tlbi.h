// TLB invalidations as values (ARM ARM D8, "TLB maintenance").
#pragma once

#include <cstdint>

namespace arclight::mmu {

/// One TLB invalidation of the EL1&0 regime, small enough to queue for other CPUs. The last-level-only forms
/// (VALE1, VAALE1) equal the others, because soft TLBs cache leaf entries only.
struct TlbiRequest {
    enum class Kind : uint8_t {
        All,         ///< VMALLE1
        Asid,        ///< ASIDE1: non-global entries of the ASID
        Va,          ///< VAE1, VALE1, RVAE1: entries for the addresses that are global or of the ASID
        VaAllAsids,  ///< VAAE1, VAALE1, RVAAE1
    };
    Kind kind = Kind::All;
    uint16_t asid = 0;
    /// Of 4 KiB, from `va` on, without a wrap around. Of a page of 16 or 64 KiB any 4 KiB stand for all.
    uint32_t pages = 1;
    uint64_t va = 0;  ///< page address; bits 63:56 are ignored
};
// It goes from function to function in two registers.
static_assert(sizeof(TlbiRequest) == 16);

}  // namespace arclight::mmu
