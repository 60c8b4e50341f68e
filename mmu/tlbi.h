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
        Va,          ///< VAE1, VALE1: entries for the address that are global or of the ASID
        VaAllAsids,  ///< VAAE1, VAALE1
    };
    Kind kind = Kind::All;
    uint16_t asid = 0;
    uint64_t va = 0;  ///< page address; bits 63:56 are ignored
};

}  // namespace arclight::mmu
