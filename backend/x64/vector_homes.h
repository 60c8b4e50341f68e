// Guest integer registers that live in vector registers while translated code runs (CodeOptions::vector_registers), as in Wu
// et al., "Effective Exploitation of SIMD Resources in Cross-ISA Virtualization" (VEE 2021): xmm16 to xmm31, which blocks do
// not use otherwise. One has a guest register in its low half: a second one would cost two more instructions of the same port
// for each access.
//
// What they hold is written to GuestState before C++ is called or gone back to, and read from there afterwards
// (emit_stubs.cpp); blocks themselves need not know when that is.
#pragma once

#include <array>

#include "backend/x64/types.h"

namespace arclight::backend {

/// Those that blocks load and store most often in programs of bench/sweep: 86 % of all (bench/registers --by-register).
inline constexpr std::array<uint8_t, 16> kInVectors{0,  1,  2,  3,  4,  19, 20, 21,
                                                    22, 23, 25, 27, 28, 29, 30, 31};
inline constexpr int kFirstVectorHome = 16;

/// The vector register that the guest slot lives in, or -1: none.
constexpr int vector_home_of(unsigned slot) {
    for (size_t k = 0; k < kInVectors.size(); ++k)
        if (kInVectors[k] == slot) return kFirstVectorHome + static_cast<int>(k);
    return -1;
}

}  // namespace arclight::backend
