// Addressing modes of the loads and stores (ARM ARM C1.3.3).
#pragma once

#include <optional>

#include "frontend/a64/translate/common.h"

namespace arclight::frontend::a64::translate {

/// The mode fields of the nine-bit and the pair forms agree but for what 0 and 2 stand for.
inline constexpr unsigned kPostIndex = 1, kPreIndex = 3;

/// An address, and what is left in the base register after the access.
struct Address {
    Ref address;
    Reg base;
    Ref written_back = ir::kNoRef;
    std::optional<uint64_t> offset;  ///< of the address from the base, if it is known
};

/// MemAux of a plain access there.
inline uint32_t mem_aux(TranslationContext& t, unsigned size, const Address& a, uint32_t flags = 0) {
    if (a.offset) {
        const uint32_t unchecked = a.written_back == ir::kNoRef ? unchecked_at_sp(t, a.base) : 0;
        return mem_aux(t, size, a.base, *a.offset, flags | unchecked);
    }
    check_sp(t, a.base);
    return mem_aux(t, size, flags);
}

/// [Xn|SP, #offset], or with writeback for the two index modes.
inline Address address_imm(TranslationContext& t, Reg n, int64_t offset, unsigned mode) {
    const Ref base = xsp(t, n);
    if (mode == kPostIndex) return {base, n, offset_by(t, base, offset), 0};
    const Ref address = offset_by(t, base, offset);
    return {address, n, mode == kPreIndex ? address : ir::kNoRef, static_cast<uint64_t>(offset)};
}

/// [Xn|SP, Rm, extend #amount]; nothing when the extension is a reserved one.
inline std::optional<Address> address_reg(TranslationContext& t, Reg n, Reg m, Imm<3> option,
                                          unsigned amount) {
    if (!option.bit(1)) return std::nullopt;
    const Ref base = xsp(t, n), offset = extend(t, Type::I64, m, option, amount);
    return Address{t.ir.add(Type::I64, base, offset), n};
}

/// Comes after the write of the loaded registers, so that a base that is among them keeps the address
/// (CONSTRAINED UNPREDICTABLE; as QEMU does).
inline void write_back(TranslationContext& t, const Address& a) {
    if (a.written_back != ir::kNoRef) set_xsp(t, a.base, a.written_back);
}

}  // namespace arclight::frontend::a64::translate
