// The object file of a region: its stack maps become exit stubs, its table of faulting accesses follows the
// code.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "jit/region_abi.h"
#include "jit/region_exit_code.h"

namespace arclight::jit::tier2 {

/// The section in which asm gotos record the address of an instruction that may fault and that of its side
/// exit: two addresses for each (fastmem_lowering.cpp).
inline constexpr const char* kFaultSection = ".guest_ex";

/// At the very end of the code. `faults` FaultingAccess lie before it, sorted by `access`.
struct CodeEnd {
    uint32_t function;  ///< where it begins in the section
    uint32_t faults;
    uint64_t magic;
    static constexpr uint64_t kMagic = 0x3c6b'1f9e'52d8'a704;
};

/// Adds exit stubs to an object file with the function `region`, whose statepoints' numbers are indices in
/// `exits`, and removes its stack maps; the table of instructions that may fault goes behind the code. Throws
/// std::runtime_error if the file is not of the expected form.
std::string add_exit_stubs(const std::string& object, const std::vector<RegionExit>& exits);

}  // namespace arclight::jit::tier2
