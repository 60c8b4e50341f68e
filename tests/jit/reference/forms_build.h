// Helpers to write the lists of forms with VIXL's assembler.
#pragma once

#include <aarch64/assembler-aarch64.h>

#include "tests/jit/reference/forms.h"

namespace arclight::tests {

namespace va = vixl::aarch64;
using jit::ir::Inst;
using jit::ir::Op;
using jit::ir::RoundMode;
using jit::ir::Type;

using Unary = void (va::Assembler::*)(const va::VRegister&, const va::VRegister&);
using Binary = void (va::Assembler::*)(const va::VRegister&, const va::VRegister&, const va::VRegister&);
using WithImm = void (va::Assembler::*)(const va::VRegister&, const va::VRegister&, int);

/// The encoding of the one instruction that `emit` assembles.
template <typename Emit>
uint32_t assemble(Emit emit) {
    va::Assembler assembler(va::PositionDependentCode);
    emit(assembler);
    assembler.FinalizeCode();
    return *assembler.GetBuffer()->GetStartAddress<uint32_t*>();
}

/// Register `code` with lanes of 8 << esize bits, 64 or 128 bits in all.
inline va::VRegister vec(unsigned code, unsigned esize, bool q) {
    const unsigned bits = q ? 128 : 64;
    return va::VRegister(static_cast<int>(code), static_cast<int>(bits),
                         static_cast<int>(bits >> (3 + esize)));
}
/// B, H, S, D or Q by esize 0..4.
inline va::VRegister scalar(unsigned code, unsigned esize) {
    return va::VRegister(static_cast<int>(code), static_cast<int>(8u << esize));
}

/// "name.16B" and so on.
inline std::string arranged(const std::string& name, unsigned esize, bool q) {
    return name + "." + std::to_string((q ? 16 : 8) >> esize) + "BHSD"[esize];
}

}  // namespace arclight::tests
